"""A kernel in memory, with the real one's rules of order: for tests, and for simulated agents.

`SimulatedKernel` is the kernel, with what is ours and what is not; `FakeKernel` is the port to it.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

from agent.network.links import (
    END_PRIORITY,
    SKIP_PRIORITY,
    Bridge,
    BridgePort,
    ContainerRoutes,
    FdbEntry,
    Links,
    Neighbour,
    Operation,
    Put,
    Route,
    Rule,
    Sysctl,
    Thing,
    Vtep,
    is_ours,
    name_of,
)
from agent.network.picture import LocalNetwork, LocalTask, Picture, Underlay
from agent.network.wanted import wanted_sysctls
from swarmpy.errors import BadRequest, BrokenInvariant, Conflict, NotFound

_DEFAULTS = {"rp_filter": "1", "route_localnet": "0", "send_redirects": "1"}
_SYSTEM = {
    "net/ipv4/ip_forward": "0",
    "net/ipv4/conf/all/rp_filter": "1",
    "net/ipv4/conf/all/send_redirects": "1",
}


@dataclass
class SimulatedKernel:
    """`devices` that are neither bridges nor VTEPs, by name with their MTU; veths are among them. `containers` are, by
    pid, their addresses with the node's end of the veth."""

    underlay: Underlay = field(default_factory=lambda: Underlay(IPv4Address("192.0.2.1"), "eth0"))
    devices: dict[str, int] = field(default_factory=lambda: {"eth0": 1500})
    containers: dict[int, dict[IPv4Address, str]] = field(default_factory=dict)
    bridges: dict[str, Bridge] = field(default_factory=dict)
    ports: dict[str, BridgePort] = field(default_factory=dict)
    vteps: dict[str, Vtep] = field(default_factory=dict)
    sysctls: dict[str, Sysctl] = field(default_factory=lambda: {path: Sysctl(path, _SYSTEM[path]) for path in _SYSTEM})
    neighbours: dict[tuple[str, IPv4Address], Neighbour] = field(default_factory=dict)
    fdb: dict[tuple[str, str], FdbEntry] = field(default_factory=dict)
    routes: dict[tuple[object, ...], Route] = field(default_factory=dict)
    rules: set[Rule] = field(default_factory=set)
    inside: dict[int, ContainerRoutes] = field(default_factory=dict)

    def look(self, picture: Picture, ports: Set[BridgePort] = frozenset()) -> Links:
        """What there is of ours."""
        paths = {setting.path for setting in wanted_sysctls(picture)}
        asked = {port.device for port in ports}
        return Links(
            frozenset(bridge for bridge in self.bridges.values() if is_ours(bridge.name)),
            frozenset(port for port in self.ports.values() if port.device in asked and is_ours(port.bridge)),
            frozenset(vtep for vtep in self.vteps.values() if is_ours(vtep.device)),
            frozenset(setting for setting in self.sysctls.values() if setting.path in paths),
            frozenset(neighbour for neighbour in self.neighbours.values() if is_ours(neighbour.device)),
            frozenset(entry for entry in self.fdb.values() if is_ours(entry.device)),
            frozenset(route for route in self.routes.values() if is_ours(route.device)),
            frozenset(rule for rule in self.rules if SKIP_PRIORITY <= rule.priority <= END_PRIORITY),
            frozenset(self._look_inside(picture)),
        )

    def _look_inside(self, picture: Picture) -> Iterator[ContainerRoutes]:
        for task in picture.tasks.values():
            if held := self.containers.get(task.pid, {}).keys() & {*task.addresses.values()}:
                yield self.inside.get(task.pid, ContainerRoutes(task.pid, frozenset(held)))

    def add_device(self, name: str, mtu: int = 1500) -> None:
        self._make_settings(name, name in self.devices)
        self.devices[name] = mtu

    def perform(self, operation: Operation) -> None:
        if isinstance(operation, Put):
            self._put(operation.thing)
        elif isinstance(operation.thing, BridgePort | Sysctl | ContainerRoutes):
            raise BrokenInvariant(f"{name_of(operation.thing)} is put, and never removed")
        else:
            self.lose(operation.thing)

    def lose(self, thing: Thing) -> None:
        """It is gone, and what is on it: by an operation, or by someone's hand."""
        match thing:
            case Bridge():
                self._lose_device(thing.name)
                self.bridges.pop(thing.name, None)
            case BridgePort():
                self.ports.pop(thing.device, None)
            case Vtep():
                self._lose_device(thing.device)
                self.vteps.pop(thing.device, None)
            case Sysctl():
                self.sysctls[thing.path] = replace(thing, value=_default_of(thing.path))
            case Neighbour():
                self.neighbours.pop(thing.key, None)
            case FdbEntry():
                self.fdb.pop(thing.key, None)
            case Route():
                self.routes.pop((*thing.key, thing.via, thing.device), None)
            case Rule():
                self.rules.discard(thing)
            case ContainerRoutes():
                self.inside.pop(thing.pid, None)

    def _lose_device(self, device: str) -> None:
        """The kernel drops with a device what is on it."""
        self.ports = {name: port for name, port in self.ports.items() if device not in (port.device, port.bridge)}
        self.sysctls = {path: setting for path, setting in self.sysctls.items() if setting.device != device}
        self.neighbours = {key: entry for key, entry in self.neighbours.items() if entry.device != device}
        self.fdb = {key: entry for key, entry in self.fdb.items() if entry.device != device}
        self.routes = {key: route for key, route in self.routes.items() if route.device != device}

    def _put(self, thing: Thing) -> None:
        match thing:
            case Bridge():
                self._make_settings(thing.name, thing.name in self.bridges)
                self.bridges[thing.name] = thing
            case BridgePort():
                self._need(thing.device)
                self._need(thing.bridge)
                self.ports[thing.device] = thing
            case Vtep():
                self._put_vtep(thing)
            case Sysctl():
                if thing.path not in self.sysctls:
                    raise NotFound(f"there is no {name_of(thing)}")
                self.sysctls[thing.path] = thing
            case Neighbour():
                self._need(thing.device)
                self.neighbours[thing.key] = thing
            case FdbEntry():
                self._need(thing.device)
                if thing.by:
                    self._need(thing.by)
                self.fdb[thing.key] = thing
            case Route():
                self._put_route(thing)
            case Rule():
                self.rules.add(thing)
            case ContainerRoutes():
                self._put_inside(thing)

    def _put_inside(self, routes: ContainerRoutes) -> None:
        held = self.containers.get(routes.pid, {}).keys()
        if held.isdisjoint(routes.addresses):
            return
        if missing := routes.addresses - held:
            raise NotFound(f"{name_of(routes)} cannot be set: it has no address {min(missing)} any more")
        self.inside[routes.pid] = routes

    def _put_vtep(self, vtep: Vtep) -> None:
        self._need(vtep.underlay_device)
        there = self.vteps.get(vtep.device)
        if there is None:
            if any(other.vni == vtep.vni for other in self.vteps.values()):
                raise Conflict(f"another VXLAN device of this node has VNI {vtep.vni}")
            self.vteps[vtep.device] = vtep
        else:
            # What else differs stays as it was: a device does not become another one.
            self.vteps[vtep.device] = replace(there, mtu=vtep.mtu, address=vtep.address, up=vtep.up)
        self._make_settings(vtep.device, there is not None)

    def _put_route(self, route: Route) -> None:
        self._need(route.device)
        same = [other for other in self.routes.values() if other.key == route.key]
        if any((other.via, other.device) == (route.via, route.device) for other in same):
            return
        if same:
            raise Conflict(f"another route to {route.subnet} is in the way of {name_of(route)}")
        self.routes[(*route.key, route.via, route.device)] = route

    def _make_settings(self, device: str, is_there: bool) -> None:
        if not is_there:
            for name, value in _DEFAULTS.items():
                path = f"net/ipv4/conf/{device}/{name}"
                self.sysctls[path] = Sysctl(path, value, device)

    def _need(self, device: str) -> None:
        if device not in self.devices and device not in self.bridges and device not in self.vteps:
            raise NotFound(f"device {device} is not there")


