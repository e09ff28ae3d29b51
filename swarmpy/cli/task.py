"""`swarmpy task`: single tasks, whole."""

from collections.abc import Sequence

import click

from swarmpy.cli.options import connected, format_option, print_inspected


@click.group()
def task() -> None:
    """Look at single tasks."""


@task.command()
@click.argument("ids", nargs=-1, required=True, metavar="TASK...")
@format_option
def inspect(ids: Sequence[str], form: str) -> None:
    """Show tasks whole, with the reason of one that does not run."""
    with connected() as client:
        print_inspected([client.get(f"/tasks/{task_id}") for task_id in ids], form)
