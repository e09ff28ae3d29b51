"""What was deployed of a stack: recorded, listed, and taken up again as a plan."""

from collections.abc import Sequence, Set
from datetime import datetime
from typing import Any

import click

from swarmpy.cli.deploy import named, read_present
from swarmpy.cli.render import ago, parse_time
from swarmpy.client import Client, Object
from swarmpy.errors import BadRequest, NotFound, SwarmpyError
from swarmpy.stack.changes import Kind, Present, names_by_id, of_stack
from swarmpy.stack.diff import changes
from swarmpy.stack.plan import StackPlan

REVISION_COLUMNS = {"Number": "REVISION", "CreatedAt": "CREATED", "Services": "SERVICES"}


def record(client: Client, plan: StackPlan) -> None:
    """The deployment is done by then: a revision that cannot be kept is told and no failure."""
    try:
        client.post(f"/stacks/{plan.name}/revisions", wish_of(plan))
    except SwarmpyError as error:
        click.echo(f"warning: this deployment is not kept as a revision: {error}", err=True)


def wish_of(plan: StackPlan) -> Object:
    """As the manager keeps it: names of secrets and configs, never their data."""
    return {
        "Networks": list(plan.networks),
        "External": list(plan.external),
        "Secrets": sorted({*(secret["Name"] for secret in plan.secrets), *plan.external_secrets}),
        "Configs": sorted({*(config["Name"] for config in plan.configs), *plan.external_configs}),
        "Services": list(plan.services),
    }


def list_revisions(client: Client, name: str, *, whole: bool) -> list[dict[str, Any]]:
    """Rows, newest first. Raises `NotFound` when there are none."""
    rows: list[dict[str, Any]] = client.get(f"/stacks/{name}/revisions")
    if not rows:
        raise _nothing(name)
    if whole:
        return rows
    from swarmpy.clock import SystemClock

    now = SystemClock().now()
    return [_row(row, now) for row in rows]


def plan_of(client: Client, name: str, number: int | None) -> tuple[int, StackPlan]:
    """The revision to go back to, and its plan. Raises `NotFound` when it, or a secret or config of it, is gone."""
    number = number or _one_back(client, name)
    plan = _plan(client, name, number)
    _check_there(client, Kind.SECRET, plan.external_secrets, name, number)
    _check_there(client, Kind.CONFIG, plan.external_configs, name, number)
    return number, plan


def _plan(client: Client, name: str, number: int) -> StackPlan:
    wish = client.get(f"/stacks/{name}/revisions/{number}")["Wish"]
    secrets, configs = tuple(wish.get("Secrets") or ()), tuple(wish.get("Configs") or ())
    networks, services = tuple(wish.get("Networks") or ()), tuple(wish.get("Services") or ())
    external = tuple(wish.get("External") or ())
    return StackPlan(name, networks, external, services, (), external_secrets=secrets, external_configs=configs)


def _one_back(client: Client, name: str) -> int:
    """The last but one. But the newest when something is there that no revision tells of: a deployment that was
    refused half way was not recorded, and what was before it is the newest."""
    known = client.get(f"/stacks/{name}/revisions")
    if not known:
        raise _nothing(name)
    plans = [_plan(client, name, int(revision["Number"])) for revision in known[:2]]
    recorded = {service for revision in known for service in revision["Services"]}
    secrets = tuple(secret for plan in plans for secret in plan.external_secrets)
    configs = tuple(config for plan in plans for config in plan.external_configs)
    needed = StackPlan(name, (), (), (), (), external_secrets=secrets, external_configs=configs)
    if _is_beyond(read_present(client, needed), plans, recorded):
        return int(known[0]["Number"])
    if len(known) < 2:
        raise BadRequest(f"stack {name} has one revision only, {known[0]['Number']}: there is none before it")
    return int(known[1]["Number"])


def _is_beyond(present: Present, plans: Sequence[StackPlan], recorded: Set[str]) -> bool:
    """Whether a service of the stack is as none of the plans has it. What an update rolled back by itself is as the
    plan before has it; what merely left the files is as an older one had it."""
    wishes = [{spec["Name"]: spec for spec in plan.services} for plan in plans]
    names = names_by_id(present)
    for name in of_stack(Kind.SERVICE, present.services, plans[0].name):
        stored = present.services[name]["Spec"]
        known = [wish[name] for wish in wishes if name in wish]
        if all(changes(spec, stored, names) for spec in known) if known else name not in recorded:
            return True
    return False


def _check_there(client: Client, kind: Kind, names: tuple[str, ...], stack: str, number: int) -> None:
    there = named(client, kind, names)
    for name in names:
        if name not in there:
            raise NotFound(f"{kind} {name}, which revision {number} of stack {stack} needs, is gone; create it first")


def _nothing(name: str) -> NotFound:
    return NotFound(f"stack {name} has no revisions: `swarmpy stack deploy` makes them")


def _row(revision: Object, now: datetime) -> dict[str, Any]:
    return {
        "Number": revision["Number"],
        "CreatedAt": ago(parse_time(revision["CreatedAt"]), now),
        "Services": ", ".join(revision["Services"]),
    }