class FakeKernel:
    """Tells of every loss that comes through `lose`."""

    def __init__(self, kernel: SimulatedKernel | None = None) -> None:
        self.kernel = kernel or SimulatedKernel()
        self.performed: list[Operation] = []
        self._changed = asyncio.Event()

    async def read(self, picture: Picture, ports: Set[BridgePort] = frozenset()) -> Links:
        return self.kernel.look(picture, ports)

    async def perform(self, operation: Operation) -> None:
        self.kernel.perform(operation)
        self.performed.append(operation)

    async def ports_of(
        self, tasks: Iterable[LocalTask], networks: Mapping[str, LocalNetwork]
    ) -> Mapping[int, frozenset[BridgePort]]:
        there = (task for task in tasks if task.pid in self.kernel.containers)
        return {task.pid: frozenset(self._ports_of(task, networks)) for task in there}

    async def underlay_of(self, address: str) -> Underlay:
        if str(self.kernel.underlay.address) == address:
            return self.kernel.underlay
        try:
            IPv4Address(address)
        except ValueError:
            raise BadRequest(f"{address!r} is no IPv4 address") from None
        raise NotFound(f"no device of this node has the address {address}")

    async def wait_until_changed(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    async def close(self) -> None:
        """There is nothing to give back."""

    def lose(self, thing: Thing) -> None:
        """By someone's hand."""
        self.kernel.lose(thing)
        self._changed.set()

    def _ports_of(self, task: LocalTask, networks: Mapping[str, LocalNetwork]) -> Iterator[BridgePort]:
        held = self.kernel.containers[task.pid]
        for address, network in task.places_among(networks):
            if address in held:
                yield BridgePort(held[address], network.bridge, mtu=self.kernel.devices[held[address]])


def _default_of(path: str) -> str:
    return _SYSTEM.get(path) or _DEFAULTS[path.rsplit("/", 1)[1]]
