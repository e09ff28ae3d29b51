"""Forgets the store's old history, which else grows for ever. Runs on the leader."""

from collections import deque
from contextlib import suppress
from datetime import timedelta

from manager.ledger import Ledger
from manager.store.port import Revision, Store
from swarmpy.clock import Clock
from swarmpy.errors import Unavailable
from swarmpy.logs import logger

log = logger("history")

EVERY = timedelta(minutes=1)
# A watch that was lost for less than this resumes without loading everything again.
KEPT_FOR = timedelta(minutes=10)
KEPT_REVISIONS = 10_000


async def compact_history(store: Store, ledger: Ledger, clock: Clock) -> None:
    """Until cancelled: keep ten minutes of history, or less where so much happens."""
    seen: deque[tuple[float, Revision]] = deque()
    done: Revision = 0
    while True:
        await clock.sleep(EVERY)
        tick, revision = clock.monotonic(), ledger.state.revision
        seen.append((tick, revision))
        old = 0
        while seen and seen[0][0] <= tick - KEPT_FOR.total_seconds():
            old = seen.popleft()[1]
        before = max(old, revision - KEPT_REVISIONS)
        if before > done:
            with suppress(Unavailable):
                await store.compact(before)
                log.debug("history.compacted", before=before)
                done = before
