"""Removing several things by name: one that fails does not keep the others from being removed."""

from collections.abc import Callable, Sequence

import click

from swarmpy.errors import SwarmpyError


def remove_each(names: Sequence[str], remove: Callable[[str], None]) -> int:
    """Says each name that is gone; returns the exit code of the first failure, else 0."""
    code = 0
    for name in names:
        try:
            remove(name)
        except SwarmpyError as error:
            click.echo(f"swarmpy: {error}", err=True)
            code = code or error.exit_code
        else:
            click.echo(name)
    return code
