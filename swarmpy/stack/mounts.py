"""Volumes and tmpfs of a service, from their canonical form to mounts. Pure."""

from typing import Any

from swarmpy.models.base import Driver
from swarmpy.models.mount import BindOptions, Mount, MountType, TmpfsOptions, VolumeOptions
from swarmpy.stack.canonical import Config
from swarmpy.stack.faults import Faults
from swarmpy.stack.names import scoped, with_stack_label
from swarmpy.stack.shortforms import PROPAGATIONS, parse_tmpfs
from swarmpy.stack.tree import Path

_KINDS = ("bind", "volume", "tmpfs")


def mounts_of(stack: str, service: Config, volumes: Config, path: Path, faults: Faults) -> tuple[Mount, ...]:
    mounts = []
    for index, use in enumerate(service.get("volumes") or ()):
        mounts.append(_mount(stack, use, volumes, (*path, "volumes", index), faults))
    for index, text in enumerate(service.get("tmpfs") or ()):
        mount = _tmpfs(text, (*path, "tmpfs", index), faults)
        mounts.extend([mount] if mount else [])
    return tuple(mounts)


def _mount(stack: str, use: Config, volumes: Config, path: Path, faults: Faults) -> Mount:
    kind = use.get("type") or "volume"
    if kind not in _KINDS:
        faults.add((*path, "type"), f"mounts are of type {', '.join(_KINDS)}, and {kind!r} is none")
        return Mount()
    for options in _KINDS:
        if use.get(options) and options != kind:
            faults.add((*path, options), f"goes with mounts of type {options}, and this one is of type {kind}")
    target = use.get("target") or ""
    if not target.startswith(("/", "{{")):
        faults.add((*path, "target"), f"{target!r} is no absolute path in the container")
    mount = Mount(
        type=MountType(kind),
        source=use.get("source"),
        target=target,
        read_only=use.get("read_only") or None,
        consistency=use.get("consistency"),
    )
    match kind:
        case "bind":
            return mount.model_copy(update={"bind_options": _bind(use, path, faults)})
        case "tmpfs":
            if use.get("source"):
                faults.add((*path, "source"), "a tmpfs has no source")
            size = (use.get("tmpfs") or {}).get("size")
            return mount.model_copy(update={"tmpfs_options": TmpfsOptions(size_bytes=size) if size else None})
        case _:
            return _volume(stack, mount, use, volumes, path, faults)


def _bind(use: Config, path: Path, faults: Faults) -> BindOptions | None:
    if not use.get("source"):
        faults.add((*path, "source"), "a bind mount needs the path on the node that it shows")
    given = use.get("bind") or {}
    _refuse_others(given, ("propagation",), (*path, "bind"), faults)
    propagation = faults.choose((*path, "bind", "propagation"), given.get("propagation"), PROPAGATIONS)
    return BindOptions(propagation=propagation) if propagation else None


def _volume(stack: str, mount: Mount, use: Config, volumes: Config, path: Path, faults: Faults) -> Mount:
    """A volume without a source is anonymous; others stand in the section `volumes`."""
    given = use.get("volume") or {}
    _refuse_others(given, ("nocopy", "subpath"), (*path, "volume"), faults)
    name = use.get("source")
    options: dict[str, Any] = {"no_copy": given.get("nocopy") or None, "subpath": given.get("subpath")}
    if not name:
        return mount.model_copy(update={"volume_options": VolumeOptions(**options) if any(options.values()) else None})
    if name not in volumes:
        faults.add(path, f"the volume {name} is not in the section `volumes`")
        return mount
    volume = volumes[name] or {}
    if not volume.get("external"):
        options["labels"] = with_stack_label(stack, volume.get("labels"))
        if volume.get("driver") or volume.get("driver_opts"):
            options["driver_config"] = Driver(name=volume.get("driver"), options=volume.get("driver_opts"))
    source = volume.get("name") or scoped(stack, name)
    return mount.model_copy(update={"source": source, "volume_options": VolumeOptions(**options)})


def _tmpfs(text: str, path: Path, faults: Faults) -> Mount | None:
    given = faults.read(path, text, parse_tmpfs)
    if given is None:
        return None
    if not given["target"].startswith("/"):
        faults.add(path, f"{given['target']!r} is no absolute path in the container")
    # The engine takes the remaining options as pairs, or as single words.
    others = tuple(tuple(word.split("=", 1)) for word in given["others"])
    options = TmpfsOptions(size_bytes=given.get("size"), mode=given.get("mode"), options=others or None)
    has_options = any(value is not None for value in (options.size_bytes, options.mode, options.options))
    return Mount(type=MountType.TMPFS, target=given["target"], tmpfs_options=options if has_options else None)


def _refuse_others(given: Config, known: tuple[str, ...], path: Path, faults: Faults) -> None:
    """The schema lets any option through here, as docker's does; what is not carried out is refused."""
    for key in given:
        if key not in known:
            faults.add((*path, key), "not carried out yet by this version")
