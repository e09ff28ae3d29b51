"""What is inside the network namespaces of containers: where they are plugged in, and routes of ours.

A thread that enters another namespace does not come back: one is made for each errand, and ends with it.
"""

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import TypeVar

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from agent.network.links import (
    ANSWER_PRIORITY,
    ANSWER_TABLE,
    MAIN_TABLE,
    BridgePort,
    ContainerRoutes,
    Ports,
    Way,
    name_of,
)
from agent.network.lists import SETTINGS, Lists, enter, hear_the_kernel_alone, unless
from agent.network.picture import LocalNetwork, LocalTask
from agent.network.turns import ONE, Turns
from swarmpy.errors import NotFound, SwarmpyError, TimedOut
from swarmpy.logs import logger

T = TypeVar("T")

log = logger("network")

# Tells our routes from those of the engine and of who is inside.
_OURS = 197
_LOOK_UP = 1
# What a removal may find: others were faster.
_GONE = {errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.EADDRNOTAVAIL}
# Values of rp_filter; where both are set, the kernel takes the greater.
_STRICT, _LOOSE = "1", "2"


def ports_of(
    lists: Lists, turns: Turns, tasks: Iterable[LocalTask], networks: Mapping[str, LocalNetwork]
) -> dict[int, frozenset[BridgePort]]:
    """See `KernelPort.ports_of`."""
    by_pid = {task.pid: task for task in tasks}
    inside = _each(turns, by_pid, lambda pid, there: tuple(_plugs(there, by_pid[pid], networks)))
    # Who is inside can make a pair of its own with any index; both ends are to name each other.
    ours = {(link.index, link.peer): link for link in lists.links("veth")} if inside else {}
    return {
        pid: frozenset(
            BridgePort(ours[ends].name, bridge, mtu=ours[ends].mtu) for ends, bridge in plugs if ends in ours
        )
        for pid, plugs in inside.items()
    }


def read(turns: Turns, tasks: Iterable[LocalTask]) -> Iterator[ContainerRoutes]:
    """Of those that run, as far as there was time."""
    by_pid = {task.pid: task for task in tasks if task.pid}
    turns.keep_only(by_pid.keys())
    found = _each(turns, by_pid, lambda pid, there: _routes_here(there, by_pid[pid])) if by_pid else {}
    return (routes for routes in found.values() if routes is not None)


def put(wanted: ContainerRoutes) -> None:
    """A container that has ended needs none."""
    with _beside() as thread:
        try:
            thread.submit(lambda: _inside(wanted.pid, ONE, lambda there: _put_here(there, wanted))).result()
        except TimeoutError as error:
            raise TimedOut(f"{name_of(wanted)} cannot be set: what is inside takes too long to read") from error


def _each(turns: Turns, pids: Iterable[int], work: Callable[[int, Lists], T]) -> dict[int, T]:
    """Of those that answer: one that ends just now, or whose inside is strange, keeps no other from being read."""

    def attempt(pid: int, there: Lists) -> T | None:
        try:
            return work(pid, there)
        except (OSError, EOFError, NetlinkError, SwarmpyError, ValueError, LookupError, struct.error) as error:
            log.debug("network.container_not_read", pid=pid, reason=str(error))
            return None

    def in_turn() -> dict[int, T | None]:
        return {pid: _inside(pid, seconds, partial(attempt, pid)) for pid, seconds in turns.through(pids)}

    with _beside() as thread:
        found = thread.submit(in_turn).result()
    return {pid: answer for pid, answer in found.items() if answer is not None}


def _beside() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "containers")


def _inside(pid: int, seconds: float, work: Callable[[Lists], T]) -> T | None:
    """None when it has ended."""
    try:
        enter(pid)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            raise
        return None
    with closing(Lists(within=seconds)) as there:
        return work(there)


def _plugs(
    lists: Lists, task: LocalTask, networks: Mapping[str, LocalNetwork]
) -> Iterator[tuple[tuple[int, int], str]]:
    """Indexes of the node's end and of the container's, and the bridge where they belong. The number of a process that
    has ended may be another's by now: addresses tell. A pair whose both ends are inside was made there."""
    peers = {link.index: link.peer for link in lists.links("veth") if link.leads_elsewhere}
    places = dict(task.places_among(networks))
    for address, index in lists.holders(places):
        if index in peers:
            yield (peers[index], index), places[address].bridge


