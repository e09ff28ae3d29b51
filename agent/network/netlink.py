"""The kernel's links and routes, by netlink. It decides nothing: `links` says what is to be done."""

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TypeVar

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from agent.network import containers, lists, messages
from agent.network.links import (
    Bridge,
    BridgePort,
    ContainerRoutes,
    FdbEntry,
    Links,
    Neighbour,
    Operation,
    Put,
    Remove,
    Route,
    Rule,
    Sysctl,
    Thing,
    Vtep,
    is_ours,
    name_of,
)
from agent.network.lists import KERNEL, SETTINGS, Lists, unless
from agent.network.messages import Message
from agent.network.picture import LocalNetwork, LocalTask, Picture, Underlay
from agent.network.turns import Turns
from swarmpy.errors import BrokenInvariant, Conflict, Forbidden, NotFound, SwarmpyError, Unavailable

T = TypeVar("T")

_PERMANENT, _PERMANENT_FDB, _SELF = 0x80, 0xC0, 0x2
_LOOK_UP, _GOTO, _NOTHING = 1, 2, 3
_FILTERS = SETTINGS / "net/ipv4/conf"
_FILTER_OF_ALL = "net/ipv4/conf/all/rp_filter"
_RETRIED = {errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.ENOBUFS, errno.ENOMEM, errno.ENETDOWN, errno.ETIMEDOUT}
_GONE = {errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.EADDRNOTAVAIL}
_NOTICE_BUFFER = 1 << 20


class Kernel:
    """Sockets are kept, and opened again after an error. All work is done in one thread, for a socket belongs to the
    network namespace of the thread that opened it; `enter` may bring that thread into another one."""

    def __init__(self, enter: Callable[[], None] | None = None) -> None:
        self._thread = ThreadPoolExecutor(1, "netlink", enter or _stay)
        self._lists: Lists | None = None
        self._changes: IPRoute | None = None
        self._notices: socket.socket | None = None
        self._devices: frozenset[int] = frozenset()
        self._turns = Turns()

    async def read(self, picture: Picture, ports: Set[BridgePort] = frozenset()) -> Links:
        return await self._run(lambda: self._read(picture, ports))

    async def perform(self, operation: Operation) -> None:
        await self._run(lambda: self._perform(operation))

    async def ports_of(
        self, tasks: Iterable[LocalTask], networks: Mapping[str, LocalNetwork]
    ) -> Mapping[int, frozenset[BridgePort]]:
        asked = tuple(tasks)
        return await self._run(lambda: self._ports_of(asked, networks)) if asked else {}

    async def underlay_of(self, address: str) -> Underlay:
        return await self._run(lambda: lists.underlay_of(self._reader(), address))

    async def wait_until_changed(self) -> None:
        notices = await self._run(self._listening)
        loop = asyncio.get_running_loop()
        while True:
            try:
                told, (sender, _) = await loop.sock_recvfrom(notices, _NOTICE_BUFFER)
            except OSError:
                # More was told than the socket holds.
                return
            if sender == KERNEL and any(_concerns(message, self._devices) for message in messages.split(told)):
                return

    async def close(self) -> None:
        with suppress(Unavailable):
            await self._run(self._forget)
        if self._notices is not None:
            self._notices.close()
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: self._guarded(work))

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except (OSError, EOFError) as error:
            self._forget()
            if getattr(error, "errno", 0) in (errno.EPERM, errno.EACCES):
                raise Forbidden(
                    "the kernel's links and routes may not be read or changed: the agent needs root"
                ) from error
            raise Unavailable(f"the kernel's links and routes cannot be read or changed now: {error}") from error

    def _forget(self) -> None:
        opened = (self._lists, self._changes)
        self._lists, self._changes = None, None
        for each in opened:
            if each is not None:
                with suppress(OSError):
                    each.close()

    def _reader(self) -> Lists:
        if self._lists is None:
            self._lists = Lists()
        return self._lists

    def _writer(self) -> IPRoute:
        if self._changes is None:
            self._changes = IPRoute()
        return self._changes

    def _listening(self) -> socket.socket:
        if self._notices is None:
            made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
            made.setblocking(False)
            made.bind((0, messages.GROUPS))
            self._notices = made
        return self._notices

    def _read(self, picture: Picture, ports: Set[BridgePort]) -> Links:
        # Opened first, so that nothing is missed between this and the wait for changes.
        self._listening()
        found = lists.read(self._reader(), picture, ports)
        self._devices = frozenset(_indexes(vtep.device for vtep in found.vteps))
        return replace(found, containers=frozenset(containers.read(self._turns, picture.tasks.values())))

    def _ports_of(
        self, tasks: Iterable[LocalTask], networks: Mapping[str, LocalNetwork]
    ) -> dict[int, frozenset[BridgePort]]:
        return containers.ports_of(self._reader(), self._turns, tasks, networks)

    def _perform(self, operation: Operation) -> None:
        changes = self._writer()
        with _said_by_us(operation):
            if isinstance(operation, Put):
                _put(changes, self._reader(), operation.thing)
            else:
                _remove(changes, operation.thing)


