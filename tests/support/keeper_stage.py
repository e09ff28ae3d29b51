"""A keeper with everything around it in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from support.pictures import a_network, a_peer, a_picture

from agent.network.conntrack import Forgotten
from agent.network.departures import Departure
from agent.network.fake import FakeKernel
from agent.network.keeper import NetworkKeeper
from agent.network.links import BridgePort
from agent.network.parts import Parts
from agent.network.picture import LocalTask, Picture, Underlay
from agent.network.rules_port import MemoryRules
from agent.network.shown_rules import QUIET
from agent.network.tunnel_keeper import TunnelKeeper
from agent.network.wanted import wanted
from swarmpy.clock import ManualClock
from swarmpy.errors import SwarmpyError

PEER = a_peer("node-2", "10.0.2.0/24", "192.0.2.2")
ONE = a_picture(a_network(), peers=(PEER,))
TWO = a_picture(a_network(), a_network("net2", "10.0.7.0/24"), peers=(PEER,))
EMPTY = a_picture()


class Stage:
    """Everything around a keeper, in memory; it plays the node, its names, connections and engine at once."""

    def __init__(self, packet_rules: MemoryRules, tunnel: TunnelKeeper | None = None) -> None:
        self.clock = ManualClock()
        self.now, self.revision = EMPTY, 1
        self.kernel, self.packet_rules = FakeKernel(), packet_rules
        self.names: list[Picture] = []
        self.departures: list[Departure] = []
        self.missing_engine_rules: tuple[str, ...] = ()
        self.engine_refuses: SwarmpyError | None = None
        self.is_known = True
        self.engine_rules_are_gone = False
        self.shown: list[int] = []
        self.repaired: list[str] = []
        parts = Parts(self.kernel, self.packet_rules, self, self, self)
        self.keeper = NetworkKeeper(self.clock, self, parts, str(EMPTY.underlay.address), tunnel)
        self.keeper.on_shown = self.shown.append
        self.keeper.on_repair = self.repaired.extend

    def picture(self, underlay: Underlay) -> tuple[Picture, int] | None:
        return (replace(self.now, underlay=underlay), self.revision) if self.is_known else None

    def bridges(self) -> frozenset[str]:
        return frozenset(network.bridge for network in self.now.networks.values())

    async def show(self, picture: Picture) -> None:
        self.names.append(picture)

    async def forget(self, departures: Sequence[Departure]) -> Forgotten:
        self.departures.extend(departures)
        return Forgotten(len(departures))

    async def mend(self) -> tuple[str, ...]:
        if self.engine_refuses is not None:
            raise self.engine_refuses
        missing, self.missing_engine_rules = self.missing_engine_rules, ()
        return missing

    async def remove(self) -> None:
        self.engine_rules_are_gone = True

    async def becomes(self, picture: Picture) -> None:
        self.now, self.revision = picture, self.revision + 1
        self.keeper.wake()
        await self.settled(lambda: bool(self.shown) and self.shown[-1] == self.revision)

    async def settled(self, condition: Callable[[], bool]) -> None:
        for _ in range(2000):
            if condition():
                return
            await asyncio.sleep(0)
        raise AssertionError(f"it did not come about; {self.keeper.trouble or 'no trouble'}")

    async def rests(self) -> None:
        """So long that what waits for quiet is done."""
        for _ in range(3):
            self.clock.advance(QUIET)
            for _ in range(50):
                await asyncio.sleep(0)

    def links_are_as_wanted(self) -> bool:
        return self.kernel.kernel.look(self.now) == wanted(self.now)


@asynccontextmanager
async def running(packet_rules: MemoryRules | None = None, tunnel: TunnelKeeper | None = None) -> AsyncIterator[Stage]:
    stage = Stage(packet_rules or MemoryRules(), tunnel)
    work = asyncio.ensure_future(stage.keeper.run())
    try:
        yield stage
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


def with_a_container(stage: Stage, pid: int) -> Picture:
    """On the network, with a place on the bridge that the engine has given it."""
    kernel, address = stage.kernel.kernel, IPv4Address(f"10.0.1.{pid}")
    kernel.devices[f"veth{pid}"] = 1450
    kernel.containers[pid] = {address: f"veth{pid}"}
    kernel.ports[f"veth{pid}"] = BridgePort(f"veth{pid}", a_network().bridge, hairpin=False)
    network = a_network(ranges=(IPv4Network("10.0.0.0/16"),))
    others = stage.now.tasks
    task = LocalTask(f"t{pid}", "s", {"net1": address}, pid=pid)
    return replace(a_picture(network, peers=(PEER,)), tasks={**others, task.task_id: task})
