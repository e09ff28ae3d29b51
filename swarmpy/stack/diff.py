"""What would change if a service were updated: the wish beside what the manager holds. Pure.

The manager completes what it stores, so a field that the wish leaves out equals its default there.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Object = Mapping[str, Any]

# What the manager writes where a wish says nothing, by the path without list places.
_DEFAULTS: dict[str, Any] = {
    "TaskTemplate.Runtime": "container",
    "TaskTemplate.ContainerSpec.Isolation": "default",
    "Mode.Replicated.Replicas": 1,
    "Mode.ReplicatedJob.MaxConcurrent": 1,
    "Mode.ReplicatedJob.TotalCompletions": 1,
    "EndpointSpec.Mode": "vip",
    "EndpointSpec.Ports.Protocol": "tcp",
    "EndpointSpec.Ports.PublishMode": "ingress",
}
# How often someone forced an update is no wish of a file.
_NOT_OURS = frozenset({"TaskTemplate.ForceUpdate"})


def changes(wish: Object, stored: Object, network_ids: Mapping[str, str]) -> tuple[str, ...]:
    """The fields that differ, as paths; none means that an update would change nothing.

    Both are service specs in the API's JSON; `network_ids` are those of networks that the wish names by name.
    """
    mine, theirs = (_said(_with_ids(spec, network_ids)) for spec in (wish, stored))
    return tuple(_differences(mine, theirs, ""))


def _with_ids(spec: Object, network_ids: Mapping[str, str]) -> Object:
    """Networks by id and in the order of the ids: their order in a file means nothing."""
    template = spec.get("TaskTemplate") or {}
    networks = [
        attachment | {"Target": network_ids.get(attachment["Target"], attachment["Target"])}
        for attachment in template.get("Networks") or ()
    ]
    networks.sort(key=lambda attachment: str(attachment["Target"]))
    return {**spec, "TaskTemplate": {**template, "Networks": networks}}


def _differences(wish: Any, stored: Any, path: str) -> Iterator[str]:
    if wish == stored:
        return
    sides = [side for side in (wish, stored) if side is not None]
    keys = sorted({key for side in sides if isinstance(side, Mapping) for key in side})
    if not keys or not all(isinstance(side, Mapping) for side in sides):
        yield path
        return
    for key in keys:
        yield from _differences((wish or {}).get(key), (stored or {}).get(key), _below(path, key))


def _said(value: Any, path: str = "") -> Any:
    """What the value says beyond defaults and Docker's zero values; None when it says nothing."""
    if path in _NOT_OURS or (path in _DEFAULTS and value in ("", _DEFAULTS[path])):
        return None
    if isinstance(value, Mapping):
        says = {key: _said(item, _below(path, key)) for key, item in value.items()}
        if path == "Mode":
            # Which mode it is, its key says, even with nothing below it.
            return {key: item or {} for key, item in says.items()}
        return {key: item for key, item in says.items() if item is not None} or None
    if isinstance(value, list | tuple):
        return [_said(item, path) for item in value] or None
    return value if path in _DEFAULTS or value not in ("", 0, False) else None


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
