"""Mounts in the engine's form, with templates filled in. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.task.templates import NodeFacts, fields_of
from swarmpy.errors import Unsupported
from swarmpy.models.mount import Mount, MountType, has_affinity
from swarmpy.templating import Value, expand
from swarmpy.wire import TaskAssignment


def engine_mount(mount: Mount, fields: Mapping[str, Value], api_version: tuple[int, int]) -> dict[str, Any]:
    """Raises `Unsupported` for what this agent, or an engine that old, does not carry out: the engine itself would
    leave an option that it does not know out without a word."""
    kind = mount.type or MountType.VOLUME
    where = f"mount at {mount.target}"
    if kind in (MountType.NPIPE, MountType.CLUSTER):
        raise Unsupported(f"{where}: mounts of type {kind.value} are not carried out")
    _refuse_what_is_too_new(mount, where, api_version)
    body = mount.to_docker()
    body["Type"] = kind.value
    body["Target"] = expand(mount.target or "", fields, where)
    if mount.source is not None:
        body["Source"] = expand(mount.source, fields, where)
    options = mount.volume_options
    if options is not None and options.labels:
        body["VolumeOptions"]["Labels"] = {k: expand(v, fields, where) for k, v in options.labels.items()}
    if options is not None and options.driver_config is not None and options.driver_config.options:
        filled = {k: expand(v, fields, where) for k, v in options.driver_config.options.items()}
        body["VolumeOptions"]["DriverConfig"]["Options"] = filled
    return body


@dataclass(frozen=True, slots=True)
class VolumeFacts:
    """A volume as the engine has it."""

    driver: str
    options: Mapping[str, str] = field(default_factory=dict)


def volumes_with_a_driver(mounts: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, VolumeFacts], ...]:
    """Of the mounts in an engine's request, the named volumes whose driver or its options are spelled out, and how."""
    found = []
    for mount in mounts:
        driver = (mount.get("VolumeOptions") or {}).get("DriverConfig") or {}
        if mount["Type"] == MountType.VOLUME.value and mount.get("Source") and driver:
            found.append((mount["Source"], VolumeFacts(driver.get("Name") or "local", driver.get("Options") or {})))
    return tuple(found)


def volume_obstacle(name: str, wanted: VolumeFacts, existing: VolumeFacts) -> str:
    """Why the volume that is there is not the one that is wanted; empty when it is. The engine would take it without a
    word. Values are not told: an option may hold a password."""
    there = f"volume {name} is on this node already, made with"
    remedy = "remove it there, or give the volume another name"
    if wanted.driver != existing.driver:
        return f"{there} the driver {existing.driver} and not {wanted.driver}: {remedy}"
    # What other drivers answer is theirs to say, and no driver at all is what one without wishes gets.
    if wanted.driver != "local" or not wanted.options:
        return ""
    keys = sorted({*wanted.options, *existing.options})
    others = [key for key in keys if wanted.options.get(key) != existing.options.get(key)]
    return f"{there} other driver options ({', '.join(others)}): {remedy}" if others else ""


def kept_volumes(task: TaskAssignment, node: NodeFacts) -> tuple[str, ...]:
    """Names of the task's volumes that its successor must be with."""
    spec = task.spec.container_spec
    mounts = [mount for mount in (spec and spec.mounts) or () if mount.source and has_affinity(mount)]
    return tuple(expand(mount.source or "", fields_of(task, node), "mount") for mount in mounts)


def _refuse_what_is_too_new(mount: Mount, where: str, api_version: tuple[int, int]) -> None:
    bind, volume, tmpfs = mount.bind_options, mount.volume_options, mount.tmpfs_options
    asked = (
        ("BindOptions.CreateMountpoint", (1, 42), bind and bind.create_mountpoint),
        ("BindOptions.ReadOnlyNonRecursive", (1, 44), bind and bind.read_only_non_recursive),
        ("BindOptions.ReadOnlyForceRecursive", (1, 44), bind and bind.read_only_force_recursive),
        ("VolumeOptions.Subpath", (1, 45), volume and volume.subpath),
        ("TmpfsOptions.Options", (1, 46), tmpfs and tmpfs.options),
    )
    for name, since, value in asked:
        if value:
            require_api(f"{where}: {name}", since, api_version)


def require_api(what: str, since: tuple[int, int], api_version: tuple[int, int]) -> None:
    if api_version < since:
        need, have = (".".join(map(str, version)) for version in (since, api_version))
        raise Unsupported(f"{what} needs engine API {need}, and the engine of this node speaks {have}")
