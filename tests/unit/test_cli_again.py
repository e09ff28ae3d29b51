"""Edits of what others edit at the same time."""

from typing import Any

import pytest

from swarmpy.cli.again import edited_in_turn, told_who_was_faster
from swarmpy.errors import BadRequest, Conflict, OutOfSequence


class Contended:
    """A version that someone else moves on before each of the first `others` writes."""

    def __init__(self, others: int) -> None:
        self.others = others
        self.version = 0
        self.written: list[int] = []

    def edit(self) -> int:
        seen = self.version
        if self.others:
            self.others -= 1
            self.version += 1
        if seen != self.version:
            raise OutOfSequence
        self.written.append(seen)
        return seen


@pytest.mark.parametrize("others", [0, 1, 9])
def test_an_edit_is_made_again_of_what_is_there_by_then(others: int) -> None:
    service = Contended(others)
    assert edited_in_turn(service.edit) == others
    assert service.written == [others]


@pytest.mark.parametrize("way", [edited_in_turn, told_who_was_faster])
def test_who_is_never_the_fastest_is_told_what_to_do(way: Any) -> None:
    with pytest.raises(Conflict, match=r"someone else was faster; look at what is there now, and run it again$"):
        way(Contended(100).edit)


def test_another_refusal_is_final() -> None:
    tries: list[int] = []

    def refused() -> None:
        tries.append(1)
        raise BadRequest("no")

    with pytest.raises(BadRequest):
        edited_in_turn(refused)
    assert len(tries) == 1
