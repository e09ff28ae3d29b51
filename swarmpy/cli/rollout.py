"""A plan becomes reality: decided, carried out, recorded as a revision, waited for; for `deploy` and `rollback`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import click

from swarmpy.cli.deploy import Say, carry_out, read_present, take_away
from swarmpy.cli.revisions import record
from swarmpy.client import Client
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
    present = read_present(client, plan.name)
    found = operations(plan, present, prune=manner.prune or manner.prune_services)
    services, rest = _leaving(found)
    awaited = carry_out(client, plan, found, present, docker_config=manner.docker_config, say=say)
    code = take_away(client, services, say)
    record(client, plan)
    if not manner.detach:
        # Not before the cluster has begun to work.
        from swarmpy.cli.waiting import wait_until_converged

        code = wait_until_converged(client, awaited, limit=manner.limit, form=manner.form) or code
    if not manner.prune:
        return code
    if code:
        # What rolls back by itself needs what the former specs refer to.
        for operation in rest:
            click.echo(f"swarmpy: {operation.kind} {operation.name} is kept until a deployment succeeds", err=True)
        return code
    return take_away(client, rest, say)


def _leaving(found: Sequence[Operation]) -> tuple[list[Operation], list[Operation]]:
    gone = [operation for operation in found if operation.act is Act.REMOVE]
    services = [operation for operation in gone if operation.kind is Kind.SERVICE]
    return services, [operation for operation in gone if operation.kind is not Kind.SERVICE]