def _stay() -> None:
    """The thread stays where it is."""


def _concerns(message: Message, vteps: Set[int]) -> bool:
    """Is something of ours gone, or down? What is only overwritten is not told apart from what we write ourselves."""
    match message.kind:
        case messages.NEW_LINK | messages.DEL_LINK:
            link = messages.link_of(message.body)
            return is_ours(link.name) and (message.kind == messages.DEL_LINK or not link.up)
        case messages.DEL_NEIGHBOUR:
            neighbour = messages.neighbour_of(message.body)
            return neighbour.index in vteps and neighbour.is_permanent
        case messages.DEL_ROUTE:
            route = messages.route_of(message.body)
            return route is not None and route.index in vteps
        case messages.DEL_RULE:
            return messages.rule_of(message.body).is_plain
        case messages.DEL_ADDRESS:
            return True
    return False


def _put(changes: IPRoute, reader: Lists, thing: Thing) -> None:
    match thing:
        case Bridge():
            _put_bridge(changes, thing)
        case BridgePort():
            _put_port(changes, thing)
        case Vtep():
            _put_vtep(changes, thing)
        case Sysctl():
            _write(thing)
        case Neighbour():
            index = _index(thing.device)
            changes.neigh("replace", ifindex=index, dst=str(thing.address), lladdr=thing.mac, state=_PERMANENT)
        case FdbEntry():
            entry = {"lladdr": thing.mac, "flags": _SELF, "state": _PERMANENT_FDB}
            changes.fdb("replace", ifindex=_index(thing.device), **entry, **_target(thing))
        case Route():
            _put_route(changes, reader, thing)
        case Rule():
            with unless({errno.EEXIST}):
                changes.rule("add", **_rule(thing))
        case ContainerRoutes():
            containers.put(thing)


def _remove(changes: IPRoute, thing: Thing) -> None:
    with unless(_GONE), suppress(NotFound):
        match thing:
            case Bridge(name=device) | Vtep(device=device):
                changes.link("del", index=_index(device))
            case Neighbour():
                changes.neigh("del", ifindex=_index(thing.device), dst=str(thing.address))
            case FdbEntry():
                changes.fdb("del", ifindex=_index(thing.device), lladdr=thing.mac, **_target(thing))
            case Route():
                changes.route("del", **_route(thing))
            case Rule():
                changes.rule("del", **_rule(thing))
            case BridgePort() | Sysctl() | ContainerRoutes():
                raise BrokenInvariant(f"{name_of(thing)} is put, and never removed")


def _target(entry: FdbEntry) -> dict[str, object]:
    target: dict[str, object] = {} if entry.underlay is None else {"dst": str(entry.underlay)}
    # The name tells it from the index of the device that has the entry.
    return target | {"NDA_IFINDEX": _index(entry.by)} if entry.by else target


def _put_bridge(changes: IPRoute, bridge: Bridge) -> None:
    with unless({errno.EEXIST}):
        changes.link("add", ifname=bridge.name, kind="bridge", address=bridge.mac)
    index = _index(bridge.name)
    changes.link("set", index=index, address=bridge.mac, mtu=bridge.mtu)
    if bridge.address is not None:
        with unless({errno.EEXIST}):
            changes.addr("add", index=index, address=str(bridge.address.ip), prefixlen=bridge.address.network.prefixlen)
    changes.link("set", index=index, state="up")


def _put_port(changes: IPRoute, port: BridgePort) -> None:
    index = _index(port.device)
    changes.link("set", index=index, master=_index(port.bridge), state="up")
    changes.brport("set", index=index, mode=int(port.hairpin))


