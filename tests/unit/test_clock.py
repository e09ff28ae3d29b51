"""Time moved by hand, and work that must not take longer than that."""

import asyncio
from datetime import timedelta

import pytest
from support.stepping import advance, come_to_rest

from swarmpy.clock import ManualClock, within

SECOND = timedelta(seconds=1)


async def test_sleepers_wake_when_they_are_due_and_not_before() -> None:
    clock = ManualClock()
    sleeping = asyncio.create_task(clock.sleep(2 * SECOND))
    await advance(clock, 1.9)
    assert not sleeping.done()
    await advance(clock, 0.1)

    assert sleeping.done()


async def test_work_done_in_time_gives_its_result() -> None:
    async def work() -> int:
        return 7

    assert await within(ManualClock(), SECOND, work()) == 7


async def test_work_that_fails_raises_what_it_raised() -> None:
    async def work() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await within(ManualClock(), SECOND, work())


async def test_work_that_takes_too_long_is_ended() -> None:
    clock = ManualClock()
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")

    waiting = asyncio.create_task(within(clock, SECOND, work()))
    await advance(clock, 1.5)

    with pytest.raises(TimeoutError):
        await waiting
    assert ended == ["work"]


async def test_who_is_cancelled_while_waiting_leaves_no_work_behind() -> None:
    clock = ManualClock()
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")

    waiting = asyncio.create_task(within(clock, SECOND, work()))
    await come_to_rest()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert ended == ["work"]
