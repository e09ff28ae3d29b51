"""Edits of a service's spec, made of few kinds: a field set, items added to a list or a mapping or taken from it. Pure:
each changes the copy that it is given, which `service_flags.edited` makes."""

import json
from collections.abc import Callable
from typing import Any

from swarmpy.labels import HOST
from swarmpy.stack.docker_json import Object
from swarmpy.stack.shortforms import split_words

Edit = Callable[[Object, Any], None]
Parse = Callable[[str], Any]
Key = Callable[[Any], Any]

CONTAINER = "TaskTemplate.ContainerSpec"
_SECOND = 10**9
_BASES: dict[str, Object] = {
    # What docker writes beside the field asked for.
    "UpdateConfig": {"Parallelism": 1, "FailureAction": "pause", "Monitor": 5 * _SECOND, "MaxFailureRatio": 0,
                     "Order": "stop-first"},
    "RollbackConfig": {"Parallelism": 1, "FailureAction": "pause", "Monitor": 5 * _SECOND, "MaxFailureRatio": 0,
                       "Order": "stop-first"},
    "TaskTemplate.RestartPolicy": {"Condition": "any", "Delay": 5 * _SECOND, "MaxAttempts": 0},
}  # fmt: skip


def part(spec: Object, path: str) -> Object:
    """The mapping at the path, made where it is missing."""
    here, walked = spec, ""
    for key in filter(None, path.split(".")):
        walked = f"{walked}.{key}" if walked else key
        if here.get(key) is None:
            here[key] = dict(_BASES.get(walked, {}))
        here = here[key]
    return here


def set_field(path: str, parse: Parse, *, zero: bool = False) -> Edit:
    """With `zero` an empty value is one that is said; else it takes the field away."""
    above, _, field = path.rpartition(".")

    def edit(spec: Object, text: str) -> None:
        value, holder = parse(text), part(spec, above)
        if value or zero:
            holder[field] = value
        else:
            holder.pop(field, None)

    return edit


def _identity(item: Any) -> Any:
    return item


def _values_of(parse: Parse, texts: list[str]) -> list[Any]:
    values: list[Any] = []
    for text in texts:
        parsed = parse(text)
        # A range of ports is several.
        values += parsed if isinstance(parsed, list) else [parsed]
    return values


def add_items(path: str, parse: Parse, key: Key = _identity, order: Key | None = None) -> Edit:
    """An item takes the place of the one with its key, or comes last."""
    above, _, field = path.rpartition(".")

    def edit(spec: Object, texts: list[str]) -> None:
        holder = part(spec, above)
        by_key = {key(item): item for item in holder.get(field) or ()}
        by_key |= {key(item): item for item in _values_of(parse, texts)}
        items = list(by_key.values())
        holder[field] = sorted(items, key=order) if order else items

    return edit


def remove_items(path: str, parse: Parse, key: Key = _identity) -> Edit:
    """What is not there is no error: it is gone already."""
    above, _, field = path.rpartition(".")

    def edit(spec: Object, texts: list[str]) -> None:
        gone, holder = {parse(text) for text in texts}, part(spec, above)
        kept = [item for item in holder.get(field) or () if key(item) not in gone]
        holder.pop(field, None)
        if kept:
            holder[field] = kept

    return edit


def add_pairs(path: str, parse: Parse) -> Edit:
    def edit(spec: Object, texts: list[str]) -> None:
        part(spec, path).update(parse(text) for text in texts)

    return edit


def remove_keys(path: str) -> Edit:
    above, _, field = path.rpartition(".")

    def edit(spec: Object, keys: list[str]) -> None:
        holder = part(spec, above)
        left = {key: value for key, value in (holder.get(field) or {}).items() if key not in keys}
        holder.pop(field, None)
        if left:
            holder[field] = left

    return edit


def words(path: str) -> Edit:
    return set_field(path, split_words)


def set_mode(spec: Object, mode: str) -> None:
    key = {"global": "Global", "replicated-job": "ReplicatedJob", "global-job": "GlobalJob"}.get(mode, "Replicated")
    if mode not in ("replicated", "global", "replicated-job", "global-job"):
        raise ValueError(f"{mode!r} is none of replicated, global, replicated-job, global-job")
    spec["Mode"] = {key: {}}


