"""Letting an event loop run by hand: to rest, and through time. No test sleeps.

`settle` and `advance` move a `ManualClock`; nothing here waits for real time.
"""

import asyncio
from datetime import timedelta
from typing import Any

from swarmpy.clock import ManualClock

# Waits shorter than this only gather work, they are not what a test means by time passing.
SHORT = timedelta(milliseconds=20)
LONGEST = timedelta(milliseconds=400)
_TURNS = 50_000


async def come_to_rest() -> None:
    """Until every task waits for something that only time or the test can bring."""
    loop: Any = asyncio.get_running_loop()
    for _ in range(_TURNS):
        await asyncio.sleep(0)
        # What is scheduled to run next. Empty: we are the only one awake.
        if not loop._ready:
            return
    busy = [repr(handle) for handle in loop._ready]
    raise AssertionError(f"the event loop did not come to rest in {_TURNS} turns; awake are {busy}")


async def settle(clock: ManualClock) -> None:
    """To rest, short waits included."""
    end = clock.now() + LONGEST
    await come_to_rest()
    while (wake := clock.next_wake()) is not None and wake <= min(clock.now() + SHORT, end):
        clock.advance(max(wake - clock.now(), timedelta(0)))
        await come_to_rest()


async def advance(clock: ManualClock, seconds: float) -> None:
    """Let that much time pass, each sleeper waking at its own moment, and settle."""
    end = clock.now() + timedelta(seconds=seconds)
    await come_to_rest()
    while (wake := clock.next_wake()) is not None and wake <= end:
        clock.advance(max(wake - clock.now(), timedelta(0)))
        await come_to_rest()
    clock.advance(end - clock.now())
    await settle(clock)
