"""The parts of this very machine for the network keeper: its kernel, its packet rules, the agent's name server."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from agent.dns.names import NameServer
from agent.network.conntrack import Conntrack
from agent.network.docker_user import DockerUser
from agent.network.keeper import NetworkKeeper, Parts
from agent.network.netlink import Kernel
from agent.network.nft import Nft
from agent.network.node_view import NodeView
from agent.runner import Runner
from swarmpy.clock import Clock
from swarmpy.settings import AgentSettings
from swarmpy.together import together
from swarmpy.tokens import host_of


@dataclass(frozen=True, slots=True)
class Network:
    """`serve` runs what works by itself beside the keeper."""

    parts: Parts
    serve: Callable[[], Coroutine[object, object, None]]

    def keeper(self, settings: AgentSettings, clock: Clock, runner: Runner) -> NetworkKeeper:
        """One for this node, which the runner's tasks wait for."""
        keeper = NetworkKeeper(clock, NodeView(settings.node_id, runner), self.parts, host_of(settings.address))
        runner.serve_networks_with(keeper.provide)
        return keeper

    async def run(self, keeper: NetworkKeeper) -> None:
        """Until cancelled; the kernel keeps what it has."""
        try:
            await together(keeper.run(), self.serve())
        finally:
            await self.parts.kernel.close()


def of_this_machine(clock: Clock) -> Network:
    names = NameServer(clock)
    return Network(Parts(Kernel(), Nft(), names, Conntrack(), DockerUser()), names.serve)
