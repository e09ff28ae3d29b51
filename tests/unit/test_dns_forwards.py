"""Whose question for a server outside is asked now, and whose waits."""

import socket
from collections.abc import Iterator
from datetime import timedelta

import dns.message
import pytest

from agent.dns.forwards import ASKERS, ASKERS_OF_ONE, FORWARDS, FORWARDS_OF_ONE, IN_VAIN, Asker, Forwards
from agent.dns.replies import Outside
from agent.dns.wire import read_question
from swarmpy.clock import ManualClock

ONE, OTHER = "10.9.1.2", "10.9.1.3"


class Stage:
    """`started` are those who are asked for, in their order."""

    def __init__(self, udp: socket.socket) -> None:
        self.udp = udp
        self.clock = ManualClock()
        self.started: list[Asker] = []
        self.forwards = Forwards(self.started.append, self.clock)

    def ask(self, container: str, name: str, id: int = 1) -> None:
        question = read_question(dns.message.make_query(name, "A", id=id).to_wire())
        assert question is not None
        self.forwards.add(self.udp, Outside(question, (), 512), (container, 5000 + id))

    def ask_many(self, container: str, count: int) -> None:
        for number in range(count):
            self.ask(container, f"x{number}.org")

    def land(self, position: int = 0) -> Asker:
        """That of those who are asked for."""
        landed = self.started.pop(position)
        self.forwards.landed(landed)
        return landed

    def names(self, container: str) -> list[str]:
        return [asker.asked.question.name for asker in self.started if asker.container == container]


@pytest.fixture
def stage() -> Iterator[Stage]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        yield Stage(udp)


def test_what_is_more_than_a_share_waits_and_comes_in_its_order(stage: Stage) -> None:
    stage.ask_many(ONE, 3 * FORWARDS_OF_ONE)
    assert len(stage.started) == FORWARDS_OF_ONE
    order = []
    while stage.started:
        assert len(stage.started) <= FORWARDS_OF_ONE
        order.append(stage.land().asked.question.name)
    assert [name.rstrip(".") for name in order] == [f"x{number}.org" for number in range(3 * FORWARDS_OF_ONE)]


def test_who_asks_what_is_asked_already_needs_no_share(stage: Stage) -> None:
    stage.ask_many(ONE, FORWARDS_OF_ONE + 1)
    stage.ask(ONE, "X0.org", id=2)
    assert [asker.source[1] for asker in stage.started if asker.flight == stage.started[0].flight] == [5001, 5002]
    # The first of two that is over leaves the share to the other.
    stage.land()
    assert len(stage.started) == FORWARDS_OF_ONE
    stage.land(-1)
    assert len(stage.started) == FORWARDS_OF_ONE
    assert stage.names(ONE)[-1].startswith(f"x{FORWARDS_OF_ONE}.")


def test_those_that_waited_to_ask_the_same_are_started_together_and_leave_room_for_more(stage: Stage) -> None:
    stage.ask_many(ONE, FORWARDS_OF_ONE)
    for id in (1, 2, 3):
        stage.ask(ONE, "same.org", id)
    stage.ask(ONE, "more.org")
    stage.land()
    assert [name.rstrip(".") for name in stage.names(ONE)[-3:]] == ["same.org"] * 3
    stage.land()
    assert stage.names(ONE)[-1].rstrip(".") == "more.org"


def test_a_container_that_asks_much_does_not_delay_another(stage: Stage) -> None:
    stage.ask_many(ONE, ASKERS_OF_ONE)
    stage.ask(OTHER, "quick.org")
    assert len(stage.names(OTHER)) == 1


def test_when_nobody_finds_room_containers_have_their_turns(stage: Stage) -> None:
    for number in range(10):
        stage.ask_many(f"10.9.2.{number}", FORWARDS_OF_ONE)
    assert len(stage.started) == FORWARDS
    stage.ask_many(ONE, 2)
    stage.ask_many(OTHER, 2)
    for _ in range(12):
        stage.land()
    assert len(stage.started) == FORWARDS
    assert (len(stage.names(ONE)), len(stage.names(OTHER))) == (1, 1)


def test_what_is_more_than_may_wait_is_dropped(stage: Stage) -> None:
    stage.ask_many(ONE, ASKERS_OF_ONE + 50)
    assert len(all_of(stage)) == ASKERS_OF_ONE
    for number in range(ASKERS // ASKERS_OF_ONE + 1):
        stage.ask_many(f"10.9.2.{number}", ASKERS_OF_ONE)
    assert len(all_of(stage)) == ASKERS
    # And then there is room again.
    stage.ask_many(ONE, 5)
    assert len(all_of(stage)) == 5


def test_who_has_waited_in_vain_is_not_asked_for(stage: Stage) -> None:
    stage.ask_many(ONE, FORWARDS_OF_ONE + 10)
    stage.clock.advance(IN_VAIN + timedelta(milliseconds=1))
    stage.ask(ONE, "young.org")
    assert [name.rstrip(".") for name in all_of(stage)[FORWARDS_OF_ONE:]] == ["young.org"]


def test_nobody_asks_for_a_network_that_is_gone(stage: Stage) -> None:
    stage.ask_many(ONE, FORWARDS_OF_ONE + 10)
    stage.udp.close()
    assert len(all_of(stage)) == FORWARDS_OF_ONE


def all_of(stage: Stage) -> list[str]:
    """Until nobody is left."""
    names = []
    while stage.started:
        names.append(stage.land().asked.question.name)
    return names
