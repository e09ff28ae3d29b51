"""`swarmpy install`: this machine runs a node as a service from now on, or no longer."""

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import click

from swarmpy.cli.up import parse_labels
from swarmpy.errors import BadRequest
from swarmpy.node.install import Machine, Step, install_steps, is_installed, look_around, take, uninstall_steps
from swarmpy.node.unit import UNIT, Service
from swarmpy.settings import DEFAULT_DATA_DIR, DEFAULT_LISTEN_ADDRESS
from swarmpy.tokens import parse_address, parse_join, port_of

ROOT = click.Path(path_type=Path, resolve_path=True, file_okay=False, exists=True)
STDIN = "-"
LONGEST_JOIN = 4096


@dataclass(frozen=True, slots=True)
class Target:
    """Where to install, and whether to do it or to tell it."""

    root: Path | None
    dry_run: bool
    machine: Machine


@click.command()
@click.option("--join", metavar="TOKEN@HOST:PORT", help="Become a member of this cluster; - reads it from stdin.")
@click.option("--listen-address", metavar="HOST:PORT", help="As of `swarmpy up`.")
@click.option("--advertise-address", metavar="HOST[:PORT]", help="As of `swarmpy up`.")
@click.option("--label", "labels", multiple=True, metavar="KEY[=VALUE]", help="As of `swarmpy up`. Repeat.")
@click.option("--no-packages", is_flag=True, help="Install no engine and no etcd.")
@click.option("--no-start", is_flag=True, help="Start with the machine the next time, not now.")
@click.option("--root", type=ROOT, metavar="DIR", help="Write into another root file system; run and start nothing.")
@click.option("--dry-run", is_flag=True, help="Print what would be written and done.")
@click.option("--uninstall", is_flag=True, help="Stop the service and remove it; the node's data stays.")
def install(root: Path | None, dry_run: bool, uninstall: bool, **given: Any) -> None:
    """Run a node on this machine as a service of systemd, from now on and at each start.

    Installs Docker's engine and etcd from Debian's packages where they are missing. Given again, it replaces the
    options of the service and starts it anew; containers keep running.
    """
    if root is None and not dry_run and os.geteuid() != 0:
        raise BadRequest("swarmpy install changes the system: run it as root, or look at --dry-run")
    target = Target(root, dry_run, look_around(root))
    if uninstall:
        _uninstall(target, [name for name, value in given.items() if value])
    else:
        _install(target, **given)


def _install(
    target: Target,
    join: str | None,
    listen_address: str | None,
    advertise_address: str | None,
    labels: tuple[str, ...],
    no_packages: bool,
    no_start: bool,
) -> None:
    start = not no_start and target.root is None
    _check_options(listen_address, advertise_address, labels)
    wish = _join_text(join)
    executable, places = _program()
    service = Service(
        executable=executable,
        program_places=places,
        listen_address=listen_address,
        advertise_address=advertise_address,
        labels=labels,
        joins=wish is not None or target.machine.has_join_file,
    )
    if start and not target.dry_run:
        _check_startable(service, target.machine)
    steps = install_steps(service, wish, target.machine, packages=not no_packages, start=start)
    if _taken(target, steps):
        _tell_what_next(started=start)


def _uninstall(target: Target, given: Sequence[str]) -> None:
    if given:
        raise BadRequest(f"--uninstall takes no --{given[0].replace('_', '-')}")
    if not is_installed(target.root):
        click.echo("swarmpy is not installed as a service here: nothing to do")
        return
    if _taken(target, uninstall_steps(target.machine)):
        click.echo(
            f"kept: {DEFAULT_DATA_DIR} (who this node is, and its data), its containers, the group swarmpy, packages"
        )
        click.echo("a node that shall not come back leaves its cluster: swarmpy leave")


def _taken(target: Target, steps: Sequence[Step]) -> bool:
    """False when they were only told."""
    if target.dry_run:
        for step in steps:
            click.echo(str(step))
        return False
    take(steps, target.root, click.echo)
    return True


def _tell_what_next(*, started: bool) -> None:
    if started:
        click.echo(f"{UNIT} runs; its log: journalctl -fu swarmpy")
        click.echo("the cluster: swarmpy node ls, on a manager; the way in for other machines: swarmpy token worker")
    else:
        click.echo(f"{UNIT} starts with the machine; now: systemctl start swarmpy")


def _check_options(listen: str | None, advertise: str | None, labels: tuple[str, ...]) -> None:
    """As `swarmpy up` will, but while somebody looks."""
    parsed = parse_address(listen or DEFAULT_LISTEN_ADDRESS, "--listen-address", port_of(DEFAULT_LISTEN_ADDRESS))
    if advertise is not None:
        parse_address(advertise, "--advertise-address", port_of(parsed))
    parse_labels(labels)
    for label in labels:
        if not label.isprintable():
            raise BadRequest(f"--label {label!r} has characters that no line of a unit file can have")


def _check_startable(service: Service, machine: Machine) -> None:
    if not machine.has_systemd:
        raise BadRequest(
            "systemd does not run here: give --no-start, and start `swarmpy up` as this machine starts services"
        )
    if service.is_temporary:
        raise BadRequest(
            f"{service.executable} lies where files do not last: install swarmpy elsewhere, such as /opt/swarmpy"
        )


def _join_text(join: str | None) -> str | None:
    """The secret, checked. It is never part of an error."""
    if join is None:
        return None
    text = (sys.stdin.read(LONGEST_JOIN) if join == STDIN else join).strip()
    wish = parse_join(text)
    return f"{wish.token}@{wish.manager}"


def _program() -> tuple[PurePosixPath, tuple[PurePosixPath, ...]]:
    """The `swarmpy` that runs now, and where else it needs files from."""
    called = Path(sys.argv[0])
    beside = Path(sys.executable).with_name("swarmpy")
    found = called.absolute() if called.name == "swarmpy" and called.is_file() else beside
    if not found.is_file():
        told = shutil.which("swarmpy")
        if told is None:
            raise BadRequest(
                f"cannot tell where swarmpy is installed: there is no {beside}; run `swarmpy install` itself"
            )
        found = Path(told).absolute()
    places = (found.resolve(), Path(sys.executable).resolve(), Path(sys.prefix))
    return PurePosixPath(found), tuple(map(PurePosixPath, places))
