"""A manager's picture over either store: in step, honest when it is not, and never behind its own writes."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest
from support.picture import a_node, a_task
from support.stores import MemoryBench, Relay, StoreBench, wait_until

from manager.ledger import Ledger, Subscription
from manager.objects import AnyObject
from manager.state import Changed
from manager.store.codec import put
from manager.store.errors import CommitConflict
from manager.store.keys import LEADER
from manager.store.memory import MemoryDatabase
from manager.store.port import Batch, Delete, Fence, Put, Revision, Snapshot, Store, Unit
from swarmpy.clock import SystemClock
from swarmpy.errors import LeadershipLost, Unavailable

RETRY = timedelta(milliseconds=20)


def created(*values: AnyObject) -> list[Unit]:
    return [Unit((put(value, create=True),)) for value in values]


def claimed(leader: str) -> Unit:
    return Unit((Put(LEADER, leader.encode(), modified=0),))


async def term_of(store: Store, leader: str) -> Fence:
    (batch,) = await store.commit([claimed(leader)])
    return Fence(LEADER, batch.revision)


@asynccontextmanager
async def following(store: Store) -> AsyncGenerator[Ledger, None]:
    ledger = Ledger(store, SystemClock(), retry_every=RETRY)
    task = asyncio.create_task(ledger.follow())
    try:
        async with asyncio.timeout(10):
            await ledger.synced.wait()
        yield ledger
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def wait_for_tasks(ledger: Ledger, *ids: str) -> None:
    async def are_there() -> bool:
        return set(ledger.state.tasks) == set(ids)

    await wait_until(are_there)


async def wait_until_stale(ledger: Ledger, *, stale: bool = True) -> None:
    async def is_so() -> bool:
        return (ledger.stale_since is not None) is stale

    await wait_until(is_so)


async def test_a_follower_sees_what_was_there_and_what_comes(bench: StoreBench) -> None:
    writer = await bench.open()
    await writer.commit(created(a_task("t1")))

    async with following(await bench.open()) as ledger:
        assert set(ledger.state.tasks) == {"t1"}
        await writer.commit(created(a_task("t2")))
        await wait_for_tasks(ledger, "t1", "t2")


async def test_a_leader_sees_its_own_write_at_once_and_readers_are_told_once(bench: StoreBench) -> None:
    async with following(store := await bench.open()) as ledger:
        ledger.fence = await term_of(store, "m1")
        reader = ledger.subscribe()
        reader.take()

        await ledger.commit(created(a_task("t1")))
        assert set(ledger.state.tasks) == {"t1"}
        await store.commit(created(a_task("t2")))
        await wait_for_tasks(ledger, "t1", "t2")

        assert [change.key for change in reader.take() or ()] == ["tasks/t1", "tasks/t2"]


async def test_a_manager_that_does_not_lead_writes_nothing(bench: StoreBench) -> None:
    async with following(store := await bench.open()) as ledger:
        with pytest.raises(LeadershipLost, match="ask the leader"):
            await ledger.commit(created(a_task("t1")))

        assert {entry.key for entry in (await store.load()).entries} == set()


async def test_a_former_leader_learns_that_it_is_one(bench: StoreBench) -> None:
    other = await bench.open()
    async with following(store := await bench.open()) as ledger:
        ledger.fence = await term_of(store, "m1")
        await other.commit([Unit((Delete(LEADER),))])
        await term_of(other, "m2")

        with pytest.raises(LeadershipLost):
            await ledger.commit(created(a_task("t1")))

        assert not ledger.is_leading


async def test_a_manager_finds_out_whether_it_still_leads_without_a_write(bench: StoreBench) -> None:
    store = await bench.open()
    async with following(store) as ledger:
        with pytest.raises(LeadershipLost):
            await ledger.confirm()
        ledger.fence = await term_of(store, "m1")
        await ledger.confirm()
        before = (await store.load()).revision
        await ledger.confirm()
        assert (await store.load()).revision == before

        await store.commit([Unit((Delete(LEADER),))])
        await term_of(store, "m1")
        with pytest.raises(LeadershipLost):
            await ledger.confirm()
        assert not ledger.is_leading


async def test_what_is_sound_is_written_and_seen_although_the_rest_is_refused(bench: StoreBench) -> None:
    async with following(store := await bench.open()) as ledger:
        ledger.fence = await term_of(store, "m1")
        await ledger.commit(created(a_task("t1")))

        with pytest.raises(CommitConflict):
            await ledger.commit(created(a_task("t1"), a_task("t2")))

        assert set(ledger.state.tasks) == {"t1", "t2"}


async def test_with_the_store_away_the_picture_stays_marked_stale_with_a_reason(bench: StoreBench) -> None:
    async with following(store := await bench.open()) as ledger:
        ledger.fence = await term_of(store, "m1")
        await ledger.commit(created(a_task("t1")))

        await bench.cut()
        with pytest.raises(Unavailable):
            await ledger.commit(created(a_task("t2")))
        await wait_until_stale(ledger)

        assert set(ledger.state.tasks) == {"t1"}
        assert ledger.stale_reason


async def test_stale_since_tells_the_beginning_however_often_it_is_tried_again(memory_bench: MemoryBench) -> None:
    store = memory_bench.database.open()
    tries = CountedWatches(store)
    async with following(tries) as ledger:
        store.cut()
        await wait_until_stale(ledger)
        since, tried = ledger.stale_since, tries.watches

        async def is_tried_again() -> bool:
            return tries.watches >= tried + 3

        await wait_until(is_tried_again)
        assert ledger.stale_since == since


async def test_it_recovers_by_itself_and_sees_what_it_missed(bench: StoreBench) -> None:
    async with following(await bench.open()) as ledger:
        await bench.cut()
        await wait_until_stale(ledger)
        await bench.mend()
        await wait_until_stale(ledger, stale=False)

        writer = await bench.open()
        await writer.commit(created(a_task("t1")))
        await wait_for_tasks(ledger, "t1")
        assert ledger.stale_reason == ""


async def test_it_loads_again_when_history_was_forgotten_meanwhile(memory_bench: MemoryBench) -> None:
    store, writer = memory_bench.database.open(), memory_bench.database.open()
    await writer.commit(created(a_task("t1"), a_task("t2"), a_node("n1")))
    async with following(store) as ledger:
        reader = ledger.subscribe()
        store.cut()
        await writer.commit([Unit((Delete("tasks/t1"),))])
        await writer.commit(created(a_task("t3")))
        await writer.compact(memory_bench.database.revision + 1)
        store.mend()
        await wait_for_tasks(ledger, "t2", "t3")

        assert [(change.key, change.after is None) for change in reader.take() or ()] == [
            ("tasks/t1", True),
            ("tasks/t3", False),
        ]


async def test_a_forgotten_history_in_a_real_etcd_is_loaded_again(bench: StoreBench) -> None:
    store, writer = await bench.open(), await bench.open()
    async with following(store) as ledger:
        await bench.cut()
        await wait_until_stale(ledger)
        await bench.mend()
        await wait_until_stale(ledger, stale=False)
        for number in range(3):
            await writer.commit(created(a_task(f"t{number}")))
        await writer.compact((await writer.load()).revision + 1)
        await wait_for_tasks(ledger, "t0", "t1", "t2")


async def test_a_load_on_its_way_does_not_unlearn_a_write_that_overtook_it() -> None:
    database = MemoryDatabase()
    handle, other = database.open(), database.open()
    store = SlowLoads(handle)
    async with following(store) as ledger:
        ledger.fence = await term_of(other, "m1")
        store.hold()
        store.asked.clear()
        handle.cut()
        await other.commit(created(a_task("t1")))
        await other.compact(database.revision + 1)
        handle.mend()
        await store.asked.wait()

        reader = ledger.subscribe()
        await ledger.commit(created(a_task("t2")))
        assert set(ledger.state.tasks) == {"t2"}
        store.release()
        await wait_for_tasks(ledger, "t1", "t2")

        assert [change.key for change in reader.take() or ()] == ["tasks/t2", "tasks/t1"]
    await handle.close()
    await other.close()


async def test_a_late_refusal_of_an_earlier_term_does_not_end_the_present_one(memory_bench: MemoryBench) -> None:
    store, other = memory_bench.database.open(), memory_bench.database.open()
    async with following(store) as ledger:
        ledger.fence = await term_of(other, "m1")
        store.stall()
        late = asyncio.create_task(ledger.commit(created(a_task("t1"))))
        await asyncio.sleep(0)
        await other.commit([Unit((Delete(LEADER),))])
        ledger.fence = present = await term_of(other, "m1")
        store.mend()

        with pytest.raises(LeadershipLost):
            await late

        assert ledger.fence == present


async def test_a_change_of_leader_wakes_readers(bench: StoreBench) -> None:
    other = await bench.open()
    async with following(await bench.open()) as ledger:
        reader = ledger.subscribe()
        await term_of(other, "m2")

        async with asyncio.timeout(10):
            await reader.wait()

        assert (ledger.state.leader, reader.take()) == ("m2", ())


def test_a_reader_that_falls_behind_is_told_to_look_at_everything() -> None:
    reader = Subscription(2)
    change = Changed("tasks/t1", None, a_task("t1"))

    reader.publish([change, change])
    assert reader.take() == (change, change)
    reader.publish([change, change])
    reader.publish([change])
    assert reader.take() is None
    assert reader.take() == ()


def test_what_comes_after_a_reader_fell_behind_is_not_told_twice() -> None:
    """The look at everything shows it already."""
    reader = Subscription(2)
    change = Changed("tasks/t1", None, a_task("t1"))
    reader.publish([change, change, change])
    reader.publish([change])

    assert reader.take() is None
    assert reader.take() == ()


class CountedWatches(Relay):
    """Counts how often it is watched."""

    watches = 0

    def watch(self, after: Revision) -> AsyncGenerator[Batch, None]:
        self.watches += 1
        return super().watch(after)


class SlowLoads(Relay):
    """Loads whose answer, once `hold` was called, is as old as the question until `release`."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.asked = asyncio.Event()
        self._released = asyncio.Event()
        self._released.set()

    def hold(self) -> None:
        self._released.clear()

    def release(self) -> None:
        self._released.set()

    async def load(self) -> Snapshot:
        snapshot = await super().load()
        self.asked.set()
        await self._released.wait()
        return snapshot
