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
from manager.store.port import Batch, Fence, Revision, Store, Unit
from swarmpy.clock import Clock
from swarmpy.errors import LeadershipLost, Unavailable
from swarmpy.logs import logger

log = logger("ledger")


class Subscription:
    """Changes waiting for one reader. One that falls too far behind is told so and must look at everything again."""

    LIMIT = 100_000

    def __init__(self) -> None:
        self._changes: list[Changed] = []
        self._wake = asyncio.Event()
        self.overflowed = False

    def publish(self, changes: Sequence[Changed]) -> None:
        if len(self._changes) + len(changes) > self.LIMIT:
            self._changes.clear()
            self.overflowed = True
        else:
            self._changes.extend(changes)
        self._wake.set()

    def take(self) -> tuple[Changed, ...]:
        """What has come since the last call, possibly nothing."""
        taken = tuple(self._changes)
        self._changes.clear()
        self._wake.clear()
        return taken

    async def wait(self) -> None:
        """Until there is something to take (or `poke` was called)."""
        await self._wake.wait()

    def poke(self) -> None:
        self._wake.set()


class Ledger:
    """`fence` is None while this manager does not lead. `stale_since` is set while the store cannot be reached:
    the state is then the last one known. `synced` is set once the first snapshot is folded."""

    def __init__(self, store: Store, clock: Clock, *, retry_every: timedelta = timedelta(milliseconds=500)) -> None:
        self.state = State()
        self.fence: Fence | None = None
        self.stale_since: datetime | None = None
        self.stale_reason = ""
        self.synced = asyncio.Event()
        self._store = store
        self._clock = clock
        self._retry_every = retry_every
        self._subscriptions: list[Subscription] = []

    @property
    def is_leading(self) -> bool:
        return self.fence is not None

    def subscribe(self) -> Subscription:
        subscription = Subscription()
        self._subscriptions.append(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        self._subscriptions.remove(subscription)

    async def commit(self, units: Sequence[Unit]) -> None:
        """Write under this manager's term and fold what was written.

        Raises `LeadershipLost` when this manager does not lead, `CommitConflict` (what is sound is written all the
        same), `Unavailable` with a reason when the store is away.
        """
        if self.fence is None:
            raise LeadershipLost("this manager does not lead the cluster; ask the leader")
        if not units:
            return
        try:
            batches = await self._store.commit(units, self.fence)
        except CommitConflict as conflict:
            self._fold(conflict.written)
            raise
        except LeadershipLost:
            self.fence = None
            raise
        except Unavailable as reason:
            self.mark_stale(str(reason))
            raise
        self._fold(batches)

    async def follow(self) -> None:
        """Keep the state in step with the store, for ever: load, then watch; load again when history is gone."""
        watched: Revision | None = None
        while True:
            try:
                if watched is None:
                    snapshot = await self._store.load()
                    self._publish(self.state.reset(snapshot))
                    watched = snapshot.revision
                self._mark_fresh()
                async with aclosing(self._store.watch(watched)) as batches:
                    async for batch in batches:
                        self._fold((batch,))
                        self.state.forget_deletions(batch.revision)
                        watched = batch.revision
            except HistoryGone:
                log.info("store.history_gone", revision=watched)
                watched = None
            except Unavailable as reason:
                self.mark_stale(str(reason))
                await self._clock.sleep(self._retry_every)

    def mark_stale(self, reason: str) -> None:
        if self.stale_since is None:
            self.stale_since = self._clock.now()
            self.stale_reason = reason
            log.warning("store.lost", reason=reason)

    def _mark_fresh(self) -> None:
        if self.stale_since is not None:
            log.info("store.back", revision=self.state.revision)
        self.stale_since = None
        self.stale_reason = ""
        self.synced.set()

    def _fold(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            self._publish(self.state.apply(batch))

    def _publish(self, changes: Sequence[Changed]) -> None:
        if changes:
            for subscription in self._subscriptions:
                subscription.publish(changes)
