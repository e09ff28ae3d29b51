"""What a command waits for, and how long: known before it waits. The waiting itself is in `waiting`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import click

from swarmpy.client import Client, Object
from swarmpy.errors import BadRequest
from swarmpy.stack.units import parse_positive_duration

# So many services are named; `service ps` takes any number.
_MOST_NAMES = 5


def parse_timeout(text: str) -> timedelta:
    try:
        return parse_positive_duration(text)
    except ValueError as error:
        raise BadRequest(f"--timeout: {error}; --detach does not wait") from error


@dataclass(frozen=True, slots=True)
class Awaited:
    """`services` are names by id; `before` the tasks there were before the change, of whatever wish; `changed` the
    services changed. `is_rollback` when a rollback is what was asked for, so that its end is no failure; `from_file`
    when a mended wish comes from a file, and not from a command's flags; `held` are updates that a hand had paused
    before, as `held.held_updates` finds them."""

    services: dict[str, str]
    before: frozenset[str]
    changed: frozenset[str]
    is_rollback: bool = False
    from_file: bool = False
    held: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def is_changed(client: Client, before: Object, *, with_credentials: bool = False) -> bool:
    """Whether a service that was written got another wish. That its version is another one may be the work of the
    manager's loop; only credentials, which nobody is shown, have no other sign."""
    after = client.get(f"/services/{before['ID']}")
    if with_credentials and after["Version"]["Index"] != before["Version"]["Index"]:
        return True
    return bool(after["Spec"] != before["Spec"])


def how_to_look(awaited: Awaited) -> str:
    """What to do when one did not wait to the end."""
    names = sorted(awaited.services.values())
    shown = " ".join(names[:_MOST_NAMES]) + (" ..." if len(names) > _MOST_NAMES else "")
    return f"`swarmpy service ps {shown}` shows how it gets on"


def tell_detached(awaited: Awaited) -> None:
    """On standard error: what a command prints is read by scripts."""
    if awaited.services:
        click.echo(f"not waited for; {how_to_look(awaited)}", err=True)
