"""Carrying out what `swarmpy.stack.changes` decided: what is missing or differs is written, nothing else is touched."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from swarmpy.cli.awaited import Awaited, is_changed
from swarmpy.cli.held import held_updates
from swarmpy.cli.options import tell_warnings
from swarmpy.cli.registry import auth_header
from swarmpy.client import Client, Object
from swarmpy.errors import Conflict, NotFound, OutOfSequence, SwarmpyError, TimedOut, Unavailable
from swarmpy.stack.changes import Act, Kind, Operation, Present, labels_of, of_stack
from swarmpy.stack.names import STACK_LABEL
from swarmpy.stack.plan import StackPlan
from swarmpy.stack.sameness import DIGEST_LABEL, digest_of

Say = Callable[[str, str], None]

PATHS = {Kind.NETWORK: "/networks", Kind.SECRET: "/secrets", Kind.CONFIG: "/configs", Kind.SERVICE: "/services"}
_REFERENCES: tuple[tuple[Kind, str, str], ...] = (
    (Kind.SECRET, "Secrets", "Secret"),
    (Kind.CONFIG, "Configs", "Config"),
)
_SALT_BYTES = 16
# Whether the manager wrote is not said then.
_OUTCOME_UNKNOWN = (TimedOut, Unavailable)


def read_present(client: Client, plan: StackPlan) -> Present:
    """Of secrets and configs no more than the stack's own and those that the plan names: each is decrypted."""
    services = {service["Spec"]["Name"]: service for service in client.get("/services")}
    tasks: Sequence[Object] = ()
    if of_stack(Kind.SERVICE, services, plan.name):
        tasks = client.get("/tasks", filters={"label": [f"{STACK_LABEL}={plan.name}"]})
    secrets = (*(secret["Name"] for secret in plan.secrets), *plan.external_secrets)
    configs = (*(config["Name"] for config in plan.configs), *plan.external_configs)
    return Present(
        services,
        {network["Name"]: network for network in client.get("/networks")},
        _own_and_named(client, Kind.SECRET, plan.name, secrets),
        _own_and_named(client, Kind.CONFIG, plan.name, configs),
        frozenset(task["ID"] for task in tasks),
    )


def named(client: Client, kind: Kind, names: Iterable[str]) -> dict[str, Object]:
    """The secrets or configs of these names that are there, by name."""
    wanted = sorted(set(names))
    found = client.get(PATHS[kind], filters={"names": wanted}) if wanted else ()
    return {name_of(kind, item): item for item in found if name_of(kind, item) in wanted}


def _own_and_named(client: Client, kind: Kind, stack: str, names: Iterable[str]) -> dict[str, Object]:
    own = {name_of(kind, item): item for item in labelled(client, kind, stack)}
    return own | named(client, kind, {*names} - own.keys())


def carry_out(
    client: Client,
    plan: StackPlan,
    operations: Sequence[Operation],
    present: Present,
    *,
    docker_config: Mapping[str, object] | None,
    say: Say,
) -> Awaited:
    """All but removals. `say` is told each thing and what became of it. What was made for a deployment that then
    fails, and nobody uses, goes again.

    `docker_config` is None unless registry credentials are to be sent along.
    """
    # Credentials first: a helper that fails must not leave half a stack.
    headers = {spec["Name"]: _auth(spec, docker_config) for spec in plan.services}
    ids = _known_ids(present)
    names: dict[str, str] = {}
    changed: set[str] = set()
    made: list[Operation] = []
    for operation in operations:
        if operation.act is Act.REMOVE:
            continue
        with _told_in_place(plan, operation), _taking_back(client, made, say):
            if operation.kind is Kind.SERVICE:
                service_id = _apply_service(client, operation, ids, headers[operation.name], say)
                names[service_id] = operation.name
                if _is_changed(client, operation, present, headers[operation.name]):
                    changed.add(service_id)
                continue
            ids[operation.kind][operation.name] = _apply(client, operation, say)
        if operation.act is Act.CREATE:
            made.append(replace(operation, id=ids[operation.kind][operation.name]))
    held = held_updates(present.services.values())
    return Awaited(names, present.tasks, frozenset(changed), from_file=True, held=held)


@contextmanager
def _told_in_place(plan: StackPlan, operation: Operation) -> Iterator[None]:
    """A refusal says what it is about, and where that was wished for."""
    try:
        yield
    except _OUTCOME_UNKNOWN:
        raise
    except SwarmpyError as error:
        text = str(plan.places.problem(operation.kind, operation.name, str(error)))
        if isinstance(error, OutOfSequence):
            # It was decided upon what was there a moment ago.
            raise Conflict(f"{text}: someone else was faster; deploy again") from error
        raise type(error)(text) from error


