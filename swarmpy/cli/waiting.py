"""Watching services until they have converged, failed, or the time is up; the exit code says which."""

import time
from collections.abc import Callable, Container, Sequence
from datetime import datetime, timedelta

import click

from swarmpy.cli.awaited import Awaited, how_to_look
from swarmpy.cli.convergence import Memory, Phase, ServiceVerdict, Verdict, look
from swarmpy.cli.interrupts import sigterm_interrupts
from swarmpy.cli.logs import last_lines
from swarmpy.cli.progress import Progress, progress_for
from swarmpy.client import Client, Object
from swarmpy.clock import SystemClock
from swarmpy.errors import SwarmpyError, TimedOut, Unavailable

FAILED = 1
INTERRUPTED = 130
_LOOK_EVERY = 0.2
# Looking takes at most this part of the time: a look at ten thousand tasks is no small thing for a manager.
_SHARE = 0.2
_LOG_LINES = 10


def wait_until_converged(
    client: Client,
    awaited: Awaited,
    *,
    limit: timedelta,
    form: str,
    on_flaw: Callable[[str], None] = lambda line: None,
) -> int:
    """0 when all run, 1 when one has failed. `on_flaw` is told each of those in one line, and each that runs with its
    update paused as it was. Raises `TimedOut` with the reasons when the time is up."""
    clock = SystemClock()
    memory = Memory(
        started=clock.now(),
        names=awaited.services,
        before=awaited.before,
        changed=awaited.changed,
        is_rollback=awaited.is_rollback,
        from_file=awaited.from_file,
        held=awaited.held,
    )
    try:
        with sigterm_interrupts(), progress_for(form) as progress:
            verdict = _watch(client, memory, clock.now() + limit, progress)
    except KeyboardInterrupt:
        click.echo("swarmpy: interrupted; the deployment goes on in the cluster", err=True)
        click.echo(f"  {how_to_look(awaited)}", err=True)
        return INTERRUPTED
    for service in verdict.failed:
        on_flaw(f"{service.name}: {service.text}")
        _tell_failure(client, service)
    if verdict.failed:
        return FAILED
    if not verdict.is_over:
        raise TimedOut(_late(verdict, limit, how_to_look(awaited)))
    for service in verdict.services:
        if service.note:
            on_flaw(f"{service.name}: {service.note.partition(';')[0]}")
            click.echo(f"swarmpy: {service.name}: {service.note}", err=True)
    return 0


def tasks_before(client: Client, service_ids: Sequence[str]) -> frozenset[str]:
    """Ids of the tasks that the services have, of whatever wish."""
    tasks = client.get("/tasks", filters={"service": list(service_ids)}) if service_ids else ()
    return frozenset(task["ID"] for task in tasks)


def _watch(client: Client, memory: Memory, deadline: datetime, progress: Progress) -> Verdict:
    """The last verdict before the deadline."""
    clock = SystemClock()
    while True:
        began = time.monotonic()
        try:
            seen = _seen(client, memory)
            former = _former(client, seen[0], memory)
        except Unavailable as error:
            # Another manager takes over, or this one comes back; the deployment itself goes on.
            if clock.now() >= deadline:
                raise
            progress.note(f"waiting: {error}")
        else:
            memory, verdict = look(memory, *seen, clock.now(), former=former)
            progress.show(verdict)
            if verdict.is_over or clock.now() >= deadline:
                return verdict
        time.sleep(max(_LOOK_EVERY, (time.monotonic() - began) / _SHARE))


def _seen(client: Client, memory: Memory) -> tuple[list[Object], list[Object], list[Object]]:
    """Services, the tasks made from their present specs, nodes."""
    ids = list(memory.names)
    # Services first: an update that is said to be paused has its failure among tasks that are read after that.
    services = client.get("/services", filters={"id": ids})
    tasks = client.get("/tasks", filters={"service": ids, "_up-to-date": ["true"]}) if ids else []
    return services, tasks, client.get("/nodes")


def _former(client: Client, services: Sequence[Object], memory: Memory) -> list[Object]:
    """All tasks of what is updated, or paused on the way, and of what is, or was, rolled back: some that run on were
    not made from the present spec, nor were those that failed."""
    ids = [one["ID"] for one in services if _has_others(one, memory.changed)]
    tasks: list[Object] = client.get("/tasks", filters={"service": ids}) if ids else []
    return tasks


def _has_others(service: Object, changed: Container[str]) -> bool:
    state = (service.get("UpdateStatus") or {}).get("State", "")
    # The update of what was changed just now may not have begun.
    is_new = not state and service["ID"] in changed and bool(service.get("PreviousSpec"))
    return is_new or state in ("updating", "paused") or state.startswith("rollback")


def _tell_failure(client: Client, service: ServiceVerdict) -> None:
    click.echo(f"swarmpy: {service.name} failed: {service.text}", err=True)
    for reason in service.reasons:
        click.echo(f"  {reason}", err=True)
    for task_id in service.failing:
        try:
            lines = last_lines(client, task_id, _LOG_LINES)
        except SwarmpyError as error:
            click.echo(f"  no log of task {task_id}: {error}", err=True)
            continue
        if lines:
            click.echo(f"  last lines of task {task_id}:", err=True)
        for line in lines:
            click.echo(f"  | {line}", err=True)
    if service.advice:
        click.echo(f"  {service.advice}", err=True)


def _late(verdict: Verdict, limit: timedelta, advice: str) -> str:
    missing = [service for service in verdict.services if service.phase is not Phase.CONVERGED]
    lines = [f"not there after {limit.total_seconds():g} s; what was asked for stays asked for"]
    for service in missing:
        lines.append(f"  {service.name}: {service.text}")
        lines.extend(f"    {line}" for line in (*service.reasons, *service.under_way))
    lines.append(f"  {advice}")
    return "\n".join(lines)
