"""Docker's `--mount`, from its text to Docker's JSON. Pure; raises a `ValueError` that says why."""

from collections.abc import Sequence
from typing import Any

from swarmpy.cli.service_flag_values import fields, one_of, pair, size, truth
from swarmpy.container_values import PROPAGATIONS
from swarmpy.stack.docker_json import Object, stated

# What a bind mount does with mounts below its source.
_RECURSIONS: dict[str, Object] = {
    "enabled": {},
    "disabled": {"NonRecursive": True},
    "writable": {"ReadOnlyNonRecursive": True},
    "readonly": {"ReadOnlyForceRecursive": True},
}
_MOUNT_NAMES = {
    "type": "type", "source": "source", "src": "source", "target": "target", "dst": "target", "destination": "target",
    "readonly": "readonly", "ro": "readonly", "consistency": "consistency",
}  # fmt: skip
_MOUNT_OPTIONS = (
    "bind-propagation", "bind-nonrecursive", "bind-recursive", "bind-create-mountpoint", "volume-nocopy",
    "volume-label", "volume-driver", "volume-opt", "volume-subpath", "tmpfs-size", "tmpfs-mode",
)  # fmt: skip


def mount(text: str) -> Object:
    """`type=bind,source=/a,target=/b,readonly` and the options of each type."""
    given: dict[str, Any] = {"type": "volume"}
    options: list[tuple[str, str]] = []
    for key, value in fields(
        text, (*_MOUNT_NAMES, *_MOUNT_OPTIONS), bare=("readonly", "ro", "bind-nonrecursive", "volume-nocopy")
    ):
        if key in _MOUNT_NAMES:
            given[_MOUNT_NAMES[key]] = value
        else:
            options.append((key, value))
    kind = one_of("bind", "volume", "tmpfs")(given["type"])
    _check_mount(text, kind, given, options)
    found = {
        "Type": kind,
        "Source": given.get("source") or None,
        "Target": given["target"],
        "ReadOnly": truth(given.get("readonly", "false")) or None,
        "Consistency": given.get("consistency"),
    }
    if options:
        made: Object = {}
        for key, value in options:
            _mount_option(made, key, value)
        found[f"{kind.capitalize()}Options"] = made
    return stated(found)


def _check_mount(text: str, kind: str, given: Object, options: Sequence[tuple[str, str]]) -> None:
    for key, _ in options:
        if not key.startswith(f"{kind}-"):
            raise ValueError(f"{text!r}: {key} does not go with mounts of type {kind}")
    if not given.get("target"):
        raise ValueError(f"{text!r} has no target, the path in the container")
    if kind == "bind" and not given.get("source"):
        raise ValueError(f"{text!r}: a bind mount needs a source, the path on the node")
    if kind == "tmpfs" and given.get("source"):
        raise ValueError(f"{text!r}: a tmpfs has no source")


def _mount_option(made: Object, key: str, value: str) -> None:
    match key:
        case "bind-propagation":
            made["Propagation"] = one_of(*PROPAGATIONS)(value)
        case "bind-nonrecursive":
            made["NonRecursive"] = truth(value)
        case "bind-recursive":
            made.update(_RECURSIONS[one_of(*_RECURSIONS)(value)])
        case "bind-create-mountpoint":
            made["CreateMountpoint"] = truth(value)
        case "volume-nocopy":
            made["NoCopy"] = truth(value)
        case "volume-label":
            made.setdefault("Labels", {}).update([pair(value)])
        case "volume-driver":
            made.setdefault("DriverConfig", {})["Name"] = value
        case "volume-opt":
            made.setdefault("DriverConfig", {}).setdefault("Options", {}).update([pair(value)])
        case "volume-subpath":
            made["Subpath"] = value
        case "tmpfs-size":
            made["SizeBytes"] = size(value)
        case _:
            made["Mode"] = _octal(value)


def _octal(text: str) -> int:
    try:
        return int(text, 8)
    except ValueError:
        raise ValueError(f"{text!r} is no file mode such as 1777") from None
