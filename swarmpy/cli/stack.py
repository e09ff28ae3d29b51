"""`swarmpy stack`: deploy, look at and remove stacks of services."""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from swarmpy.cli.options import (
    JSON,
    connected,
    filter_option,
    format_option,
    no_trunc_option,
    parse_filters,
    print_rows,
    quiet_option,
)
from swarmpy.cli.render import json_line
from swarmpy.cli.views import SERVICE_COLUMNS, STACK_COLUMNS, service_row
from swarmpy.client import no_name
from swarmpy.errors import NotFound, SwarmpyError
from swarmpy.stack.names import STACK_LABEL

if TYPE_CHECKING:
    from swarmpy.stack.plan import StackPlan

files_option = click.option(
    "-c",
    "--compose-file",
    "files",
    multiple=True,
    required=True,
    metavar="FILE",
    help="A stack file, - for standard input; may be repeated, later files win.",
)


env_files_option = click.option(
    "--env-file",
    "env_files",
    multiple=True,
    metavar="FILE",
    help="Variables for the stack files, as NAME=value lines; the environment counts more. May be repeated.",
)
profiles_option = click.option(
    "--profile",
    "profiles",
    multiple=True,
    metavar="PROFILE",
    help="Take in the services of this profile; * takes in all. May be repeated.",
)


@click.group()
def stack() -> None:
    """Deploy and look at stacks of services."""


@stack.command()
@files_option
@env_files_option
@profiles_option
@format_option
def config(files: Sequence[str], env_files: Sequence[str], profiles: Sequence[str], form: str) -> None:
    """Print the stack files merged, with variables filled in and short forms spelled out."""
    from swarmpy.cli.bounded import check_standard_input
    from swarmpy.cli.stack_files import environment_of, load
    from swarmpy.stack.render import render

    check_standard_input(*env_files, *files)
    loaded = load(files, environment_of(env_files, os.environ), profiles)
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(json_line(loaded.config) if form == JSON else render(loaded.config), nl=form == JSON)


@stack.command("ls")
@format_option
def list_stacks(form: str) -> None:
    """List stacks."""
    with connected() as client:
        stacks = client.get("/stacks")
    print_rows(STACK_COLUMNS, sorted(stacks, key=lambda item: str(item["Name"])), form)


@stack.command("ps")
@click.argument("name", metavar="STACK")
@filter_option
@no_trunc_option
@quiet_option
@format_option
def list_tasks(name: str, filters: Sequence[str], no_trunc: bool, quiet: bool, form: str) -> None:
    """List the tasks of a stack, earlier attempts below the newest."""
    from swarmpy.cli.tasks import print_tasks

    if not name:
        raise no_name("stack")
    with connected() as client:
        wanted = parse_filters(filters)
        wanted["label"] = [*wanted.get("label", ()), f"{STACK_LABEL}={name}"]
        if not client.get("/services", filters={"label": [f"{STACK_LABEL}={name}"]}):
            raise NotFound(f"nothing found in stack: {name}")
        print_tasks(client, wanted, form=form, quiet=quiet, whole=no_trunc)


@stack.command("services")
@click.argument("name", metavar="STACK")
@filter_option
@quiet_option
@format_option
def list_services(name: str, filters: Sequence[str], quiet: bool, form: str) -> None:
    """List the services of a stack."""
    if not name:
        raise no_name("stack")
    with connected() as client:
        wanted = parse_filters(filters)
        wanted["label"] = [*wanted.get("label", ()), f"{STACK_LABEL}={name}"]
        services = client.get("/services", filters=wanted, status="true")
    if not services:
        raise NotFound(f"nothing found in stack: {name}")
    services.sort(key=lambda item: str(item["Spec"]["Name"]))
    if quiet:
        for item in services:
            click.echo(item["ID"][:12])
    else:
        print_rows(SERVICE_COLUMNS, [service_row(item) for item in services], form)


prune_option = click.option(
    "--prune", is_flag=True, help="Remove services, networks, secrets and configs that are no longer in the files."
)
detach_option = click.option("-d", "--detach", is_flag=True, help="Do not wait until the services run.")
timeout_option = click.option(
    "--timeout", default="10m", show_default=True, metavar="TIME", help="How long to wait, such as 90s."
)


@stack.command()
@files_option
@env_files_option
@profiles_option
@detach_option
@timeout_option
@prune_option
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--with-registry-auth", is_flag=True, help="Send along the credentials that docker login left here.")
@format_option
@click.argument("name", metavar="STACK")
def deploy(
    files: Sequence[str],
    env_files: Sequence[str],
    profiles: Sequence[str],
    detach: bool,
    timeout: str,
    prune: bool,
    dry_run: bool,
    with_registry_auth: bool,
    form: str,
    name: str,
) -> int:
    """Make the cluster run what the files say, and wait until it does."""
    from swarmpy.cli.awaited import parse_timeout
    from swarmpy.cli.registry import read_config
    from swarmpy.cli.rollout import Manner, roll_out

    docker_config = read_config() if with_registry_auth else None
    manner = Manner(parse_timeout(timeout), detach=detach, prune=prune, form=form, docker_config=docker_config)
    plan = _planned(name, files, env_files, profiles)
    if dry_run:
        _print_changes(plan, prune, form)
        return 0
    with connected() as client:
        return roll_out(client, plan, manner, _teller(form))


