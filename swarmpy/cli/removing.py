"""What is to go, goes; what cannot is named with the reason, and keeps nothing else from going."""

from collections.abc import Callable, Iterable, Sequence

import click

from swarmpy.cli.deploy import PATHS, Say, labelled, name_of
from swarmpy.client import Client
from swarmpy.errors import BadRequest, Conflict, NotFound, SwarmpyError
from swarmpy.stack.changes import Act, Kind, Operation, id_of


def take_away(client: Client, operations: Sequence[Operation], say: Say) -> int:
    """What left the file. 1 when something of it cannot go, else 0."""
    leaving = [(one.kind, one.name, one.id) for one in operations if one.act is Act.REMOVE]
    all_gone = _remove_each(client, leaving, lambda thing: say(thing, "removed, it left the file"), bears=SwarmpyError)
    return 0 if all_gone else 1


def remove_stack(client: Client, name: str, say: Say) -> int:
    """Services first, so that nobody holds the rest, and the revisions once nothing else is left. What is in use
    elsewhere stays; then the code is that of a conflict, else 0. Raises `NotFound` when there is nothing of the stack,
    not even a revision: those outlive what others have removed."""
    if not name:
        raise BadRequest("a stack has a name")
    found = [
        (kind, name_of(kind, item), id_of(kind, item))
        for kind in reversed(Kind)
        for item in labelled(client, kind, name)
    ]
    if not found and not client.get(f"/stacks/{name}/revisions"):
        raise NotFound(f"nothing found in stack: {name}")
    if not _remove_each(client, found, lambda thing: say(thing, "removed"), bears=Conflict):
        click.echo(f"swarmpy: stack {name} is not gone; remove it again when nothing uses what stays", err=True)
        return Conflict.exit_code
    client.delete(f"/stacks/{name}/revisions")
    if not found:
        say(f"stack {name}", "revisions removed, nothing else was left of it")
    return 0


def _remove_each(
    client: Client, things: Iterable[tuple[Kind, str, str]], gone: Callable[[str], None], *, bears: type[SwarmpyError]
) -> bool:
    """Whether all of them are gone. What cannot go for an error that it bears is named, and stays."""
    all_gone = True
    for kind, name, id in things:
        thing = f"{kind} {name}"
        try:
            client.delete(f"{PATHS[kind]}/{id}")
        except NotFound:
            # Somebody else was faster.
            continue
        except bears as error:
            click.echo(f"swarmpy: {thing} stays: {error}", err=True)
            all_gone = False
        else:
            gone(thing)
    return all_gone
