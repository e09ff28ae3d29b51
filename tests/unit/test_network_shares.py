"""Addresses of a node's tasks over all their networks, taken before a container is made and given back after."""

from datetime import timedelta
from ipaddress import IPv4Address

import pytest
from support.assignments import a_network, an_assignment

from agent.network.addresses import REST
from agent.network.shares import Shares
from swarmpy.clock import ManualClock
from swarmpy.errors import Unavailable

FRONT, BACK = a_network(1), a_network(2, subnet="10.200.2.0/30", gateway="10.200.2.1")
SECOND = IPv4Address("10.200.2.2")


def shares(clock: ManualClock) -> Shares:
    made = Shares(clock)
    made.learn((FRONT, BACK))
    return made


def test_a_task_has_one_address_on_each_of_its_networks_as_often_as_it_asks() -> None:
    book = shares(ManualClock())
    task = an_assignment(1, networks=(FRONT.id, BACK.id))

    assert book.take(task) == {FRONT.id: IPv4Address("10.200.1.2"), BACK.id: SECOND} == book.take(task)
    assert book.addresses_of(task.id) == book.take(task)


def test_one_that_finds_a_network_full_holds_nothing_on_the_others() -> None:
    clock = ManualClock()
    book = shares(clock)
    first, second = (an_assignment(number, networks=(FRONT.id, BACK.id)) for number in (1, 2))
    book.take(first)

    with pytest.raises(Unavailable, match="no address left"):
        book.take(second)
    assert book.addresses_of(second.id) == {}
    book.give_back(first.id)
    clock.advance(REST + timedelta(seconds=1))
    assert book.take(second)[BACK.id] == SECOND


def test_after_a_restart_running_containers_keep_theirs() -> None:
    book = shares(ManualClock())
    book.see("a", {BACK.id: "10.200.2.2/30", FRONT.id: "10.200.1.7/24", "unknown": "10.1.1.1/24"})

    with pytest.raises(Unavailable):
        book.take(an_assignment(2, networks=(BACK.id,)))
    assert book.addresses_of("a") == {BACK.id: SECOND, FRONT.id: IPv4Address("10.200.1.7")}


def test_a_share_that_is_replaced_is_used_once_its_last_task_has_gone() -> None:
    book = shares(ManualClock())
    task, other = an_assignment(1, networks=(BACK.id,)), an_assignment(2, networks=(BACK.id,))
    book.take(task)
    moved = a_network(2, subnet="10.200.9.0/24", gateway="10.200.9.1")

    book.learn((moved,))
    assert book.take(task) == {BACK.id: SECOND}
    book.give_back(task.id)
    book.learn((moved,))
    assert book.take(other) == {BACK.id: IPv4Address("10.200.9.2")}


def test_a_share_that_has_gone_is_forgotten_with_its_last_task() -> None:
    book = shares(ManualClock())
    task = an_assignment(1, networks=(BACK.id,))
    book.take(task)
    book.learn(())
    assert book.take(task) == {BACK.id: SECOND}

    book.give_back(task.id)
    assert book.take(task) == {}
