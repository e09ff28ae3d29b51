"""What was deployed of a stack: recorded, listed, and taken up again as a plan."""

from typing import Any

import click

from swarmpy.cli.render import parse_time
from swarmpy.client import Client, Object
from swarmpy.errors import BadRequest, NotFound, SwarmpyError
from swarmpy.stack.changes import Kind
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
    return rows if whole else [_row(row) for row in rows]


def plan_of(client: Client, name: str, number: int | None) -> tuple[int, StackPlan]:
    """The revision to go back to, and its plan. Raises `NotFound` when it, or a secret or config of it, is gone."""
    number = number or _last_but_one(client, name)
    wish = client.get(f"/stacks/{name}/revisions/{number}")["Wish"]
    secrets, configs = tuple(wish.get("Secrets") or ()), tuple(wish.get("Configs") or ())
    _check_there(client, Kind.SECRET, secrets, name, number)
    _check_there(client, Kind.CONFIG, configs, name, number)
    networks, services = tuple(wish.get("Networks") or ()), tuple(wish.get("Services") or ())
    external = tuple(wish.get("External") or ())
    plan = StackPlan(name, networks, external, services, (), external_secrets=secrets, external_configs=configs)
    return number, plan


def _last_but_one(client: Client, name: str) -> int:
    known = client.get(f"/stacks/{name}/revisions")
    if not known:
        raise _nothing(name)
    if len(known) < 2:
        raise BadRequest(f"stack {name} has one revision only, {known[0]['Number']}: there is none before it")
    return int(known[1]["Number"])


def _check_there(client: Client, kind: Kind, names: tuple[str, ...], stack: str, number: int) -> None:
    there = {item["Spec"]["Name"] for item in client.get(f"/{kind}s")} if names else set()
    for name in names:
        if name not in there:
            raise NotFound(f"{kind} {name}, which revision {number} of stack {stack} needs, is gone; create it first")


def _nothing(name: str) -> NotFound:
    return NotFound(f"stack {name} has no revisions: `swarmpy stack deploy` makes them")


def _row(revision: Object) -> dict[str, Any]:
    created = parse_time(revision["CreatedAt"])
    return {
        "Number": revision["Number"],
        "CreatedAt": f"{created:%Y-%m-%d %H:%M:%S} UTC",
        "Services": ", ".join(revision["Services"]),
    }
