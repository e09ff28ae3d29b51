"""Netlink messages as the kernel sent them, and what is read from them."""

import struct
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from agent.network import messages
from agent.network.messages import LinkFacts, NeighbourFacts, RouteFacts, RuleFacts

MARK = int(IPv4Address("10.0.2.0"))
MAC = "02:00:0a:00:02:00"


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


def test_an_address_is_read_with_its_device() -> None:
    body = "021880000200000008000100c000020108000200c00002010900030065746830000000000800080080000000"

    assert messages.address_of(bytes.fromhex(body)) == (2, IPv4Interface("192.0.2.1/24"))


def test_an_address_of_another_family_is_none() -> None:
    assert messages.address_of(bytes([10, 64, 0, 0, 2, 0, 0, 0]) + attribute(1, bytes(16))) is None


def test_a_neighbour_is_read() -> None:
    body = "020000000300000080000001080001000a0002000a00020002000a0002000000"

    assert messages.neighbour_of(bytes.fromhex(body)) == NeighbourFacts(3, IPv4Address("10.0.2.0"), MAC, True)


def test_an_fdb_entry_is_read_and_one_without_a_target_too() -> None:
    body = "0700000003000000c00002010a00020002000a000200000008000100c0000202"

    assert messages.neighbour_of(bytes.fromhex(body)) == NeighbourFacts(3, IPv4Address("192.0.2.2"), MAC, True)
    assert messages.neighbour_of(bytes.fromhex(body)[:-8]) == NeighbourFacts(3, None, MAC, True)


@pytest.mark.parametrize(
    ("body", "route"),
    [
        (
            "02180000fe0300010400000008000f00fe000000080001000a000200080005000a0002000800040003000000",
            RouteFacts(3, IPv4Network("10.0.2.0/24"), IPv4Address("10.0.2.0"), 254, maker=3),
        ),
        (
            "02000000fc0300010400000008000f000002000a080005000a0002000800040003000000",
            RouteFacts(3, IPv4Network("0.0.0.0/0"), IPv4Address("10.0.2.0"), MARK, maker=3),
        ),
        (
            "02180000fe0300010400000008000f00fe000000080001000a0003000800060005000000080005000a0002000800040003000000",
            None,
        ),
        # The kernel's own, and a local one.
        ("02180000fe0200010400000008000f00fe000000080001000a0002000800040003000000", None),
        ("02180000ff0300010400000008000f00ff000000080001000a0002000800040003000000", None),
    ],
    ids=["a peer's", "by mark", "with a metric", "the kernel's", "local"],
)
def test_routes_are_read_but_for_those_that_are_never_ours(body: str, route: RouteFacts | None) -> None:
    assert messages.route_of(bytes.fromhex(body)) == route


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (
            "02000000000000020000000008000f000000000008000e00ffffffff0500150000000000"
            "080006000852000008001000ffffffff080004000a520000",
            RuleFacts(21000, 0, 0, 21002, True),
        ),
        (
            "02000000fc0000010000000008000f000002000a08000e00ffffffff0500150000000000"
            "080006000952000008000a000700000008001000ffffffff",
            RuleFacts(21001, 7, MARK, 0, True),
        ),
        (
            "02000000000000030000000008000f000000000008000e00ffffffff0500150000000000080006000a520000",
            RuleFacts(21002, None, 0, 0, True),
        ),
        (
            "02000800070000010000000008000f000700000008000e00ffffffff05001500000000000800060009520000080002000a000000",
            RuleFacts(21001, None, 7, 0, False),
        ),
    ],
    ids=["skip", "look-up", "end", "by source"],
)
def test_rules_are_read_and_those_of_another_shape_are_told(body: str, rule: RuleFacts) -> None:
    assert messages.rule_of(bytes.fromhex(body)) == rule


def test_a_link_is_read_with_what_its_kind_adds() -> None:
    info = attribute(1, b"vxlan\0") + attribute(2 | 0x8000, attribute(1, struct.pack("=I", 5)))
    body = (
        struct.pack("=BxHiII", 0, 1, 7, 0x1043, 0)
        + attribute(3, b"spxnet1\0")
        + attribute(4, struct.pack("=I", 1450))
        + attribute(1, bytes.fromhex("02000a000200"))
        + attribute(10, struct.pack("=I", 4))
        + attribute(18, info)
    )

    assert messages.link_of(body) == LinkFacts(7, "spxnet1", "vxlan", MAC, 1450, True, 4, 0, {1: struct.pack("=I", 5)})


def test_messages_are_split_and_half_a_one_is_left() -> None:
    one = struct.pack("=IHHII", 20, messages.ERROR, 0, 9, 0) + struct.pack("=i", -19)

    (message,) = messages.split(one + one[:8])

    assert (message.kind, message.sequence, messages.error_of(message)) == (messages.ERROR, 9, 19)


@pytest.mark.parametrize("length", [0, 4, 15, 21, 1 << 31])
def test_a_message_of_no_length_or_more_than_there_is_ends_the_reading(length: int) -> None:
    assert [*messages.split(struct.pack("=IHHII", length, messages.NEW_LINK, 0, 9, 0) + bytes(4))] == []


def test_a_device_may_have_any_bytes_for_a_name() -> None:
    assert messages.text_of(b"eth\xff\0") == "eth\ufffd"


def test_an_attribute_without_length_ends_the_reading() -> None:
    body = bytes([2, 24, 0, 0, 2, 0, 0, 0]) + attribute(2, bytes([192, 0, 2, 1])) + bytes(8)

    assert messages.address_of(body) == (2, IPv4Interface("192.0.2.1/24"))


@pytest.mark.parametrize(("value", "number"), [(None, 3), (b"", 3), (b"\1", 1), (struct.pack("=I", 70000), 70000)])
def test_numbers_have_one_octet_or_four(value: bytes | None, number: int) -> None:
    assert messages.number_of(value, 3) == number


def test_questions_say_what_they_are_about() -> None:
    for asked in (
        messages.ask_links(1),
        messages.ask_links(1, "vxlan"),
        messages.ask_addresses(1),
        messages.ask_neighbours(1, 3),
        messages.ask_fdb(1, 3),
        messages.ask_routes(1, 3),
        messages.ask_rules(1),
    ):
        (question,) = messages.split(asked)
        assert (question.flags, question.sequence) == (messages.REQUEST | messages.DUMP, 1)
