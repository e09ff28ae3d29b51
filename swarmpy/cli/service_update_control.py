"""`swarmpy service pause|continue|revisions`: updates held and taken up again, and what there was before."""

from datetime import datetime

import click

from swarmpy.cli.options import JSON, Decorated, connected, format_option, print_became, print_inspected, print_rows
from swarmpy.cli.render import ago, parse_time
from swarmpy.cli.views import mode_of
from swarmpy.client import Object

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
    from swarmpy.cli.awaited import Awaited, parse_timeout, tell_detached
    from swarmpy.cli.waiting import tasks_before, wait_until_converged

    limit = parse_timeout(timeout)
    with connected() as client:
        found = client.get(f"/services/{name}")
        service_id = found["ID"]
        # A rollback that is over is no failure of what rolls back.
        awaited = Awaited(
            {service_id: found["Spec"]["Name"]},
            tasks_before(client, [service_id]),
            frozenset({service_id}),
            is_rollback=(found.get("UpdateStatus") or {}).get("State") != "paused",
        )
        client.post(f"/services/{service_id}/update/continue")
        print_became("service", name, "continued", form)
        if detach:
            tell_detached(awaited)
            return 0
        return wait_until_converged(client, awaited, limit=limit, form=form)


@click.command()
@click.argument("name", metavar="SERVICE")
@format_option
def revisions(name: str, form: str) -> None:
    """List the last ten wishes of a service, the newest first. JSON has them whole."""
    with connected() as client:
        found = client.get(f"/services/{name}/revisions")
    if form == JSON:
        print_inspected(found, form)
        return
    from swarmpy.clock import SystemClock

    now = SystemClock().now()
    print_rows(REVISION_COLUMNS, [_revision_row(item, now) for item in found], form)


def _revision_row(revision: Object, now: datetime) -> dict[str, str]:
    spec = revision["Spec"]
    image: str = (spec["TaskTemplate"].get("ContainerSpec") or {}).get("Image", "")
    mode = spec.get("Mode") or {}
    count = (mode.get("Replicated") or {}).get("Replicas", (mode.get("ReplicatedJob") or {}).get("TotalCompletions"))
    return {
        "Revision": str(revision["Number"]),
        "Current": "*" if revision["Current"] else "",
        "Created": ago(parse_time(revision["CreatedAt"]), now),
        "Image": image.partition("@")[0],
        "Replicas": mode_of(spec) if count is None else str(count),
    }
