"""The one place where a manager reads its picture of the cluster and writes to the store.

Owns the `State`, the leader's fence and the announcement of changes. Decides nothing. Control loop, dispatcher and
API share one Ledger; all run on one event loop, so a reader sees no half-folded batch.
"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime, timedelta

from manager.state import Changed, State
from manager.store.errors import CommitConflict, HistoryGone
from manager.store.keys import LEADER
from manager.store.port import Batch, Check, Fence, Revision, Store, Unit
from swarmpy.clock import Clock
from swarmpy.errors import LeadershipLost, Unavailable
from swarmpy.logs import logger

log = logger("ledger")


class Subscription:
    """Changes waiting for one reader."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._changes: list[Changed] = []
        self._wake = asyncio.Event()
        self._fell_behind = False

    def publish(self, changes: Sequence[Changed]) -> None:
        if self._fell_behind or len(self._changes) + len(changes) > self._limit:
            self._changes.clear()
            self._fell_behind = True
        else:
            self._changes.extend(changes)
        self._wake.set()

    def take(self) -> tuple[Changed, ...] | None:
        """What has come since the last call, possibly nothing. None for a reader that fell too far behind: it looks at
        the whole state again, which shows all that has come."""
        taken = None if self._fell_behind else tuple(self._changes)
        self._changes.clear()
        self._fell_behind = False
        self._wake.clear()
        return taken

    async def wait(self) -> None:
        """Until there is something to take (or `poke` was called)."""
        await self._wake.wait()

    def poke(self) -> None:
        self._wake.set()


class Ledger:
    """`fence` is None while this manager does not lead. `stale_since` is set while the store cannot be reached:
    the state is then the last one known. `synced` is set once the first snapshot is folded. `second_tries` are held one
    at a time, by whoever decides anew since somebody wrote first; newcomers wait for them."""

    # Changes that a reader may be behind.
    BACKLOG = 100_000

    def __init__(self, store: Store, clock: Clock, *, retry_every: timedelta = timedelta(milliseconds=500)) -> None:
        self.state = State()
        self.fence: Fence | None = None
        self.stale_since: datetime | None = None
        self.stale_reason = ""
        self.synced = asyncio.Event()
        self.second_tries = asyncio.Lock()
        self._store = store
        self._clock = clock
        self._retry_every = retry_every
        self._subscriptions: list[Subscription] = []
        self._own_meanwhile: list[Batch] | None = None

    @property
    def is_leading(self) -> bool:
        return self.fence is not None

    def subscribe(self) -> Subscription:
        subscription = Subscription(self.BACKLOG)
        self._subscriptions.append(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        self._subscriptions.remove(subscription)

    async def commit(self, units: Sequence[Unit]) -> None:
        """Write under this manager's term and fold what was written.

        Raises `LeadershipLost` when this manager does not lead, `CommitConflict` (what is sound is written all the
        same), `Unavailable` with a reason when the store is away.
        """
        fence = self.fence
        if fence is None:
            raise LeadershipLost("this manager does not lead the cluster; ask the leader")
        if not units:
            return
        try:
            batches = await self._store.commit(units, fence)
        except CommitConflict as conflict:
            self._fold_own(conflict.written)
            raise
        except LeadershipLost:
            # A late refusal of an earlier term says nothing of the present one.
            if self.fence == fence:
                self.fence = None
            raise
        except Unavailable as reason:
            self.mark_stale(str(reason))
            raise
        self._fold_own(batches)
        self.mark_fresh()

    async def confirm(self) -> None:
        """Make sure that this manager leads at this moment, so that its picture lacks nothing that others wrote. One
        that was paused may long have been replaced and not know it yet. Raises what `commit` does."""
        if self.fence is None:
            raise LeadershipLost("this manager does not lead the cluster; ask the leader")
        await self.commit([Unit((Check(LEADER, self.fence.created),))])

    async def follow(self) -> None:
        """Keep the state in step with the store, for ever: load, then watch; load again when history is gone.

        Fresh means that a watch stands: a store that can be read but not watched is still stale.
        """
        watched: Revision | None = None
        while True:
            try:
                if watched is None:
                    watched = await self._load()
                async with aclosing(self._store.watch(watched)) as batches:
                    async for batch in batches:
                        self._fold((batch,))
                        self.state.told_until(batch.revision)
                        watched = batch.revision
                        self.mark_fresh()
            except HistoryGone:
                log.info("store.history_gone", revision=watched)
                watched = None
            except Unavailable as reason:
                self.mark_stale(str(reason))
                await self._clock.sleep(self._retry_every)

    async def _load(self) -> Revision:
        # What this manager commits while the snapshot is on its way must not be unlearnt: the control loop would
        # decide the same once more.
        meanwhile: list[Batch] = []
        self._own_meanwhile = meanwhile
        try:
            snapshot = await self._store.load()
        finally:
            self._own_meanwhile = None
        self._publish(self.state.reset(snapshot, meanwhile), woken=True)
        return snapshot.revision

    def mark_stale(self, reason: str) -> None:
        if self.stale_since is None:
            self.stale_since = self._clock.now()
            self.stale_reason = reason
            log.warning("store.lost", reason=reason)

    def mark_fresh(self) -> None:
        if self.stale_since is not None:
            log.info("store.back", revision=self.state.revision)
        self.stale_since = None
        self.stale_reason = ""
        self.synced.set()

    def _fold_own(self, batches: Sequence[Batch]) -> None:
        if self._own_meanwhile is not None:
            self._own_meanwhile.extend(batches)
        self._fold(batches)

    def _fold(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            leader = self.state.leader
            self._publish(self.state.apply(batch), woken=self.state.leader != leader)

    def _publish(self, changes: Sequence[Changed], *, woken: bool = False) -> None:
        """Tell every reader; a change of leader, which changes no object, only wakes them."""
        for subscription in self._subscriptions:
            if changes:
                subscription.publish(changes)
            elif woken:
                subscription.poke()
