"""Addresses of a node's tasks over all their networks, taken before a container is made and given back after."""

from datetime import datetime, timedelta
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


def again(clock: ManualClock, before: Shares) -> Shares:
    """The same shares in the next process."""
    made = Shares(clock)
    made.recall(before.resting(), used=(FRONT.id, BACK.id))
    made.learn((FRONT, BACK))
    return made


def test_what_is_given_back_rests_over_the_agents_end_and_no_longer_than_it_would_have() -> None:
    clock = ManualClock()
    book, task = shares(clock), an_assignment(1, networks=(BACK.id,))
    book.take(task)
    clock.advance(timedelta(seconds=60))
    book.give_back(task.id)

    clock.advance(REST / 2)
    book = again(clock, again(clock, book))
    with pytest.raises(Unavailable):
        book.take(an_assignment(2, networks=(BACK.id,)))
    assert book.take(an_assignment(3, networks=(FRONT.id,)))
    clock.advance(REST / 2)
    assert book.take(an_assignment(2, networks=(BACK.id,))) == {BACK.id: SECOND}
    assert book.resting() == {}


def test_what_rested_in_an_earlier_run_of_the_machine_rests_from_the_start() -> None:
    late, early = ManualClock(), ManualClock()
    late.advance(timedelta(days=30))
    before, task = shares(late), an_assignment(1, networks=(BACK.id,))
    before.take(task)
    before.give_back(task.id)

    book = again(early, before)
    with pytest.raises(Unavailable):
        book.take(task)
    early.advance(REST)
    assert book.take(task) == {BACK.id: SECOND}


@pytest.mark.parametrize("step", [timedelta(hours=-1), timedelta(hours=1)], ids=["back", "forth"])
def test_a_step_of_the_time_of_day_changes_no_rest(step: timedelta) -> None:
    class Stepped(ManualClock):
        step = timedelta()

        def now(self) -> datetime:
            return super().now() + self.step

    clock = Stepped()
    book, task = shares(clock), an_assignment(1, networks=(BACK.id,))
    book.take(task)
    book.give_back(task.id)

    clock.step = step
    with pytest.raises(Unavailable):
        book.take(task)
    clock.advance(REST)
    assert book.take(task) == {BACK.id: SECOND}


def test_without_memory_networks_that_the_engine_has_rest_and_new_ones_do_not() -> None:
    clock = ManualClock()
    book = Shares(clock)
    book.recall(None, used=(FRONT.id,))
    clock.advance(REST / 2)
    book.learn((FRONT, BACK))

    assert book.take(an_assignment(1, networks=(BACK.id,))) == {BACK.id: SECOND}
    for process in (book, again(clock, book)):
        with pytest.raises(Unavailable):
            process.take(an_assignment(2, networks=(FRONT.id,)))
    clock.advance(REST / 2)
    assert book.take(an_assignment(2, networks=(FRONT.id,)))
    assert book.resting() == {}


def test_a_share_that_goes_and_comes_as_another_networks_has_its_rest() -> None:
    clock = ManualClock()
    book, task = shares(clock), an_assignment(1, networks=(BACK.id,))
    book.take(task)
    book.give_back(task.id)
    book.learn(())
    other = a_network(3, subnet=BACK.subnet, gateway=BACK.gateway)
    book.learn((other,))

    with pytest.raises(Unavailable):
        book.take(an_assignment(2, networks=(other.id,)))
    clock.advance(REST)
    assert book.take(an_assignment(2, networks=(other.id,))) == {other.id: SECOND}


def test_the_gateway_of_a_share_is_given_to_nobody_though_it_was_a_tasks_once() -> None:
    clock = ManualClock()
    book, task = shares(clock), an_assignment(1, networks=(BACK.id,))
    book.take(task)
    book.give_back(task.id)
    book.learn(())
    turned = a_network(3, subnet=BACK.subnet, gateway=str(SECOND))
    book.learn((turned,))

    clock.advance(REST)
    assert book.take(an_assignment(2, networks=(turned.id,))) == {turned.id: IPv4Address("10.200.2.1")}
