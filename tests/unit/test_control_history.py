"""Old history is forgotten, the recent is kept, and troubles of the store are no reason to stop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from support.stepping import advance, settle

from manager.control.history import KEPT_REVISIONS, compact_history
from manager.ledger import Ledger
from manager.store.errors import HistoryGone
from manager.store.memory import MemoryDatabase, MemoryStore
from manager.store.port import Put, Unit
from swarmpy.clock import ManualClock
from swarmpy.together import together


@asynccontextmanager
async def compacting() -> AsyncIterator[tuple[ManualClock, MemoryDatabase, MemoryStore]]:
    clock = ManualClock()
    database = MemoryDatabase(clock)
    store = database.open()
    ledger = Ledger(store, clock)
    task = asyncio.create_task(together(ledger.follow(), compact_history(store, ledger, clock)))
    try:
        await settle(clock)
        yield clock, database, store
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await store.close()


async def write(store: MemoryStore, times: int = 1) -> None:
    for _ in range(times):
        await store.commit([Unit((Put("names/x/y", b"z"),))])


async def test_ten_minutes_are_kept_and_what_is_older_goes() -> None:
    async with compacting() as (clock, database, store):
        await write(store, 5)
        await advance(clock, 120)
        await write(store, 5)
        await advance(clock, 7 * 60)
        assert len(database.since(1)) == 10
        await advance(clock, 150)

        with pytest.raises(HistoryGone):
            database.since(1)
        assert len(database.since(6)) == 5


async def test_where_much_happens_less_than_ten_minutes_are_kept() -> None:
    async with compacting() as (clock, database, store):
        await write(store, KEPT_REVISIONS + 500)
        await advance(clock, 61)

        with pytest.raises(HistoryGone):
            database.since(1)
        assert len(database.since(database.revision - KEPT_REVISIONS)) == KEPT_REVISIONS


async def test_a_store_that_is_away_is_tried_again() -> None:
    async with compacting() as (clock, database, store):
        await write(store, KEPT_REVISIONS + 500)
        await settle(clock)
        store.cut()
        await advance(clock, 61)
        assert len(database.since(1)) == KEPT_REVISIONS + 500
        store.mend()
        await advance(clock, 121)

        with pytest.raises(HistoryGone):
            database.since(1)


async def test_of_parts_run_together_the_first_failure_ends_all_and_is_the_one_raised() -> None:
    ended: list[str] = []

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("first")

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("endless")

    with pytest.raises(ValueError, match="first"):
        await together(endless(), fails())
    assert ended == ["endless"]


async def test_parts_run_together_end_when_one_is_done() -> None:
    async def done() -> None:
        return

    async def endless() -> None:
        await asyncio.Event().wait()

    await together(endless(), done())


async def test_cancelling_what_runs_together_cancels_every_part_and_waits_for_it() -> None:
    ended: list[int] = []

    async def part(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(number)

    task = asyncio.create_task(together(part(1), part(2)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert sorted(ended) == [1, 2]
