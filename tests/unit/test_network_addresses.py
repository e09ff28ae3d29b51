"""Addresses in a node's share: never one twice, rested before it is used again, kept by who has one."""

from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from support.effort import examples

from agent.network.addresses import REST, AddressBook, AddressesRest
from swarmpy.errors import Unavailable

SHARE = AddressBook(IPv4Network("10.0.1.0/28"), IPv4Address("10.0.1.1"))
START = timedelta(hours=1)
TASKS = st.integers(0, 30).map(lambda number: f"task-{number}")


def test_a_task_keeps_its_address() -> None:
    book, first = SHARE.with_task("a", "net", START)
    assert book.with_task("a", "net", START) == (book, first)


def test_the_first_last_and_gateway_addresses_go_to_nobody() -> None:
    book = SHARE
    for number in range(13):
        book, _ = book.with_task(f"task-{number}", "net", START)
    assert set(book.held) == {IPv4Address("10.0.1.0") + offset for offset in range(2, 15)}


def test_a_full_share_says_so_and_an_address_given_back_is_used_again_once_it_has_rested() -> None:
    book = SHARE
    for number in range(13):
        book, _ = book.with_task(f"task-{number}", "net", START)
    book = book.without_task("task-4", START)
    with pytest.raises(Unavailable, match=r"network net has no address left in 10\.0\.1\.0/28 on this node: 12 are"):
        book.with_task("b", "net", START + REST - timedelta(milliseconds=1))
    _, address = book.with_task("b", "net", START + REST)
    assert address == IPv4Address("10.0.1.6")


def test_a_full_share_says_when_an_address_is_free_where_one_rests() -> None:
    book = SHARE
    for number in range(13):
        book, _ = book.with_task(f"task-{number}", "net", START)
    with pytest.raises(Unavailable) as refused:
        book.with_task("b", "net", START)
    assert not isinstance(refused.value, AddressesRest)

    book = book.without_task("task-4", START + REST / 5).without_task("task-2", START + REST / 2)
    with pytest.raises(AddressesRest) as resting:
        book.with_task("b", "net", START + REST)
    assert resting.value.again_in == REST / 5
    with pytest.raises(AddressesRest) as unsure:
        replace(SHARE, unsure_until=timedelta(0)).with_task("b", "net", REST / 5)
    assert unsure.value.again_in == REST - REST / 5


def test_one_that_rests_waits_while_others_were_never_used() -> None:
    book, first = SHARE.with_task("a", "net", START)
    book = book.without_task("a", START)
    _, second = book.with_task("b", "net", START + 2 * REST)
    assert second != first


def test_where_nobody_knows_what_was_used_all_that_is_not_held_rests() -> None:
    book = replace(SHARE, unsure_until=START).corrected({SHARE.subnet[2]: "a"})
    with pytest.raises(Unavailable, match="1 are in use, the others were given back less than 5 s ago"):
        book.with_task("b", "net", START + REST - timedelta(milliseconds=1))
    _, address = book.with_task("b", "net", START + REST)
    assert address == SHARE.subnet[3]


def test_what_the_engine_reports_is_the_truth() -> None:
    book, first = SHARE.with_task("a", "net", START)
    other = IPv4Address("10.0.1.9")
    book = book.corrected({other: "a", IPv4Address("10.9.9.9"): "c"})
    assert book.held == {other: "a"}
    _, again = book.with_task("b", "net", START)
    assert again == first


class Share(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.book = SHARE
        self.given: dict[str, IPv4Address] = {}
        self.back: dict[IPv4Address, timedelta] = {}

    @rule(task_id=TASKS)
    def starts(self, task_id: str) -> None:
        try:
            self.book, address = self.book.with_task(task_id, "net", self.now)
        except Unavailable:
            resting = [since for since in self.back.values() if since + REST > self.now]
            assert len(self.given) + len(resting) == 13
            return
        if task_id not in self.given:
            assert address not in self.given.values()
            assert self.back.pop(address, START - REST) + REST <= self.now
        assert self.given.setdefault(task_id, address) == address

    @rule(task_id=TASKS)
    def ends(self, task_id: str) -> None:
        self.book = self.book.without_task(task_id, self.now)
        if task_id in self.given:
            self.back[self.given.pop(task_id)] = self.now

    @rule()
    def restarts(self) -> None:
        self.back = self.book.resting(self.now)
        self._reads(replace(SHARE, rested_since=self.back.copy()))

    @rule()
    def restarts_and_remembers_nothing(self) -> None:
        self.back = {SHARE.subnet[offset]: self.now for offset in range(2, 15)}
        for address in self.given.values():
            del self.back[address]
        self._reads(replace(SHARE, unsure_until=self.now))

    def _reads(self, book: AddressBook) -> None:
        self.book = book.corrected({address: task_id for task_id, address in self.given.items()})

    @rule(milliseconds=st.integers(1, 6000))
    def waits(self, milliseconds: int) -> None:
        self.now += timedelta(milliseconds=milliseconds)

    @invariant()
    def who_has_which_is_known(self) -> None:
        assert {holder: address for address, holder in self.book.held.items()} == self.given


TestShare = Share.TestCase
# 50 steps each.
TestShare.settings = settings(max_examples=examples(50, 2_000), deadline=None)
