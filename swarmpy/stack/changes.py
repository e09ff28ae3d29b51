"""What a deployment does, as a value: one operation a thing, from the plan and what the cluster holds. Pure.

`deploy` carries it out, `diff` prints it; neither decides anything.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from typing import Any

from swarmpy.errors import Conflict, NotFound, SwarmpyError
from swarmpy.stack.diff import FieldChange
from swarmpy.stack.diff import changes as service_changes
from swarmpy.stack.docker_json import Object
from swarmpy.stack.names import STACK_LABEL
from swarmpy.stack.network_diff import network_changes
from swarmpy.stack.plan import StackPlan
from swarmpy.stack.sameness import DIGEST_LABEL, agrees

NEW_DATA = "new data"
NOT_COMPARED = "its data cannot be compared here, another client made it; a deployment has the manager compare them"
Known = Mapping[str, Object]


class Kind(StrEnum):
    NETWORK = "network"
    SECRET = "secret"
    CONFIG = "config"
    SERVICE = "service"


class Act(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    # Only the manager can tell whether there is anything to change.
    COMPARE = "compare"
    KEEP = "keep"
    REMOVE = "remove"
    # Cannot be: why is its `fault`, and with one of these nothing may be done.
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Operation:
    """`id` and `version` are those of what is there; `body` is what is sent, and may hold a secret; `note` is what
    people should know of it besides. What is refused has a `body` only where nothing of its name is there."""

    act: Act
    kind: Kind
    name: str
    id: str = ""
    version: int = 0
    body: Object | None = field(default=None, repr=False)
    fields: tuple[FieldChange, ...] = ()
    note: str = ""
    fault: SwarmpyError | None = None


@dataclass(frozen=True, slots=True)
class Present:
    """What the cluster holds before the deployment, all by name; `tasks` are those of the stack."""

    services: Known = field(default_factory=dict)
    networks: Known = field(default_factory=dict)
    secrets: Known = field(default_factory=dict)
    configs: Known = field(default_factory=dict)
    tasks: frozenset[str] = frozenset()


def operations(plan: StackPlan, present: Present, *, prune: bool) -> tuple[Operation, ...]:
    """In the order in which they are done: what services need, then services, then what left the file.

    Refused are what is external and missing (`NotFound`), names that others have, and secrets and configs that would
    have to change their data (`Conflict`).
    """
    names = names_by_id(present)
    wished = (
        *_missing(Kind.NETWORK, plan.external, present.networks),
        *_missing(Kind.SECRET, plan.external_secrets, present.secrets),
        *_missing(Kind.CONFIG, plan.external_configs, present.configs),
        *_each(Kind.NETWORK, plan.networks, present.networks, plan.name, _network),
        *_each(Kind.SECRET, plan.secrets, present.secrets, plan.name, _secret),
        *_each(Kind.CONFIG, plan.configs, present.configs, plan.name, _config),
        *_each(Kind.SERVICE, plan.services, present.services, plan.name, partial(_service, names=names)),
    )
    return (*wished, *_leaving(plan.name, wished, present)) if prune else wished


def changes_something(operation: Operation) -> bool:
    return operation.act not in (Act.KEEP, Act.COMPARE)


def labels_of(kind: Kind, stored: Object) -> Mapping[str, str]:
    return (stored if kind is Kind.NETWORK else stored["Spec"]).get("Labels") or {}


def id_of(kind: Kind, stored: Object) -> str:
    return str(stored["Id" if kind is Kind.NETWORK else "ID"])


def of_stack(kind: Kind, known: Known, stack: str) -> list[str]:
    """The names of those that carry the stack's label."""
    return sorted(name for name, stored in known.items() if labels_of(kind, stored).get(STACK_LABEL) == stack)


def _missing(kind: Kind, names: Sequence[str], known: Known) -> Iterator[Operation]:
    for name in names:
        if name not in known:
            fault = NotFound("is declared external and is not there; create it first")
            yield Operation(Act.REFUSE, kind, name, body={"Name": name}, fault=fault)


def _each(
    kind: Kind,
    wishes: Sequence[Object],
    known: Known,
    stack: str,
    decide: Callable[[Object, Object | None, str], Operation],
) -> Iterator[Operation]:
    for wish in wishes:
        name = str(wish["Name"])
        try:
            yield decide(wish, known.get(name), stack)
        except Conflict as fault:
            yield Operation(Act.REFUSE, kind, name, fault=fault)


def _check_owner(kind: Kind, name: str, stored: Object, stack: str) -> None:
    if labels_of(kind, stored).get(STACK_LABEL) == stack:
        return
    if kind is Kind.SERVICE:
        raise Conflict(f"{name} is there already and does not belong to the stack {stack}")
    raise Conflict(f"{name} is there already and belongs to no stack {stack}; declare it external")


