"""`swarmpy lab`: a real cluster of many nodes on this one machine."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from swarmpy.cli.options import JSON, format_option
from swarmpy.cli.render import Row, json_line, table
from swarmpy.errors import BadRequest, NotFound, Unavailable
from swarmpy.lab import commands, images, life, machine, state
from swarmpy.lab.plan import DEFAULT_MANAGERS, DEFAULT_NAME, DEFAULT_NODES, Lab, Machine, advice, chosen, machines_of
from swarmpy.lab.preflight import check_machine, check_root
from swarmpy.lab.processes import INIT, MANAGER, condition, role

COLUMNS = {
    "node": "NODE", "address": "ADDRESS", "role": "ROLE", "state": "STATE", "cut": "CUT", "socket": "SOCKET",
}  # fmt: skip

name_option = click.option(
    "--name", default=DEFAULT_NAME, envvar="SWARMPY_LAB", show_default=True, help="The lab; also SWARMPY_LAB."
)
nodes_argument = click.argument("nodes", nargs=-1, required=True, metavar="NODE...")
node_argument = click.argument("node", metavar="NODE")


@click.group()
def lab() -> None:
    """Make a real cluster of many nodes on this machine, and break it.

    Each node has its own network, host name, processes, Docker engine and disk. Needs root.
    """


@lab.command()
@name_option
@click.option("--nodes", type=int, help=f"How many.  [default: {DEFAULT_NODES}]")
@click.option("--managers", type=int, help=f"How many of them are managers.  [default: {DEFAULT_MANAGERS}]")
@click.option(
    "--engine",
    type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True),
    envvar="SWARMPY_LAB_ENGINE",
    help="A folder with another dockerd than the machine's, and what goes with it; also SWARMPY_LAB_ENGINE.",
)
def up(name: str, nodes: int | None, managers: int | None, engine: Path | None) -> None:
    """Make a lab, or complete the one there is; returns when all its nodes are ready."""
    check_machine(engine)
    try:
        made = life.up(name, nodes, managers, _say, engine)
    except (KeyboardInterrupt, click.Abort):
        click.echo(f"swarmpy: `swarmpy lab down{_named(name)}` removes what was begun", err=True)
        raise
    if hint := advice(made.managers):
        click.echo(f"swarmpy: {hint}", err=True)
    first = machines_of(made)[0]
    click.echo(f"{'cluster':<12}swarmpy --host unix://{first.swarmpy_socket} node ls")
    click.echo(f"{'inside':<12}swarmpy lab exec{_named(name)} {first.name} -- docker ps")
    click.echo(f"{'remove':<12}swarmpy lab down{_named(name)}")


@lab.command()
@name_option
@click.option("--nodes", type=int, default=1, show_default=True, help="How many more.")
@click.option("--manager", is_flag=True, help="They join as managers.")
def add(name: str, nodes: int, manager: bool) -> None:
    """Add nodes to a lab."""
    check_machine()
    life.add(name, nodes, manager=manager, say=_say)


@lab.command()
@name_option
def down(name: str) -> None:
    """Remove a lab with all that it made: also a half-made or broken one."""
    check_root()
    found = life.down(name)
    click.echo(f"lab {name} is removed" if found else f"there is no lab {name}")


@lab.command("ls")
@name_option
@format_option
def list_nodes(name: str, form: str) -> None:
    """List a lab's nodes and how they are."""
    rows = rows_of(_found(name))
    if form == JSON:
        for row in rows:
            click.echo(json_line(row))
        return
    click.echo(table(COLUMNS, [{**row, "cut": "cut" if row["cut"] else "-"} for row in rows]))


@lab.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@name_option
@node_argument
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="[--] CMD...")
def execute(name: str, node: str, command: Sequence[str]) -> NoReturn:
    """Run a command in a node, as if logged in there; ends with its exit code.

    DOCKER_HOST is the node's engine, SWARMPY_DATA_DIR its data and, on a manager, SWARMPY_HOST its socket.
    """
    each = _one(name, node)
    # click leaves the separator where options may not follow the first word.
    words = command[1:] if command[0] == "--" else command
    if not words:
        raise BadRequest("say what to run: swarmpy lab exec NODE -- CMD...")
    argv = (*commands.enter(machine.init_of(each)), *_standing(), "--", *words)
    environment = commands.environment(os.environ, each, is_manager=each.swarmpy_socket.exists())
    # `swarmpy` is found in there though it may lie in a virtual environment.
    environment["PATH"] += f":{Path(sys.executable).parent}"
    os.execvpe(argv[0], argv, environment)


@lab.command()
@name_option
@node_argument
@click.argument("port", type=click.IntRange(1, 65535))
@click.option("--port", "here", type=click.IntRange(1, 65535), help="On this machine.  [default: the same]")
def forward(name: str, node: str, port: int, here: int | None) -> None:
    """Make a port of a node's loopback reachable on this machine's, until Ctrl-C: 2378 is the status page."""
    from swarmpy.lab.forward import LOOPBACK
    from swarmpy.lab.forward import forward as forwarded

    init = machine.init_of(_one(name, node))
    click.echo(f"http://{LOOPBACK}:{here or port} leads to port {port} of {node}")
    asyncio.run(forwarded(init, port, here or port))


