"""What every store promises of watching: everything later, in order, once; and of forgetting history."""

import asyncio
from contextlib import aclosing, suppress

import pytest
from support.stores import BOUND, StoreBench, create, delete, put, values, wait_until, watched

from manager.store.errors import HistoryGone
from manager.store.port import Batch, Put, Store, Unit
from swarmpy.errors import BadRequest, Unavailable


async def test_a_watch_first_says_that_it_stands(store: Store) -> None:
    (batch,) = await store.commit([create("a")])

    async with aclosing(store.watch(batch.revision)) as batches:
        assert await anext(batches) == Batch(batch.revision, ())


async def test_a_watch_tells_what_comes_while_it_runs(bench: StoreBench) -> None:
    reader, writer = await bench.open(), await bench.open()
    (first,) = await writer.commit([create("a")])

    async with asyncio.timeout(BOUND), aclosing(reader.watch(first.revision)) as batches:
        await anext(batches)
        for number in range(5):
            (written,) = await writer.commit([put("a", str(number))])
            assert await anext(batches) == written


async def test_a_watch_begins_right_after_the_revision_named(store: Store) -> None:
    batches = [batch for number in range(10) for batch in await store.commit([put("a", str(number))])]

    assert await watched(store, batches[3].revision, batches[9].revision) == batches[4:]


async def test_all_changes_of_one_revision_come_together(store: Store) -> None:
    start = (await store.load()).revision
    writes = [Unit(tuple(Put(f"{unit}/{key}", b"x" * 100_000) for key in range(10))) for unit in range(6)]
    written = [batch for unit in writes for batch in await store.commit([unit])]

    # More than 5 MB of history: a database sends it in pieces.
    told = await watched(store, start, written[-1].revision)

    assert told == written
    assert [len(batch.changes) for batch in told] == [10] * 6


async def test_two_watches_tell_the_same(bench: StoreBench) -> None:
    one, other = await bench.open(), await bench.open()
    start = (await one.load()).revision
    told = asyncio.gather(
        watched(one, start, start + 3), watched(one, start, start + 3), watched(other, start, start + 3)
    )

    written = [batch for number in range(3) for batch in await other.commit([put("a", str(number))])]

    assert list(await told) == [written, written, written]


async def test_a_cut_watch_goes_on_where_it_ended(bench: StoreBench) -> None:
    reader, writer = await bench.open(), await bench.open()
    start = (await writer.load()).revision
    told: list[Batch] = []

    async with asyncio.timeout(BOUND), aclosing(reader.watch(start)) as batches:
        await anext(batches)
        (first,) = await writer.commit([create("a")])
        told.append(await anext(batches))
        await bench.cut()
        with pytest.raises(Unavailable):
            await anext(batches)
    await bench.mend()
    missed = [batch for number in range(5) for batch in await until_it_answers(writer, put("a", str(number)))]
    told += await watched(reader, first.revision, missed[-1].revision)

    assert told == [first, *missed]


async def test_no_change_is_missed_or_told_twice_however_often_the_connection_is_lost(bench: StoreBench) -> None:
    reader, writer = await bench.open(), await bench.open()
    start = (await writer.load()).revision
    told: list[Batch] = []

    async def read() -> None:
        seen = start
        while len(told) < 60:
            try:
                async with aclosing(reader.watch(seen)) as batches:
                    async for batch in batches:
                        told.extend([batch] if batch.changes else [])
                        seen = batch.revision
                        if len(told) >= 60:
                            return
            except Unavailable:
                await revision_of(reader)

    async with asyncio.timeout(BOUND), asyncio.TaskGroup() as together:
        together.create_task(read())
        for round_ in range(6):
            for number in range(10):
                await until_it_answers(writer, put(f"a/{number}", str(round_)))
            await bench.cut()
            await bench.mend()

    assert [batch.revision for batch in told] == list(range(start + 1, start + 61))


async def until_it_answers(store: Store, unit: Unit) -> tuple[Batch, ...]:
    """Only when nobody else writes: a lost answer is told from a lost write by the revision."""
    async with asyncio.timeout(BOUND):
        while True:
            before = await revision_of(store)
            try:
                return await store.commit([unit])
            except Unavailable:
                assert await revision_of(store) == before, "the write took effect although its answer was lost"


async def revision_of(store: Store) -> int:
    found: list[int] = []

    async def is_known() -> bool:
        with suppress(Unavailable):
            found.append((await store.load()).revision)
        return bool(found)

    await wait_until(is_known)
    return found[0]


# forgetting


async def test_forgotten_history_is_refused_and_current_values_stay(store: Store) -> None:
    batches = [batch for number in range(5) for batch in await store.commit([put("a", str(number))])]
    await store.compact(batches[3].revision)

    with pytest.raises(HistoryGone, match="load again"):
        await watched(store, batches[0].revision, batches[4].revision)

    assert await values(store) == {"a": "4"}


async def test_what_was_not_forgotten_is_still_told(store: Store) -> None:
    batches = [batch for number in range(5) for batch in await store.commit([put("a", str(number))])]

    await store.compact(batches[3].revision)

    assert await watched(store, batches[2].revision, batches[4].revision) == batches[3:]


async def test_a_deletion_at_the_edge_of_what_is_forgotten_is_told_or_refused_but_never_missed(store: Store) -> None:
    (first,) = await store.commit([create("a")])
    (deletion,) = await store.commit([delete("a")])
    (last,) = await store.commit([create("b")])

    await store.compact(deletion.revision)
    assert await watched(store, first.revision, last.revision) == [deletion, last]

    await store.compact(last.revision)
    with pytest.raises(HistoryGone):
        await watched(store, first.revision, last.revision)
    assert await watched(store, deletion.revision, last.revision) == [last]


async def test_forgetting_twice_is_no_error_and_the_future_cannot_be_forgotten(store: Store) -> None:
    (batch,) = await store.commit([create("a")])

    await store.compact(0)
    await store.compact(batch.revision)
    await store.compact(batch.revision)
    await store.compact(batch.revision + 1)
    with pytest.raises(BadRequest):
        await store.compact(batch.revision + 2)
