"""What every store promises of reading, writing, fences and leases."""

import asyncio
from datetime import timedelta

import pytest
from support.stores import StoreBench, create, delete, entry_of, put, values, watched

from manager.store.errors import CommitConflict, LeaseLost
from manager.store.pack import MAX_BYTES, MAX_WRITES
from manager.store.port import Batch, Change, Check, Delete, Entry, Fence, Put, Revision, Store, Unit
from swarmpy.errors import BadRequest, LeadershipLost

TTL = timedelta(seconds=1)


async def a_term(store: Store, leader: str = "m1") -> Fence:
    (claim,) = await store.commit([Unit((Put("leader", leader.encode(), modified=0),))])
    return Fence("leader", claim.revision)


# reading and writing


async def test_a_fresh_store_is_empty(store: Store) -> None:
    assert (await store.load()).entries == ()


async def test_what_was_written_is_loaded_at_the_revision_of_the_write(store: Store) -> None:
    (batch,) = await store.commit([create("tasks/1", "one")])

    snapshot = await store.load()

    assert snapshot.revision == batch.revision
    assert snapshot.entries == (Entry("tasks/1", b"one", batch.revision, batch.revision),)


async def test_each_manager_sees_what_another_wrote(bench: StoreBench) -> None:
    one, other = await bench.open(), await bench.open()

    await one.commit([create("tasks/1", "one")])

    assert await values(other) == {"tasks/1": "one"}


async def test_a_rewrite_keeps_the_birth_and_a_rebirth_does_not(store: Store) -> None:
    (first,) = await store.commit([create("a")])
    (second,) = await store.commit([put("a", "again", modified=first.revision)])
    rewritten = await entry_of(store, "a")
    await store.commit([delete("a")])
    (last,) = await store.commit([create("a")])

    assert second.changes == (Change("a", rewritten),)
    assert (rewritten.created, rewritten.modified) == (first.revision, second.revision)
    assert (await entry_of(store, "a")).created == last.revision


async def test_a_write_over_whatever_is_there_needs_no_version(store: Store) -> None:
    (first,) = await store.commit([put("a", "one")])
    (second,) = await store.commit([put("a", "two")])

    assert await entry_of(store, "a") == Entry("a", b"two", first.revision, second.revision)
    assert second.changes[0].entry == Entry("a", b"two", first.revision, second.revision)


async def test_writing_over_a_newer_version_is_refused(store: Store) -> None:
    (first,) = await store.commit([create("a", "one")])
    await store.commit([put("a", "two", modified=first.revision)])

    with pytest.raises(CommitConflict, match="someone else wrote first: a;") as refusal:
        await store.commit([put("a", "three", modified=first.revision)])

    assert refusal.value.written == ()
    assert refusal.value.refused == (put("a", "three", modified=first.revision),)
    assert await values(store) == {"a": "two"}


async def test_creating_what_exists_is_refused(store: Store) -> None:
    await store.commit([create("names/services/web", "1")])

    with pytest.raises(CommitConflict):
        await store.commit([create("names/services/web", "2")])

    assert await values(store) == {"names/services/web": "1"}


async def test_rewriting_what_is_gone_is_refused(store: Store) -> None:
    (born,) = await store.commit([create("a")])
    await store.commit([delete("a")])

    with pytest.raises(CommitConflict):
        await store.commit([put("a", "again", modified=born.revision)])

    assert await values(store) == {}


async def test_deleting_a_newer_version_is_refused(store: Store) -> None:
    (born,) = await store.commit([create("a")])
    await store.commit([put("a", "newer")])

    with pytest.raises(CommitConflict):
        await store.commit([delete("a", modified=born.revision)])

    assert await values(store) == {"a": "newer"}


async def test_deleting_what_is_not_there_changes_nothing(store: Store) -> None:
    before = (await store.load()).revision

    assert await store.commit([delete("a")]) == ()
    assert (await store.load()).revision == before


async def test_only_the_deletes_that_had_an_effect_are_told(store: Store) -> None:
    await store.commit([create("a")])

    (batch,) = await store.commit([Unit((Delete("a"), Delete("b"), Put("c", b"x")))])

    assert [change.key for change in batch.changes] == ["a", "c"]
    assert batch.changes[0].entry is None


