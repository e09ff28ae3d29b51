"""What is to go, goes; what cannot is named with the reason, and keeps nothing else from going."""

from collections.abc import Sequence

import click

from swarmpy.cli.deploy import PATHS, Say, labelled, name_of
from swarmpy.client import Client
from swarmpy.errors import BadRequest, Conflict, NotFound, SwarmpyError
from swarmpy.stack.changes import Act, Kind, Operation, id_of


def take_away(client: Client, operations: Sequence[Operation], say: Say) -> int:
    """What left the file. 1 when something of it cannot go, else 0."""
    code = 0
    for operation in operations:
        if operation.act is not Act.REMOVE:
            continue
        thing = f"{operation.kind} {operation.name}"
        try:
            client.delete(f"{PATHS[operation.kind]}/{operation.id}")
        except NotFound:
            # Somebody else was faster.
            continue
        except SwarmpyError as error:
            click.echo(f"swarmpy: {thing} is kept: {error}", err=True)
            code = 1
        else:
            say(thing, "removed, it left the file")
    return code


def remove_stack(client: Client, name: str, say: Say) -> int:
    """Services first, so that nobody holds the rest, and the revisions once nothing else is left. What is in use
    elsewhere stays; then the code is that of a conflict, else 0. Raises `NotFound` when there is nothing of the stack,
    not even a revision: those outlive what others have removed."""
    if not name:
        raise BadRequest("a stack has a name")
    found = [(kind, item) for kind in reversed(Kind) for item in labelled(client, kind, name)]
    if not found and not client.get(f"/stacks/{name}/revisions"):
        raise NotFound(f"nothing found in stack: {name}")
    stays = False
    for kind, item in found:
        thing = f"{kind} {name_of(kind, item)}"
        try:
            client.delete(f"{PATHS[kind]}/{id_of(kind, item)}")
        except NotFound:
            continue
        except Conflict as error:
            click.echo(f"swarmpy: {thing} stays: {error}", err=True)
            stays = True
        else:
            say(thing, "removed")
    if stays:
        click.echo(f"swarmpy: stack {name} is not gone; remove it again when nothing uses what stays", err=True)
        return Conflict.exit_code
    client.delete(f"/stacks/{name}/revisions")
    if not found:
        say(f"stack {name}", "revisions removed, nothing else was left of it")
    return 0