def _put_vtep(changes: IPRoute, vtep: Vtep) -> None:
    with unless({errno.EEXIST}):
        changes.link(
            "add", ifname=vtep.device, kind="vxlan", address=vtep.mac, mtu=vtep.mtu, vxlan_id=vtep.vni,
            vxlan_link=_index(vtep.underlay_device), vxlan_local=str(vtep.local), vxlan_port=vtep.port,
            vxlan_learning=int(vtep.learning),
        )  # fmt: skip
    try:
        index = _index(vtep.device)
    except NotFound as error:
        raise Conflict(f"another VXLAN device of this node has VNI {vtep.vni}: remove it, or choose another") from error
    changes.link("set", index=index, mtu=vtep.mtu)
    if vtep.address is not None:
        with unless({errno.EEXIST}):
            changes.addr("add", index=index, address=str(vtep.address), prefixlen=32)
    changes.link("set", index=index, state="up")


def _put_route(changes: IPRoute, reader: Lists, route: Route) -> None:
    """Never over one that is not ours."""
    try:
        changes.route("add", **({"flags": ["onlink"]} if route.via else {}), **_route(route))
    except NetlinkError as error:
        if error.code != errno.EEXIST:
            raise
        there = ((found.table, found.subnet, found.via) for found in reader.routes(_index(route.device)))
        if (route.table, route.subnet, route.via) not in there:
            raise Conflict(
                f"another route to {route.subnet} is in the way of {name_of(route)}: remove it, or give the network "
                "another subnet"
            ) from error


def _route(route: Route) -> dict[str, object]:
    way = {} if route.via is None else {"gateway": str(route.via)}
    return {"dst": str(route.subnet), "oif": _index(route.device), "table": route.table, **way}


def _rule(rule: Rule) -> dict[str, object]:
    marked = {} if rule.mark is None else {"fwmark": rule.mark, "fwmask": 0xFFFFFFFF}
    if rule.goto:
        return {"priority": rule.priority, "action": _GOTO, "goto": rule.goto, **marked}
    if rule.table:
        return {"priority": rule.priority, "action": _LOOK_UP, "table": rule.table, **marked}
    return {"priority": rule.priority, "action": _NOTHING, **marked}


def _write(setting: Sysctl) -> None:
    try:
        if setting.path == _FILTER_OF_ALL:
            _keep_filters()
        (SETTINGS / setting.path).write_text(setting.value)
    except FileNotFoundError as error:
        raise NotFound(f"there is no {name_of(setting)}: {setting.device or 'the kernel'} lacks it") from error


def _keep_filters() -> None:
    """The kernel takes the greater of a device's value and that of all: what devices that are not ours had by that of
    all, they get as their own, before it is lowered."""
    of_all = int((SETTINGS / _FILTER_OF_ALL).read_text())
    for device in _FILTERS.iterdir():
        own = device / "rp_filter"
        if device.name != "all" and not is_ours(device.name):
            with suppress(FileNotFoundError):
                if int(own.read_text()) < of_all:
                    own.write_text(str(of_all))


def _index(device: str) -> int:
    try:
        return socket.if_nametoindex(device)
    except OSError as error:
        raise NotFound(f"device {device or '(none)'} is not there") from error


def _indexes(devices: Iterable[str]) -> Iterator[int]:
    for device in devices:
        with suppress(NotFound):
            yield _index(device)


@contextmanager
def _said_by_us(operation: Operation) -> Iterator[None]:
    """The kernel's refusal, in our words."""
    try:
        yield
    except (NetlinkError, PermissionError) as error:
        number = int(error.code if isinstance(error, NetlinkError) else error.errno or 0)
        deed = "removed" if isinstance(operation, Remove) else "put"
        story = f"{name_of(operation.thing)} could not be {deed}: {os.strerror(number).lower()}"
        if number in (errno.EPERM, errno.EACCES):
            raise Forbidden(f"{story}; the agent needs root") from error
        if number == errno.ENODEV:
            raise NotFound(f"{story}; its device has gone") from error
        if number == errno.EEXIST:
            raise Conflict(f"{story}; what is there is not ours") from error
        if number in _RETRIED:
            raise Unavailable(f"{story}; try again") from error
        raise SwarmpyError(story) from error
