"""How many tasks a service has, where they may run and how much each may use. Pure.

`deploy` and the older keys of the service itself (`scale`, `cpus`, `mem_limit`...) say the same; both may say it, but
not two things.
"""

from collections.abc import Callable
from typing import Any

from swarmpy.stack.canonical import Config
from swarmpy.stack.docker_json import Object, listed, stated
from swarmpy.stack.faults import Faults
from swarmpy.stack.scalars import text_of
from swarmpy.stack.tree import Path
from swarmpy.stack.units import parse_cpus, parse_size

_MODES = ("replicated", "global", "replicated-job", "global-job")
# An architecture's usual variant is the architecture itself.
_VARIANTS = {"arm64/v8": "arm64", "amd64/v1": "amd64", "arm/v7": "arm", "arm/v6": "arm", "arm/v5": "arm"}


def resources_of(service: Config, path: Path, faults: Faults) -> Object | None:
    given = (service.get("deploy") or {}).get("resources") or {}
    limits, reserved = given.get("limits") or {}, given.get("reservations") or {}

    def agreed(key: str, in_deploy: Any, own: Any) -> Any:
        return _agreed(key, in_deploy, own, path, faults)

    def amount(value: Any, reads: Callable[[str], int], *where: str) -> int | None:
        return faults.read((*path, *where), text_of(value), reads) if value else None

    amounts = ("deploy", "resources")

    limited = {
        "NanoCPUs": agreed(
            "cpus",
            amount(limits.get("cpus"), parse_cpus, *amounts, "limits", "cpus"),
            amount(service.get("cpus"), parse_cpus, "cpus"),
        ),
        "MemoryBytes": agreed(
            "mem_limit",
            amount(limits.get("memory"), parse_size, *amounts, "limits", "memory"),
            amount(service.get("mem_limit"), parse_size, "mem_limit"),
        ),
        "Pids": agreed("pids_limit", limits.get("pids"), service.get("pids_limit")),
    }
    kept_free = {
        "NanoCPUs": amount(reserved.get("cpus"), parse_cpus, *amounts, "reservations", "cpus"),
        "MemoryBytes": agreed(
            "mem_reservation",
            amount(reserved.get("memory"), parse_size, *amounts, "reservations", "memory"),
            amount(service.get("mem_reservation"), parse_size, "mem_reservation"),
        ),
        "GenericResources": _generic(reserved),
    }
    return stated({"Limits": stated(limited) or None, "Reservations": stated(kept_free) or None}) or None


def _agreed(key: str, in_deploy: Any, own: Any, path: Path, faults: Faults) -> Any:
    if in_deploy is not None and own is not None and in_deploy != own:
        faults.add((*path, key), "says something else than deploy; keep the one in deploy")
    return own if in_deploy is None else in_deploy


def _generic(reserved: Config) -> list[Object] | None:
    given = [item.get("discrete_resource_spec") or {} for item in reserved.get("generic_resources") or ()]
    amounts = [{"Kind": item.get("kind", ""), "Value": int(item.get("value", 0))} for item in given]
    return listed({"DiscreteResourceSpec": amount} for amount in amounts)


def placement_of(service: Config, path: Path, faults: Faults) -> Object | None:
    given: Config = (service.get("deploy") or {}).get("placement") or {}
    spreads = [item["spread"] for item in given.get("preferences") or () if item.get("spread")]
    placement = {
        "Constraints": listed(given.get("constraints")),
        "Preferences": listed({"Spread": {"SpreadDescriptor": spread}} for spread in spreads),
        "MaxReplicas": given.get("max_replicas_per_node") or None,
        "Platforms": _platforms(service.get("platform"), (*path, "platform"), faults),
    }
    return stated(placement) or None


def _platforms(text: str | None, path: Path, faults: Faults) -> list[Object] | None:
    """`linux/amd64`, or either half of it."""
    if not text:
        return None
    system, slash, architecture = text.partition("/")
    if not slash and system != "linux":
        system, architecture = "linux", text
    architecture = _VARIANTS.get(architecture, architecture)
    if system != "linux" or "/" in architecture:
        faults.add(path, f"{text!r} is no platform of this cluster; write one like linux/amd64")
    return [stated({"Architecture": architecture or None, "OS": system})]


def mode_of(service: Config, path: Path, faults: Faults) -> Object:
    deploy: Config = service.get("deploy") or {}
    replicas = _agreed("scale", deploy.get("replicas"), service.get("scale"), path, faults)
    mode = faults.choose((*path, "deploy", "mode"), deploy.get("mode"), _MODES) or "replicated"
    if replicas is not None and mode.startswith("global"):
        key = ("scale",) if deploy.get("replicas") is None else ("deploy", "replicas")
        faults.add((*path, *key), f"does not go together with mode: {mode}, which runs one task on every node")
    match mode:
        case "global":
            return {"Global": {}}
        case "global-job":
            return {"GlobalJob": {}}
        case "replicated-job":
            return {"ReplicatedJob": stated({"MaxConcurrent": replicas, "TotalCompletions": replicas})}
    return {"Replicated": stated({"Replicas": replicas})}
