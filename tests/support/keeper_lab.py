"""The machines of the rules' lab, with nothing on the nodes but what an engine makes: all else is the keepers' work.

Nodes have no default route. Containers have the engine's routes only, and filter strictly by the reverse path, as they
do where the machine's owner wishes so.
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

from support.netlab import Namespace, NetLab, NetNode, echo, netlab
from support.rules_lab import (
    CONTAINERS,
    NETWORKS,
    NODES,
    PORT,
    RulesLab,
    Wanted,
    address_of,
    gateway_of,
    local_network,
)

from agent.network.conntrack import Forgotten
from agent.network.departures import Departure
from agent.network.keeper import NetworkKeeper
from agent.network.netlink import Kernel
from agent.network.nft import Nft
from agent.network.parts import Parts
from agent.network.picture import Picture, Underlay
from swarmpy.clock import SystemClock

T = TypeVar("T")

_LIMIT = 20.0


@dataclass
class Seat:
    """A node's keeper, with its engine, names and connections: these have nothing to do here."""

    node: NetNode
    now: Picture
    revision: int = 0
    shown: asyncio.Condition = field(default_factory=asyncio.Condition)
    repaired: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.kernel = Kernel(self.node.enter)
        nft = Nft(("nsenter", f"--net=/proc/{self.node.pid}/ns/net", "nft"), self.node.enter)
        parts = Parts(self.kernel, nft, self, self, self)
        self.keeper = NetworkKeeper(SystemClock(), self, parts, str(self.node.address))
        self.keeper.on_repair = self.repaired.extend
        self.keeper.on_shown = self._hear
        self.seen = -1

    def picture(self, underlay: Underlay) -> tuple[Picture, int]:
        return replace(self.now, underlay=underlay), self.revision

    def bridges(self) -> frozenset[str]:
        return frozenset(network.bridge for network in self.now.networks.values())

    async def show(self, picture: Picture) -> None:
        """There are no names."""

    async def forget(self, departures: Sequence[Departure]) -> Forgotten:
        return Forgotten()

    async def mend(self) -> tuple[str, ...]:
        return ()

    async def remove(self) -> None:
        """There is no engine."""

    def _hear(self, revision: int) -> None:
        self.seen = revision

    async def becomes(self, picture: Picture) -> None:
        self.now, self.revision = picture, self.revision + 1
        self.keeper.wake()
        async with asyncio.timeout(_LIMIT):
            while self.seen < self.revision:
                await asyncio.sleep(0.002)
        assert self.keeper.trouble == ""


@dataclass
class KeeperLab(RulesLab):
    seats: dict[str, Seat] = field(default_factory=dict)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def wait_for(self, work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(_LIMIT)

    def become(self, wanted: Iterable[Wanted]) -> None:
        listed = tuple(wanted)
        for name, seat in self.seats.items():
            self.wait_for(seat.becomes(self.picture(name, listed)))


@contextmanager
def keeper_lab() -> Iterator[KeeperLab]:
    with netlab() as lab, ExitStack() as after:
        nodes = {name: lab.node(name) for name in NODES}
        client = lab.node("client")
        for name, node in nodes.items():
            for network in (local_network(each, name) for each in NETWORKS):
                node.bridge(network.bridge, f"{network.gateway}/24")
        containers = {name: _container(lab, nodes, name) for name in CONTAINERS}
        for machine in (*containers.values(), client):
            after.enter_context(echo(machine, PORT))
        made = KeeperLab(client, nodes, containers)
        after.enter_context(_running(made.loop))
        for name in nodes:
            after.enter_context(_seated(made, name))
        yield made


def _container(lab: NetLab, nodes: dict[str, NetNode], name: str) -> Namespace:
    node, _, (first, *others) = CONTAINERS[name]
    interface = f"{address_of(name, first)}/24"
    made = lab.container(nodes[node], local_network(first, node).bridge, interface, gateway_of(first, node), name=name)
    made.sysctl(conf__default__rp_filter=1, conf__eth0__rp_filter=1)
    for number, other in enumerate(others, 1):
        lab.attach(
            made, nodes[node], local_network(other, node).bridge, f"{address_of(name, other)}/24", f"eth{number}"
        )
    return made


@contextmanager
def _running(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_LIMIT)
        loop.close()


@contextmanager
def _seated(lab: KeeperLab, name: str) -> Iterator[None]:
    async def seat() -> tuple[Seat, "asyncio.Task[None]"]:
        made = Seat(lab.nodes[name], lab.picture(name, ()))
        return made, asyncio.ensure_future(made.keeper.run())

    async def leave(task: "asyncio.Task[None]", kernel: Kernel) -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await kernel.close()

    lab.seats[name], work = lab.wait_for(seat())
    try:
        yield
    finally:
        lab.wait_for(leave(work, lab.seats[name].kernel))
