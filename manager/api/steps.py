"""Long work in small steps, so that whoever drives it can let others in between. Pure."""

from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")

# Yields between two steps, none of which takes long; returns what was made.
Steps = Generator[None, None, Made]


def at_once(steps: Steps[Made]) -> Made:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            made: Made = end.value
            return made


def each(items: Iterable[Item], make: Callable[[Item], Made]) -> Steps[list[Made]]:
    """One item a step."""
    made = []
    for item in items:
        made.append(make(item))
        yield
    return made
