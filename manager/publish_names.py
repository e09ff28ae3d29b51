"""Keeps the names of services and tasks where a CoreDNS of the operators reads them, for one term of the leader.

Decides nothing itself: what is to be there is the `NameBook`'s.
"""

import asyncio
from collections.abc import Collection, Iterable
from datetime import timedelta
from itertools import islice

from manager.ledger import Ledger, Subscription
from manager.name_book import NameBook, services_renamed
from manager.skydns import Layout, NameWrites, Records, plan_writes
from manager.store.published import PublishedKeys
from swarmpy.clock import Clock, within
from swarmpy.errors import LeadershipLost, Unavailable
from swarmpy.logs import logger

log = logger("names")


class NamePublisher:
    """Without `published` it does nothing."""

    # Changes come together, and who reads them is not told sooner than CoreDNS asks.
    GATHER = timedelta(milliseconds=200)
    # What others have changed there is mended.
    LOOK_AGAIN = timedelta(minutes=1)
    RETRY = timedelta(seconds=1)
    # In seconds. Others wait no longer for their turn.
    BREATH = 0.01
    KEYS_AT_ONCE = 2000

    def __init__(self, ledger: Ledger, published: PublishedKeys | None, clock: Clock, layout: Layout) -> None:
        self._ledger = ledger
        self._published = published
        self._clock = clock
        self._layout = layout
        self._book = NameBook(layout)
        # What is there; None where that is not known.
        self._have: dict[str, bytes] | None = None
        # Services to look at, and keys that may not be there as the book has them.
        self._renamed: set[str] = set()
        self._suspects: set[str] = set()
        self._look_at = self._last_breath = clock.monotonic()
        self._trouble = ""

    async def run(self) -> None:
        """Until cancelled. Raises `LeadershipLost` when another manager leads."""
        if self._published is None:
            await asyncio.Event().wait()
            return
        changes = self._ledger.subscribe()
        try:
            while True:
                if await self._publish(self._published):
                    await self._wait(changes)
                else:
                    await self._clock.sleep(self.RETRY)
        finally:
            self._ledger.unsubscribe(changes)

    async def _publish(self, published: PublishedKeys) -> bool:
        fence = self._ledger.fence
        if fence is None:
            raise LeadershipLost("this manager does not lead the cluster")
        try:
            have = await self._known(published)
            await self._revise()
            writes = await self._plan(have)
            self._suspects.clear()
            # Until it is known how the writes ended, nothing is.
            self._have = None
            if writes:
                await published.write(writes.put, writes.drop, fence)
                log.debug("names.published", put=len(writes.put), dropped=len(writes.drop))
            have.update(writes.put)
            for key in writes.drop:
                del have[key]
            self._have = have
        except Unavailable as reason:
            if isinstance(reason, LeadershipLost):
                raise
            self._tell(str(reason))
            return False
        self._tell("")
        return True

    async def _known(self, published: PublishedKeys) -> dict[str, bytes]:
        """What is there; now and then looked at anew, and the book with it."""
        now = self._clock.monotonic()
        if self._have is not None and now < self._look_at:
            return self._have
        have: dict[str, bytes] = {}
        for prefix in self._layout.prefixes:
            for key, value in (await published.load(prefix)).items():
                if self._layout.is_ours(key, value):
                    have[key] = value
                await self._breathe()
        self._have = have
        self._look_at = now + self.LOOK_AGAIN.total_seconds()
        self._renamed.update(self._all_services())
        self._suspects.update(have, self._book.records)
        return have

    async def _revise(self) -> None:
        """In steps: the picture may change between two. What it changes to comes with the next changes."""
        while self._renamed:
            for keys in self._book.revising(self._ledger.state, self._renamed.pop()):
                self._suspects.update(keys)
                await self._breathe()

    async def _plan(self, have: Records) -> NameWrites:
        put: dict[str, bytes] = {}
        drop: list[str] = []
        suspects = iter(self._suspects)
        while portion := tuple(islice(suspects, self.KEYS_AT_ONCE)):
            part = plan_writes(self._book.records, have, portion)
            put.update(part.put)
            drop += part.drop
            await self._breathe()
        return NameWrites(put, tuple(drop))

    def _all_services(self) -> Iterable[str]:
        return {*self._ledger.state.services, *self._book.services}

    async def _wait(self, changes: Subscription) -> None:
        """Until something is to be published: changes that concern no name wake nobody."""
        while not self._take(changes):
            left = timedelta(seconds=self._look_at - self._clock.monotonic())
            try:
                await within(self._clock, max(left, timedelta(0)), changes.wait())
            except TimeoutError:
                return
            await self._clock.sleep(self.GATHER)

    def _take(self, changes: Subscription) -> Collection[str]:
        """The services to look at by now."""
        state, taken = self._ledger.state, changes.take()
        if taken is None:
            self._renamed.update(self._all_services())
        else:
            self._renamed.update(id for change in taken for id in services_renamed(state, change))
        return self._renamed

    async def _breathe(self) -> None:
        if self._clock.monotonic() - self._last_breath > self.BREATH:
            await asyncio.sleep(0)
            self._last_breath = self._clock.monotonic()

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            log.warning("names.not_published", reason=trouble)
        self._trouble = trouble
