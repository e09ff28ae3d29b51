"""The only source of randomness: fresh ids and jitter. Pure code is handed their results."""

import random
import secrets
from collections.abc import Callable

from swarmpy.ids import id_from_number

Mint = Callable[[], str]


def new_id() -> str:
    """A fresh id of 128 random bits, in Docker's form."""
    return id_from_number(secrets.randbits(128))


class CountingIds:
    """Ids 1, 2, 3, ... for tests that must be reproducible."""

    def __init__(self) -> None:
        self._last = 0

    def __call__(self) -> str:
        self._last += 1
        return id_from_number(self._last)


def jitter() -> float:
    """A number in [-1, 1] to spread retries and heartbeats."""
    return random.uniform(-1.0, 1.0)


def new_query_id() -> int:
    """Of a DNS query: 16 bits that nobody can guess, so that nobody can answer in another's place."""
    return secrets.randbits(16)
