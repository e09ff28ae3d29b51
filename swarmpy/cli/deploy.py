"""`stack deploy`: what must be there first, then what is missing or differs is written; nothing else is touched."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from swarmpy.cli.awaited import Awaited
from swarmpy.cli.registry import auth_header
from swarmpy.client import Client, Object
from swarmpy.errors import BadRequest, Conflict, NotFound
from swarmpy.stack.diff import changes
from swarmpy.stack.names import STACK_LABEL
from swarmpy.stack.plan import StackPlan

Say = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Present:
    """What the cluster holds before the deployment: the stack's services by name, ids of networks by name."""

    services: Mapping[str, Object]
    networks: Mapping[str, str]
    tasks: frozenset[str]


def read_present(client: Client, plan: StackPlan) -> Present:
    """Raises when the plan cannot be carried out: an external network is missing, a name is taken by others."""
    networks = {network["Name"]: network for network in client.get("/networks")}
    for name in plan.external:
        if name not in networks:
            raise NotFound(f"network {name} is declared external and is not there; create it first")
    for wish in plan.networks:
        known = networks.get(wish["Name"])
        if known is not None and (known.get("Labels") or {}).get(STACK_LABEL) != plan.name:
            raise Conflict(
                f"network {wish['Name']} is there already and belongs to no stack {plan.name}; declare it external"
            )
    services = {service["Spec"]["Name"]: service for service in client.get("/services")}
    for spec in plan.services:
        _check_owner(services.get(spec["Name"]), plan.name)
    own = {name: service for name, service in services.items() if _stack_of(service) == plan.name}
    tasks = client.get("/tasks", filters={"label": [f"{STACK_LABEL}={plan.name}"]}) if own else ()
    ids = {name: str(network["Id"]) for name, network in networks.items()}
    return Present(own, ids, frozenset(task["ID"] for task in tasks))


def _stack_of(service: Object) -> str:
    return str((service["Spec"].get("Labels") or {}).get(STACK_LABEL, ""))


def _check_owner(service: Object | None, stack: str) -> None:
    if service is not None and _stack_of(service) != stack:
        raise Conflict(f"service {service['Spec']['Name']} is there already and does not belong to the stack {stack}")


def carry_out(
    client: Client,
    plan: StackPlan,
    present: Present,
    *,
    docker_config: Mapping[str, object] | None,
    prune: bool,
    say: Say,
) -> Awaited:
    """Networks, then services, then with `prune` what left the file. `say` is told each thing and what became of it.

    `docker_config` is None unless registry credentials are to be sent along.
    """
    # Credentials first: a helper that fails must not leave half a stack.
    headers = {spec["Name"]: _auth(spec, docker_config) for spec in plan.services}
    networks = dict(present.networks)
    for wish in plan.networks:
        name = wish["Name"]
        if name not in networks:
            networks[name] = client.post("/networks/create", wish)["Id"]
            say(f"network {name}", "created")
    names: dict[str, str] = {}
    changed: set[str] = set()
    for spec in plan.services:
        name = spec["Name"]
        service_id, became = _apply(client, spec, present.services.get(name), networks, headers[name])
        names[service_id] = name
        if became != "unchanged":
            changed.add(service_id)
        say(f"service {name}", became)
    if prune:
        _prune(client, present, set(names.values()), say)
    return Awaited(names, present.tasks, frozenset(changed))


def _auth(spec: Object, docker_config: Mapping[str, object] | None) -> dict[str, str]:
    if docker_config is None:
        return {}
    return auth_header(spec["TaskTemplate"]["ContainerSpec"]["Image"], docker_config)


def _apply(
    client: Client, wish: Object, stored: Object | None, networks: Mapping[str, str], headers: Mapping[str, str]
) -> tuple[str, str]:
    """The service's id and what became of it."""
    if stored is None:
        return str(client.post("/services/create", wish, headers=headers)["ID"]), "created"
    differing = changes(wish, stored["Spec"], networks)
    if not differing and not headers:
        return str(stored["ID"]), "unchanged"
    # An update must not take back one that someone forced.
    forced = stored["Spec"]["TaskTemplate"].get("ForceUpdate", 0)
    wish = {**wish, "TaskTemplate": {**wish["TaskTemplate"], "ForceUpdate": forced}}
    query = {"version": str(stored["Version"]["Index"])}
    if not headers:
        query["registryAuthFrom"] = "spec"
    client.post(f"/services/{stored['ID']}/update", wish, headers=headers, **query)
    became = f"updated ({', '.join(differing)})" if differing else "unchanged"
    return str(stored["ID"]), became


def _prune(client: Client, present: Present, kept: set[str], say: Say) -> None:
    for name, service in present.services.items():
        if name not in kept:
            client.delete(f"/services/{service['ID']}")
            say(f"service {name}", "removed, it left the file")


def remove_stack(client: Client, name: str, say: Say) -> None:
    """Services first, so that nobody holds the networks. Raises `NotFound` when there is nothing of the stack."""
    if not name:
        raise BadRequest("a stack has a name")
    filters = {"label": [f"{STACK_LABEL}={name}"]}
    services, networks = client.get("/services", filters=filters), client.get("/networks", filters=filters)
    if not services and not networks:
        raise NotFound(f"nothing found in stack: {name}")
    for service in sorted(services, key=lambda item: str(item["Spec"]["Name"])):
        client.delete(f"/services/{service['ID']}")
        say(f"service {service['Spec']['Name']}", "removed")
    for network in networks:
        client.delete(f"/networks/{network['Id']}")
        say(f"network {network['Name']}", "removed")
