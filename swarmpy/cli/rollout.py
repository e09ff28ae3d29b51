"""A plan becomes reality: decided, carried out, recorded as a revision, waited for; for `deploy` and `rollback`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import click

from swarmpy.cli.awaited import tell_detached
from swarmpy.cli.checking import check
from swarmpy.cli.deploy import Say, carry_out, read_present
from swarmpy.cli.removing import take_away
from swarmpy.cli.revisions import record
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
    record(client, plan)
    if manner.detach:
        tell_detached(awaited)
    else:
        # Not before the cluster has begun to work.
        from swarmpy.cli.waiting import wait_until_converged

        try:
            code = wait_until_converged(client, awaited, limit=manner.limit, form=manner.form) or code
        except SwarmpyError:
            _tell_kept(rest, manner)
            raise
    if not manner.prune:
        return code
    if code:
        _tell_kept(rest, manner)
        return code
    return take_away(client, rest, say)


def _tell_kept(rest: Sequence[Operation], manner: Manner) -> None:
    """What rolls back by itself needs what the former specs refer to."""
    for operation in rest if manner.prune else ():
        click.echo(f"swarmpy: {operation.kind} {operation.name} is kept until a deployment succeeds", err=True)


def _leaving(found: Sequence[Operation]) -> tuple[list[Operation], list[Operation]]:
    gone = [operation for operation in found if operation.act is Act.REMOVE]
    services = [operation for operation in gone if operation.kind is Kind.SERVICE]
    return services, [operation for operation in gone if operation.kind is not Kind.SERVICE]
