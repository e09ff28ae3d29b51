"""The kernel's lists of links, addresses, neighbours, FDB entries, routes and rules, as netlink messages. Pure.

Only what is asked for here; changes are not made with these. pyroute2 reads all of a message, which takes ten times as
long, and a node with a thousand peers has thousands of entries.
"""

import struct
from collections.abc import Iterator, Set
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

# linux/rtnetlink.h, linux/netlink.h
NEW_LINK, DEL_LINK, GET_LINK = 16, 17, 18
NEW_ADDRESS, DEL_ADDRESS, GET_ADDRESS = 20, 21, 22
DEL_ROUTE, GET_ROUTE = 25, 26
NEW_NEIGHBOUR, DEL_NEIGHBOUR, GET_NEIGHBOUR = 28, 29, 30
DEL_RULE, GET_RULE = 33, 34
ERROR, DONE = 2, 3
REQUEST, DUMP, INTERRUPTED = 0x1, 0x300, 0x10
# linux/netfilter/nfnetlink.h, nf_tables.h
_NEW_GENERATION, _GET_GENERATION = 10 << 8 | 15, 10 << 8 | 16
# Sets of notifications: links, neighbours, addresses, routes, rules.
GROUPS = 1 | 1 << 2 | 1 << 4 | 1 << 6 | 1 << 7

_INET, _BRIDGE = 2, 7
_PERMANENT = 0x80
_UP = 0x1
_BY_KERNEL = 2
_UNICAST = 1
_LOCAL_TABLE = 255
_UDP = 17
_SKIP_STATISTICS = 8
_GOTO, _LOOK_UP, _NOTHING = 2, 1, 3
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_NUMBER = struct.Struct("=I")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBi")
_NEIGHBOUR = struct.Struct("=BxxxiHBB")
_ROUTE = struct.Struct("=BBBBBBBBI")

Attributes = dict[int, bytes]


@dataclass(frozen=True, slots=True)
class Message:
    kind: int
    flags: int
    sequence: int
    body: bytes


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """`peer` is the index of a veth's other end, in that one's namespace; `leads_elsewhere`: that is another one.
    `detail` is what the kind of device adds."""

    index: int
    name: str
    kind: str
    mac: str
    mtu: int
    up: bool
    master: int
    peer: int
    detail: Attributes
    hairpin: bool = False
    leads_elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class NeighbourFacts:
    """Of FDB entries `address` is the underlay's; None where there is none. `by`: the index of the device that it is
    sent by; 0 where routes say."""

    index: int
    address: IPv4Address | None
    mac: str
    is_permanent: bool
    by: int = 0


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """`source` is the sender of packets that have none yet; `maker` a number that who made it chose."""

    index: int
    subnet: IPv4Network
    via: IPv4Address | None
    table: int
    source: IPv4Address | None = None
    maker: int = 0


@dataclass(frozen=True, slots=True)
class RuleFacts:
    """`is_plain`: it looks at nothing but the mark. `datagram_ports`: it looks at datagrams from these ports
    alone, first and last."""

    priority: int
    mark: int | None
    table: int
    goto: int
    is_plain: bool
    datagram_ports: tuple[int, int] | None = None


