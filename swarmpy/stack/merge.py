"""Several canonical files as one: what a later file says counts, lists grow, maps join. Pure."""

from collections.abc import Callable, Sequence
from typing import Any

from swarmpy.stack.canonical import Config

_OBJECTS = ("networks", "volumes", "secrets", "configs")


def merge(files: Sequence[Config]) -> Config:
    """Left to right. The version and the extension keys are those of the first file, the name is the last one given."""
    merged = dict(files[0])
    for later in files[1:]:
        services = dict(merged.get("services") or {})
        for name, service in (later.get("services") or {}).items():
            services[name] = merge_service(services[name], service) if name in services else service
        merged["services"] = services
        if later.get("name"):
            merged["name"] = later["name"]
        for section in _OBJECTS:
            objects = {**(merged.get(section) or {}), **(later.get(section) or {})}
            if objects:
                merged[section] = objects
    return merged


def merge_service(base: Config, later: Config) -> Config:
    merged = dict(base)
    for key, value in later.items():
        merged[key] = _MERGERS.get(key, _joined)(merged[key], value) if key in merged else value
    return merged


def _joined(base: Any, later: Any) -> Any:
    if isinstance(base, dict) and isinstance(later, dict):
        return base | {key: _joined(base[key], value) if key in base else value for key, value in later.items()}
    if isinstance(base, list) and isinstance(later, list):
        return [*base, *later]
    return later


def _replaced(base: Any, later: Any) -> Any:
    return later


def _by(key: str) -> Callable[[Any, Any], Any]:
    """Lists whose members with the same value of `key` are one member; sorted by it."""

    def merged(base: Any, later: Any) -> Any:
        members = {member.get(key): member for member in (*base, *later)}
        return [members[name] for name in sorted(members, key=lambda name: (name is not None, name or 0))]

    return merged


def _logging(base: Any, later: Any) -> Any:
    """Options belong to a driver: another driver starts afresh."""
    if base.get("driver") and later.get("driver") and base["driver"] != later["driver"]:
        return later
    return _joined(base, later)


def _networks(base: Any, later: Any) -> Any:
    return base | {name: _network(base.get(name), use) for name, use in later.items()}


def _network(base: Any, later: Any) -> Any:
    """Aliases are those of the later file, also when it names none."""
    if base is None or later is None:
        return base if later is None else later
    kept = {key: value for key, value in base.items() if key != "aliases"}
    return kept | later


def _depends_on(base: Any, later: Any) -> Any:
    """The list of names is short for the mapping; two lists stay one."""
    if isinstance(base, list) and isinstance(later, list):
        return [*base, *later]
    return _joined(*({name: {} for name in one} if isinstance(one, list) else one for one in (base, later)))


_MERGERS: dict[str, Callable[[Any, Any], Any]] = {
    "command": _replaced,
    "depends_on": _depends_on,
    "entrypoint": _replaced,
    "logging": _logging,
    "networks": _networks,
    "ports": _by("published"),
    "volumes": _by("target"),
    "secrets": _by("source"),
    "configs": _by("source"),
    "ulimits": lambda base, later: base | later,
}
