"""Kernels that the contract suite is run against: one in memory, and a real one in a namespace."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Protocol

from support.netlab import Namespace, NetLab, NetNode

from agent.network.fake import FakeKernel, SimulatedKernel
from agent.network.links import (
    Bridge,
    BridgePort,
    FdbEntry,
    Neighbour,
    Put,
    Route,
    Rule,
    Sysctl,
    Thing,
    Vtep,
)
from agent.network.netlink import Kernel
from agent.network.picture import LocalNetwork, Underlay
from agent.network.port import KernelPort

CONTAINER = IPv4Address("10.0.1.10")


class KernelBench(Protocol):
    """A node whose underlay device is `eth0`."""

    @property
    def port(self) -> KernelPort: ...

    @property
    def underlay(self) -> Underlay: ...

    def lose(self, thing: Thing) -> None:
        """By hand."""
        ...

    def route_elsewhere(self, route: Route) -> None:
        """A route that is not ours, to the same place."""
        ...

    def add_device(self, name: str) -> None:
        """Some device that is not ours to make."""
        ...

    def container(self, network: LocalNetwork) -> tuple[int, BridgePort]:
        """One on a bridge that is there, as an engine makes it: its pid, and its place."""
        ...

    async def close(self) -> None: ...


@dataclass
class FakeBench:
    port: FakeKernel = field(default_factory=lambda: FakeKernel(SimulatedKernel()))

    @property
    def underlay(self) -> Underlay:
        return self.port.kernel.underlay

    def lose(self, thing: Thing) -> None:
        self.port.lose(thing)

    def route_elsewhere(self, route: Route) -> None:
        self.port.kernel.perform(Put(Route(route.subnet, None, "eth0", route.table)))

    def add_device(self, name: str) -> None:
        self.port.kernel.add_device(name)

    def container(self, network: LocalNetwork) -> tuple[int, BridgePort]:
        place = BridgePort("veth1", network.bridge)
        self.port.kernel.devices[place.device] = 1450
        self.port.kernel.containers[4711] = {CONTAINER: place.device}
        self.port.kernel.perform(Put(place))
        return 4711, place

    async def close(self) -> None:
        await self.port.close()


class RealBench:
    def __init__(self, lab: NetLab, node: NetNode) -> None:
        self._lab, self.node = lab, node
        self.port = Kernel(node.enter)
        self.underlay = Underlay(node.address, "eth0")

    def lose(self, thing: Thing) -> None:
        lose_by_hand(self.node, thing)

    def route_elsewhere(self, route: Route) -> None:
        self.node.ip(f"route add {route.subnet} dev eth0 table {route.table}")

    def add_device(self, name: str) -> None:
        self.node.ip(f"link add name {name} type bridge", f"link set {name} up")

    def container(self, network: LocalNetwork) -> tuple[int, BridgePort]:
        made = Namespace("container")
        self._lab.own(made)
        veth = self._lab.attach(made, self.node, network.bridge, f"{CONTAINER}/24", "eth0")
        return made.pid, BridgePort(veth, network.bridge)

    async def close(self) -> None:
        await self.port.close()


def lose_by_hand(node: Namespace, thing: Thing) -> None:
    """As an operator does who types the wrong command."""
    match thing:
        case Bridge(name=device) | Vtep(device=device):
            node.ip(f"link del {device}")
        case BridgePort():
            node.ip(f"link set {thing.device} nomaster")
        case Sysctl():
            value = "0" if thing.value == "1" else "1"
            node.sysctl(**{thing.path.removeprefix("net/ipv4/").replace("/", "__"): value})
        case Neighbour():
            node.ip(f"neigh del {thing.address} dev {thing.device}")
        case FdbEntry():
            by = ("via", thing.by) if thing.by else ()
            node.run("bridge", "fdb", "del", thing.mac, "dev", thing.device, "dst", str(thing.underlay), *by, "self")
        case Route():
            node.ip(f"route del {thing.subnet} dev {thing.device} table {thing.table}")
        case Rule():
            node.ip(f"rule del priority {thing.priority}" + (f" fwmark {thing.mark}" if thing.mark else ""))
