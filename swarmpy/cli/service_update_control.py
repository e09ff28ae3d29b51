"""`swarmpy service pause|continue|rollback|revisions`: updates held, taken up again and taken back."""

from collections.abc import Callable

import click

from swarmpy.cli.options import JSON, Decorated, connected, format_option, print_became, print_inspected, print_rows
from swarmpy.cli.views import mode_of
from swarmpy.client import Client, Object

REVISION_COLUMNS = {
    "Revision": "REVISION", "Current": "CURRENT", "Created": "CREATED", "Image": "IMAGE", "Replicas": "REPLICAS",
}  # fmt: skip


def _waiting(command: Decorated) -> Decorated:
    command = click.option("--timeout", default="10m", show_default=True, metavar="TIME", help="How long to wait.")(
        command
    )
    return click.option("-d", "--detach", is_flag=True, help="Do not wait until it is over.")(command)


@click.command()
@click.argument("name", metavar="SERVICE")
@format_option
def pause(name: str, form: str) -> None:
    """Hold the update of a service: what moves goes on, nothing further is begun."""
    with connected() as client:
        client.post(f"/services/{name}/update/pause")
        print_became("service", name, "paused", form)


@click.command("continue")
@click.argument("name", metavar="SERVICE")
@_waiting
@format_option
def continue_(name: str, detach: bool, timeout: str, form: str) -> int:
    """Take up a paused update again, also one that failures have paused: they do not count any more."""
    with connected() as client:
        found = client.get(f"/services/{name}")
        # A rollback that is over is no failure of what rolls back.
        is_update = (found.get("UpdateStatus") or {}).get("State") == "paused"
        return _changed(
            client,
            found,
            lambda: client.post(f"/services/{found['ID']}/update/continue"),
            "continued",
            limit="" if detach else timeout,
            form=form,
            fails_when_rolled_back=is_update,
        )


@click.command()
@click.argument("name", metavar="SERVICE")
@click.option("--to", "revision", type=click.IntRange(min=1), help="A number that `service revisions` shows.")
@_waiting
@format_option
def rollback(name: str, revision: int | None, detach: bool, timeout: str, form: str) -> int:
    """Go back to the wish before the last one, or to any that is kept."""
    with connected() as client:
        found = client.get(f"/services/{name}")
        path, version = f"/services/{found['ID']}", str(found["Version"]["Index"])

        def ask() -> None:
            if revision is None:
                client.post(f"{path}/update", found["Spec"], version=version, rollback="previous")
            else:
                client.post(f"{path}/rollback", version=version, to=str(revision))

        became = "rolled back" if revision is None else f"rolled back to revision {revision}"
        return _changed(client, found, ask, became, limit="" if detach else timeout, form=form)


@click.command()
@click.argument("name", metavar="SERVICE")
@format_option
def revisions(name: str, form: str) -> None:
    """List the last ten wishes of a service, the newest first. JSON has them whole."""
    with connected() as client:
        found = client.get(f"/services/{name}/revisions")
    if form == JSON:
        print_inspected(found, form)
    else:
        print_rows(REVISION_COLUMNS, [_revision_row(item) for item in found], form)


def _changed(
    client: Client,
    found: Object,
    ask: Callable[[], None],
    became: str,
    *,
    limit: str,
    form: str,
    fails_when_rolled_back: bool = False,
) -> int:
    """Ask, and wait for what comes of it unless there is no limit."""
    from swarmpy.cli.awaited import Awaited, parse_timeout
    from swarmpy.cli.waiting import tasks_of, wait_until_converged

    time = parse_timeout(limit) if limit else None
    service_id, name = found["ID"], found["Spec"]["Name"]
    before = frozenset(task["ID"] for task in tasks_of(client, [service_id]))
    ask()
    click.echo(f"{name} {became}", err=form == JSON)
    if time is None:
        return 0
    changed = frozenset({service_id}) if fails_when_rolled_back else frozenset[str]()
    return wait_until_converged(client, Awaited({service_id: name}, before, changed), limit=time, form=form)


def _revision_row(revision: Object) -> dict[str, str]:
    spec = revision["Spec"]
    image: str = (spec["TaskTemplate"].get("ContainerSpec") or {}).get("Image", "")
    mode = spec.get("Mode") or {}
    count = (mode.get("Replicated") or {}).get("Replicas", (mode.get("ReplicatedJob") or {}).get("TotalCompletions"))
    return {
        "Revision": str(revision["Number"]),
        "Current": "*" if revision["Current"] else "",
        "Created": revision["CreatedAt"],
        "Image": image.partition("@")[0],
        "Replicas": mode_of(spec) if count is None else str(count),
    }
