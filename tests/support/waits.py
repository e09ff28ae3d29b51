"""Waiting for what happens by itself."""

import asyncio
from collections.abc import Callable

BOUND = 20


async def until(is_so: Callable[[], bool]) -> None:
    """Raises `TimeoutError` when it is not so in time."""
    async with asyncio.timeout(BOUND):
        while not is_so():
            await asyncio.sleep(0.001)
