"""Is each mount of a container something an engine could make? Says field and cause when not. Pure."""

import re
from collections import Counter
from collections.abc import Iterator
from posixpath import normpath

from manager.admission.faults import at
from scheduler.volumes import check_volume_name
from swarmpy.container_values import PROPAGATIONS, check_target, clean_target
from swarmpy.errors import BadRequest
from swarmpy.labels import VOLUME_AFFINITY
from swarmpy.models.mount import BindOptions, Mount, MountType, has_affinity
from swarmpy.shown import shown
from swarmpy.templating import check_template

# What the engine's own driver takes as a name; those of other drivers are theirs to judge.
_VOLUME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_LONGEST_VOLUME = 255
_OWNERS = (
    ("bind_options", MountType.BIND),
    ("volume_options", MountType.VOLUME),
    ("tmpfs_options", MountType.TMPFS),
)


def check_mounts(mounts: tuple[Mount, ...]) -> None:
    for index, mount in enumerate(mounts):
        _check_mount(mount, f"ContainerSpec.Mounts[{index}]")
    targets = Counter(clean_target(mount.target or "") for mount in mounts)
    for target, count in targets.items():
        if count > 1:
            raise BadRequest(f"ContainerSpec.Mounts: {target} is the target of {count} mounts; give each its own")


def _check_mount(mount: Mount, where: str) -> None:
    kind = mount.type or MountType.VOLUME
    if not mount.target:
        raise BadRequest(f"{where}: Target is required")
    with at(f"{where}: Target"):
        check_target(mount.target)
    for options, owner in _OWNERS:
        if getattr(mount, options) is not None and kind is not owner:
            name = options.title().replace("_", "")
            raise BadRequest(
                f"{where}: {name} belongs to mounts of type {owner.value}, this one is of type {kind.value}"
            )
    for field, text in _templates(mount):
        with at(f"{where}.{field}"):
            check_template(text, in_file=False)
    _check_source(mount, kind, where)
    if mount.bind_options is not None:
        _check_binding(mount.bind_options, where)
    _check_subpath(mount, where)
    _check_affinity(mount, where)


def _templates(mount: Mount) -> Iterator[tuple[str, str]]:
    """What the node fills in."""
    yield "Target", mount.target or ""
    yield "Source", mount.source or ""
    options = mount.volume_options
    driver = options.driver_config if options else None
    for field, values in (
        ("Labels", options.labels if options else None),
        ("DriverConfig.Options", driver.options if driver else None),
    ):
        for key, value in (values or {}).items():
            yield f"VolumeOptions.{field}[{key}]", value


def _check_source(mount: Mount, kind: MountType, where: str) -> None:
    source = mount.source or ""
    if kind is MountType.BIND and not source.startswith(("/", "{{")):
        raise BadRequest(f"{where}: Source {shown(source)} of a bind mount must be an absolute path")
    if kind is MountType.TMPFS and source:
        raise BadRequest(f"{where}: a tmpfs mount has no Source, and {shown(source)} was given")
    if kind is MountType.VOLUME:
        _check_volume(mount, source, where)
    size = mount.tmpfs_options.size_bytes if mount.tmpfs_options else None
    if size is not None and size < 0:
        raise BadRequest(f"{where}: TmpfsOptions.SizeBytes must not be negative")


def _check_volume(mount: Mount, source: str, where: str) -> None:
    if source.startswith("/"):
        raise BadRequest(f"{where}: Source {shown(source)} is a path, and a volume has a name; use type bind for paths")
    if not source:
        if mount.read_only:
            raise BadRequest(f"{where}: ReadOnly needs a volume with a name, for one without is empty: set Source")
        return
    if _driver_of(mount) != "local" or "{{" in source:
        return
    if _VOLUME.fullmatch(source) is None or len(source) > _LONGEST_VOLUME:
        raise BadRequest(
            f"{where}: Source {shown(source)} is no name of a volume: use 2 to {_LONGEST_VOLUME} letters, "
            "digits, _, . and -, a letter or digit first"
        )


def _check_binding(options: BindOptions, where: str) -> None:
    if options.propagation and options.propagation not in PROPAGATIONS:
        known = ", ".join(PROPAGATIONS)
        raise BadRequest(f"{where}: BindOptions.Propagation {shown(options.propagation)} is none of {known}")
    if options.read_only_non_recursive and options.read_only_force_recursive:
        raise BadRequest(
            f"{where}: BindOptions.ReadOnlyNonRecursive and ReadOnlyForceRecursive exclude each other; give one of them"
        )


def _check_subpath(mount: Mount, where: str) -> None:
    subpath = (mount.volume_options and mount.volume_options.subpath) or ""
    if not subpath:
        return
    if not mount.source:
        raise BadRequest(f"{where}: VolumeOptions.Subpath needs a volume with a name: set Source")
    if subpath.startswith("/") or normpath(subpath).split("/")[0] == "..":
        raise BadRequest(
            f"{where}: VolumeOptions.Subpath {shown(subpath)} must be a relative path that stays in the volume"
        )


def _driver_of(mount: Mount) -> str:
    options = mount.volume_options
    return (options and options.driver_config and options.driver_config.name) or "local"


def _check_affinity(mount: Mount, where: str) -> None:
    options = mount.volume_options
    value = ((options and options.labels) or {}).get(VOLUME_AFFINITY)
    if options is None or value is None:
        return
    if value not in ("true", "false"):
        raise BadRequest(f"{where}: the label {VOLUME_AFFINITY} is {shown(value)}; it must be true or false")
    if not has_affinity(mount):
        return
    driver = _driver_of(mount)
    if driver != "local":
        raise BadRequest(
            f"{where}: the label {VOLUME_AFFINITY} is for the driver local, and this volume's is {driver}: only local "
            "volumes belong to a node"
        )
    if not mount.source:
        raise BadRequest(f"{where}: the label {VOLUME_AFFINITY} needs a volume with a name: set Source")
    with at(where):
        check_volume_name(mount.source)
