"""A store in memory, with real revisions, leases, watches and compaction.

`MemoryDatabase` is the database; each manager holds its own `MemoryStore` on it, whose connection a test may cut,
stall or make deaf. Persists nothing.
"""

import asyncio
import bisect
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from manager.store.committing import Refused, Written, commit_units
from manager.store.errors import CommitConflict, HistoryGone, LeaseLost
from manager.store.pack import Transaction, refused_units
from manager.store.port import Batch, Change, Check, Entry, Fence, LeaseID, Put, Revision, Snapshot, Store, Unit, Write
from swarmpy.clock import Clock, SystemClock
from swarmpy.errors import BadRequest, LeadershipLost, Unavailable


@dataclass(slots=True)
class _Lease:
    ttl: timedelta
    deadline: timedelta
    keys: set[str] = field(default_factory=set)


class MemoryDatabase:
    """What the handles share. Leases run on `clock`."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.revision: Revision = 1
        self._clock = clock or SystemClock()
        self._entries: dict[str, Entry] = {}
        self._history: list[Batch] = []
        self._oldest: Revision = 0
        self._leases: dict[LeaseID, _Lease] = {}
        self._holder: dict[str, LeaseID] = {}
        self._last_lease: LeaseID = 0
        self._sleepers: dict[LeaseID, asyncio.Task[None]] = {}
        # In order, so that a history that is told again wakes them in the same order.
        self._watchers: dict[asyncio.Event, None] = {}
        self._handles: set[MemoryStore] = set()

    def open(self) -> "MemoryStore":
        """A new connection. The last one to close ends the database's own tasks; its contents stay."""
        return MemoryStore(self)

    def know_handle(self, handle: "MemoryStore") -> None:
        self._handles.add(handle)

    def forget_handle(self, handle: "MemoryStore") -> None:
        self._handles.discard(handle)
        self.wake_watchers()
        if not self._handles:
            for sleeper in self._sleepers.values():
                sleeper.cancel()
            self._sleepers.clear()

    # reading

    def snapshot(self) -> Snapshot:
        self._expire()
        return Snapshot(self.revision, tuple(self._entries[key] for key in sorted(self._entries)))

    def since(self, after: Revision) -> Sequence[Batch]:
        """What came later than `after`; `HistoryGone` when some of it is forgotten."""
        self._expire()
        if after + 1 < self._oldest:
            raise HistoryGone(f"the store keeps no history before revision {self._oldest}; load again")
        return self._history[bisect.bisect_right(self._history, after, key=lambda batch: batch.revision) :]

    @contextmanager
    def watcher(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever there may be news."""
        event = asyncio.Event()
        self._watchers[event] = None
        try:
            yield event
        finally:
            del self._watchers[event]

    def wake_watchers(self) -> None:
        for event in self._watchers:
            event.set()

    # writing

    def transact(self, transaction: Transaction, fence: Fence | None) -> Written | Refused:
        self._expire()
        if fence is not None:
            held = self._entries.get(fence.key)
            if held is None or held.created != fence.created:
                return Refused((), fence_holds=False)
        refused = refused_units(transaction, self._modified)
        if refused:
            return Refused(refused, fence_holds=True)
        for unit in transaction:
            for write in unit.writes:
                if isinstance(write, Put) and write.lease is not None:
                    self._lease(write.lease)
        revision = self.revision + 1
        changes = [self._write(write, revision) for unit in transaction for write in unit.writes]
        return Written(self._record(revision, [change for change in changes if change is not None]))

    def compact(self, before: Revision) -> None:
        if before > self.revision + 1:
            raise BadRequest(f"revision {before} is still to come (now {self.revision}); nothing compacted")
        self._oldest = max(self._oldest, before)
        self._history = [batch for batch in self._history if batch.revision >= self._oldest]
        self.wake_watchers()

    def _modified(self, key: str) -> Revision:
        entry = self._entries.get(key)
        return entry.modified if entry else 0

    def _write(self, write: Write, revision: Revision) -> Change | None:
        if isinstance(write, Check):
            return None
        known = self._entries.get(write.key)
        if not isinstance(write, Put):
            return self._remove(write.key)
        self._detach(write.key)
        if write.lease is not None:
            self._leases[write.lease].keys.add(write.key)
            self._holder[write.key] = write.lease
        entry = Entry(write.key, write.value, known.created if known else revision, revision)
        self._entries[write.key] = entry
        return Change(write.key, entry)

    def _remove(self, key: str) -> Change | None:
        self._detach(key)
        return None if self._entries.pop(key, None) is None else Change(key, None)

    def _detach(self, key: str) -> None:
        holder = self._holder.pop(key, None)
        if holder in self._leases:
            self._leases[holder].keys.discard(key)

    def _record(self, revision: Revision, changes: list[Change]) -> Batch | None:
        if not changes:
            return None
        batch = Batch(revision, tuple(changes))
        self.revision = revision
        self._history.append(batch)
        self.wake_watchers()
        return batch

    # leases

    def grant(self, ttl: timedelta) -> LeaseID:
        self._last_lease += 1
        lease = self._last_lease
        self._leases[lease] = _Lease(ttl, self._now() + ttl)
        self._sleepers[lease] = asyncio.create_task(self._expire_in_time(lease))
        return lease

    def keep_alive(self, lease: LeaseID) -> timedelta:
        self._expire()
        held = self._lease(lease)
        held.deadline = self._now() + held.ttl
        return held.ttl

    def revoke(self, lease: LeaseID) -> None:
        held = self._leases.pop(lease, None)
        sleeper = self._sleepers.pop(lease, None)
        if held is None:
            return
        if sleeper is not None and sleeper is not asyncio.current_task():
            sleeper.cancel()
        changes = [self._remove(key) for key in sorted(held.keys)]
        self._record(self.revision + 1, [change for change in changes if change is not None])

    def _lease(self, lease: LeaseID) -> _Lease:
        if lease not in self._leases:
            raise LeaseLost(f"lease {lease} has expired; its keys are gone")
        return self._leases[lease]

    def _expire(self) -> None:
        now = self._now()
        for lease in [lease for lease, held in self._leases.items() if held.deadline <= now]:
            self.revoke(lease)

    async def _expire_in_time(self, lease: LeaseID) -> None:
        """So that watchers hear of an expiry although nobody calls."""
        while lease in self._leases:
            await self._clock.sleep(self._leases[lease].deadline - self._now())
            self._expire()

    def _now(self) -> timedelta:
        return timedelta(seconds=self._clock.monotonic())


class MemoryStore(Store):
    """One manager's connection to a `MemoryDatabase`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        database.know_handle(self)
        self._running = asyncio.Event()
        self._running.set()
        self._trouble = ""
        self._is_deaf = False
        self._cuts = 0

    # what a test does to the connection

    def cut(self, why: str = "connection refused") -> None:
        """From now on every call is `Unavailable`, and running watches fail."""
        self._trouble = f"the store in memory cannot be reached: {why}"
        self._cuts += 1
        self._database.wake_watchers()

    def deafen(self) -> None:
        """Commits arrive and take effect, but their answers are lost: `Unavailable`."""
        self._is_deaf = True

    def stall(self) -> None:
        """The holder is paused: its calls are carried out, and its watches told, only after `mend`."""
        self._running.clear()

    def mend(self) -> None:
        """All is well again; a watch that was cut stays failed and must be called anew."""
        self._trouble = ""
        self._is_deaf = False
        self._running.set()

    # the port

    async def load(self) -> Snapshot:
        await self._reach()
        return self._database.snapshot()

    async def commit(self, units: Sequence[Unit], fence: Fence | None = None) -> tuple[Batch, ...]:
        try:
            batches = await commit_units(units, fence, self._transact)
        except (CommitConflict, LeadershipLost):
            self._require_hearing()
            raise
        self._require_hearing()
        return batches

    async def _transact(self, transaction: Transaction, fence: Fence | None) -> Written | Refused:
        await self._reach()
        return self._database.transact(transaction, fence)

    async def watch(self, after: Revision) -> AsyncGenerator[Batch, None]:
        await self._reach()
        cuts = self._cuts
        with self._database.watcher() as news:
            self._database.since(after)
            yield Batch(after, ())
            while True:
                news.clear()
                for batch in self._database.since(after):
                    await self._require_uncut(cuts)
                    after = batch.revision
                    yield batch
                await self._require_uncut(cuts)
                await news.wait()

    async def grant(self, ttl: timedelta) -> LeaseID:
        await self._reach()
        return self._database.grant(ttl)

    async def keep_alive(self, lease: LeaseID) -> timedelta:
        await self._reach()
        return self._database.keep_alive(lease)

    async def revoke(self, lease: LeaseID) -> None:
        await self._reach()
        self._database.revoke(lease)

    async def compact(self, before: Revision) -> None:
        await self._reach()
        self._database.compact(before)

    async def close(self) -> None:
        """Running watches fail; so does every later call."""
        self.cut("this handle is closed")
        self._running.set()
        self._database.forget_handle(self)

    async def _require_uncut(self, cuts: int) -> None:
        await self._running.wait()
        if self._cuts != cuts:
            raise Unavailable(self._trouble or "the watch of the store in memory was cut; watch again")

    def _require_hearing(self) -> None:
        if self._is_deaf:
            raise Unavailable("the store in memory did not answer; the write may have taken effect")

    async def _reach(self) -> None:
        # A real store never answers before others had a turn; nor does this one.
        await asyncio.sleep(0)
        await self._running.wait()
        if self._trouble:
            raise Unavailable(self._trouble)
