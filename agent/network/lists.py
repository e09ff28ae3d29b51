"""Reads the kernel's lists: what is there of our links and routes, and the underlay.

Every function looks at the network namespace of the thread that calls it. Nothing is changed here.
"""

import ctypes
import errno
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from ipaddress import AddressValueError, IPv4Address, IPv4Interface
from pathlib import Path

from pyroute2.netlink.exceptions import NetlinkError

from agent.network import messages
from agent.network.links import (
    END_PRIORITY,
    SKIP_PRIORITY,
    Bridge,
    BridgePort,
    FdbEntry,
    Links,
    Neighbour,
    Route,
    Rule,
    Sysctl,
    Vtep,
)
from agent.network.messages import LinkFacts, NeighbourFacts, RouteFacts, RuleFacts
from agent.network.picture import BRIDGE_PREFIX, VTEP_PREFIX, Picture, Underlay
from agent.network.wanted import wanted_bridges, wanted_sysctls
from swarmpy.errors import BadRequest, NotFound, Unavailable

SETTINGS = Path("/proc/sys")
_SOL_NETLINK, _STRICT_CHECK = 270, 12
_CLONE_NEWNET = 0x40000000
_TRIES = 10
_TIMEOUT, _LIMIT = 5.0, 20.0
# So many messages are read between two looks at the clock.
_AT_ONCE = 256
# A thread that waits for its turn on a busy machine has so many times as long.
_WAITS = 8
# The port of netlink that the kernel sends from.
KERNEL = 0
_BUFFER = 1 << 18
# IFLA_VXLAN_...
_VNI, _LINK, _LOCAL, _LEARNING, _PORT = 1, 3, 4, 7, 15

Addresses = Mapping[int, list[IPv4Interface]]


class Lists:
    """One question after another. What it has read when it raises `OSError` is lost, and so is the socket. Only the
    kernel is listened to: in a container's namespace others may write to this socket. All that is asked in one errand
    there, by the thread that opens it, may take `within` seconds of the processor, reading included; without it, each
    question has its time."""

    def __init__(self, within: float | None = None) -> None:
        self._end = None if within is None else time.monotonic() + _WAITS * within
        self._worked = None if within is None else time.thread_time() + within
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        # Kernels before 4.20 do not know it, and send more than was asked for.
        with suppress(OSError):
            self._socket.setsockopt(_SOL_NETLINK, _STRICT_CHECK, 1)
        hear_the_kernel_alone(self._socket)
        self._sequence = secrets.randbits(31)

    def close(self) -> None:
        self._socket.close()

    def links(self, kind: str = "") -> list[LinkFacts]:
        found = [messages.link_of(body) for body in self._ask(lambda number: messages.ask_links(number, kind))]
        return [link for link in found if not kind or link.kind == kind]

    def addresses(self) -> Addresses:
        """By index of the device."""
        found: dict[int, list[IPv4Interface]] = {}
        for body in self._ask(messages.ask_addresses):
            if address := messages.address_of(body):
                found.setdefault(address[0], []).append(address[1])
        return found

    def holders(self, addresses: Iterable[IPv4Address]) -> Iterator[tuple[IPv4Address, int]]:
        """Devices that have one of these, by index."""
        sought = frozenset(address.packed for address in addresses)
        for body in self._ask(messages.ask_addresses):
            if found := messages.holder_of(body, sought):
                yield IPv4Address(found[1]), found[0]

    def neighbours(self, index: int) -> Iterator[NeighbourFacts]:
        found = map(messages.neighbour_of, self._ask(lambda number: messages.ask_neighbours(number, index)))
        return (neighbour for neighbour in found if neighbour.index == index)

    def fdb(self, index: int) -> Iterator[NeighbourFacts]:
        found = map(messages.neighbour_of, self._ask(lambda number: messages.ask_fdb(number, index)))
        return (entry for entry in found if entry.index == index)

    def routes(self, index: int) -> Iterator[RouteFacts]:
        found = map(messages.route_of, self._ask(lambda number: messages.ask_routes(number, index)))
        return (route for route in found if route is not None and route.index == index)

    def rules(self) -> list[RuleFacts]:
        return [messages.rule_of(body) for body in self._ask(messages.ask_rules)]

    def _ask(self, question: Callable[[int], bytes]) -> Iterator[bytes]:
        end = time.monotonic() + _LIMIT if self._end is None else self._end
        for _ in range(_TRIES):
            self._sequence = (self._sequence + 1) % (1 << 32)
            self._socket.send(question(self._sequence))
            if (answer := self._answer(end)) is not None:
                return self._in_time(answer)
        raise Unavailable("the kernel's lists of links and routes change faster than they are read; try again")

    def _answer(self, end: float) -> list[bytes] | None:
        """None when the list changed while it was read."""
        found: list[bytes] = []
        is_whole = True
        while True:
            for message in messages.split(self._heard(end)):
                if message.sequence != self._sequence:
                    continue
                is_whole = is_whole and not message.flags & messages.INTERRUPTED
                if message.kind == messages.ERROR:
                    number = messages.error_of(message)
                    if number == errno.ENODEV:
                        return found
                    raise OSError(number, os.strerror(number))
                if message.kind == messages.DONE:
                    return found if is_whole else None
                found.append(message.body)

    def _heard(self, end: float) -> bytes:
        while (left := end - time.monotonic()) > 0 and not self._has_worked_enough():
            self._socket.settimeout(min(left, _TIMEOUT))
            data, (sender, _) = self._socket.recvfrom(_BUFFER)
            if sender == KERNEL:
                return data
        raise _too_long()

    def _in_time(self, bodies: list[bytes]) -> Iterator[bytes]:
        for number, body in enumerate(bodies):
            if number % _AT_ONCE == 0 and self._has_worked_enough():
                raise _too_long()
            yield body

    def _has_worked_enough(self) -> bool:
        return self._worked is not None and time.thread_time() > self._worked


