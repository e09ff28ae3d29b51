"""Edits of what others may edit at the same time: read, changed, written, and that again when they were faster."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from swarmpy.errors import Conflict, OutOfSequence

Result = TypeVar("Result")

# Of each round of writers one is through.
_TRIES = 10


def edited_in_turn(edit: Callable[[], Result]) -> Result:
    """`edit` reads what there is, and raises `OutOfSequence` when someone else wrote before it did. It must mean the
    same whatever they wrote."""
    for _ in range(_TRIES - 1):
        with suppress(OutOfSequence):
            return edit()
    return told_who_was_faster(edit)


def told_who_was_faster(write: Callable[[], Result]) -> Result:
    """For what is not to be tried again unseen."""
    try:
        return write()
    except OutOfSequence as error:
        raise Conflict(f"{error}: someone else was faster; look at what is there now, and run it again") from error
