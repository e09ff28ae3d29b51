"""`swarmpy stack`: deploy, look at and remove stacks of services."""

import os
from collections.abc import Callable, Sequence

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
from swarmpy.errors import NotFound
from swarmpy.stack.names import STACK_LABEL

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
    from swarmpy.cli.stack_files import environment_of, load
    from swarmpy.stack.render import render

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


@stack.command()
@files_option
@env_files_option
@profiles_option
@click.option("-d", "--detach", is_flag=True, help="Do not wait until the services run.")
@click.option("--timeout", default="10m", show_default=True, metavar="TIME", help="How long to wait, such as 90s.")
@click.option("--prune", is_flag=True, help="Remove services that are no longer in the files.")
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
    with_registry_auth: bool,
    form: str,
    name: str,
) -> int:
    """Make the cluster run what the files say, and wait until it does."""
    from swarmpy.cli.awaited import parse_timeout
    from swarmpy.cli.deploy import carry_out, read_present
    from swarmpy.cli.registry import read_config
    from swarmpy.cli.stack_files import environment_of, load, plan_files

    limit = parse_timeout(timeout)
    environment = environment_of(env_files, os.environ)
    loaded = load(files, environment, profiles)
    plan = plan_files(name, loaded, environment)
    for warning in (*loaded.warnings, *plan.warnings):
        click.echo(f"warning: {warning}", err=True)
    docker_config = read_config() if with_registry_auth else None
    with connected() as client:
        present = read_present(client, plan)
        awaited = carry_out(client, plan, present, docker_config=docker_config, prune=prune, say=_teller(form))
        if detach:
            return 0
        # Not before the cluster has begun to work.
        from swarmpy.cli.waiting import wait_until_converged

        return wait_until_converged(client, awaited, limit=limit, form=form)


@stack.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="STACK...")
@format_option
def remove(names: Sequence[str], form: str) -> None:
    """Remove the services and networks of stacks."""
    from swarmpy.cli.deploy import remove_stack

    with connected() as client:
        for name in names:
            remove_stack(client, name, _teller(form))


def _teller(form: str) -> Callable[[str, str], None]:
    """Says what became of a thing, in the form asked for."""

    def say(thing: str, became: str) -> None:
        kind, _, name = thing.partition(" ")
        click.echo(json_line({"Kind": kind, "Name": name, "Became": became}) if form == JSON else f"{thing}: {became}")

    return say
