"""Mounts of a container: Docker's `Mount` (Engine API 1.45)."""

from enum import StrEnum

from swarmpy.labels import VOLUME_AFFINITY
from swarmpy.models.base import DockerModel, Driver, Labels


class MountType(StrEnum):
    BIND = "bind"
    VOLUME = "volume"
    TMPFS = "tmpfs"
    NPIPE = "npipe"
    CLUSTER = "cluster"


class BindOptions(DockerModel):
    propagation: str | None = None
    non_recursive: bool | None = None
    create_mountpoint: bool | None = None
    read_only_non_recursive: bool | None = None
    read_only_force_recursive: bool | None = None


class VolumeOptions(DockerModel):
    no_copy: bool | None = None
    labels: Labels | None = None
    driver_config: Driver | None = None
    subpath: str | None = None


class TmpfsOptions(DockerModel):
    size_bytes: int | None = None
    mode: int | None = None
    options: tuple[tuple[str, ...], ...] | None = None


class ClusterOptions(DockerModel):
    pass


class Mount(DockerModel):
    type: MountType | None = None
    source: str | None = None
    target: str | None = None
    read_only: bool | None = None
    consistency: str | None = None
    bind_options: BindOptions | None = None
    volume_options: VolumeOptions | None = None
    tmpfs_options: TmpfsOptions | None = None
    cluster_options: ClusterOptions | None = None


def has_affinity(mount: Mount) -> bool:
    """Whether a task with this mount is to go where the volume is."""
    options = mount.volume_options
    labels = (options and options.labels) or {}
    return (mount.type or MountType.VOLUME) is MountType.VOLUME and labels.get(VOLUME_AFFINITY) == "true"
