"""Trying again: exponential back-off with jitter, bounded in time and attempts."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from swarmpy.clock import Clock

T = TypeVar("T")


async def retrying(
    call: Callable[[], Awaitable[T]],
    *,
    on: type[Exception] | tuple[type[Exception], ...],
    clock: Clock,
    within: timedelta,
    attempts: int,
    first_wait: timedelta = timedelta(milliseconds=50),
    longest_wait: timedelta = timedelta(seconds=2),
) -> T:
    """The result of `call`, which is repeated while it raises `on`; its last error when that does not help.

    No new attempt begins later than `within` after the first, nor after that many `attempts`.
    """
    started = clock.monotonic()

    def is_too_late(state: RetryCallState) -> bool:
        return clock.monotonic() + state.upcoming_sleep - started > within.total_seconds()

    async def attempt() -> T:
        return await call()

    async def sleep(seconds: float) -> None:
        await clock.sleep(timedelta(seconds=seconds))

    retries = AsyncRetrying(
        retry=retry_if_exception_type(on),
        stop=lambda state: is_too_late(state) or stop_after_attempt(attempts)(state),
        wait=wait_random_exponential(
            multiplier=2 * first_wait.total_seconds(), min=first_wait.total_seconds(), max=longest_wait.total_seconds()
        ),
        sleep=sleep,
        reraise=True,
    )
    return await retries(attempt)
