"""Trying again ends: with a result, after so many attempts, or in time."""

import asyncio
from datetime import timedelta

import pytest

from swarmpy.clock import ManualClock
from swarmpy.errors import Conflict, Unavailable
from swarmpy.retry import retrying


class Flaky:
    """Fails so many times, then answers."""

    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self.calls = 0
        self._failures = failures
        self._error = error or Unavailable("away")

    async def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self._failures:
            raise self._error
        return "answer"


async def finish(clock: ManualClock, flaky: Flaky, *, attempts: int = 5, within: float = 60) -> str:
    """Try, while the clock jumps to each next wake-up."""
    trying = asyncio.ensure_future(
        retrying(flaky, on=Unavailable, clock=clock, within=timedelta(seconds=within), attempts=attempts)
    )
    while not trying.done():
        await asyncio.sleep(0)
        if (wake := clock.next_wake()) is not None:
            clock.advance(wake - clock.now())
    return await trying


async def test_a_call_that_succeeds_is_made_once() -> None:
    flaky, clock = Flaky(0), ManualClock()

    assert await finish(clock, flaky) == "answer"
    assert (flaky.calls, clock.monotonic()) == (1, 0)


async def test_a_call_that_recovers_gives_its_answer() -> None:
    flaky = Flaky(3)

    assert await finish(ManualClock(), flaky) == "answer"
    assert flaky.calls == 4


async def test_the_last_error_is_told_when_attempts_are_used_up() -> None:
    flaky = Flaky(99)

    with pytest.raises(Unavailable, match="away"):
        await finish(ManualClock(), flaky, attempts=3)
    assert flaky.calls == 3


async def test_no_attempt_begins_after_the_time_allowed() -> None:
    flaky, clock = Flaky(10_000), ManualClock()

    with pytest.raises(Unavailable):
        await finish(clock, flaky, attempts=10_000, within=30)
    assert clock.monotonic() <= 30
    # Waits grow to two seconds, so thirty of them take few calls.
    assert 15 <= flaky.calls < 300


async def test_other_errors_are_not_retried() -> None:
    flaky = Flaky(1, Conflict("someone wrote first"))

    with pytest.raises(Conflict):
        await finish(ManualClock(), flaky)
    assert flaky.calls == 1
