"""Printing lists of tasks: of a service, a stack, a node."""

from collections.abc import Mapping, Sequence

import click

from swarmpy.cli.options import print_rows
from swarmpy.cli.views import TASK_COLUMNS, names_of_nodes, names_of_services, task_rows
from swarmpy.client import Client
from swarmpy.clock import SystemClock


def print_tasks(
    client: Client, filters: Mapping[str, Sequence[str]], *, form: str, quiet: bool = False, whole: bool = False
) -> int:
    """Prints the tasks that match; returns how many there were."""
    tasks = client.get("/tasks", filters=filters)
    if quiet:
        for task in tasks:
            click.echo(task["ID"] if whole else task["ID"][:12])
        return len(tasks)
    services = names_of_services(client.get("/services"))
    nodes = names_of_nodes(client.get("/nodes"))
    print_rows(TASK_COLUMNS, task_rows(tasks, services, nodes, SystemClock().now(), whole=whole), form)
    return len(tasks)
