"""What was deployed of a stack: recorded, listed, and taken up again as a plan."""

from collections.abc import Sequence, Set
from datetime import datetime
from typing import Any

import click

from swarmpy.cli.deploy import named, read_present
from swarmpy.cli.render import ago, parse_time
from swarmpy.cli.way_back import ended, missing_of, way_back
from swarmpy.client import Client, Object
from swarmpy.errors import BadRequest, NotFound, SwarmpyError
from swarmpy.lines import in_one_line
from swarmpy.stack.changes import Act, Kind, Operation, Present, changes_something, names_by_id, of_stack
from swarmpy.stack.diff import changes
from swarmpy.stack.names import STACK_LABEL
from swarmpy.stack.plan import StackPlan

REVISION_COLUMNS = {"Number": "REVISION", "CreatedAt": "CREATED", "Outcome": "OUTCOME", "Services": "SERVICES"}
WHOLE_COLUMNS = {key: key for key in ("Number", "CreatedAt", "Outcome", "Missing", "Services")}
_LONGEST_REASON = 200


def record(client: Client, plan: StackPlan) -> int | None:
    """The revision's number. The deployment is done by then: one that cannot be kept is told, is no failure, and has
    none."""
    try:
        return int(client.post(f"/stacks/{plan.name}/revisions", wish_of(plan))["Number"])
    except SwarmpyError as error:
        click.echo(f"warning: this deployment is not kept as a revision: {error}", err=True)
    return None


def tell_outcome(client: Client, stack: str, number: int | None, state: str, reason: str = "") -> None:
    """For the revision of that number, if there is one. That it cannot be kept is told, and no failure either."""
    if number is None:
        return
    in_short = in_one_line(reason, _LONGEST_REASON)
    try:
        client.post(f"/stacks/{stack}/revisions/{number}/outcome", {"State": state, "Reason": in_short})
    except SwarmpyError as error:
        click.echo(f"warning: how this deployment ended is not kept with revision {number}: {error}", err=True)


def spared(client: Client, stack: str, present: int | None) -> tuple[int | None, frozenset[tuple[Kind, str]]]:
    """The revision that a rollback from `present` goes to, and the secrets and configs that it needs. Without a
    revision of its own, `present` is None."""
    number = way_back(client.get(f"/stacks/{stack}/revisions"), present).to
    if number is None:
        return None, frozenset()
    plan = _plan(client, stack, number)
    secrets = ((Kind.SECRET, name) for name in plan.external_secrets)
    return number, frozenset([*secrets, *((Kind.CONFIG, name) for name in plan.external_configs)])


def wish_of(plan: StackPlan) -> Object:
    """As the manager keeps it: names of secrets and configs, never their data."""
    return {
        "Networks": list(plan.networks),
        "External": list(plan.external),
        "Secrets": sorted({*(secret["Name"] for secret in plan.secrets), *plan.external_secrets}),
        "Configs": sorted({*(config["Name"] for config in plan.configs), *plan.external_configs}),
        "Services": list(plan.services),
    }


def without_needed(client: Client, plan: StackPlan, found: Sequence[Operation]) -> tuple[Operation, ...]:
    """Without the removals that a deployment would leave out, because the revision before needs what would go."""
    leaving = [operation for operation in found if operation.act is Act.REMOVE]
    if all(operation.kind is Kind.SERVICE for operation in leaving):
        return tuple(found)
    _, needed = spared(client, plan.name, _newest_if_it_stays(client, plan, found))
    return tuple(one for one in found if one not in leaving or (one.kind, one.name) not in needed)


def _newest_if_it_stays(client: Client, plan: StackPlan, found: Sequence[Operation]) -> int | None:
    """The newest revision when the deployment would be no other one."""
    changed = filter(changes_something, found)
    if any(one.act is not Act.REMOVE or one.kind is Kind.SERVICE for one in changed):
        return None
    known = client.get(f"/stacks/{plan.name}/revisions")
    if not known:
        return None
    number = int(known[0]["Number"])
    last, wish = _plan(client, plan.name, number), wish_of(plan)
    same = (list(last.external_secrets), list(last.external_configs)) == (wish["Secrets"], wish["Configs"])
    return number if same else None


def list_revisions(client: Client, name: str, *, whole: bool) -> list[dict[str, Any]]:
    """Rows, newest first. Raises `NotFound` when there are none."""
    rows: list[dict[str, Any]] = client.get(f"/stacks/{name}/revisions")
    if not rows:
        raise _nothing(name)
    if whole:
        return rows
    from swarmpy.clock import SystemClock

    now = SystemClock().now()
    shown = [_row(row, now) for row in rows]
    if _is_gone(client, name, rows[0]):
        shown[0]["Outcome"] += f"; its services are gone: `swarmpy stack rm {name}` removes the revisions, too"
    return shown


def _is_gone(client: Client, name: str, newest: Object) -> bool:
    """Whether the stack was removed by a client that knows nothing of revisions."""
    label = f"{STACK_LABEL}={name}"
    return bool(newest["Services"]) and not client.get("/services", filters={"label": [label]})


def plan_of(client: Client, name: str, number: int | None) -> tuple[int, StackPlan]:
    """The revision to go back to, and its plan. Raises `NotFound` when it, or a secret or config of it, is gone."""
    number = number or _back(client, name)
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


def _back(client: Client, name: str) -> int:
    """From the newest; but also to the newest when something is there that no revision tells of: a deployment that was
    refused half way was not recorded, and what was before it is the newest. Why a newer one is passed over is told."""
    known = client.get(f"/stacks/{name}/revisions")
    if not known:
        raise _nothing(name)
    plans = [_plan(client, name, int(revision["Number"])) for revision in known[:2]]
    recorded = {service for revision in known for service in revision["Services"]}
    secrets = tuple(secret for plan in plans for secret in plan.external_secrets)
    configs = tuple(config for plan in plans for config in plan.external_configs)
    needed = StackPlan(name, (), (), (), (), external_secrets=secrets, external_configs=configs)
    is_beyond = _is_beyond(read_present(client, needed), plans, recorded)
    found = way_back(known, None if is_beyond else int(known[0]["Number"]))
    if found.to is None and len(known) < 2 and not is_beyond:
        raise BadRequest(f"stack {name} has one revision only, {known[0]['Number']}: there is none before it")
    if found.to is None:
        why = "; ".join(found.passed_over) or "all are as the newest is"
        raise BadRequest(f"stack {name} has no revision that is good to go back to: {why}; name one with --to")
    for reason in found.passed_over:
        click.echo(f"{name}: {reason}; passed over", err=True)
    return found.to


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
        "Outcome": "; ".join(filter(None, (ended(revision, now), missing_of(revision)))),
        "Services": ", ".join(revision["Services"]),
    }
