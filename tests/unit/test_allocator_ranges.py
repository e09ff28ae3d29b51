"""Ranges of addresses: the same answers as comparing subnets one by one."""

from ipaddress import IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from manager.allocator.ranges import Ranges

GROUND = IPv4Network("10.0.0.0/24")


@st.composite
def subnets(draw: st.DrawFn) -> IPv4Network:
    prefix = draw(st.integers(min_value=24, max_value=32))
    number = draw(st.integers(min_value=0, max_value=(1 << (prefix - 24)) - 1))
    return IPv4Network((int(GROUND.network_address) + (number << (32 - prefix)), prefix))


@given(st.lists(subnets(), max_size=12), st.integers(min_value=24, max_value=30))
def test_free_is_what_overlaps_none_of_them_in_order(taken: list[IPv4Network], prefix: int) -> None:
    ranges = Ranges()
    for subnet in taken:
        ranges.add(subnet)
    expected = [piece for piece in GROUND.subnets(new_prefix=prefix) if not any(map(piece.overlaps, taken))]

    assert list(ranges.free(GROUND, prefix)) == expected


def test_nothing_wider_than_the_whole_is_free() -> None:
    assert not list(Ranges().free(GROUND, 16))


def test_what_is_taken_while_free_ones_are_given_out_is_left_out() -> None:
    ranges = Ranges()
    free = ranges.free(GROUND, 26)
    assert str(next(free)) == "10.0.0.0/26"
    ranges.add(IPv4Network("10.0.0.64/26"))

    assert str(next(free)) == "10.0.0.128/26"


@given(st.lists(subnets(), max_size=12), subnets())
def test_whether_a_subnet_touches_what_is_covered(covered: list[IPv4Network], subnet: IPv4Network) -> None:
    assert Ranges(covered).touches(subnet) is any(map(subnet.overlaps, covered))