@lab.command()
@name_option
@click.option("--from", "source", metavar="URL", help="The engine that has them, else the docker client's own.")
@click.option("--tar", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="What `docker save` wrote.")
@click.argument("names", nargs=-1, metavar="IMAGE...")
def load(name: str, source: str | None, tar: Path | None, names: Sequence[str]) -> None:
    """Load images into all engines of a lab, side by side."""
    found = _found(name)
    if bool(names) == (tar is not None):
        raise BadRequest("say which images to load: either IMAGE... or --tar FILE")
    on = [each for each in machines_of(found) if INIT in machine.running(each)]
    with images.folder(found) as folder:
        archive = tar or Path(folder) / "images.tar"
        if tar is None:
            images.save(found, names, source, archive)
        for line in images.load(on, archive):
            click.echo(line)
    off = [each.name for each in machines_of(found) if each not in on]
    if off:
        raise Unavailable(f"not loaded into {', '.join(off)}: off; start and load again")


@lab.command()
@name_option
@nodes_argument
def cut(name: str, nodes: Sequence[str]) -> None:
    """Cut nodes off: their packets vanish, both ways and silently, and all in them runs on."""
    found = _found(name)
    for each in chosen(found, nodes):
        machine.cut(found, each)
        click.echo(each.name)


@lab.command()
@name_option
@nodes_argument
def heal(name: str, nodes: Sequence[str]) -> None:
    """Connect nodes again that were cut off."""
    found = _found(name)
    for each in chosen(found, nodes):
        machine.heal(found, each)
        click.echo(each.name)


@lab.command()
@name_option
@nodes_argument
def kill(name: str, nodes: Sequence[str]) -> None:
    """Take the power from nodes: everything in them ends at once, only their disks stay."""
    found = _found(name)
    for each in chosen(found, nodes):
        machine.power_off(found, each)
        click.echo(each.name)


@lab.command()
@name_option
@nodes_argument
@click.option("-d", "--detach", is_flag=True, help="Do not wait until they are ready.")
def start(name: str, nodes: Sequence[str], detach: bool) -> None:
    """Turn nodes on again, or start what has ended in them."""
    found = _found(name)
    life.start(found, chosen(found, nodes), _say, wait=not detach)


@lab.command()
@name_option
@nodes_argument
def pause(name: str, nodes: Sequence[str]) -> None:
    """Freeze the swarmpy processes of nodes, not their engines and containers."""
    for each in chosen(_found(name), nodes):
        machine.init_of(each)
        machine.pause(each)
        click.echo(each.name)


@lab.command()
@name_option
@nodes_argument
def resume(name: str, nodes: Sequence[str]) -> None:
    """Let paused nodes go on."""
    for each in chosen(_found(name), nodes):
        machine.init_of(each)
        machine.resume(each)
        click.echo(each.name)


@lab.command()
@name_option
@node_argument
@click.option("--engine", is_flag=True, help="Of dockerd, not of swarmpy.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
def logs(name: str, node: str, engine: bool, follow: bool) -> NoReturn:
    """Show what a node's `swarmpy up` has said, from its first day on."""
    each = _one(name, node)
    log = each.engine_log if engine else each.swarmpy_log
    if not log.exists():
        raise NotFound(f"{each.name} has no such log yet: {log}")
    os.execvp("tail", ("tail", "--lines=+1", *(("--follow=name",) if follow else ()), "--", str(log)))


def _found(name: str) -> Lab:
    check_root()
    return state.load(name)


def _one(name: str, node: str) -> Machine:
    return chosen(_found(name), [node])[0]


def rows_of(found: Lab) -> list[Row]:
    """What there is to say of each of its nodes."""
    return [_row(each) for each in machines_of(found)]


def _row(each: Machine) -> Row:
    named = machine.running(each)
    # A manager's socket outlives a crash of the manager, which its supervisor starts again.
    kind = role(each, named, has_socket=each.swarmpy_socket.exists())
    return {
        "node": each.name,
        "address": each.address,
        "role": kind,
        "state": str(condition(named)),
        "cut": each.cut_mark.exists(),
        "socket": f"unix://{each.swarmpy_socket}" if kind == MANAGER else "",
        "docker_host": each.docker_host,
        "processes": {key: process.pid for key, process in named.items()},
    }


def _standing() -> tuple[str, ...]:
    """Where the caller stands, when that is the same place in the node."""
    here = Path.cwd()
    return () if here.is_relative_to("/run") or here.is_relative_to("/proc") else (f"--wdns={here}",)


def _named(name: str) -> str:
    return "" if name == DEFAULT_NAME else f" --name {name}"


def _say(line: str) -> None:
    click.echo(line, err=True)