def _devices(lists: Lists, addresses: Iterable[IPv4Address]) -> dict[IPv4Address, int]:
    """Those that have one of these."""
    veths = {link.index for link in lists.links("veth")}
    return {address: index for address, index in lists.holders(addresses) if index in veths}


def _routes_here(lists: Lists, task: LocalTask) -> ContainerRoutes | None:
    """None when this is another process than was meant."""
    held = _devices(lists, task.addresses.values())
    return _found(lists, task.pid, task.task_id, held) if held else None


def _found(lists: Lists, pid: int, task_id: str, devices: Mapping[IPv4Address, int]) -> ContainerRoutes:
    ways: dict[int, set[Way]] = {}
    for index in set(devices.values()):
        for route in lists.routes(index):
            if route.maker == _OURS and route.via is not None and route.source is not None:
                ways.setdefault(route.table, set()).add(Way(route.subnet, route.via, route.source))
    return ContainerRoutes(
        pid=pid,
        addresses=frozenset(devices),
        ways=frozenset(ways.get(MAIN_TABLE, ())),
        answers=next(iter(ways.get(ANSWER_TABLE, ())), None),
        answering=_answering(lists),
        is_strict=any(map(_is_strict, devices.values())),
        task=task_id,
    )


def _answering(lists: Lists) -> frozenset[Ports]:
    rules = [(rule.priority, Ports(*rule.datagram_ports)) for rule in lists.rules() if rule.datagram_ports]
    before, after = ({ports for at, ports in rules if at == ANSWER_PRIORITY + offset} for offset in (0, 1))
    return frozenset(before & after)


def _put_here(lists: Lists, wanted: ContainerRoutes) -> None:
    devices = _devices(lists, wanted.addresses)
    if devices.keys().isdisjoint(wanted.addresses):
        return
    if missing := sorted(wanted.addresses - devices.keys()):
        raise NotFound(f"{name_of(wanted)} cannot be set: it has no address {missing[0]} any more")
    had = _found(lists, wanted.pid, wanted.task, devices)
    for index in devices.values():
        if _is_strict(index):
            _filter_of(socket.if_indextoname(index)).write_text(_LOOSE)
    with closing(IPRoute()) as changes:
        with socket.socket(fileno=os.dup(changes.fileno())) as same:
            hear_the_kernel_alone(same)
        _put_ways(changes, wanted, had, devices)
        for ports in sorted(had.answering - wanted.answering):
            for rule in _rules(ports):
                with unless(_GONE):
                    changes.rule("del", **rule)
        for ports in sorted(wanted.answering - had.answering):
            for rule in _rules(ports):
                with unless({errno.EEXIST}):
                    changes.rule("add", **rule)


def _put_ways(
    changes: IPRoute, wanted: ContainerRoutes, had: ContainerRoutes, devices: Mapping[IPv4Address, int]
) -> None:
    for way in had.ways - wanted.ways:
        with unless(_GONE):
            changes.route("del", **_route(way, MAIN_TABLE, devices))
    for way in wanted.ways - had.ways:
        # One that somebody else made there is left as it is.
        with unless({errno.EEXIST}):
            changes.route("add", **_route(way, MAIN_TABLE, devices))
    if wanted.answers is None and had.answers is not None:
        changes.route("del", **_route(had.answers, ANSWER_TABLE, devices))
    elif wanted.answers is not None and wanted.answers != had.answers:
        changes.route("replace", **_route(wanted.answers, ANSWER_TABLE, devices))


def _route(way: Way, table: int, devices: Mapping[IPv4Address, int]) -> dict[str, object]:
    return {
        "dst": str(way.subnet), "gateway": str(way.via), "prefsrc": str(way.source), "oif": devices[way.source],
        "table": table, "proto": _OURS,
    }  # fmt: skip


def _rules(ports: Ports) -> tuple[dict[str, object], ...]:
    """First all routes but the default one, then ours."""
    datagrams = {"ip_proto": socket.IPPROTO_UDP, "sport_range": f"{ports.first}:{ports.last}", "action": _LOOK_UP}
    return (
        {**datagrams, "priority": ANSWER_PRIORITY, "table": MAIN_TABLE, "suppress_prefixlen": 0},
        {**datagrams, "priority": ANSWER_PRIORITY + 1, "table": ANSWER_TABLE},
    )


def _is_strict(index: int) -> bool:
    names = ("all", socket.if_indextoname(index))
    return max(_filter_of(name).read_text().strip() for name in names) == _STRICT


def _filter_of(device: str) -> Path:
    return SETTINGS / "net/ipv4/conf" / device / "rp_filter"
