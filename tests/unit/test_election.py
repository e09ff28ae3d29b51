"""One leader at a time; a former one writes nothing; the next acts soon."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest
from support.builders import a_cluster, a_manager, a_node
from support.stepping import advance, settle
from support.stores import Relay

from manager.control.election import Election
from manager.ledger import Ledger
from manager.objects import Node
from manager.store.codec import encode
from manager.store.keys import key_of
from manager.store.memory import MemoryDatabase, MemoryStore
from manager.store.port import Delete, LeaseID, Put, Store, Unit
from swarmpy.clock import ManualClock
from swarmpy.errors import LeadershipLost, Unavailable

TTL = timedelta(seconds=4)


class Candidate:
    """A manager that does nothing but lead."""

    def __init__(
        self, name: str, database: MemoryDatabase, clock: ManualClock, through: Callable[[Store], Store] | None = None
    ) -> None:
        self.name = name
        self.store: MemoryStore = database.open()
        self.ledger = Ledger(self.store, clock)
        self.terms = 0
        self.seen_at_start: str | None = None
        self.is_acting = False
        self.leave = asyncio.Event()
        reached = through(self.store) if through else self.store
        self._election = Election(reached, self.ledger, clock, node_id=name, ttl=TTL)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self.ledger.follow()),
            asyncio.create_task(self._election.run(self._lead)),
        ]

    async def stop(self) -> None:
        for task in reversed(self._tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._tasks = []

    async def write(self, value: str) -> None:
        await self.ledger.commit([Unit((Put("names/test/x", value.encode()),))])

    async def record(self, node: Node) -> None:
        await self.ledger.commit([Unit((Put(key_of(node), encode(node)),))])

    async def forget(self, node_id: str) -> None:
        await self.ledger.commit([Unit((Delete(f"nodes/{node_id}"),))])

    async def _lead(self) -> None:
        self.terms += 1
        self.is_acting = True
        self.seen_at_start = self.ledger.state.named("test", "x")
        try:
            await self.leave.wait()
        finally:
            self.is_acting = False


@asynccontextmanager
async def candidates(*names: str) -> AsyncIterator[tuple[ManualClock, list[Candidate]]]:
    clock = ManualClock()
    database = MemoryDatabase(clock)
    all_of_them = [Candidate(name, database, clock) for name in names]
    try:
        yield clock, all_of_them
    finally:
        for candidate in all_of_them:
            candidate.store.mend()
            await candidate.stop()
            await candidate.store.close()


async def test_of_three_managers_exactly_one_leads() -> None:
    async with candidates("a", "b", "c") as (clock, managers):
        for manager in managers:
            manager.start()
        await settle(clock)

        assert [manager.is_acting for manager in managers].count(True) == 1
        assert [manager.ledger.is_leading for manager in managers].count(True) == 1


async def test_a_leader_stays_leader_while_it_renews() -> None:
    async with candidates("a", "b") as (clock, (first, second)):
        first.start()
        await settle(clock)
        second.start()
        await advance(clock, seconds=60)

        assert (first.terms, second.terms) == (1, 0)


async def test_a_renewal_that_is_never_answered_is_asked_again_in_time() -> None:
    clock = ManualClock()
    only = Candidate("a", MemoryDatabase(clock), clock, LosesOneRenewal)
    only.start()
    await advance(clock, seconds=60)

    assert (only.is_acting, only.terms) == (True, 1)
    await only.stop()
    await only.store.close()


class LosesOneRenewal(Relay):
    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._lost = False

    async def keep_alive(self, lease: LeaseID) -> timedelta:
        if not self._lost:
            self._lost = True
            await asyncio.Event().wait()
        return await super().keep_alive(lease)


async def test_a_leader_that_stops_gives_way_at_once() -> None:
    async with candidates("a", "b") as (clock, (first, second)):
        first.start()
        await settle(clock)
        second.start()
        await settle(clock)
        await first.stop()
        await settle(clock)

        assert second.is_acting


async def test_a_leader_cut_off_steps_down_before_its_lease_can_have_ended_and_another_follows() -> None:
    async with candidates("a", "b") as (clock, (first, second)):
        first.start()
        await settle(clock)
        second.start()
        await settle(clock)
        first.store.cut()
        steps = 0
        while first.is_acting and steps < 100:
            assert not second.is_acting
            await advance(clock, seconds=0.1)
            steps += 1
        assert not first.is_acting
        assert not second.is_acting
        await advance(clock, seconds=5)

        assert second.is_acting


async def test_a_paused_leader_writes_nothing_when_it_wakes() -> None:
    async with candidates("a", "b") as (clock, (first, second)):
        first.start()
        await settle(clock)
        second.start()
        await settle(clock)
        first.store.stall()
        late = asyncio.create_task(first.write("late"))
        await advance(clock, seconds=10)
        assert second.is_acting
        await second.write("new")
        first.store.mend()
        await settle(clock)

        with pytest.raises(LeadershipLost):
            await late
        assert second.ledger.state.named("test", "x") == "new"
        assert not first.is_acting


async def test_a_manager_that_does_not_lead_is_refused_every_write() -> None:
    async with candidates("a", "b") as (clock, (first, second)):
        first.start()
        await settle(clock)
        second.start()
        await settle(clock)

        with pytest.raises(LeadershipLost):
            await second.write("mine")


async def test_a_manager_that_died_and_came_back_need_not_wait_for_its_own_lease() -> None:
    async with candidates("a", "a") as (clock, (dead, reborn)):
        dead.start()
        await settle(clock)
        dead.store.stall()  # killed: it neither renews nor gives back
        reborn.start()
        await settle(clock)

        assert reborn.is_acting


async def test_a_leader_that_gives_up_its_term_may_win_the_next_which_is_another() -> None:
    async with candidates("a") as (clock, (only,)):
        only.start()
        await settle(clock)
        first_term = only.ledger.fence
        only.leave.set()
        await settle(clock)
        only.leave.clear()
        await advance(clock, seconds=1)

        assert only.is_acting
        assert only.ledger.fence != first_term


async def test_the_new_leader_acts_only_once_it_sees_what_the_old_one_wrote() -> None:
    async with candidates("a", "b") as (clock, (first, second)):
        first.start()
        await settle(clock)
        second.start()
        await settle(clock)
        await first.write("last words")
        await first.stop()
        await settle(clock)

        assert second.seen_at_start == "last words"


async def test_without_a_store_a_manager_waits_and_leads_when_it_comes() -> None:
    async with candidates("a") as (clock, (only,)):
        only.store.cut()
        only.start()
        await advance(clock, seconds=30)
        assert not only.is_acting
        assert only.ledger.stale_since is not None
        only.store.mend()
        await advance(clock, seconds=2)

        assert only.is_acting
        assert only.ledger.stale_since is None


async def test_a_lost_answer_to_the_claim_leaves_nobody_locked_out() -> None:
    async with candidates("a") as (clock, (only,)):
        only.store.deafen()
        only.start()
        await advance(clock, seconds=3)
        assert not only.is_acting
        only.store.mend()
        await advance(clock, seconds=6)

        assert only.is_acting


async def test_a_write_after_the_store_was_lost_says_so() -> None:
    async with candidates("a") as (clock, (only,)):
        only.start()
        await settle(clock)
        only.store.cut()

        with pytest.raises(Unavailable):
            await only.write("x")


async def test_a_leader_that_is_demoted_gives_way_at_once_and_stands_no_more() -> None:
    async with candidates("a", "b") as (clock, (first, second)):
        await in_the_lead(clock, first, second)
        await first.record(a_node("a"))
        await advance(clock, seconds=1)

        assert second.is_acting
        assert not first.is_acting
        await second.stop()
        await advance(clock, seconds=60)
        assert not first.is_acting


async def test_a_leader_whose_record_is_removed_gives_way_at_once_and_stands_no_more() -> None:
    async with candidates("a", "b") as (clock, (first, second)):
        await in_the_lead(clock, first, second)
        await first.forget("a")
        await advance(clock, seconds=1)

        assert second.is_acting
        assert not first.is_acting
        await second.stop()
        await advance(clock, seconds=60)
        assert not first.is_acting


async def test_a_demoted_manager_that_is_promoted_again_stands_again() -> None:
    async with candidates("a", "b") as (clock, (first, second)):
        await in_the_lead(clock, first, second)
        await first.record(a_node("a"))
        await advance(clock, seconds=1)
        await second.record(a_manager("a"))
        await second.stop()
        await advance(clock, seconds=1)

        assert first.is_acting


async def test_news_of_other_nodes_cost_a_leader_nothing() -> None:
    async with candidates("a", "b") as (clock, (first, second)):
        await in_the_lead(clock, first, second)
        await first.record(a_node("b"))
        await first.record(a_node("c"))
        await advance(clock, seconds=10)

        assert first.is_acting
        assert (first.terms, second.terms) == (1, 0)


async def test_the_first_manager_of_a_cluster_leads_before_it_has_a_record() -> None:
    async with candidates("a") as (clock, (only,)):
        only.start()
        await settle(clock)
        await only.record(a_node("w1"))
        await only.ledger.commit([Unit((Put("cluster", encode(a_cluster())),))])
        await advance(clock, seconds=10)

        assert only.is_acting


async def in_the_lead(clock: ManualClock, first: Candidate, second: Candidate) -> None:
    """Both are managers, and the first leads."""
    first.start()
    await settle(clock)
    await first.record(a_manager("a"))
    await first.record(a_manager("b"))
    second.start()
    await settle(clock)
    assert first.is_acting
