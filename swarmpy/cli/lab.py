"""`swarmpy lab`: a cluster of many nodes on this one machine, with real engines and a real network."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import click

from swarmpy.cli.options import JSON, format_option, print_rows
from swarmpy.cli.render import json_line
from swarmpy.errors import BadRequest
from swarmpy.lab.lab import DEFAULT_ENGINE, Lab, run_in

COLUMNS = {
    "Node": "NODE",
    "Address": "ADDRESS",
    "State": "STATE",
    "Swarmpy": "SWARMPY",
    "Socket": "SOCKET",
}
nodes_argument = click.argument("nodes", nargs=-1, required=True, metavar="NODE...")


@click.group()
@click.option("--name", default="lab", show_default=True, help="Of the lab; several may be there at once.")
@click.pass_context
def lab(context: click.Context, name: str) -> None:
    """Make a cluster of many nodes on this one Linux machine, and do to it what happens to clusters.

    Each node has an address, a host name, a Docker engine and a swarmpy of its own.
    """
    context.obj = name


def this_lab() -> Lab:
    name = click.get_current_context().parent
    assert name is not None
    return Lab(name.obj, lambda line: click.echo(f"lab: {line}", err=True))


@lab.command()
@click.option("--nodes", default=3, show_default=True, help="How many.")
@click.option("--managers", default=1, show_default=True, help="How many of them are managers.")
def up(nodes: int, managers: int) -> None:
    """Bring a lab up; every node is ready when this ends."""
    made = this_lab()
    made.up(nodes, managers)
    first = made.plan.nodes[0]
    click.echo(f"{nodes} nodes are ready, {managers} of them {'manager' if managers == 1 else 'managers'}")
    click.echo(f"try:  swarmpy --host unix://{made.folders.api_socket(first)} node ls")
    click.echo(f"or:   swarmpy lab{_name_option(made)} exec {first.name} -- swarmpy node ls")


@lab.command()
@click.option("--nodes", default=1, show_default=True, help="How many more.")
@click.option("--managers", is_flag=True, help="As managers, not as workers.")
def add(nodes: int, managers: bool) -> None:
    """Add nodes to the lab."""
    this_lab().add(nodes, managers=managers)


@lab.command("ls")
@format_option
def list_nodes(form: str) -> None:
    """List the nodes of the lab, as this machine sees them."""
    rows = this_lab().rows()
    if form == JSON:
        for row in rows:
            click.echo(json_line(row))
    else:
        print_rows(COLUMNS, rows, form)


@lab.command("exec", context_settings={"ignore_unknown_options": True})
@click.argument("node")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
def execute(node: str, command: Sequence[str]) -> int:
    """Run a command on a node: there, `docker` and `swarmpy` are that node's."""
    return run_in(this_lab().machine(node), command)


@lab.command()
@click.argument("images", nargs=-1, metavar="[IMAGE...]")
@click.option("--tar", "archive", type=click.Path(path_type=Path, exists=True), help="What `docker save` wrote.")
@click.option("--from", "engine", default=DEFAULT_ENGINE, show_default=True, help="Engine that has the images.")
def load(images: Sequence[str], archive: Path | None, engine: str) -> None:
    """Bring images to every node, where no registry is."""
    if bool(images) == bool(archive):
        raise BadRequest("name images, or an archive of them with --tar")
    this_lab().load(images, archive, engine)


@lab.command()
@nodes_argument
def cut(nodes: Sequence[str]) -> None:
    """Cut nodes off from the network: nothing passes, and nothing says so."""
    this_lab().cut(nodes)


@lab.command()
@nodes_argument
def heal(nodes: Sequence[str]) -> None:
    """Connect nodes again that were cut off."""
    this_lab().heal(nodes)


@lab.command()
@nodes_argument
def kill(nodes: Sequence[str]) -> None:
    """Take nodes the power away: all that runs on them is gone at once, their disks stay."""
    this_lab().kill(nodes)


@lab.command()
@nodes_argument
def start(nodes: Sequence[str]) -> None:
    """Turn nodes on again."""
    this_lab().start(nodes)


@lab.command()
@nodes_argument
def pause(nodes: Sequence[str]) -> None:
    """Stop swarmpy on nodes in the middle of things (SIGSTOP); engine and containers go on."""
    this_lab().signal(nodes, signal.SIGSTOP)


@lab.command()
@nodes_argument
def resume(nodes: Sequence[str]) -> None:
    """Let swarmpy on paused nodes go on."""
    this_lab().signal(nodes, signal.SIGCONT)


@lab.command()
@click.argument("node")
@click.option("--engine", is_flag=True, help="The engine's, not swarmpy's.")
@click.option("-f", "--follow", is_flag=True, help="Go on as it grows.")
def logs(node: str, engine: bool, follow: bool) -> int:
    """Show what swarmpy on a node said."""
    made = this_lab()
    file = made.folders.log(made.plan.node(node), "engine" if engine else "swarmpy")
    if not follow:
        click.echo(file.read_text(errors="replace") if file.exists() else "", nl=False)
        return 0
    return subprocess.run(["tail", "-n", "+1", "-F", str(file)], check=False, env={**os.environ}).returncode


@lab.command()
def down() -> None:
    """Remove the lab: processes, network, disks, also of one that is half made or broken."""
    made = this_lab()
    click.echo("the lab is gone" if made.down() else "there is no lab")


def _name_option(made: Lab) -> str:
    return "" if made.folders.lab == "lab" else f" --name {made.folders.lab}"
