"""Removing several things by name: one that fails does not keep the others from being removed."""

from collections.abc import Callable, Sequence

import click

from swarmpy.cli.options import print_became
from swarmpy.errors import SwarmpyError


def remove_each(kind: str, names: Sequence[str], remove: Callable[[str], None], form: str) -> int:
    """Says each name that is gone; returns the exit code of the first failure, else 0."""
    code = 0
    for name in names:
        try:
            remove(name)
        except SwarmpyError as error:
            click.echo(f"swarmpy: {error}", err=True)
            code = code or error.exit_code
        else:
            print_became(kind, name, "removed", form)
    return code
