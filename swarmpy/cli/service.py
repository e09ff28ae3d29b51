"""`swarmpy service`: list, look at, scale and remove services; `service_update` makes and updates them."""

from collections.abc import Sequence
from functools import partial

import click

from swarmpy.cli.again import edited_in_turn
from swarmpy.cli.options import (
    JSON,
    connected,
    filter_option,
    format_option,
    no_trunc_option,
    parse_filters,
    print_inspected,
    print_rows,
    quiet_option,
)
from swarmpy.cli.service_update_control import continue_, pause, revisions
from swarmpy.cli.views import SERVICE_COLUMNS, mode_of, service_row
from swarmpy.client import Client, Object
from swarmpy.errors import BadRequest


class ServiceGroup(click.Group):
    """The commands with docker's hundred flags are loaded when they are used."""

    FLAGGED = ("create", "rollback", "update")

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *self.FLAGGED])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.FLAGGED:
            return super().get_command(ctx, cmd_name)
        from swarmpy.cli import service_update

        command: click.Command = getattr(service_update, cmd_name)
        return command


@click.group(cls=ServiceGroup)
def service() -> None:
    """Make, look at, update, scale and remove services."""


service.add_command(pause)
service.add_command(continue_)
service.add_command(revisions)


@service.command("ls")
@filter_option
@quiet_option
@format_option
def list_services(filters: Sequence[str], quiet: bool, form: str) -> None:
    """List services with how many of their tasks run."""
    with connected() as client:
        services = client.get("/services", filters=parse_filters(filters), status="true")
    services.sort(key=lambda item: item["Spec"]["Name"])
    if quiet:
        for item in services:
            click.echo(item["ID"][:12])
    else:
        print_rows(SERVICE_COLUMNS, [service_row(item) for item in services], form)


@service.command("ps")
@click.argument("names", nargs=-1, required=True, metavar="SERVICE...")
@filter_option
@no_trunc_option
@quiet_option
@format_option
def list_tasks(names: Sequence[str], filters: Sequence[str], no_trunc: bool, quiet: bool, form: str) -> None:
    """List the tasks of services, earlier attempts below the newest."""
    from swarmpy.cli.tasks import print_tasks

    with connected() as client:
        found = [client.get(f"/services/{name}") for name in names]
        wanted = parse_filters(filters) | {"service": [item["ID"] for item in found]}
        print_tasks(client, wanted, form=form, quiet=quiet, whole=no_trunc)


@service.command()
@click.argument("names", nargs=-1, required=True, metavar="SERVICE...")
@click.option("--pretty", is_flag=True, help="For people.")
@format_option
def inspect(names: Sequence[str], pretty: bool, form: str) -> None:
    """Show services whole, as the API has them."""
    if pretty and form == JSON:
        raise BadRequest("--pretty and --format json exclude each other")
    with connected() as client:
        found = [client.get(f"/services/{name}", insertDefaults="true") for name in names]
        networks = {network["Id"]: network["Name"] for network in client.get("/networks")} if pretty else {}
    if not pretty:
        print_inspected(found, form)
        return
    from swarmpy.cli.service_pretty import pretty_lines
    from swarmpy.clock import SystemClock

    now = SystemClock().now()
    click.echo("\n\n".join("\n".join(pretty_lines(item, networks, now)) for item in found))


@service.command()
@click.argument("wishes", nargs=-1, required=True, metavar="SERVICE=REPLICAS...")
@click.option("-d", "--detach", is_flag=True, help="Do not wait until the tasks run.")
@click.option("--timeout", default="10m", show_default=True, metavar="TIME", help="How long to wait, such as 90s.")
@format_option
def scale(wishes: Sequence[str], detach: bool, timeout: str, form: str) -> int:
    """Set how many replicas services shall have, and wait until they run."""
    from swarmpy.cli.awaited import Awaited, is_changed, parse_timeout, tell_detached
    from swarmpy.cli.held import held_updates
    from swarmpy.cli.waiting import tasks_before, wait_until_converged

    wanted = parse_scale(wishes)
    limit = parse_timeout(timeout)
    with connected() as client:
        # All are looked at before any is changed.
        found = [(client.get(f"/services/{name}"), count) for name, count in wanted.items()]
        for item, _ in found:
            _check_scalable(item["Spec"])
        names = {item["ID"]: item["Spec"]["Name"] for item, _ in found}
        before = tasks_before(client, list(names))
        for item, count in found:
            edited_in_turn(partial(_scale, client, item["ID"], count))
            click.echo(f"{item['Spec']['Name']} scaled to {count}", err=form == JSON)
        if detach:
            tell_detached(Awaited(names, before, frozenset(names)))
            return 0
        changed = frozenset(item["ID"] for item, _ in found if is_changed(client, item))
        awaited = Awaited(names, before, changed, held=held_updates(item for item, _ in found))
        return wait_until_converged(client, awaited, limit=limit, form=form)


def _scale(client: Client, service_id: str, count: int) -> None:
    item = client.get(f"/services/{service_id}")
    spec, version = _scaled(item["Spec"], count), str(item["Version"]["Index"])
    client.post(f"/services/{service_id}/update", spec, version=version, registryAuthFrom="spec")


def _check_scalable(spec: Object) -> None:
    if mode_of(spec) not in ("replicated", "replicated job"):
        raise BadRequest(f"service {spec['Name']} is {mode_of(spec)}: only replicas can be scaled")


def parse_scale(wishes: Sequence[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for wish in wishes:
        name, equals, count = wish.rpartition("=")
        if not equals or not name or not count.isdecimal():
            raise BadRequest(f"{wish!r} is not of the form SERVICE=REPLICAS, such as web=3")
        counts[name] = int(count)
    return counts


def _scaled(spec: Object, count: int) -> Object:
    mode = spec["Mode"]
    if "ReplicatedJob" in mode:
        # As docker does: so many completions are wanted, at most as many at a time as before.
        return spec | {"Mode": {"ReplicatedJob": mode["ReplicatedJob"] | {"TotalCompletions": count}}}
    return spec | {"Mode": {"Replicated": {"Replicas": count}}}


@service.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="SERVICE...")
@format_option
def remove(names: Sequence[str], form: str) -> int:
    """Remove services and stop their tasks."""
    from swarmpy.cli.removal import remove_each

    with connected() as client:
        return remove_each("service", names, lambda name: client.delete(f"/services/{name}"), form)


@service.command()
@click.argument("name", metavar="SERVICE|TASK")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@click.option("-n", "--tail", default="all", show_default=True, metavar="NUMBER", help="Last lines of each task.")
@click.option("--since", default="", metavar="TIME", help="A time (2030-01-31T12:00:00Z) or an age (42m).")
@click.option("-t", "--timestamps", is_flag=True, help="Begin lines with their time.")
@click.option("--raw", is_flag=True, help="Lines as the containers wrote them.")
@no_trunc_option
@format_option
def logs(
    name: str, follow: bool, tail: str, since: str, timestamps: bool, raw: bool, no_trunc: bool, form: str
) -> None:
    """Show the logs of a service, or of one task."""
    from swarmpy.cli.logs import LogWish, show_logs

    if raw and form == JSON:
        raise BadRequest("--raw and --format json exclude each other")
    wish = LogWish(
        follow=follow, tail=tail, since=since, timestamps=timestamps, raw=raw, whole=no_trunc, as_json=form == JSON
    )
    with connected() as client:
        show_logs(client, name, wish)
