"""Volumes and tmpfs of a service, from their canonical form to mounts. Pure."""

from swarmpy.container_values import PROPAGATIONS, check_target
from swarmpy.stack.canonical import Config
from swarmpy.stack.docker_json import Object, listed, stated
from swarmpy.stack.faults import Faults
from swarmpy.stack.names import scoped, with_stack_label
from swarmpy.stack.shortforms import parse_tmpfs
from swarmpy.stack.tree import Path
from swarmpy.stack.wishes import affinity_label

_KINDS = ("bind", "volume", "tmpfs")
# Whether mounts below the folder come along, and whether they are read-only as it is.
_RECURSIVE = {
    "enabled": None,
    "disabled": "NonRecursive",
    "writable": "ReadOnlyNonRecursive",
    "readonly": "ReadOnlyForceRecursive",
}


def mounts_of(stack: str, service: Config, volumes: Config, path: Path, faults: Faults) -> list[Object]:
    mounts: list[Object] = []
    for index, use in enumerate(service.get("volumes") or ()):
        mounts.append(_mount(stack, use, volumes, (*path, "volumes", index), faults))
    for index, text in enumerate(service.get("tmpfs") or ()):
        mount = _tmpfs(text, (*path, "tmpfs", index), faults)
        mounts.extend([mount] if mount else [])
    return mounts


def _mount(stack: str, use: Config, volumes: Config, path: Path, faults: Faults) -> Object:
    kind = use.get("type") or "volume"
    if kind not in _KINDS:
        faults.add((*path, "type"), f"mounts are of type {', '.join(_KINDS)}, and {kind!r} is none")
        return {}
    for options in _KINDS:
        if use.get(options) and options != kind:
            faults.add((*path, options), f"goes with mounts of type {options}, and this one is of type {kind}")
    target = use.get("target") or ""
    faults.check((*path, "target"), target, check_target)
    mount = {
        "Type": kind,
        "Source": use.get("source"),
        "Target": target,
        "ReadOnly": use.get("read_only") or None,
        "Consistency": use.get("consistency"),
    }
    match kind:
        case "bind":
            mount["BindOptions"] = _bind(use, path, faults)
        case "tmpfs":
            if use.get("source"):
                faults.add((*path, "source"), "a tmpfs has no source")
            given = use.get("tmpfs") or {}
            _refuse_others(given, ("size", "mode"), (*path, "tmpfs"), faults)
            mode = given.get("mode")
            said = {"SizeBytes": given.get("size") or None, "Mode": None if mode is None else int(mode)}
            mount["TmpfsOptions"] = stated(said) or None
        case _:
            mount |= _volume(stack, use, volumes, path, faults)
    return stated(mount)


def _bind(use: Config, path: Path, faults: Faults) -> Object | None:
    if not use.get("source"):
        faults.add((*path, "source"), "a bind mount needs the path on the node that it shows")
    given = use.get("bind") or {}
    here = (*path, "bind")
    _refuse_others(given, ("propagation", "create_host_path", "recursive", "selinux"), here, faults)
    recursive = faults.choose((*here, "recursive"), given.get("recursive") or "enabled", tuple(_RECURSIVE))
    options = {
        "Propagation": faults.choose((*here, "propagation"), given.get("propagation"), PROPAGATIONS),
        "CreateMountpoint": given.get("create_host_path") or None,
        _RECURSIVE.get(recursive or ""): True,
    }
    return {name: value for name, value in options.items() if name and value} or None


def _volume(stack: str, use: Config, volumes: Config, path: Path, faults: Faults) -> Object:
    """What the mount says of its volume. One without a source is anonymous; others stand in the section `volumes`."""
    given = use.get("volume") or {}
    _refuse_others(given, ("nocopy", "subpath", "labels"), (*path, "volume"), faults)
    name = use.get("source")
    own = given.get("labels") or {}
    options: Object = {"NoCopy": given.get("nocopy") or None, "Labels": own or None, "Subpath": given.get("subpath")}
    if not name:
        return {"VolumeOptions": stated(options) if any(options.values()) else None}
    if name not in volumes:
        faults.add(path, f"the volume {name} is not in the section `volumes`")
        return {}
    volume = volumes[name] or {}
    if volume.get("external"):
        options["Labels"] = own | affinity_label(volume) or None
    else:
        options["Labels"] = with_stack_label(stack, volume.get("labels")) | own | affinity_label(volume)
        if volume.get("driver") or volume.get("driver_opts"):
            options["DriverConfig"] = stated({"Name": volume.get("driver"), "Options": volume.get("driver_opts")})
    return {"Source": volume.get("name") or scoped(stack, name), "VolumeOptions": stated(options)}


def _tmpfs(text: str, path: Path, faults: Faults) -> Object | None:
    given = faults.read(path, text, parse_tmpfs)
    if given is None:
        return None
    faults.check(path, given["target"], check_target)
    # The engine takes the remaining options as pairs, or as single words.
    others = listed(word.split("=", 1) for word in given["others"])
    options = stated({"SizeBytes": given.get("size"), "Mode": given.get("mode"), "Options": others})
    return stated({"Type": "tmpfs", "Target": given["target"], "TmpfsOptions": options or None})


def _refuse_others(given: Config, known: tuple[str, ...], path: Path, faults: Faults) -> None:
    """The schema lets any option through here, as docker's does; what is not carried out is refused."""
    for key in given:
        if key not in known:
            faults.add((*path, key), "unknown key")
