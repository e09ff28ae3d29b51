"""Moments after a failure: waiting for them, and the clock that they are told by. Knows no clusters."""

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TypeVar

from swarmpy.clock import SystemClock

LIMIT, POLL = 120.0, 0.05
# Attempts under way at once; more than are made while the first of them is still given time.
ATTEMPTS = 150

T = TypeVar("T")


class NotAnswered(Exception):
    """The other side is away, or refused."""


def wait_until(what: str, look: Callable[[], T], limit: float = LIMIT, every: float = POLL) -> T:
    """The first true thing that `look` returns; not being answered is no answer yet."""
    deadline = time.monotonic() + limit
    said: object = "nothing"
    while True:
        try:
            if seen := look():
                return seen
        except NotAnswered as error:
            said = error
        if time.monotonic() > deadline:
            sys.exit(f"waited {limit:g} s in vain until {what}; last error: {said}")
        time.sleep(every)


def now() -> float:
    """By the clock that engines and managers stamp with."""
    return SystemClock().now().timestamp()


def stamp(told: str) -> float:
    """Of a time in the API's words, which has more digits than Python reads."""
    head, _, digits = told.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{head}.{(digits + '000000')[:6]}+00:00").timestamp()


def soonest(attempt: Callable[[], bool], begun: float, every: float) -> float:
    """When an attempt first succeeded, in seconds after the failure. One that hangs keeps no later one from it."""
    done, ended = threading.Event(), []

    def once() -> None:
        try:
            if attempt():
                ended.append(now() - begun)
                done.set()
        except NotAnswered:
            return

    deadline = time.monotonic() + LIMIT
    with ThreadPoolExecutor(ATTEMPTS) as pool:
        while not done.wait(every):
            if time.monotonic() > deadline:
                sys.exit(f"not within {LIMIT:g} s: what follows a failure")
            pool.submit(once)
        pool.shutdown(cancel_futures=True)
    return min(ended)
