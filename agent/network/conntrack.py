"""The kernel's memory of connections: lets it forget those to back ends that left. Which these are, others decide."""

import asyncio
import errno
import socket
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple, NFCTSocket

from agent.network.departures import Departure
from agent.network.lists import Lists
from swarmpy.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many connections the kernel forgot. `why_not` says why none could be."""

    count: int = 0
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class _Datagrams:
    """A connection of UDP: as the client sends, and who answers."""

    client: str
    client_port: int
    address: str
    port: int
    backend: str

    def is_of(self, departures: Mapping[str, Sequence[Departure]], own: Container[str]) -> bool:
        """`own` are the node's addresses: what only passes by on its way to another machine is that one's."""
        is_translated = self.address != self.backend
        if not is_translated and self.address not in own:
            return False
        return any(
            self.address == one.address if one.address else self.port == one.port
            for one in departures.get(self.backend if is_translated else "", ())
        )

    def as_tuple(self) -> NFCTAttrTuple:
        return NFCTAttrTuple(
            saddr=self.client,
            sport=self.client_port,
            daddr=self.address,
            dport=self.port,
            proto=socket.IPPROTO_UDP,
        )


class Conntrack:
    """Of the network namespace that the caller is in."""

    async def forget(self, departures: Sequence[Departure]) -> Forgotten:
        return await asyncio.to_thread(forget, departures)


def forget(departures: Sequence[Departure]) -> Forgotten:
    if not departures:
        return Forgotten()
    by_backend: dict[str, list[Departure]] = {}
    for departure in departures:
        by_backend.setdefault(departure.backend, []).append(departure)
    try:
        own = _own_addresses() if "" in by_backend else frozenset()
        with closing(NFCTSocket()) as kernel:
            seen = (one for search in _searches(departures) for one in _datagrams(kernel, search))
            found = {one for one in seen if one.is_of(by_backend, own)}
            return Forgotten(sum(_forget_one(kernel, one) for one in found))
    except (OSError, NetlinkError, Unavailable) as error:
        return Forgotten(why_not=f"the kernel's connections cannot be read: {error}")


def _own_addresses() -> frozenset[str]:
    with closing(Lists()) as lists:
        return frozenset(str(each.ip) for held in lists.addresses().values() for each in held)


def _searches(departures: Sequence[Departure]) -> Iterator[NFCTAttrTuple]:
    """Narrow ones: all UDP of a busy node is thousands of questions for names, which take seconds to read."""
    for address, port in sorted({(one.address, one.port) for one in departures}):
        yield NFCTAttrTuple(proto=socket.IPPROTO_UDP, daddr=address or None, dport=port or None)


def _datagrams(kernel: NFCTSocket, search: NFCTAttrTuple) -> Iterator[_Datagrams]:
    # Kernels before 5.8 list all, whatever they are asked.
    for message in kernel.dump(tuple_orig=search):
        sent, answered = (_ends(message.get_attr(name)) for name in ("CTA_TUPLE_ORIG", "CTA_TUPLE_REPLY"))
        if sent is not None and answered is not None:
            (client, client_port, address, port), (backend, *_) = sent, answered
            yield _Datagrams(client, client_port, address, port, backend)


def _ends(one_way: Any) -> tuple[str, int, str, int] | None:
    """Source and destination with their ports; nothing for what is not UDP over IPv4."""
    if one_way is None:
        return None
    address, protocol = one_way.get_attr("CTA_TUPLE_IP"), one_way.get_attr("CTA_TUPLE_PROTO")
    if address is None or protocol is None or protocol.get_attr("CTA_PROTO_NUM") != socket.IPPROTO_UDP:
        return None
    source, target = address.get_attr("CTA_IP_V4_SRC"), address.get_attr("CTA_IP_V4_DST")
    if source is None or target is None:
        return None
    return source, protocol.get_attr("CTA_PROTO_SRC_PORT"), target, protocol.get_attr("CTA_PROTO_DST_PORT")


def _forget_one(kernel: NFCTSocket, one: _Datagrams) -> bool:
    try:
        kernel.entry("del", tuple_orig=one.as_tuple())
    except NetlinkError as error:
        if error.code != errno.ENOENT:
            raise
        return False
    return True