def split(data: bytes) -> Iterator[Message]:
    """What has no length ends it, and the half of one too."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size or offset + length > len(data):
            return
        yield Message(kind, flags, sequence, data[offset + _HEADER.size : offset + length])
        offset += (length + 3) & ~3


def error_of(message: Message) -> int:
    """The number of the error (errno); 0 for an acknowledgement."""
    (number,) = struct.unpack_from("=i", message.body)
    return -int(number)


# Questions


def ask_links(sequence: int, kind: str = "") -> bytes:
    kinds = _attribute(18, _attribute(1, kind.encode())) if kind else b""
    return _question(GET_LINK, sequence, _LINK.pack(0, 0, 0, 0, 0) + kinds + _attribute(29, _number(_SKIP_STATISTICS)))


def ask_addresses(sequence: int) -> bytes:
    return _question(GET_ADDRESS, sequence, _ADDRESS.pack(_INET, 0, 0, 0, 0))


def ask_neighbours(sequence: int, index: int) -> bytes:
    return _question(GET_NEIGHBOUR, sequence, _NEIGHBOUR.pack(_INET, 0, 0, 0, 0) + _attribute(8, _number(index)))


def ask_fdb(sequence: int, index: int) -> bytes:
    return _question(GET_NEIGHBOUR, sequence, _NEIGHBOUR.pack(_BRIDGE, index, 0, 0, 0))


def ask_routes(sequence: int, index: int) -> bytes:
    """Of one device, in all tables."""
    return _question(
        GET_ROUTE, sequence, _ROUTE.pack(_INET, 0, 0, 0, 0, 0, 0, _UNICAST, 0) + _attribute(4, _number(index))
    )


def ask_rules(sequence: int) -> bytes:
    return _question(GET_RULE, sequence, _ROUTE.pack(_INET, 0, 0, 0, 0, 0, 0, 0, 0))


def ask_generation(sequence: int) -> bytes:
    """Of the packet rules; to be sent by NETLINK_NETFILTER."""
    return _HEADER.pack(_HEADER.size + 4, _GET_GENERATION, REQUEST, sequence, 0) + bytes(4)


def _question(kind: int, sequence: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, REQUEST | DUMP, sequence, 0) + body


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def _number(value: int) -> bytes:
    return _NUMBER.pack(value)


# Answers


def link_of(body: bytes) -> LinkFacts:
    _, _, index, flags, _ = _LINK.unpack_from(body)
    attributes = _attributes(body, _LINK.size)
    info = _attributes(attributes.get(18, b""), 0)
    return LinkFacts(
        index=index,
        name=text_of(attributes.get(3, b"")),
        kind=text_of(info.get(1, b"")),
        mac=_mac(attributes.get(1, b"")),
        mtu=number_of(attributes.get(4)),
        up=bool(flags & _UP),
        master=number_of(attributes.get(10)),
        peer=number_of(attributes.get(5)),
        detail=_attributes(info.get(2, b""), 0),
        # What the bridge says of its port (IFLA_INFO_SLAVE_DATA, IFLA_BRPORT_MODE).
        hairpin=bool(number_of(_attributes(info.get(5, b""), 0).get(4))),
        # IFLA_LINK_NETNSID.
        leads_elsewhere=37 in attributes,
    )


def address_of(body: bytes) -> tuple[int, IPv4Interface] | None:
    """With the index of its device."""
    family, prefix, _, _, index = _ADDRESS.unpack_from(body)
    attributes = _attributes(body, _ADDRESS.size)
    # An address of a tunnel names the other end under 1, and itself under 2.
    packed = attributes.get(2) or attributes.get(1)
    if family != _INET or packed is None:
        return None
    return index, IPv4Interface((packed, prefix))


def holder_of(body: bytes, sought: Set[bytes]) -> tuple[int, bytes] | None:
    """As `address_of`, when it is one of these; all others cost next to nothing."""
    if not any(packed in body for packed in sought):
        return None
    found = address_of(body)
    return (found[0], found[1].packed) if found is not None and found[1].packed in sought else None


def neighbour_of(body: bytes) -> NeighbourFacts:
    _, index, state, _, _ = _NEIGHBOUR.unpack_from(body)
    attributes = _attributes(body, _NEIGHBOUR.size)
    address = attributes.get(1, b"")
    return NeighbourFacts(
        index,
        IPv4Address(address) if len(address) == 4 else None,
        _mac(attributes.get(2, b"")),
        bool(state & _PERMANENT),
        number_of(attributes.get(8)),
    )


def route_of(body: bytes) -> RouteFacts | None:
    """None for those that the kernel made by itself, and those that have ours before them (a metric, a class)."""
    family, prefix, _, tos, table, protocol, _, kind, _ = _ROUTE.unpack_from(body)
    if family != _INET or protocol == _BY_KERNEL or kind != _UNICAST:
        return None
    attributes = _attributes(body, _ROUTE.size)
    table = number_of(attributes.get(15), table)
    if table == _LOCAL_TABLE or tos or number_of(attributes.get(6)):
        return None
    via, source = attributes.get(5), attributes.get(7)
    return RouteFacts(
        number_of(attributes.get(4)),
        IPv4Network((attributes.get(1, bytes(4)), prefix)),
        IPv4Address(via) if via else None,
        table,
        IPv4Address(source) if source else None,
        protocol,
    )


def generation_of(message: Message) -> int | None:
    """Which grows by one with each transaction on packet rules, whoever makes it."""
    told = _attributes(message.body, 4).get(1, b"") if message.kind == _NEW_GENERATION else b""
    return int.from_bytes(told) if len(told) == 4 else None


def rule_of(body: bytes) -> RuleFacts:
    _, to_prefix, from_prefix, tos, table, _, _, action, _ = _ROUTE.unpack_from(body)
    attributes = _attributes(body, _ROUTE.size)
    mask = number_of(attributes.get(16))
    # Protocol, priority, mark, mask, table, target, and what keeps a rule from short prefixes: those tell all of ours.
    is_plain = not (to_prefix or from_prefix or tos) and attributes.keys() <= {4, 6, 10, 14, 15, 16, 21}
    return RuleFacts(
        priority=number_of(attributes.get(6)),
        mark=number_of(attributes.get(10)) if mask else None,
        table=number_of(attributes.get(15), table) if action == _LOOK_UP else 0,
        goto=number_of(attributes.get(4)) if action == _GOTO else 0,
        is_plain=is_plain and mask in (0, 0xFFFFFFFF) and action in (_LOOK_UP, _GOTO, _NOTHING),
        datagram_ports=_datagram_ports(attributes),
    )


def _datagram_ports(attributes: Attributes) -> tuple[int, int] | None:
    """Of one protocol (FRA_IP_PROTO), and a range of ports (FRA_SPORT_RANGE)."""
    if 23 not in attributes or number_of(attributes.get(22)) != _UDP:
        return None
    first, last = _ATTRIBUTE.unpack(attributes[23])
    return int(first), int(last)


def text_of(value: bytes) -> str:
    """Who is inside a container may name devices with any bytes."""
    return value.rstrip(b"\0").decode(errors="replace")


def number_of(value: bytes | None, otherwise: int = 0) -> int:
    """Of one to four bytes, in the machine's order."""
    if not value:
        return otherwise
    return int(_NUMBER.unpack(value)[0]) if len(value) == 4 else int(value[0])


def _mac(value: bytes) -> str:
    return value.hex(":")


def _attributes(data: bytes, offset: int) -> Attributes:
    found: Attributes = {}
    size = len(data)
    while offset + 4 <= size:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4:
            break
        # The two upper bits say how the value is made, not what it is.
        found[kind & 0x3FFF] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found
