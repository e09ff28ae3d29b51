"""The parts of this very machine for the network keeper: its kernel, its packet rules, the agent's name server."""

import os
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from agent.descriptors import heirlooms_of
from agent.dns.names import NameServer
from agent.network.conntrack import Conntrack
from agent.network.docker_user import DockerUser
from agent.network.host_routes import routes_in
from agent.network.keeper import NetworkKeeper
from agent.network.netlink import Kernel
from agent.network.nft import Nft
from agent.network.node_view import NodeView
from agent.network.parts import Parts
from agent.network.tunnel_keeper import TunnelKeeper
from agent.network.tunnel_port import NoTunnels, Tunnels
from agent.network.tunnel_wg import Wg
from agent.runner import Runner
from swarmpy.clock import Clock
from swarmpy.logs import logger
from swarmpy.settings import AgentSettings
from swarmpy.together import together
from swarmpy.tokens import host_of
from swarmpy.wire import LONGEST_NOTE, MOST_NOTES, MOST_ROUTES, WIREGUARD

log = logger("network")

ROUTES = Path("/proc/net/route")
KEY_FILE = "wireguard.key"


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """What the cluster is told of a node's network: what its kernel can, whose the subnets around are, sentences on
    what does not work, and the key by which its peers reach it where networks are encrypted."""

    features: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    wireguard_key: str = ""


@dataclass(frozen=True, slots=True)
class Network:
    """The parts that a keeper works on; `serve` runs what works by itself beside it."""

    parts: Parts
    serve: Callable[[], Coroutine[object, object, None]]
    routes: Path = ROUTES
    tunnels: Tunnels = field(default_factory=NoTunnels)

    def of_node(self, settings: AgentSettings, clock: Clock, runner: Runner) -> "NodeNetwork":
        view, tunnel = NodeView(settings.node_id, runner), TunnelKeeper(self.tunnels, settings.data_dir / KEY_FILE)
        keeper = NetworkKeeper(clock, view, self.parts, host_of(settings.address), tunnel)
        return NodeNetwork(self, keeper)


@dataclass(frozen=True, slots=True)
class NodeNetwork:
    network: Network
    keeper: NetworkKeeper

    async def facts(self) -> NetworkFacts:
        try:
            routes = routes_in(self.network.routes.read_text())
        except OSError:
            # Without a kernel's listing nothing is kept clear of; the engine still refuses what it overlaps.
            routes = ()
        if len(routes) > MOST_ROUTES:
            log.error("routes.too_many", found=len(routes), told=MOST_ROUTES)
        key = await self.keeper.wireguard_key()
        return NetworkFacts((WIREGUARD,) if key else (), routes[:MOST_ROUTES], notes_of(self.keeper.limits), key)

    async def run(self) -> None:
        """Until cancelled; the kernel keeps what it has."""
        try:
            await together(self.keeper.run(), self.network.serve())
        finally:
            await self.network.parts.kernel.close()


def notes_of(sentences: Iterable[str]) -> tuple[str, ...]:
    """As many and as long as the manager takes; the log has the whole."""
    return tuple(sentence[:LONGEST_NOTE] for sentence in sentences)[:MOST_NOTES]


def of_this_machine(clock: Clock) -> Network:
    names = NameServer(clock, heirlooms_of(os.environ))
    return Network(Parts(Kernel(), Nft(), names, Conntrack(), DockerUser()), names.serve, tunnels=Wg())