@stack.command()
@files_option
@env_files_option
@profiles_option
@prune_option
@format_option
@click.argument("name", metavar="STACK")
def diff(
    files: Sequence[str], env_files: Sequence[str], profiles: Sequence[str], prune: bool, form: str, name: str
) -> int:
    """Say what a deployment would change; the exit code is 1 when it would change something, else 0."""
    plan = _planned(name, files, env_files, profiles)
    return 1 if _print_changes(plan, prune, form) else 0


@stack.command()
@click.argument("name", metavar="STACK")
@format_option
def revisions(name: str, form: str) -> None:
    """List what was deployed of a stack, newest first: where a rollback can go."""
    from swarmpy.cli.revisions import REVISION_COLUMNS, WHOLE_COLUMNS, list_revisions

    whole = form == JSON
    with connected() as client:
        found = list_revisions(client, name, whole=whole)
    print_rows(WHOLE_COLUMNS if whole else REVISION_COLUMNS, found, form)


@stack.command()
@click.argument("name", metavar="STACK")
@click.option("--to", type=click.IntRange(min=1), metavar="N", help="The revision; else the newest other one that ran.")
@detach_option
@timeout_option
@format_option
def rollback(name: str, to: int | None, detach: bool, timeout: str, form: str) -> int:
    """Deploy what was deployed before, and wait until it runs. Services that it lacks are removed.

    Without --to that is the newest other revision known to have converged or, where none is, not known to have failed.
    """
    from swarmpy.cli.awaited import parse_timeout
    from swarmpy.cli.revisions import plan_of
    from swarmpy.cli.rollout import Manner, roll_out

    manner = Manner(parse_timeout(timeout), detach=detach, prune_services=True, form=form)
    with connected() as client:
        number, plan = plan_of(client, name, to)
        click.echo(f"{name}: going back to revision {number}", err=True)
        code = roll_out(client, plan, manner, _teller(form))
    if code == 0 and not detach:
        click.echo(f"{name}: back at revision {number}", err=True)
    return code


@stack.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="STACK...")
@format_option
def remove(names: Sequence[str], form: str) -> int:
    """Remove the services, configs, secrets and networks of stacks, and their revisions.

    What others use stays and is named; the exit code is 5 then. Remove the stack again when it is free.
    """
    from swarmpy.cli.removing import remove_stack

    codes = []
    with connected() as client:
        for name in names:
            try:
                codes.append(remove_stack(client, name, _teller(form)))
            except SwarmpyError as error:
                click.echo(f"swarmpy: {error}", err=True)
                codes.append(error.exit_code)
    return next(filter(None, codes), 0)


def _planned(name: str, files: Sequence[str], env_files: Sequence[str], profiles: Sequence[str]) -> "StackPlan":
    from swarmpy.cli.bounded import check_standard_input
    from swarmpy.cli.stack_files import environment_of, plan_files, read

    check_standard_input(*env_files, *files)
    environment = environment_of(env_files, os.environ)
    loaded = read(files, environment, profiles)
    plan = plan_files(name, loaded, environment)
    for warning in (*loaded.warnings, *plan.warnings):
        click.echo(f"warning: {warning}", err=True)
    return plan


def _print_changes(plan: "StackPlan", prune: bool, form: str) -> bool:
    """Whether there are any. Raises the reasons when the cluster would refuse them."""
    from swarmpy.cli.changes_view import change_documents, change_lines
    from swarmpy.cli.checking import check
    from swarmpy.cli.deploy import read_present
    from swarmpy.cli.revisions import without_needed
    from swarmpy.stack.changes import changes_something, operations

    with connected() as client:
        found = operations(plan, read_present(client, plan), prune=prune)
        if prune:
            found = without_needed(client, plan, found)
        check(client, plan, found)
    lines = map(json_line, change_documents(found)) if form == JSON else change_lines(found)
    for line in lines:
        click.echo(line)
    for operation in found:
        if operation.note:
            click.echo(f"note: {operation.kind} {operation.name}: {operation.note}", err=True)
    return any(map(changes_something, found))


def _teller(form: str) -> Callable[[str, str], None]:
    """Says what became of a thing, in the form asked for."""

    def say(thing: str, became: str) -> None:
        kind, _, name = thing.partition(" ")
        click.echo(json_line({"Kind": kind, "Name": name, "Became": became}) if form == JSON else f"{thing}: {became}")

    return say
