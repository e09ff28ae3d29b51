"""The last events, and those to come, for whoever listens. Decides neither what an event is nor who may see it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from manager.api.events import event_of
from manager.ledger import Ledger
from swarmpy.clock import Clock
from swarmpy.models.event import Event


class Journal:
    """A ring of the last events. A listener that falls too far behind loses the oldest of its own."""

    REMEMBERED = 256
    WAITING = 4096

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._past: deque[Event] = deque(maxlen=self.REMEMBERED)
        self._listeners: set[Listener] = set()

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Events are recorded while this is open."""
        keeper = asyncio.create_task(self._keep(), name="journal of events")
        try:
            yield
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    @contextmanager
    def listening(self) -> Iterator[tuple[tuple[Event, ...], "Listener"]]:
        """What is remembered, and a listener for what follows: nothing is missed or told twice in between."""
        listener = Listener(self.WAITING)
        self._listeners.add(listener)
        try:
            yield tuple(self._past), listener
        finally:
            self._listeners.discard(listener)

    async def _keep(self) -> None:
        # The first snapshot is no news.
        await self._ledger.synced.wait()
        changes = self._ledger.subscribe()
        try:
            while True:
                await changes.wait()
                # Where more came than can be told of, it is lost to listeners, as with too slow a listener.
                for change in changes.take() or ():
                    event = event_of(change, self._clock.now())
                    if event is not None:
                        self._record(event)
        finally:
            self._ledger.unsubscribe(changes)

    def _record(self, event: Event) -> None:
        self._past.append(event)
        for listener in self._listeners:
            listener.tell(event)


class Listener:
    def __init__(self, limit: int) -> None:
        self._events: deque[Event] = deque(maxlen=limit)
        self._wake = asyncio.Event()

    def tell(self, event: Event) -> None:
        self._events.append(event)
        self._wake.set()

    async def next(self) -> Event:
        while not self._events:
            self._wake.clear()
            await self._wake.wait()
        return self._events.popleft()
