"""What would change if a service were updated: the wish beside what the manager holds. Pure.

The manager completes what it stores, so a field that the wish leaves out equals its default there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]
Names = Mapping[str, str]

_SECOND = 1_000_000_000
# What holds where a wish says nothing, by the path without list places; elsewhere it is Docker's zero value.
_DEFAULTS: dict[str, Any] = {
    "TaskTemplate.Runtime": "container",
    "TaskTemplate.ContainerSpec.Isolation": "default",
    "TaskTemplate.ContainerSpec.StopGracePeriod": 10 * _SECOND,
    "Mode.Replicated.Replicas": 1,
    "Mode.ReplicatedJob.MaxConcurrent": 1,
    "Mode.ReplicatedJob.TotalCompletions": 1,
    "EndpointSpec.Mode": "vip",
    "EndpointSpec.Ports.Protocol": "tcp",
    "EndpointSpec.Ports.PublishMode": "ingress",
    **{
        f"{config}.{field}": default
        for config in ("UpdateConfig", "RollbackConfig")
        for field, default in (
            ("Parallelism", 1),
            ("FailureAction", "pause"),
            ("Monitor", 5 * _SECOND),
            ("Order", "stop-first"),
        )
    },
}
_CONDITION = "TaskTemplate.RestartPolicy.Condition"
_JOBS = frozenset({"ReplicatedJob", "GlobalJob"})
# Without a word on it the node's daemon decides, so false says something too.
_NO_ZERO = frozenset({"TaskTemplate.ContainerSpec.Init"})
# Whose keys are the user's own: there an empty value is another than none.
_STRING_MAPS = frozenset({"Labels", "Options", "DriverOpts", "Sysctls"})
# How often someone forced an update is no wish of a file.
_NOT_OURS = frozenset({"TaskTemplate.ForceUpdate"})
_REFERENCES = (("Secrets", "SecretID", "SecretName"), ("Configs", "ConfigID", "ConfigName"))


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field by its path; a side that says nothing beyond the default is None."""

    path: str
    old: Any
    new: Any


def changes(wish: Object, stored: Object, names: Names) -> tuple[FieldChange, ...]:
    """The fields that differ; none means that an update would change nothing.

    Both are service specs in the API's JSON; `names` are those of networks, secrets and configs by their ids, so that
    what refers to them by name and what does so by id are alike.
    """
    old, new = (_said(_by_name(spec, names), _defaults_of(spec)) for spec in (stored, wish))
    return tuple(_differences(old, new, ""))


def _defaults_of(spec: Object) -> Object:
    is_job = any(spec.get("Mode", {}).get(mode) is not None for mode in _JOBS)
    return {**_DEFAULTS, _CONDITION: "on-failure" if is_job else "any"}


def _by_name(spec: Object, names: Names) -> Object:
    """Without ids where a name is known, and in the order of the names: their order in a file means nothing."""
    template = spec.get("TaskTemplate") or {}
    networks = [
        attachment | {"Target": names.get(attachment["Target"], attachment["Target"])}
        for attachment in template.get("Networks") or ()
    ]
    networks.sort(key=lambda attachment: str(attachment["Target"]))
    container = dict(template.get("ContainerSpec") or {})
    for field, id_field, name_field in _REFERENCES:
        if container.get(field):
            references = [_reference(given, id_field, name_field, names) for given in container[field]]
            container[field] = sorted(references, key=lambda given: (str(given.get(name_field)), str(given)))
    return {**spec, "TaskTemplate": {**template, "Networks": networks, "ContainerSpec": container}}


def _reference(given: Object, id_field: str, name_field: str, names: Names) -> Object:
    """An id that is not the name's stays: another object of that name has taken its place."""
    if names.get(given.get(id_field, ""), given.get(name_field)) != given.get(name_field):
        return given
    known = not given.get(id_field) or given[id_field] in names
    placed = dict(given)
    if name_field == "ConfigName" and placed.get("File"):
        # `c` and `/c` are one place.
        placed["File"] = {**placed["File"], "Name": f"/{str(placed['File'].get('Name', '')).removeprefix('/')}"}
    return {key: value for key, value in placed.items() if key != id_field or not known}


def _differences(old: Any, new: Any, path: str) -> Iterator[FieldChange]:
    if old == new:
        return
    sides = [side for side in (old, new) if side is not None]
    keys = sorted({key for side in sides if isinstance(side, Mapping) for key in side})
    if not keys or not all(isinstance(side, Mapping) for side in sides):
        yield FieldChange(path, old, new)
        return
    for key in keys:
        yield from _differences((old or {}).get(key), (new or {}).get(key), _below(path, key))


def _said(value: Any, defaults: Object, path: str = "") -> Any:
    """What the value says beyond the defaults; None when it says nothing."""
    if path in _NOT_OURS or (path in defaults and value in ("", defaults[path])):
        return None
    if isinstance(value, Mapping):
        if path.rpartition(".")[2] in _STRING_MAPS:
            return dict(value) or None
        says = {key: _said(item, defaults, _below(path, key)) for key, item in value.items()}
        if path == "Mode":
            # Which mode it is, its key says, even with nothing below it.
            return {key: item or {} for key, item in says.items()}
        return {key: item for key, item in says.items() if item is not None} or None
    if isinstance(value, list | tuple):
        return [_said(item, defaults, path) for item in value] or None
    return value if path in defaults or path in _NO_ZERO or value not in ("", 0, False) else None


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
