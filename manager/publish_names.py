"""Keeps the names of services and tasks where a CoreDNS of the operators reads them, for one term of the leader.

Decides nothing itself: what is to be there is `skydns`'s.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta

from manager.dispatcher.network_map import endpoints_of, services_of
from manager.ledger import Ledger, Subscription
from manager.skydns import Layout, Records, name_records, plan_writes
from manager.state import State
from manager.store.published import PublishedKeys
from swarmpy.clock import Clock, within
from swarmpy.errors import LeadershipLost, Unavailable
from swarmpy.logs import logger
from swarmpy.network_map import NetworkMap

log = logger("names")

Mapped = Callable[[State], NetworkMap]


def mapped_everywhere(state: State) -> NetworkMap:
    """The services and endpoints of all networks, as the nodes there are told them."""
    services = (entry for service in state.services.values() for entry in services_of(state, service))
    endpoints = (entry for task in state.tasks.values() for entry in endpoints_of(state, task))
    return NetworkMap.model_construct(peers=(), services=tuple(services), endpoints=tuple(endpoints))


class NamePublisher:
    """Without `published` it does nothing."""

    # Changes come together, and who reads them is not told sooner than CoreDNS asks.
    GATHER = timedelta(milliseconds=200)
    # What others have changed there is mended.
    LOOK_AGAIN = timedelta(minutes=1)
    RETRY = timedelta(seconds=1)

    def __init__(
        self,
        ledger: Ledger,
        published: PublishedKeys | None,
        clock: Clock,
        layout: Layout,
        mapped: Mapped = mapped_everywhere,
    ) -> None:
        self._ledger = ledger
        self._published = published
        self._clock = clock
        self._layout = layout
        self._mapped = mapped
        self._have: Records | None = None
        self._looked = 0.0
        self._trouble = ""

    async def run(self) -> None:
        """Until cancelled. Raises `LeadershipLost` when another manager leads."""
        if self._published is None:
            await asyncio.Event().wait()
            return
        changes = self._ledger.subscribe()
        try:
            while True:
                is_done = await self._publish(self._published)
                await self._wait(changes, self.LOOK_AGAIN if is_done else self.RETRY)
        finally:
            self._ledger.unsubscribe(changes)

    async def _publish(self, published: PublishedKeys) -> bool:
        fence = self._ledger.fence
        if fence is None:
            raise LeadershipLost("this manager does not lead the cluster")
        try:
            have = await self._known(published)
            # No pause between here and the decision.
            want = dict(self._wanted())
            writes = plan_writes(want, have)
            # Until it is known how the writes ended, nothing is.
            self._have = None
            if writes:
                await published.write(writes.put, writes.drop, fence)
                log.debug("names.published", put=len(writes.put), dropped=len(writes.drop))
            self._have = want
        except Unavailable as reason:
            if isinstance(reason, LeadershipLost):
                raise
            self._tell(str(reason))
            return False
        self._tell("")
        return True

    async def _known(self, published: PublishedKeys) -> Records:
        now = self._clock.monotonic()
        if self._have is None or now - self._looked >= self.LOOK_AGAIN.total_seconds():
            found = [await published.load(prefix) for prefix in self._layout.prefixes]
            self._have = {
                key: value for part in found for key, value in part.items() if self._layout.is_ours(key, value)
            }
            self._looked = now
        return self._have

    def _wanted(self) -> Iterator[tuple[str, bytes]]:
        state = self._ledger.state
        names = {id: network.spec.name for id, network in state.networks.items() if not network.spec.ingress}
        told = self._mapped(state)
        yield from name_records(self._layout, names, told.services, told.endpoints).items()

    async def _wait(self, changes: Subscription, pause: timedelta) -> None:
        with suppress(TimeoutError):
            await within(self._clock, pause, changes.wait())
            await self._clock.sleep(self.GATHER)
        changes.take()

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            log.warning("names.not_published", reason=trouble)
        self._trouble = trouble
