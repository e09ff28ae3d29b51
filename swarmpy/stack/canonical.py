"""A checked file in one form: every short form spelled out, values typed, paths absolute. Pure.

The form is what `docker stack config` prints: plain dicts and lists, durations and sizes as texts.
"""

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from swarmpy.stack import schema
from swarmpy.stack.scalars import text_of
from swarmpy.stack.shapes import EXTENSION, typed
from swarmpy.stack.shortforms import parse_env_file, parse_port, parse_volume, split_words
from swarmpy.stack.tree import List, Map, Node, Path, Problem, Scalar
from swarmpy.stack.units import parse_duration, parse_size, show_duration

Config = dict[str, Any]

DEFAULT_NETWORK = "default"
_OBJECTS = ("networks", "volumes", "secrets", "configs")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a file means depends on: the environment, the folder it is seen from, the env files it names."""

    environment: Mapping[str, str]
    directory: str
    env_files: Mapping[str, str]

    def path(self, path: str) -> str:
        return path if path.startswith("/") else posixpath.normpath(posixpath.join(self.directory, path))

    def source(self, path: str) -> str:
        """A bind mount's source, which may begin with the home directory."""
        home = self.environment.get("HOME")
        return self.path(path.replace("~", home, 1) if path.startswith("~") and home else path)


def version_of(tree: Map) -> str:
    """The file's version; `3` and none at all mean the newest."""
    node = tree.get("version")
    version = text_of(node.value) if isinstance(node, Scalar) else ""
    return schema.NEWEST_VERSION if version in ("", "3") else version


def env_files_of(tree: Map) -> list[tuple[str, Path, Node]]:
    """Each env file that a service names, with the place that names it."""
    found: list[tuple[str, Path, Node]] = []
    services = tree.get("services")
    for entry in services.entries if isinstance(services, Map) else ():
        node = entry.node.get("env_file") if isinstance(entry.node, Map) else None
        names = node.items if isinstance(node, List) else (node,)
        for item in names:
            if isinstance(item, Scalar) and isinstance(item.value, str):
                found.append((item.value, ("services", entry.key, "env_file"), item))
    return found


def canonical_file(tree: Map, around: Surroundings) -> Config:
    """The tree has passed the schema, and every env file it names is at hand and sound."""
    given = typed(schema.FILE, tree)
    assert isinstance(given, dict)
    config: Config = {"version": version_of(tree)}
    services: Any = given.get("services") or {}
    config["services"] = {name: canonical_service(service, around) for name, service in services.items()}
    for section in _OBJECTS:
        objects: Any = given.get(section)
        if objects:
            config[section] = {name: _object(section, name, item or {}, around) for name, item in objects.items()}
    return config | {key: value for key, value in given.items() if key.startswith(EXTENSION)}


def canonical_service(given: Config, around: Surroundings) -> Config:
    service = {key: _SPELLED[key](value) if key in _SPELLED else value for key, value in given.items()}
    if "volumes" in service:
        service["volumes"] = [_with_path(volume, around) for volume in service["volumes"]]
    service["environment"] = _environment(service, around)
    service.pop("env_file", None)
    return {key: value for key, value in service.items() if not _says_nothing(key, value)}


def _says_nothing(key: str, value: Any) -> bool:
    return value in (None, "", [], {}) or (value is False and key != "init")


def _environment(service: Config, around: Surroundings) -> Config:
    """Env files in their order, then the service's own; a variable without a value takes it from outside."""
    given: dict[str, str | None] = {}
    for name in service.get("env_file") or ():
        given |= parse_env_file(around.env_files[name], around.environment)
    given |= service.get("environment") or {}
    return {name: value or around.environment.get(name, value) for name, value in given.items()}


def _pairs(value: Any, *, bare: str | None = "") -> dict[str, str | None]:
    """A mapping or a list of `key=value` as a mapping to texts; `bare` stands for a key without a value."""
    if isinstance(value, list):
        split = (str(item).partition("=") for item in value)
        return {key: text if equals else bare for key, equals, text in split}
    return {key: bare if item is None else text_of(item) for key, item in (value or {}).items()}


def _variables(value: Any) -> dict[str, str | None]:
    return _pairs(value, bare=None)


def _words(value: Any) -> list[str]:
    return split_words(value) if isinstance(value, str) else list(value or ())


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def _hosts(value: Any) -> list[str]:
    """`name:address`, from that, from `name=address`, or from a mapping; brackets around IPv6 go."""
    if isinstance(value, dict):
        pairs = sorted((name, text_of(address)) for name, address in value.items() if address is not None)
    else:
        pairs = [_host(item) for item in value]
    return [f"{name}:{_unbracketed(address)}" for name, address in pairs if address]


