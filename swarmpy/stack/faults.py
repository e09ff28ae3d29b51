"""What is wrong with a configuration, gathered while it is converted, so that all of it is said at once. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from swarmpy.errors import BadRequest
from swarmpy.stack.tree import Path

Value = TypeVar("Value")


@dataclass(slots=True)
class Faults:
    """Paths and sentences, in the order found. Those of `doubts` are for a warning."""

    found: list[tuple[Path, str]] = field(default_factory=list)
    doubts: list[tuple[Path, str]] = field(default_factory=list)

    def add(self, path: Path, text: str) -> None:
        self.found.append((path, text))

    def doubt(self, path: Path, text: str) -> None:
        self.doubts.append((path, text))

    def check(self, path: Path, value: str, check: Callable[[str], None]) -> None:
        """The check raises `BadRequest`, or `ValueError`, with the sentence."""
        try:
            check(value)
        except (BadRequest, ValueError) as error:
            self.add(path, str(error))

    def choose(self, path: Path, value: str | None, choices: Sequence[str]) -> str | None:
        """The value, or None with a fault when it is none of the choices."""
        if value is None or value in choices:
            return value
        self.add(path, f"{value!r} is none of {', '.join(choices)}")
        return None

    def read(self, path: Path, value: str | None, reads: Callable[[str], Value]) -> Value | None:
        """What the reader makes of the value, or None with its complaint."""
        if value is None:
            return None
        try:
            return reads(value)
        except ValueError as error:
            self.add(path, str(error))
            return None
