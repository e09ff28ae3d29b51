"""A checked file in one form: every short form spelled out, values typed, paths absolute. Pure.

The form is what `docker stack config` prints: plain dicts and lists, durations and sizes as texts.
"""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from swarmpy.stack import schema
from swarmpy.stack.scalars import text_of
from swarmpy.stack.shapes import EXTENSION, typed
from swarmpy.stack.shortforms import parse_env_file
from swarmpy.stack.spellings import SPELLED, pairs, with_spelled
from swarmpy.stack.tree import List, Map, Mark, Node, Path, Problem, Scalar

Config = dict[str, Any]

DEFAULT_NETWORK = "default"
_OBJECTS = ("networks", "volumes", "secrets", "configs")
_VARIABLE_FILES = ("env_file", "label_file")


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


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file of variables that a service names; without one that is not required, nothing is missing."""

    name: str
    where: Path
    mark: Mark
    is_required: bool


def env_files_of(tree: Map) -> list[NamedFile]:
    """Of `env_file` and `label_file`, in their order."""
    found: list[NamedFile] = []
    services = tree.get("services")
    for entry in services.entries if isinstance(services, Map) else ():
        for key in _VARIABLE_FILES:
            node = entry.node.get(key) if isinstance(entry.node, Map) else None
            for item in node.items if isinstance(node, List) else (node,):
                name = item.get("path") if isinstance(item, Map) else item
                if isinstance(name, Scalar) and isinstance(name.value, str):
                    required = item.get("required") if isinstance(item, Map) else None
                    path: Path = ("services", entry.key, key)
                    found.append(NamedFile(name.value, path, name.mark, not _is_false(required)))
    return found


def _is_false(node: Node | None) -> bool:
    return isinstance(node, Scalar) and node.value in (False, "false")


def canonical_file(tree: Map, around: Surroundings) -> Config:
    """The tree has passed the schema, and every env file it names is at hand and sound."""
    given = typed(schema.FILE, tree)
    assert isinstance(given, dict)
    config: Config = {"version": version_of(tree)} | ({"name": given["name"]} if given.get("name") else {})
    services: Any = given.get("services") or {}
    config["services"] = {name: canonical_service(service, around) for name, service in services.items()}
    for section in _OBJECTS:
        objects: Any = given.get(section)
        if objects:
            config[section] = {name: _object(section, name, item or {}, around) for name, item in objects.items()}
    return config | {key: value for key, value in given.items() if key.startswith(EXTENSION)}


def canonical_service(given: Config, around: Surroundings) -> Config:
    service = {key: SPELLED[key](value) if key in SPELLED else value for key, value in given.items()}
    if "volumes" in service:
        service["volumes"] = [_with_path(volume, around) for volume in service["volumes"]]
    service["environment"] = _environment(service, around)
    service["labels"] = _labels(service, around)
    for key in _VARIABLE_FILES:
        service.pop(key, None)
    return {key: value for key, value in service.items() if not _says_nothing(key, value)}


def _says_nothing(key: str, value: Any) -> bool:
    return value in (None, "", [], {}) or (value is False and key != "init")


def _environment(service: Config, around: Surroundings) -> Config:
    """Env files in their order, then the service's own; a variable without a value takes it from outside."""
    given: dict[str, str | None] = {}
    for item in service.get("env_file") or ():
        given |= parse_env_file(around.env_files[item if isinstance(item, str) else item["path"]], around.environment)
    given |= service.get("environment") or {}
    return {name: value or around.environment.get(name, value) for name, value in given.items()}


def _labels(service: Config, around: Surroundings) -> Config:
    """Label files in their order, then the service's own."""
    given: Config = {}
    for name in service.get("label_file") or ():
        given |= parse_env_file(around.env_files[name], around.environment)
    return given | (service.get("labels") or {})


def _with_path(volume: Config, around: Surroundings) -> Config:
    if volume.get("type") != "bind" or not volume.get("source"):
        return volume
    return volume | {"source": around.source(volume["source"])}


def _object(section: str, name: str, given: Config, around: Surroundings) -> Config:
    item = with_spelled(given, labels=pairs, driver_opts=pairs)
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
    services = tree.get("services")
    # Of files that only Compose takes: docker stack lets both stand.
    for entry in services.entries if isinstance(services, Map) and tree.get("name") is not None else ():
        if isinstance(entry.node, Map) and {"network_mode", "networks"} <= {one.key for one in entry.node.entries}:
            text = "does not go together with networks; name one of the two"
            problems.append(Problem(entry.mark, ("services", entry.key, "network_mode"), text))
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
