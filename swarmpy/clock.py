"""The only reader of clocks. Pure code gets a `datetime`; shells take a `Clock`."""

import asyncio
import time
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    def now(self) -> datetime:
        """Wall time, UTC, aware."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean anything."""
        ...

    async def sleep(self, duration: timedelta) -> None: ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, duration: timedelta) -> None:
        await asyncio.sleep(max(0.0, duration.total_seconds()))


class ManualClock:
    """Time that a test moves by hand. `advance` wakes the sleepers that are due, in order of their time."""

    def __init__(self, start: datetime = datetime(2030, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._now = start
        self._sleepers: list[tuple[datetime, int, asyncio.Event]] = []
        self._count = 0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return (self._now - self._start).total_seconds()

    async def sleep(self, duration: timedelta) -> None:
        if duration <= timedelta(0):
            await asyncio.sleep(0)
            return
        self._count += 1
        due = asyncio.Event()
        self._sleepers.append((self._now + duration, self._count, due))
        await due.wait()

    def next_wake(self) -> datetime | None:
        """When the earliest sleeper is due; None when nobody sleeps."""
        return min(self._sleepers)[0] if self._sleepers else None

    def advance(self, duration: timedelta) -> None:
        self._now += duration
        due = sorted(entry for entry in self._sleepers if entry[0] <= self._now)
        self._sleepers = [entry for entry in self._sleepers if entry[0] > self._now]
        for _, _, event in due:
            event.set()


async def within(clock: Clock, limit: timedelta, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`; raises `TimeoutError`, and ends the work, when the clock passes `limit` first."""
    task = asyncio.ensure_future(work)
    alarm = asyncio.ensure_future(clock.sleep(limit))
    try:
        await asyncio.wait((task, alarm), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise TimeoutError
    finally:
        for part in (task, alarm):
            if not part.done():
                part.cancel()
        await asyncio.gather(task, alarm, return_exceptions=True)
