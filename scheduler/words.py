"""Amounts in words, for reasons that people read.

The same few amounts come again for every node that lacks something, hence the caches.
"""

from collections.abc import Iterable
from functools import lru_cache

_UNITS = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


@lru_cache(maxsize=4096)
def bytes_text(amount: int) -> str:
    """`512 MiB`, `1.2 GiB`."""
    for size, unit in _UNITS:
        if abs(amount) >= size:
            return f"{_short(amount / size)} {unit}"
    return f"{amount} bytes"


@lru_cache(maxsize=4096)
def cpus_text(nano_cpus: int) -> str:
    """`0.25`, `2`."""
    return f"{nano_cpus / 1e9:.3f}".rstrip("0").rstrip(".")


def joined(words: Iterable[str]) -> str:
    return ", ".join(words)


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
