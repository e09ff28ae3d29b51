"""What every store promises when the database is away: an error in time, and recovery by itself."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import timedelta

import pytest
from support.stores import BOUND, EtcdBench, MemoryBench, StoreBench, create, put, values, wait_until, watched

from manager.store.port import Delete, Fence, Put, Snapshot, Store, Unit
from swarmpy.errors import LeadershipLost, Unavailable

CALLS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "load": lambda store: store.load(),
    "commit": lambda store: store.commit([put("a")]),
    "watch": lambda store: watched(store, 1, 1),
    "grant": lambda store: store.grant(timedelta(seconds=1)),
    "keep_alive": lambda store: store.keep_alive(1),
    "revoke": lambda store: store.revoke(1),
    "compact": lambda store: store.compact(2),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_every_call_says_so_when_the_database_is_away(
    bench: StoreBench, store: Store, call: Callable[[Store], Awaitable[object]]
) -> None:
    await store.load()
    await bench.cut()

    async with asyncio.timeout(3):
        with pytest.raises(Unavailable):
            await call(store)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_closed_store_is_away_for_good(store: Store, call: Callable[[Store], Awaitable[object]]) -> None:
    await store.close()

    with pytest.raises(Unavailable, match="closed"):
        await call(store)


async def test_all_recovers_by_itself_when_the_database_is_back(bench: StoreBench, store: Store) -> None:
    await store.commit([create("a", "before")])
    await bench.cut()
    with pytest.raises(Unavailable):
        await store.load()

    await bench.mend()

    await wait_until(lambda: answers(store))
    await store.commit([put("a", "after")])
    assert await values(store) == {"a": "after"}


async def test_a_call_that_runs_into_the_close_is_told_so(store: Store) -> None:
    (outcome, _) = await asyncio.gather(store.load(), store.close(), return_exceptions=True)

    assert isinstance(outcome, Snapshot | Unavailable)


async def test_a_watch_of_a_closed_store_ends(store: Store) -> None:
    async with asyncio.timeout(BOUND), aclosing(store.watch((await store.load()).revision)) as batches:
        await anext(batches)
        await store.close()
        with pytest.raises(Unavailable):
            await anext(batches)


async def answers(store: Store) -> bool:
    try:
        await store.load()
    except Unavailable:
        return False
    return True


# what a test may do to the store in memory


async def test_a_paused_leader_wakes_up_to_a_fence(memory_bench: MemoryBench) -> None:
    old, new = memory_bench.database.open(), memory_bench.database.open()
    (claim,) = await old.commit([Unit((Put("leader", b"old", modified=0),))])
    old.stall()
    write = asyncio.create_task(old.commit([create("a")], Fence("leader", claim.revision)))
    await new.commit([Unit((Delete("leader"),))])
    await new.commit([Unit((Put("leader", b"new", modified=0),))])
    assert not write.done()

    old.mend()

    with pytest.raises(LeadershipLost):
        await write
    assert await values(new) == {"leader": "new"}


async def test_a_write_may_take_effect_although_its_answer_is_lost(memory_bench: MemoryBench) -> None:
    store, other = memory_bench.database.open(), memory_bench.database.open()
    store.deafen()

    with pytest.raises(Unavailable, match="may have taken effect"):
        await store.commit([create("a")])

    assert await values(other) == {"a": "x"}


async def test_managers_are_cut_off_one_by_one(memory_bench: MemoryBench) -> None:
    one, other = memory_bench.database.open(), memory_bench.database.open()
    one.cut()

    await other.commit([create("a")])

    with pytest.raises(Unavailable):
        await one.load()


# a real network between


@pytest.mark.etcd
async def test_a_partition_that_no_packet_tells_of_ends_every_call_in_time(etcd_bench: EtcdBench) -> None:
    store = await etcd_bench.open()
    await store.load()
    etcd_bench.proxy.freeze()

    async def is_ended(call: Callable[[Store], Awaitable[object]]) -> None:
        with pytest.raises(Unavailable, match="no answer in time"):
            await call(store)

    async with asyncio.timeout(4):
        await asyncio.gather(*(is_ended(call) for call in CALLS.values()))


@pytest.mark.etcd
async def test_a_watch_notices_a_silent_partition_and_an_idle_watch_lives(etcd_bench: EtcdBench) -> None:
    store = await etcd_bench.open()
    start = (await store.load()).revision

    async with asyncio.timeout(BOUND), aclosing(store.watch(start)) as batches:
        await anext(batches)
        news = asyncio.ensure_future(anext(batches))
        done, _ = await asyncio.wait({news}, timeout=2.2)
        assert not done, "an idle watch was given up"
        etcd_bench.proxy.freeze()
        with pytest.raises(Unavailable, match="no answer in time"):
            async with asyncio.timeout(4):
                await news


@pytest.mark.etcd
async def test_a_server_that_hangs_up_at_once_is_not_stormed(etcd_bench: EtcdBench) -> None:
    store = await etcd_bench.open()
    await store.load()
    await etcd_bench.proxy.hang_up()
    before = etcd_bench.proxy.accepted

    async with asyncio.TaskGroup() as callers:
        for _ in range(20):
            callers.create_task(answers(store))
    for _ in range(20):
        assert not await answers(store)

    assert etcd_bench.proxy.accepted - before < 8
