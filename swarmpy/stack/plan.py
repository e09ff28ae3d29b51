"""From loaded files to what a deployment is to bring about: networks and services. Pure; refuses all at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from swarmpy.stack.canonical import DEFAULT_NETWORK, Config
from swarmpy.stack.convert import network_name, service_of
from swarmpy.stack.docker_json import Object, stated
from swarmpy.stack.faults import Faults
from swarmpy.stack.keys import judge
from swarmpy.stack.names import fault_of_name, with_stack_label
from swarmpy.stack.tree import Map, Path, Problem, StackError, in_order, locate


@dataclass(frozen=True, slots=True)
class StackPlan:
    """`external` are names of networks that must be there already. `warnings` name what the files say in vain."""

    name: str
    networks: tuple[Object, ...]
    external: tuple[str, ...]
    services: tuple[Object, ...]
    warnings: tuple[str, ...]


def plan_stack(name: str, config: Config, trees: Sequence[Map]) -> StackPlan:
    """Raises `StackError` with everything that keeps the stack from being deployed."""
    judgements = [judge(tree) for tree in trees]
    faults = Faults()
    if (fault := fault_of_name(name)) is not None:
        faults.add((), f"stack name {fault}")
    services = config.get("services") or {}
    if not services:
        faults.add((), "no services: a stack has at least one")
    specs = tuple(service_of(name, key, service, config, faults) for key, service in services.items())
    networks, external = _networks(name, config, faults)
    problems = [problem for judgement in judgements for problem in judgement.refusals]
    problems += _marked(faults, trees, problems)
    if problems:
        raise StackError(problems)
    warnings = in_order(warning for judgement in judgements for warning in judgement.warnings)
    return StackPlan(name, networks, external, specs, tuple(map(str, warnings)))


def _networks(stack: str, config: Config, faults: Faults) -> tuple[tuple[Object, ...], tuple[str, ...]]:
    """Only those that a service uses."""
    known: Config = config.get("networks") or {}
    uses = (service.get("networks") or (DEFAULT_NETWORK,) for service in (config.get("services") or {}).values())
    used = sorted({network for names in uses for network in names})
    made, external = [], []
    for network in used:
        given = known.get(network) or {}
        if given.get("external"):
            external.append(network_name(stack, network, known))
        elif network in known or network == DEFAULT_NETWORK:
            made.append(_network(stack, network, known, faults))
    return tuple(made), tuple(external)


def _network(stack: str, network: str, known: Config, faults: Faults) -> Object:
    given = known.get(network) or {}
    pools = (given.get("ipam") or {}).get("config") or ()
    for index, pool in enumerate(pools):
        _check_subnet(pool.get("subnet"), ("networks", network, "ipam", "config", index, "subnet"), faults)
    return stated(
        {
            "Name": network_name(stack, network, known),
            "Driver": "overlay",
            "Scope": "swarm",
            "Internal": given.get("internal") or None,
            "IPAM": {"Config": [stated({"Subnet": pool.get("subnet")}) for pool in pools]} if pools else None,
            "Labels": with_stack_label(stack, given.get("labels")),
        }
    )


def _check_subnet(subnet: str | None, path: Path, faults: Faults) -> None:
    try:
        IPv4Network(subnet or "")
    except ValueError as error:
        faults.add(path, f"{subnet!r} is no IPv4 subnet: {error}")


def _marked(faults: Faults, trees: Sequence[Map], known: Sequence[Problem]) -> list[Problem]:
    """The faults with the place they come from: the last file that knows the path best. What a refusal of the same
    part has said already is not said again."""
    refused = [problem.where for problem in known]
    problems = []
    for path, text in faults.found:
        if any(path[: len(where)] == where for where in refused):
            continue
        _, mark = max((locate(tree, path) for tree in reversed(trees)), key=lambda found: found[0])
        problems.append(Problem(mark, path, text))
    return problems