def _network(wish: Object, stored: Object | None, stack: str) -> Operation:
    name = wish["Name"]
    if stored is None:
        return Operation(Act.CREATE, Kind.NETWORK, name, body=wish)
    _check_owner(Kind.NETWORK, name, stored, stack)
    if fields := network_changes(wish, stored):
        told = ", ".join(f"{field.path} {_shown(field.old)} -> {_shown(field.new)}" for field in fields)
        raise Conflict(
            f"{name} is there with other settings ({told}); networks never change: "
            "give it another name, or remove it first"
        )
    return Operation(Act.KEEP, Kind.NETWORK, name, id_of(Kind.NETWORK, stored))


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)


def _secret(wish: Object, stored: Object | None, stack: str) -> Operation:
    if stored is None:
        return _new_data(Kind.SECRET, wish)
    digest = labels_of(Kind.SECRET, stored).get(DIGEST_LABEL, "")
    _check_owner(Kind.SECRET, wish["Name"], stored, stack)
    _check_templating(Kind.SECRET, wish, stored)
    same = agrees(digest, wish.get("Data") or "")
    if same is False:
        raise _other_data(Kind.SECRET, wish["Name"])
    if same is None:
        # The manager is sent the data all the same: it takes nothing but equal ones.
        asked = _relabelled(Kind.SECRET, wish, stored)
        return replace(asked, act=Act.UPDATE if asked.fields else Act.COMPARE, note=NOT_COMPARED)
    kept = {key: value for key, value in wish.items() if key != "Data"}
    labels = {**(wish.get("Labels") or {}), DIGEST_LABEL: digest}
    return _relabelled(Kind.SECRET, {**kept, "Labels": labels}, stored)


def _config(wish: Object, stored: Object | None, stack: str) -> Operation:
    if stored is None:
        return _new_data(Kind.CONFIG, wish)
    _check_owner(Kind.CONFIG, wish["Name"], stored, stack)
    _check_templating(Kind.CONFIG, wish, stored)
    if (wish.get("Data") or "") != (stored["Spec"].get("Data") or ""):
        raise _other_data(Kind.CONFIG, wish["Name"])
    return _relabelled(Kind.CONFIG, wish, stored)


def _new_data(kind: Kind, wish: Object) -> Operation:
    return Operation(Act.CREATE, kind, wish["Name"], body=wish, fields=(FieldChange("Data", None, NEW_DATA),))


def _relabelled(kind: Kind, wish: Object, stored: Object) -> Operation:
    old, new = labels_of(kind, stored), wish.get("Labels") or {}
    fields = tuple(
        FieldChange(f"Labels.{key}", old.get(key), new.get(key))
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    )
    act = Act.UPDATE if fields else Act.KEEP
    version = int(stored["Version"]["Index"])
    return Operation(act, kind, wish["Name"], id_of(kind, stored), version, wish, fields)


def _check_templating(kind: Kind, wish: Object, stored: Object) -> None:
    """What is filled in, and how, is part of what the containers read."""
    if (wish.get("Templating") or {}) != (stored["Spec"].get("Templating") or {}):
        raise _other_data(kind, wish["Name"])


def _other_data(kind: Kind, name: str) -> Conflict:
    return Conflict(f"{name} is there with other data; {kind}s never change: give it another name, such as {name}_v2")


def _service(spec: Object, stored: Object | None, stack: str, names: Mapping[str, str]) -> Operation:
    name = spec["Name"]
    if stored is None:
        return Operation(Act.CREATE, Kind.SERVICE, name, body=spec)
    _check_owner(Kind.SERVICE, name, stored, stack)
    fields = service_changes(spec, stored["Spec"], names)
    # An update must not take back one that someone forced.
    forced = stored["Spec"]["TaskTemplate"].get("ForceUpdate", 0)
    body = {**spec, "TaskTemplate": {**spec["TaskTemplate"], "ForceUpdate": forced}}
    act = Act.UPDATE if fields else Act.KEEP
    version = int(stored["Version"]["Index"])
    return Operation(act, Kind.SERVICE, name, id_of(Kind.SERVICE, stored), version, body, fields)


def names_by_id(present: Present) -> dict[str, str]:
    """Of all that services refer to."""
    groups: tuple[tuple[Kind, Known], ...] = (
        (Kind.NETWORK, present.networks),
        (Kind.SECRET, present.secrets),
        (Kind.CONFIG, present.configs),
    )
    return {id_of(kind, stored): name for kind, known in groups for name, stored in known.items()}


def _leaving(stack: str, wished: Sequence[Operation], present: Present) -> Iterator[Operation]:
    """Services first, so that nobody holds the rest."""
    groups: tuple[tuple[Kind, Known], ...] = (
        (Kind.SERVICE, present.services),
        (Kind.NETWORK, present.networks),
        (Kind.SECRET, present.secrets),
        (Kind.CONFIG, present.configs),
    )
    kept: set[tuple[Kind, Any]] = {(operation.kind, operation.name) for operation in wished}
    for kind, known in groups:
        for name in of_stack(kind, known, stack):
            if (kind, name) not in kept:
                yield Operation(Act.REMOVE, kind, name, id_of(kind, known[name]))