async def test_a_check_writes_nothing_and_refuses_when_the_key_has_moved(store: Store) -> None:
    (born,) = await store.commit([create("service")])
    guarded = Unit((Check("service", born.revision), Put("task", b"x", modified=0)))

    (batch,) = await store.commit([guarded])
    assert [change.key for change in batch.changes] == ["task"]
    assert await store.commit([Unit((Check("service", born.revision),))]) == ()

    await store.commit([put("service", "newer"), delete("task")])
    with pytest.raises(CommitConflict):
        await store.commit([guarded])
    assert await values(store) == {"service": "newer"}


async def test_a_unit_is_written_whole_or_not_at_all(store: Store) -> None:
    await store.commit([create("b")])

    with pytest.raises(CommitConflict):
        await store.commit([Unit((Put("a", b"x", modified=0), Put("b", b"y", modified=0), Put("c", b"x")))])

    assert await values(store) == {"b": "x"}


async def test_nothing_to_write_is_no_error(store: Store) -> None:
    assert await store.commit([]) == ()


# many units


async def test_a_thousand_units_take_a_few_transactions(store: Store) -> None:
    units = [create(f"tasks/{number:04}", str(number)) for number in range(1_000)]

    batches = await store.commit(units)

    assert len(batches) == 8
    assert await values(store) == {f"tasks/{number:04}": str(number) for number in range(1_000)}


async def test_what_commit_returns_is_what_a_watch_tells(store: Store) -> None:
    start = (await store.load()).revision
    batches = await store.commit([create(f"tasks/{number:04}") for number in range(300)])
    batches += await store.commit([delete(f"tasks/{number:04}") for number in range(0, 300, 2)])
    batches += await store.commit([put(f"tasks/{number:04}", "newer") for number in range(200, 300)])

    assert await watched(store, start, batches[-1].revision) == list(batches)


async def test_the_largest_unit_is_one_revision_and_a_larger_one_is_refused(store: Store) -> None:
    largest = [Put(f"a/{number}", b"x") for number in range(MAX_WRITES)]

    (batch,) = await store.commit([Unit(tuple(largest))])
    with pytest.raises(BadRequest, match="129 keys"):
        await store.commit([create("small"), Unit((*largest, Put("one/more", b"x")))])

    assert len(batch.changes) == MAX_WRITES
    assert "small" not in await values(store)


async def test_units_are_never_cut_at_the_edge_of_a_transaction(store: Store) -> None:
    units = [Unit(tuple(Put(f"{unit}/{key}", b"x", modified=0) for key in range(50))) for unit in range(5)]

    batches = await store.commit(units)

    assert [len(batch.changes) for batch in batches] == [100, 100, 50]


async def test_values_too_large_for_one_transaction_are_spread_over_several(store: Store) -> None:
    large = "x" * 600_000

    batches = await store.commit([create(f"configs/{number}", large) for number in range(4)])

    assert [len(batch.changes) for batch in batches] == [2, 2]
    assert await values(store) == {f"configs/{number}": large for number in range(4)}


async def test_a_value_too_large_for_any_transaction_is_refused(store: Store) -> None:
    with pytest.raises(BadRequest, match="make it smaller"):
        await store.commit([create("configs/1", "x" * MAX_BYTES)])


async def test_a_unit_that_names_a_key_twice_is_refused(store: Store) -> None:
    with pytest.raises(BadRequest, match="names a key twice"):
        await store.commit([Unit((Put("a", b"1"), Delete("a")))])


async def test_a_later_unit_stands_upon_an_earlier_one(store: Store) -> None:
    await store.commit([create("a", "1"), put("a", "2"), delete("b"), create("b", "1"), delete("a"), create("a", "3")])

    assert await values(store) == {"a": "3", "b": "1"}


async def test_sound_units_are_written_although_others_of_their_transaction_are_refused(store: Store) -> None:
    await store.commit([create("tasks/3"), create("tasks/150")])
    units = [create(f"tasks/{number}", "new") for number in range(200)]

    with pytest.raises(CommitConflict) as refusal:
        await store.commit(units)

    assert refusal.value.refused == (units[3], units[150])
    told = [change.key for batch in refusal.value.written for change in batch.changes]
    assert told == [f"tasks/{number}" for number in range(200) if number not in (3, 150)]
    found = await values(store)
    assert [key for key, value in found.items() if value == "x"] == ["tasks/150", "tasks/3"]
    assert len(found) == 200


