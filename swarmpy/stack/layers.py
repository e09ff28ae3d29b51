"""Files that build on others: what a later one takes back, what one service takes from another, which are left out.

Pure.
"""

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from swarmpy.stack.canonical import Config
from swarmpy.stack.merge import merge, merge_service
from swarmpy.stack.tree import RESET, List, Map, Node, Path

_SECTIONS = ("services", "networks", "volumes", "secrets", "configs")


def untagged(tree: Map) -> tuple[Map, tuple[Path, ...]]:
    """The file without what it only takes back, and the paths of which it wants nothing from before."""
    wiped: list[Path] = []
    stripped = _untagged(tree, (), wiped)
    assert isinstance(stripped, Map)
    return stripped, tuple(wiped)


def _untagged(node: Node, path: Path, wiped: list[Path]) -> Node:
    match node:
        case Map(entries=entries):
            wiped.extend((*path, entry.key) for entry in entries if entry.tag)
            kept = (entry for entry in entries if entry.tag != RESET)
            return replace(
                node,
                entries=tuple(
                    replace(entry, node=_untagged(entry.node, (*path, entry.key), wiped), tag="") for entry in kept
                ),
            )
        case List(items=items):
            return replace(
                node, items=tuple(_untagged(item, (*path, index), wiped) for index, item in enumerate(items))
            )
    return node


def wiped(config: Config, paths: Collection[Path]) -> Config:
    """The configuration without these paths; one that is not there is none."""
    for path in paths:
        config = _without(config, path)
    return config


def _without(value: Any, path: Path) -> Any:
    key, below = path[0], path[1:]
    if not isinstance(value, Mapping) or key not in value:
        return value
    if below:
        return {**value, key: _without(value[key], below)}
    return {name: item for name, item in value.items() if name != key}


def stacked(layers: Sequence[tuple[Config, Collection[Path]]]) -> Config:
    """Left to right; each comes with the paths that it takes back of those before it."""
    merged = layers[0][0]
    for config, taken_back in layers[1:]:
        merged = merge([wiped(merged, taken_back), config])
    return merged


def extended(base: Config, own: Config, name: str, taken_back: Collection[Path]) -> Config:
    """The service `name` on top of the one that it extends."""
    below = [path[2:] for path in taken_back if path[:2] == ("services", name) and len(path) > 2]
    return merge_service(wiped(base, below), {key: value for key, value in own.items() if key != "extends"})


def included(config: Config, parts: Sequence[Config]) -> tuple[Config, list[Path]]:
    """The configuration with what its includes hold, and what two of them say differently."""
    doubled: list[Path] = []
    whole = dict(config)
    for section in _SECTIONS:
        members: Config = dict(config.get(section) or {})
        for part in parts:
            for name, item in (part.get(section) or {}).items():
                if name in members and members[name] != item:
                    doubled.append((section, name))
                members.setdefault(name, item)
        if members:
            whole[section] = members
    return whole, doubled


def left_out(config: Config, profiles: Collection[str]) -> dict[str, Sequence[str]]:
    """Services that belong to profiles of which none is wished for, with those profiles."""
    if "*" in profiles:
        return {}
    services: Config = config.get("services") or {}
    return {
        name: service["profiles"]
        for name, service in services.items()
        if service.get("profiles") and not set(service["profiles"]) & set(profiles)
    }


def unknown_profiles(config: Config, profiles: Collection[str]) -> list[str]:
    """Of those wished for that no service belongs to, a sentence each."""
    services: Config = config.get("services") or {}
    known = sorted({str(one) for service in services.values() for one in service.get("profiles") or ()})
    there = f"there are {', '.join(known)}" if known else "the files name none"
    return [
        f"--profile {shlex.quote(one)}: no service belongs to such a profile; {there}"
        for one in dict.fromkeys(profiles)
        if one != "*" and one not in known
    ]


def without_services(config: Config, names: Collection[str]) -> Config:
    services = {name: service for name, service in (config.get("services") or {}).items() if name not in names}
    return {**config, "services": services} if names else config


def tree_without(tree: Map, names: Collection[str]) -> Map:
    """The file without these services."""
    return _with_services(tree, lambda name: name not in names)


def only_service(tree: Map, name: str) -> Map:
    """The file with nothing but this service."""
    services = tuple(entry for entry in tree.entries if entry.key == "services")
    return _with_services(replace(tree, entries=services), lambda other: other == name)


def _with_services(tree: Map, keeps: Any) -> Map:
    entries = tuple(
        replace(entry, node=replace(entry.node, entries=tuple(one for one in entry.node.entries if keeps(one.key))))
        if entry.key == "services" and isinstance(entry.node, Map)
        else entry
        for entry in tree.entries
    )
    return replace(tree, entries=entries)