def set_replicas(spec: Object, text: str) -> None:
    number, mode = _whole(text), spec["Mode"]
    if mode.get("ReplicatedJob") is not None:
        mode["ReplicatedJob"]["TotalCompletions"] = number
        # As many at a time, unless something else is said.
        mode["ReplicatedJob"].setdefault("MaxConcurrent", number)
    elif mode.get("Replicated") is not None:
        mode["Replicated"]["Replicas"] = number
    else:
        raise ValueError("a global service runs one task on every node; only replicas can be counted")


def set_concurrent(spec: Object, text: str) -> None:
    job = spec["Mode"].get("ReplicatedJob")
    if job is None:
        raise ValueError("goes with replicated jobs only")
    job["MaxConcurrent"] = _whole(text)


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{text!r} is no number; write one like 3")
    return int(text)


def set_driver(spec: Object, name: str) -> None:
    """Options of another driver go with it."""
    spec["TaskTemplate"].pop("LogDriver", None)
    if name:
        spec["TaskTemplate"]["LogDriver"] = {"Name": name}


def add_driver_options(spec: Object, texts: list[str]) -> None:
    driver = spec["TaskTemplate"].get("LogDriver")
    if not driver:
        raise ValueError("goes with --log-driver, for the service names none yet")
    driver["Options"] = dict(driver.get("Options") or {}) | {
        key: value for key, _, value in (text.partition("=") for text in texts)
    }


def force(spec: Object, wanted: str) -> None:
    if wanted == "true":
        spec["TaskTemplate"]["ForceUpdate"] = spec["TaskTemplate"].get("ForceUpdate", 0) + 1


def set_health(field: str, parse: Parse) -> Edit:
    """A check that was switched off is on again by any of its options."""

    def edit(spec: Object, text: str) -> None:
        health = part(spec, f"{CONTAINER}.Healthcheck")
        if health.get("Test") == ["NONE"]:
            del health["Test"]
        health[field] = parse(text)

    return edit


def health_command(text: str) -> list[str]:
    return ["CMD-SHELL", text] if text else []


def no_health(spec: Object, wanted: str) -> None:
    if wanted == "true":
        part(spec, CONTAINER)["Healthcheck"] = {"Test": ["NONE"]}


def move_capabilities(parse: Parse, *, adding: bool) -> Edit:
    """One that the other list has leaves that list: a second word takes the first one back. RESET empties the list."""
    field, other = ("CapabilityAdd", "CapabilityDrop") if adding else ("CapabilityDrop", "CapabilityAdd")

    def edit(spec: Object, texts: list[str]) -> None:
        container, names = part(spec, CONTAINER), [parse(text) for text in texts]
        mine, theirs = set(container.get(field) or ()), set(container.get(other) or ())
        if "RESET" in names:
            mine = set()
        wanted = {name for name in names if name != "RESET"}
        mine |= wanted - theirs
        theirs -= wanted
        if "ALL" in mine:
            mine = {"ALL"}
        for name, kept in ((field, mine), (other, theirs)):
            container.pop(name, None)
            if kept:
                container[name] = sorted(kept)

    return edit


def remove_hosts(spec: Object, texts: list[str]) -> None:
    """By `name`, or by `name:address` where a name has several."""
    container = part(spec, CONTAINER)
    gone = [text.partition(":")[::2] for text in texts]

    def is_gone(entry: str) -> bool:
        address, _, name = entry.partition(" ")
        return any(name == wanted and at in ("", address) for wanted, at in gone)

    kept = [entry for entry in container.get("Hosts") or () if not is_gone(entry)]
    container.pop("Hosts", None)
    if kept:
        container["Hosts"] = kept


def remove_ports(parse: Parse) -> Edit:
    def edit(spec: Object, texts: list[str]) -> None:
        gone, endpoint = [parse(text).items() for text in texts], part(spec, "EndpointSpec")
        kept = [port for port in endpoint.get("Ports") or () if not any(items <= port.items() for items in gone)]
        endpoint.pop("Ports", None)
        if kept:
            endpoint["Ports"] = kept

    return edit


def set_host_option(field: str, parse: Parse) -> Edit:
    """What Docker's documents have no field for: see `swarmpy.labels`."""

    def edit(spec: Object, text: str) -> None:
        labels = part(spec, f"{CONTAINER}.Labels")
        options = json.loads(labels.get(HOST) or "{}") | {field: parse(text)}
        labels[HOST] = json.dumps(options, sort_keys=True, separators=(",", ":"))

    return edit