async def test_of_writers_that_race_for_one_version_exactly_one_wins(bench: StoreBench) -> None:
    stores = [await bench.open() for _ in range(4)]
    (born,) = await stores[0].commit([create("a", "nobody")])

    outcomes = await asyncio.gather(
        *(store.commit([put("a", str(number), born.revision)]) for number, store in enumerate(stores)),
        return_exceptions=True,
    )

    winners = [number for number, outcome in enumerate(outcomes) if not isinstance(outcome, BaseException)]
    assert len(winners) == 1
    assert all(isinstance(outcome, CommitConflict) for outcome in outcomes if isinstance(outcome, BaseException))
    assert await values(stores[0]) == {"a": str(winners[0])}


# fences


async def test_a_leader_writes_under_its_term(store: Store) -> None:
    term = await a_term(store)

    await store.commit([create("a")], term)
    await store.commit([put("leader", "m1, still")])
    await store.commit([create("b")], term)

    assert {"a", "b"} <= set(await values(store))


async def test_a_former_leader_can_write_nothing(bench: StoreBench) -> None:
    old, new = await bench.open(), await bench.open()
    term = await a_term(old, "old")
    await new.commit([delete("leader")])
    newer_term = await a_term(new, "new")

    with pytest.raises(LeadershipLost, match="another manager leads"):
        await old.commit([create(f"tasks/{number}") for number in range(300)], term)

    await new.commit([create("a")], newer_term)
    assert set(await values(new)) == {"leader", "a"}


async def test_with_no_leader_at_all_a_fenced_write_is_refused(store: Store) -> None:
    term = await a_term(store)
    await store.commit([delete("leader")])

    with pytest.raises(LeadershipLost):
        await store.commit([create("a")], term)

    assert await values(store) == {}


async def test_a_broken_fence_counts_more_than_a_broken_condition(store: Store) -> None:
    term = await a_term(store)
    await store.commit([create("a"), delete("leader")])

    with pytest.raises(LeadershipLost):
        await store.commit([create("a"), create("b")], term)


async def test_a_leader_can_resign_under_its_own_fence(store: Store) -> None:
    term = await a_term(store)

    await store.commit([Unit((Delete("leader"),))], term)

    assert await values(store) == {}


async def test_fenced_units_are_packed_to_the_limit_too(store: Store) -> None:
    term = await a_term(store)

    batches = await store.commit([create(f"tasks/{number}") for number in range(MAX_WRITES)], term)

    assert sum(len(batch.changes) for batch in batches) == MAX_WRITES


# leases


async def claim_with_lease(store: Store, key: str) -> tuple[int, Revision]:
    lease = await store.grant(TTL)
    (batch,) = await store.commit([Unit((Put(key, b"x", modified=0, lease=lease),))])
    return lease, batch.revision


async def test_a_lease_takes_its_keys_along_and_watchers_are_told(bench: StoreBench, store: Store) -> None:
    _, written = await claim_with_lease(store, "leader")

    await bench.pass_time(TTL)
    (news,) = await watched(store, written, written + 1)

    assert news == Batch(written + 1, (Change("leader", None),))
    assert await values(store) == {}


async def test_a_lease_kept_alive_lives_on(bench: StoreBench, store: Store) -> None:
    lease, _ = await claim_with_lease(store, "leader")

    for _ in range(3):
        await bench.pass_time(TTL * 0.6)
        assert await store.keep_alive(lease) == TTL

    assert set(await values(store)) == {"leader"}


async def test_a_lease_that_expired_cannot_be_renewed(bench: StoreBench, store: Store) -> None:
    lease, written = await claim_with_lease(store, "leader")
    await bench.pass_time(TTL)
    await watched(store, written, written + 1)

    with pytest.raises(LeaseLost):
        await store.keep_alive(lease)
    with pytest.raises(LeaseLost):
        await store.commit([Unit((Put("leader", b"x", lease=lease),))])


async def test_a_lease_given_back_takes_its_keys_along_at_once(store: Store) -> None:
    lease, _ = await claim_with_lease(store, "leader")
    await store.commit([create("other")])

    await store.revoke(lease)
    await store.revoke(lease)

    assert set(await values(store)) == {"other"}


async def test_a_key_rewritten_without_its_lease_outlives_it(store: Store) -> None:
    lease, _ = await claim_with_lease(store, "a")
    await store.commit([put("a", "mine now")])

    await store.revoke(lease)

    assert await values(store) == {"a": "mine now"}