def _too_long() -> TimeoutError:
    return TimeoutError(errno.ETIMEDOUT, "the kernel's lists take too long, or others write in between")


def read(lists: Lists, picture: Picture, ports: Set[BridgePort]) -> Links:
    """See `KernelPort.read`."""
    addresses = lists.addresses()
    vteps = [link for link in lists.links("vxlan") if link.name.startswith(VTEP_PREFIX)]
    bridges = [link for link in lists.links("bridge") if link.name.startswith(BRIDGE_PREFIX)]
    expected = {bridge.name: bridge.address for bridge in wanted_bridges(picture)}
    return Links(
        bridges=frozenset(_bridge(link, addresses, expected.get(link.name)) for link in bridges),
        ports=frozenset(_ports(lists, bridges, ports)) if ports else frozenset(),
        vteps=frozenset(_vtep(link, addresses) for link in vteps),
        sysctls=frozenset(_settings(wanted_sysctls(picture))),
        neighbours=frozenset(
            Neighbour(link.name, entry.address, entry.mac)
            for link in vteps
            for entry in lists.neighbours(link.index)
            if entry.is_permanent and entry.address is not None
        ),
        fdb=frozenset(
            FdbEntry(link.name, entry.mac, entry.address, by=_name_of(entry.by) if entry.by else "")
            for link in vteps
            for entry in lists.fdb(link.index)
        ),
        routes=frozenset(
            Route(route.subnet, route.via, link.name, route.table)
            for link in vteps
            for route in lists.routes(link.index)
        ),
        rules=frozenset(
            Rule(rule.priority, rule.mark, rule.table, rule.goto)
            for rule in lists.rules()
            if rule.is_plain and SKIP_PRIORITY <= rule.priority <= END_PRIORITY
        ),
    )


def underlay_of(lists: Lists, address: str) -> Underlay:
    """See `KernelPort.underlay_of`."""
    try:
        asked = IPv4Address(address)
    except AddressValueError:
        raise BadRequest(f"{address!r} is no IPv4 address: overlay networks need one of this node's") from None
    for index, interfaces in lists.addresses().items():
        if any(interface.ip == asked for interface in interfaces):
            link = next((link for link in lists.links() if link.index == index), None)
            if link is not None:
                return Underlay(asked, link.name, link.mtu)
    raise NotFound(
        f"no device of this node has the address {address}, by which the other nodes are to reach it: "
        "advertise one that it has"
    )


def _bridge(link: LinkFacts, addresses: Addresses, expected: IPv4Interface | None) -> Bridge:
    held = addresses.get(link.index, [])
    address = expected if expected in held else next(iter(held), None)
    return Bridge(link.name, address, link.mac, link.mtu, link.up)


def _vtep(link: LinkFacts, addresses: Addresses) -> Vtep:
    held = addresses.get(link.index, [])
    return Vtep(
        device=link.name,
        vni=messages.number_of(link.detail.get(_VNI)),
        mac=link.mac,
        local=IPv4Address(link.detail.get(_LOCAL, bytes(4))),
        underlay_device=_name_of(messages.number_of(link.detail.get(_LINK))),
        mtu=link.mtu,
        address=held[0].ip if held else None,
        up=link.up,
        port=int.from_bytes(link.detail.get(_PORT, b"")),
        learning=bool(messages.number_of(link.detail.get(_LEARNING))),
    )


def _name_of(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return ""


def _ports(lists: Lists, bridges: Iterable[LinkFacts], ports: Set[BridgePort]) -> Iterator[BridgePort]:
    names = {link.index: link.name for link in bridges}
    asked = {port.device for port in ports}
    for link in lists.links("veth"):
        if link.name in asked and link.up and link.master in names:
            yield BridgePort(link.name, names[link.master], link.hairpin, link.mtu)


def _settings(wanted: Iterable[Sysctl]) -> Iterator[Sysctl]:
    for setting in wanted:
        with suppress(OSError):
            yield Sysctl(setting.path, (SETTINGS / setting.path).read_text().strip(), setting.device)


def hear_the_kernel_alone(netlink: socket.socket) -> None:
    """In a container's namespace others may write to our sockets, whose numbers can be guessed: the kernel refuses that
    where a socket is connected to itself."""
    netlink.connect((KERNEL, 0))


def enter(pid: int) -> None:
    """Bring the calling thread into the network namespace of a process, for good."""
    with Path(f"/proc/{pid}/ns/net").open() as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


@contextmanager
def unless(numbers: Set[int]) -> Iterator[None]:
    """The kernel's refusals with these numbers are none."""
    try:
        yield
    except NetlinkError as error:
        if error.code not in numbers:
            raise