@contextmanager
def _taking_back(client: Client, made: Sequence[Operation], say: Say) -> Iterator[None]:
    """When the operation is refused. What a service uses by now stays; why the deployment failed counts, and not that
    something else stays, too."""
    try:
        yield
    except _OUTCOME_UNKNOWN:
        # What was made may be needed by what was written all the same.
        raise
    except SwarmpyError:
        for one in reversed(made):
            with suppress(SwarmpyError):
                client.delete(f"{PATHS[one.kind]}/{one.id}")
                say(f"{one.kind} {one.name}", "removed again, the deployment failed")
        raise


def _auth(spec: Object, docker_config: Mapping[str, object] | None) -> dict[str, str]:
    if docker_config is None:
        return {}
    return auth_header(spec["TaskTemplate"]["ContainerSpec"]["Image"], docker_config)


def _known_ids(present: Present) -> dict[Kind, dict[str, str]]:
    """Of what services refer to, by kind and name."""
    return {
        Kind.NETWORK: {},
        Kind.SECRET: {name: str(secret["ID"]) for name, secret in present.secrets.items()},
        Kind.CONFIG: {name: str(config["ID"]) for name, config in present.configs.items()},
    }


def _apply(client: Client, operation: Operation, say: Say) -> str:
    """The id of a network, secret or config."""
    path, thing = PATHS[operation.kind], f"{operation.kind} {operation.name}"
    if operation.act is Act.KEEP:
        return operation.id
    body = _with_digest(operation)
    if operation.act is Act.CREATE:
        answer: Any = client.post(f"{path}/create", body)
        tell_warnings(answer)
        say(thing, "created")
        return str(answer["Id" if operation.kind is Kind.NETWORK else "ID"])
    client.post(f"{path}/{operation.id}/update", body, version=str(operation.version))
    say(thing, _became(operation))
    return operation.id


def _with_digest(operation: Operation) -> Object | None:
    """Of a secret whose data are sent, their digest goes along: a later deployment compares with it."""
    body = operation.body
    if operation.kind is not Kind.SECRET or body is None or not body.get("Data"):
        return body
    digest = digest_of(body["Data"], os.urandom(_SALT_BYTES))
    return {**body, "Labels": {**(body.get("Labels") or {}), DIGEST_LABEL: digest}}


def _apply_service(
    client: Client, operation: Operation, ids: Mapping[Kind, Mapping[str, str]], headers: Mapping[str, str], say: Say
) -> str:
    wish = with_references(operation.body or {}, ids)
    thing = f"service {operation.name}"
    if operation.act is Act.CREATE:
        service_id = str(client.post("/services/create", wish, headers=headers)["ID"])
        say(thing, "created")
        return service_id
    if operation.act is Act.UPDATE or headers:
        query = {"version": str(operation.version)}
        if not headers:
            query["registryAuthFrom"] = "spec"
        tell_warnings(client.post(f"/services/{operation.id}/update", wish, headers=headers, **query))
    say(thing, _became(operation))
    return operation.id


def _is_changed(client: Client, operation: Operation, present: Present, headers: Mapping[str, str]) -> bool:
    """Credentials that were sent along may be new ones for the same wish: what failed for them starts afresh."""
    if operation.act is not Act.KEEP:
        return True
    return bool(headers) and is_changed(client, present.services[operation.name], with_credentials=True)


def _became(operation: Operation) -> str:
    if operation.act is Act.KEEP:
        return "unchanged"
    if operation.act is Act.COMPARE:
        return "unchanged, the manager compared its data"
    return f"updated ({', '.join(field.path for field in operation.fields)})"


def with_references(spec: Object, ids: Mapping[Kind, Mapping[str, str]]) -> Object:
    """The spec with the ids of the secrets and configs that it names. Raises `NotFound` for one that is not there."""
    template = spec.get("TaskTemplate") or {}
    container = dict(template.get("ContainerSpec") or {})
    for kind, field, prefix in _REFERENCES:
        if container.get(field):
            container[field] = [_with_id(given, kind, prefix, ids[kind]) for given in container[field]]
    return {**spec, "TaskTemplate": {**template, "ContainerSpec": container}} if container else spec


def _with_id(reference: Object, kind: Kind, prefix: str, ids: Mapping[str, str]) -> Object:
    name = reference.get(f"{prefix}Name", "")
    if name not in ids:
        raise NotFound(f"{kind} {name} is not there; create it first")
    return {**reference, f"{prefix}ID": ids[name]}


def labelled(client: Client, kind: Kind, stack: str) -> list[Object]:
    found = client.get(PATHS[kind], filters={"label": [f"{STACK_LABEL}={stack}"]})
    # A manager that knows no such filter must not cost others what is theirs.
    own = [item for item in found if labels_of(kind, item).get(STACK_LABEL) == stack]
    return sorted(own, key=lambda item: name_of(kind, item))


def name_of(kind: Kind, item: Object) -> str:
    return str(item["Name"] if kind is Kind.NETWORK else item["Spec"]["Name"])
