"""The links and routes of this node's networks, and the operations from those there are to those there shall be. Pure.

Per peer of a network there are three entries, in this order: neighbour, FDB, route; so that no packet finds one and
lacks the next. They are removed the other way. What is wanted says `wanted`; packet rules are not made here.
"""

from collections.abc import Hashable, Iterable, Iterator, Set
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any, TypeVar

from agent.network.picture import BRIDGE_PREFIX, TUNNEL, VTEP_PREFIX, VXLAN_PORT

# Where `ip rule` lists ours, in a container: datagrams that answer from a published port take the most special route
# that there is, and only instead of the default one that of a table of their own.
ANSWER_PRIORITY, ANSWER_TABLE = 21000, 21001
# On the node: packets without a mark jump over those for marks, of which there is one a peer.
SKIP_PRIORITY, MARK_PRIORITY, END_PRIORITY = 21000, 21001, 21002
MAIN_TABLE = 254


@dataclass(frozen=True, slots=True)
class Bridge:
    """Made by the engine, and by us when it was lost. `address` is the gateway's; None: it has lost that."""

    name: str
    address: IPv4Interface | None
    mac: str
    mtu: int
    up: bool = True

    @property
    def key(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class BridgePort:
    """The node's end of a container's veth, up and on its bridge. `hairpin`: the bridge gives it what came from it, for
    a container may ask a service that is itself. `mtu` is the engine's to choose; 0: not known."""

    device: str
    bridge: str
    hairpin: bool = True
    mtu: int = field(default=0, compare=False)

    @property
    def key(self) -> str:
        return self.device


@dataclass(frozen=True, slots=True)
class Vtep:
    """The VXLAN device of a network. `local` is this node's address in the underlay; `address` is what peers' routes
    point to."""

    device: str
    vni: int
    mac: str
    local: IPv4Address
    underlay_device: str
    mtu: int
    address: IPv4Address | None
    up: bool = True
    port: int = VXLAN_PORT
    learning: bool = False

    @property
    def key(self) -> str:
        return self.device

    @property
    def nature(self) -> tuple[Hashable, ...]:
        """What the kernel does not change in a device that is there, or not without dropping its neighbours (MAC)."""
        return (self.vni, self.mac, self.local, self.underlay_device, self.port, self.learning)


@dataclass(frozen=True, slots=True)
class Sysctl:
    """`path` is below /proc/sys. It comes and goes with `device`, unless that is empty."""

    path: str
    value: str
    device: str = ""

    @property
    def key(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The MAC of a peer's VTEP. `node` names the peer, for people."""

    device: str
    address: IPv4Address
    mac: str
    node: str = field(default="", compare=False)

    @property
    def key(self) -> tuple[str, IPv4Address]:
        return (self.device, self.address)


@dataclass(frozen=True, slots=True)
class FdbEntry:
    """Where in the underlay frames for a MAC are sent; `by` that device, or, where it is empty, as routes say."""

    device: str
    mac: str
    underlay: IPv4Address | None
    node: str = field(default="", compare=False)
    by: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return (self.device, self.mac)


@dataclass(frozen=True, slots=True)
class Route:
    subnet: IPv4Network
    via: IPv4Address | None
    device: str
    table: int = MAIN_TABLE
    node: str = field(default="", compare=False)

    @property
    def key(self) -> tuple[int, IPv4Network]:
        return (self.table, self.subnet)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of routing. `mark` None: any packet. It looks up `table`, jumps to a priority, or, with neither, is what
    another jumps to."""

    priority: int
    mark: int | None = None
    table: int = 0
    goto: int = 0

    @property
    def key(self) -> tuple[int, int]:
        # The target of a jump comes before the jump.
        return (-self.priority, self.mark or 0)


@dataclass(frozen=True, slots=True)
class Way:
    """A route inside a container: what goes there without an address of its own goes from `source`."""

    subnet: IPv4Network
    via: IPv4Address
    source: IPv4Address

    def __str__(self) -> str:
        return f"{self.subnet} via {self.via}"


@dataclass(frozen=True, slots=True, order=True)
class Ports:
    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class ContainerRoutes:
    """What is ours of the routes inside the container that has this process; those of the engine stay. `addresses` tell
    that it is the one that is meant. Datagrams from the ports in `answering` go by `answers` instead of the default
    route. `is_strict`: it takes no packet but from where it would answer, and that is not always where clients come in.
    """

    pid: int
    addresses: frozenset[IPv4Address]
    ways: frozenset[Way] = frozenset()
    answers: Way | None = None
    answering: frozenset[Ports] = frozenset()
    is_strict: bool = False
    task: str = field(default="", compare=False)

    @property
    def key(self) -> int:
        return self.pid


Thing = Bridge | BridgePort | Vtep | Sysctl | Neighbour | FdbEntry | Route | Rule | ContainerRoutes


@dataclass(frozen=True, slots=True)
class Links:
    """All of ours, as it is to be or as it is. What is there holds the system's values of those paths only that are
    wanted, the places of those ports, and the routes in containers that run."""

    bridges: Set[Bridge] = frozenset()
    ports: Set[BridgePort] = frozenset()
    vteps: Set[Vtep] = frozenset()
    sysctls: Set[Sysctl] = frozenset()
    neighbours: Set[Neighbour] = frozenset()
    fdb: Set[FdbEntry] = frozenset()
    routes: Set[Route] = frozenset()
    rules: Set[Rule] = frozenset()
    containers: Set[ContainerRoutes] = frozenset()

    def without(self, devices: Set[str]) -> "Links":
        """As the kernel leaves it when those devices are removed: all that is on them goes as well."""
        if not devices:
            return self
        return Links(
            frozenset(bridge for bridge in self.bridges if bridge.name not in devices),
            frozenset(port for port in self.ports if devices.isdisjoint({port.device, port.bridge})),
            frozenset(vtep for vtep in self.vteps if vtep.device not in devices),
            frozenset(sysctl for sysctl in self.sysctls if sysctl.device not in devices),
            frozenset(neighbour for neighbour in self.neighbours if neighbour.device not in devices),
            frozenset(entry for entry in self.fdb if entry.device not in devices),
            frozenset(route for route in self.routes if route.device not in devices),
            self.rules,
            self.containers,
        )


@dataclass(frozen=True, slots=True)
class Put:
    """Make it so, whether it is missing, or is there as `was`, or is there already."""

    thing: Thing
    was: Thing | None = None


@dataclass(frozen=True, slots=True)
class Remove:
    """It is not there afterwards. What is on a device goes with it."""

    thing: Thing


Operation = Put | Remove


def is_ours(device: str) -> bool:
    return device.startswith((BRIDGE_PREFIX, VTEP_PREFIX)) or device == TUNNEL


def plan(want: Links, have: Links) -> tuple[Operation, ...]:
    """Any part of it may be carried out, any operation twice: what is planned next from what is then there leads to the
    same end. Bridges are the engine's to remove; see `leftovers`."""
    old_vteps = {vtep.device: vtep for vtep in have.vteps}
    natures = {vtep.device: vtep.nature for vtep in want.vteps}
    gone = [vtep for device, vtep in sorted(old_vteps.items()) if natures.get(device) != vtep.nature]
    left = have.without({vtep.device for vtep in gone})
    return (
        # Neither of these is changed in place: of rules the kernel adds one more, and of routes it may
        # change a stranger's.
        *(Remove(rule) for rule in _in_order(left.rules - want.rules, last_first=True)),
        *(Remove(route) for route in _in_order(left.routes - want.routes, last_first=True)),
        *_removals(left.fdb, want.fdb),
        *_removals(left.neighbours, want.neighbours),
        *(Remove(vtep) for vtep in gone),
        *_puts(want.bridges, left.bridges),
        *_puts(want.ports, left.ports),
        *_puts(want.vteps, left.vteps),
        *_puts(want.sysctls, left.sysctls),
        *_puts(want.neighbours, left.neighbours),
        *_puts(want.fdb, left.fdb),
        *(Put(route) for route in _in_order(want.routes - left.routes)),
        *(Put(rule) for rule in _in_order(want.rules - left.rules)),
        *_puts(want.containers, left.containers),
    )


def leftovers(want: Links, have: Links, of_engine: Set[str]) -> tuple[Remove, ...]:
    """Bridges of networks that have gone. `of_engine` are the bridges of all networks that the engine has: it removes
    those itself, but not one that was made again under it, whose index it does not know."""
    kept = {bridge.name for bridge in want.bridges} | of_engine
    return tuple(Remove(bridge) for bridge in _in_order(have.bridges) if bridge.name not in kept)


def describe(operation: Operation) -> str:
    """What an operation mends, for logs and events."""
    name = name_of(operation.thing)
    if isinstance(operation, Remove):
        return f"{name} was there, and is not to be"
    if operation.was is None:
        return f"{name} was missing"
    return f"{name} was not as it is to be: {', '.join(_differences(operation.thing, operation.was))}"


def name_of(thing: Thing) -> str:
    match thing:
        case Bridge(name=name):
            return f"bridge {name}"
        case BridgePort():
            return f"port {thing.device} of bridge {thing.bridge}"
        case Vtep():
            return f"VXLAN device {thing.device} (VNI {thing.vni})"
        case Sysctl():
            return f"setting {thing.path}"
        case Neighbour():
            return f"neighbour {thing.address}{_of(thing.node)} on {thing.device}"
        case FdbEntry():
            return f"FDB entry {thing.mac}{_of(thing.node)} on {thing.device}"
        case Route():
            table = "" if thing.table == MAIN_TABLE else f" in table {thing.table}"
            return f"route {thing.subnet}{_of(thing.node, 'to')} on {thing.device}{table}"
        case Rule():
            packets = "all packets" if thing.mark is None else f"mark {thing.mark}"
            return f"routing rule {thing.priority} for {packets}"
        case ContainerRoutes():
            return f"set of routes in the container of task {thing.task}"


def _of(node: str, word: str = "of") -> str:
    return f" {word} {node}" if node else ""


def _differences(thing: Thing, was: Thing) -> Iterator[str]:
    for name in (part.name for part in fields(thing) if part.compare):
        now, then = getattr(thing, name), getattr(was, name)
        if now != then:
            yield f"{name.replace('_', ' ')} {_in_words(then)}, not {_in_words(now)}"


def _in_words(value: object) -> str:
    if isinstance(value, frozenset):
        return ", ".join(sorted(map(str, value))) or "none"
    return str(value)


_T = TypeVar("_T", Bridge, BridgePort, Vtep, Sysctl, Neighbour, FdbEntry, Route, Rule, ContainerRoutes)


def _in_order(things: Iterable[_T], *, last_first: bool = False) -> list[_T]:
    def key(thing: _T) -> Any:
        return thing.key

    return sorted(things, key=key, reverse=last_first)


def _removals(have: Set[_T], want: Set[_T]) -> Iterator[Remove]:
    """What is there under a key that is wanted is changed in place."""
    keys = {thing.key for thing in want}
    return (Remove(thing) for thing in _in_order(have, last_first=True) if thing.key not in keys)


def _puts(want: Set[_T], have: Set[_T]) -> Iterator[Put]:
    there = {thing.key: thing for thing in have}
    return (Put(thing, there.get(thing.key)) for thing in _in_order(want - have))
