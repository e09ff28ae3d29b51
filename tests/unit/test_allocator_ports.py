"""Ports that every task of a service opens on its node, and numbers for those that leave theirs open."""

from collections.abc import Collection, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.builders import a_service
from support.counting import counted_calls
from support.effort import examples

from manager.allocator.ports import OPEN_NUMBERS, PortKey, given_ports, port_key
from manager.published_ports import host_ports, same_ports
from swarmpy.errors import BadRequest
from swarmpy.models.port import PortConfig, Protocol, PublishMode


def a_port(target: int, published: int | None = None, *, mode: PublishMode = PublishMode.HOST) -> PortConfig:
    return PortConfig(target_port=target, published_port=published, publish_mode=mode)


def test_only_host_mode_ports_belong_to_tasks() -> None:
    host, mesh = a_port(80, 8080), a_port(81, 8081, mode=PublishMode.INGRESS)

    assert host_ports(a_service(ports=(host, mesh)).spec) == (host,)
    assert host_ports(a_service().spec) == ()


def test_open_ports_are_the_wished_ones_in_any_order_and_with_any_number_where_none_was_wished() -> None:
    assert same_ports([a_port(81, 9), a_port(80, 32768)], [a_port(80), a_port(81, 9)])
    assert not same_ports([a_port(80, 9)], [a_port(80, 8)])
    assert not same_ports([a_port(80, 9)], [])
    assert not same_ports([a_port(80, 9)], [a_port(81, 9)])


def open_ports(count: int, first: int = 0) -> list[PortConfig]:
    """So many alike; with the number of the `first`, they were given those from it on."""
    numbers = range(first, first + count) if first else [None] * count
    return [a_port(80, number, mode=PublishMode.INGRESS) for number in numbers]


class Asked(frozenset[PortKey]):
    """Counts how often something is looked up."""

    times = 0

    def __contains__(self, key: object) -> bool:
        self.times += 1
        return super().__contains__(key)


@pytest.mark.parametrize("had", [0, 500], ids=["none had before", "all had before"])
def test_what_numbers_for_many_open_ports_cost_is_not_each_times_each(had: int) -> None:
    taken = Asked(("tcp", number) for number in OPEN_NUMBERS[:1000])
    wished, known = open_ports(500), open_ports(had, OPEN_NUMBERS[1000])
    with counted_calls() as calls:
        numbers = given_ports(wished, known, taken)

    assert [port.published_port for port in numbers] == list(OPEN_NUMBERS[1000:1500])
    assert taken.times <= 2000
    assert calls.total() - taken.times <= 20 * 500


def given_by_search(
    wished: Sequence[PortConfig], known: Sequence[PortConfig], taken: Collection[PortKey]
) -> list[PortConfig] | None:
    """The same for whoever has time: port by port, each compared with all. None where no number is left."""

    def is_open(port: PortConfig) -> bool:
        return port.publish_mode is not PublishMode.HOST and not port.published_port

    def is_free(key: PortKey) -> bool:
        return key not in used and key not in taken

    def is_former(former: PortConfig, port: PortConfig) -> bool:
        return (
            bool(former.published_port)
            and is_free(port_key(former))
            and former.model_copy(update={"published_port": port.published_port}) == port
        )

    used = [port_key(port) for port in wished if port.published_port]
    numbered: dict[int, PortConfig] = {}
    for index, port in enumerate(wished):
        former = next((one for one in known if is_former(one, port)), None) if is_open(port) else None
        if former is not None:
            numbered[index] = former
            used.append(port_key(former))
    for index, port in enumerate(wished):
        if index in numbered:
            continue
        if is_open(port):
            protocol = port.protocol or Protocol.TCP
            free = (number for number in OPEN_NUMBERS if is_free((protocol.value, number)))
            number = next(free, None)
            if number is None:
                return None
            numbered[index] = port.model_copy(update={"published_port": number})
            used.append(port_key(numbered[index]))
        elif port.publish_mode is PublishMode.HOST or port_key(port) not in taken:
            numbered[index] = port
    return [numbered[index] for index in sorted(numbered)]


some_ports = st.builds(
    PortConfig,
    name=st.sampled_from([None, "a"]),
    protocol=st.sampled_from([Protocol.TCP, Protocol.UDP, None]),
    target_port=st.sampled_from([80, 81]),
    published_port=st.sampled_from([None, 0, *OPEN_NUMBERS[:3], 8080]),
    publish_mode=st.sampled_from([PublishMode.INGRESS, PublishMode.HOST, None]),
)
# Few numbers are open, or none would ever be missing.
ALMOST_ALL = frozenset((protocol.value, number) for protocol in Protocol for number in OPEN_NUMBERS[4:])


@settings(max_examples=examples(300, 20_000), deadline=None)
@given(
    st.lists(some_ports, max_size=6),
    st.lists(some_ports, max_size=5, unique_by=lambda port: port_key(port) if port.published_port else id(port)),
    st.sets(st.tuples(st.sampled_from(["tcp", "udp"]), st.sampled_from([*OPEN_NUMBERS[:4], 8080]))),
    st.booleans(),
)
def test_numbers_are_given_as_by_who_compares_each_with_each(
    wished: list[PortConfig], known: list[PortConfig], taken: set[PortKey], is_crowded: bool
) -> None:
    used = taken | (ALMOST_ALL if is_crowded else frozenset())
    try:
        numbers = list(given_ports(wished, known, used))
    except BadRequest:
        numbers = None
    assert numbers == given_by_search(wished, known, used)
