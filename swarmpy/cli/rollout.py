"""A plan becomes reality: decided, carried out, recorded as a revision, waited for; for `deploy` and `rollback`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import click

from swarmpy.cli.awaited import Awaited, tell_detached
from swarmpy.cli.checking import check
from swarmpy.cli.deploy import Say, carry_out, read_present
from swarmpy.cli.removing import take_away
from swarmpy.cli.revisions import record, spared, tell_outcome
from swarmpy.cli.way_back import CONVERGED, DEPLOYING, FAILED, UNKNOWN, waited_for
from swarmpy.client import Client
from swarmpy.errors import SwarmpyError
from swarmpy.stack.changes import Act, Kind, Operation, operations
from swarmpy.stack.plan import StackPlan


@dataclass(frozen=True, slots=True)
class Manner:
    """`prune` takes away all that left the file, `prune_services` services only. `docker_config` is None unless
    registry credentials are to be sent along."""

    limit: timedelta
    detach: bool
    form: str
    prune: bool = False
    prune_services: bool = False
    docker_config: Mapping[str, object] | None = None


def roll_out(client: Client, plan: StackPlan, manner: Manner, say: Say) -> int:
    """The exit code: 0 when all run, 1 when one has failed or something cannot go."""
    present = read_present(client, plan)
    found = operations(plan, present, prune=manner.prune or manner.prune_services)
    check(client, plan, found, all_services=manner.docker_config is not None)
    services, rest = _leaving(found)
    awaited = carry_out(client, plan, found, present, docker_config=manner.docker_config, say=say)
    code = take_away(client, services, say)
    number = record(client, plan)
    try:
        waited, flaws = _awaited(client, plan.name, number, awaited, manner)
    except SwarmpyError:
        _tell_kept(rest, manner)
        raise
    code = waited or code
    if not manner.prune:
        return code
    if code or flaws:
        _tell_kept(rest, manner)
        return code
    target, needed = spared(client, plan.name, number) if rest else (None, frozenset())
    for operation in rest:
        if (operation.kind, operation.name) in needed:
            say(f"{operation.kind} {operation.name}", f"kept, a rollback to revision {target} needs it")
    return take_away(client, [one for one in rest if (one.kind, one.name) not in needed], say)


def _awaited(
    client: Client, stack: str, number: int | None, awaited: Awaited, manner: Manner
) -> tuple[int, Sequence[str]]:
    """The exit code of waiting, and what is not as wished. Whatever ends it, that is kept with the revision."""
    if manner.detach:
        tell_detached(awaited)
        tell_outcome(client, stack, number, UNKNOWN, "detached")
        return 0, ()
    # Not before the cluster has begun to work.
    from swarmpy.cli.interrupts import sigterm_interrupts
    from swarmpy.cli.waiting import INTERRUPTED, wait_until_converged
    from swarmpy.clock import SystemClock

    flaws: list[str] = []
    with sigterm_interrupts():
        tell_outcome(client, stack, number, DEPLOYING, waited_for(SystemClock().now() + manner.limit))
        try:
            code = wait_until_converged(client, awaited, limit=manner.limit, form=manner.form, on_flaw=flaws.append)
        except BaseException as error:
            tell_outcome(client, stack, number, UNKNOWN, str(error).partition(";")[0] or "interrupted")
            raise
        if code == INTERRUPTED:
            tell_outcome(client, stack, number, UNKNOWN, "interrupted")
        else:
            state = FAILED if code else UNKNOWN if flaws else CONVERGED
            tell_outcome(client, stack, number, state, "; ".join(flaws))
    return code, flaws


def _tell_kept(rest: Sequence[Operation], manner: Manner) -> None:
    """What rolls back by itself needs what the former specs refer to."""
    for operation in rest if manner.prune else ():
        click.echo(f"swarmpy: {operation.kind} {operation.name} is kept until a deployment succeeds", err=True)


def _leaving(found: Sequence[Operation]) -> tuple[list[Operation], list[Operation]]:
    gone = [operation for operation in found if operation.act is Act.REMOVE]
    services = [operation for operation in gone if operation.kind is Kind.SERVICE]
    return services, [operation for operation in gone if operation.kind is not Kind.SERVICE]
