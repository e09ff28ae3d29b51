"""What a command waits for, and how long: known before it waits. The waiting itself is in `waiting`."""

from dataclasses import dataclass
from datetime import timedelta

from swarmpy.errors import BadRequest
from swarmpy.stack.units import parse_positive_duration


def parse_timeout(text: str) -> timedelta:
    try:
        return parse_positive_duration(text)
    except ValueError as error:
        raise BadRequest(f"--timeout: {error}; --detach does not wait") from error


@dataclass(frozen=True, slots=True)
class Awaited:
    """`services` are names by id; `before` the tasks there were before the change; `changed` the services changed."""

    services: dict[str, str]
    before: frozenset[str]
    changed: frozenset[str]