def _host(item: str) -> tuple[str, str]:
    name, equals, address = item.partition("=")
    return (name, address) if equals else (item.partition(":")[0], item.partition(":")[2])


def _unbracketed(address: str) -> str:
    return address[1:-1] if address.startswith("[") and address.endswith("]") else address


def _ports(value: Any) -> list[Config]:
    ports: list[Config] = []
    for item in value or ():
        ports.extend([item] if isinstance(item, dict) else parse_port(str(item)))
    return ports


def _volume(item: Any) -> Config:
    return parse_volume(item) if isinstance(item, str) else item


def _with_path(volume: Config, around: Surroundings) -> Config:
    if volume.get("type") != "bind" or not volume.get("source"):
        return volume
    return volume | {"source": around.source(volume["source"])}


def _networks(value: Any) -> Config:
    return dict.fromkeys(value) if isinstance(value, list) else dict(value or {})


def _references(value: Any) -> list[Config]:
    return [{"source": item} if isinstance(item, str) else item for item in value or ()]


def _logging(value: Any) -> Config:
    return {**value, "options": _pairs(value["options"])} if value.get("options") else value


def _duration(value: str) -> str:
    return show_duration(parse_duration(value))


def _with(value: Any, **spellings: Callable[[Any], Any]) -> Any:
    """The mapping with these keys, where it has them, spelled out."""
    if not isinstance(value, dict):
        return value
    return {key: spellings[key](item) if key in spellings else item for key, item in value.items()}


def _amounts(value: Any) -> Any:
    return _with(value, memory=lambda size: str(parse_size(size)))


def _update(value: Any) -> Any:
    return _with(value, delay=_duration, monitor=_duration)


def _deploy(value: Any) -> Any:
    return _with(
        value,
        labels=_pairs,
        update_config=_update,
        rollback_config=_update,
        resources=lambda resources: _with(resources, limits=_amounts, reservations=_amounts),
        restart_policy=lambda policy: _with(policy, delay=_duration, window=_duration),
    )


def _healthcheck(value: Any) -> Any:
    return _with(
        value,
        test=lambda test: ["CMD-SHELL", test] if isinstance(test, str) else test,
        interval=_duration,
        timeout=_duration,
        start_period=_duration,
        start_interval=_duration,
    )


_SPELLED: dict[str, Callable[[Any], Any]] = {
    "command": _words,
    "configs": _references,
    "deploy": _deploy,
    "dns": _listed,
    "dns_search": _listed,
    "entrypoint": _words,
    "env_file": _listed,
    "environment": _variables,
    "expose": lambda value: [text_of(item) for item in value],
    "extra_hosts": _hosts,
    "healthcheck": _healthcheck,
    "labels": _pairs,
    "logging": _logging,
    "networks": _networks,
    "ports": _ports,
    "secrets": _references,
    "stop_grace_period": _duration,
    "sysctls": _pairs,
    "tmpfs": _listed,
    "volumes": lambda value: [_volume(item) for item in value],
}


def _object(section: str, name: str, given: Config, around: Surroundings) -> Config:
    item = _with(given, labels=_pairs, driver_opts=_pairs)
    external = item.pop("external", None)
    if external:
        inner = external.get("name") if isinstance(external, dict) else None
        return {**item, "name": item.get("name") or inner or name, "external": True}
    if section in ("secrets", "configs") and not any(item.get(key) for key in ("driver", "environment", "content")):
        item["file"] = around.path(item.get("file", ""))
    return {key: value for key, value in item.items() if not _says_nothing(key, value)}


def conflicts_of(tree: Map) -> list[Problem]:
    """What the schema cannot see: an external object that says more about itself than its name, and the like."""
    problems: list[Problem] = []
    for section in _OBJECTS:
        objects = tree.get(section)
        for entry in objects.entries if isinstance(objects, Map) else ():
            if isinstance(entry.node, Map):
                problems.extend(_conflicts(section, entry.key, entry.node))
    return problems


def _conflicts(section: str, name: str, node: Map) -> list[Problem]:
    external = node.get("external")
    path: Path = (section, name)
    if isinstance(external, Map) and node.get("name") is not None and external.get("name") is not None:
        return [Problem(external.mark, (*path, "external", "name"), "is said twice, here and in `name`; keep `name`")]
    is_external = isinstance(external, Map) or (isinstance(external, Scalar) and external.value in (True, "true"))
    if section == "volumes" and is_external:
        excess = [entry for entry in node.entries if entry.key in ("driver", "driver_opts", "labels")]
        return [Problem(entry.mark, (*path, entry.key), "does not go together with external") for entry in excess]
    if section == "secrets" and node.get("driver") is not None and node.get("file") is not None:
        return [Problem(node.mark, path, "driver and file do not go together")]
    return []
