"""Is a container's spec something an engine could start? Says field and cause when not. Pure."""

from collections import Counter
from ipaddress import ip_address
from pathlib import PurePosixPath

from manager.admission.names import check_image
from scheduler.volumes import check_volume_name
from swarmpy.errors import BadRequest
from swarmpy.labels import VOLUME_AFFINITY
from swarmpy.models.container import ContainerSpec, DNSConfig, HealthConfig, Privileges, Ulimit
from swarmpy.models.mount import Mount, MountType, has_affinity

_MILLISECOND = 1_000_000
_HEALTH_WORDS = ("NONE", "CMD", "CMD-SHELL")


def check_container(spec: ContainerSpec) -> None:
    """Raise `BadRequest` for the first thing that no engine would take."""
    check_image(spec.image)
    for entry in spec.env or ():
        if not entry or entry.startswith("="):
            raise BadRequest(f"ContainerSpec.Env: {entry!r} has no name; write NAME=value")
    if spec.stop_grace_period is not None and spec.stop_grace_period < 0:
        raise BadRequest("ContainerSpec.StopGracePeriod must not be negative")
    _check_hosts(spec.hosts or ())
    _check_mounts(spec.mounts or ())
    _check_ulimits(spec.ulimits or ())
    if spec.privileges is not None:
        _check_privileges(spec.privileges)
    if spec.health_check is not None:
        _check_health(spec.health_check)
    if spec.dns_config is not None:
        _check_dns(spec.dns_config)


def _check_hosts(hosts: tuple[str, ...]) -> None:
    for entry in hosts:
        address, _, names = entry.partition(" ")
        if not _is_address(address) or not names.strip():
            raise BadRequest(f"ContainerSpec.Hosts: {entry!r} is not of the form `address name [name ...]`")


def _check_dns(config: DNSConfig) -> None:
    for server in config.nameservers or ():
        if not _is_address(server):
            raise BadRequest(f"ContainerSpec.DNSConfig.Nameservers: {server!r} is no IP address")


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _check_ulimits(ulimits: tuple[Ulimit, ...]) -> None:
    for limit in ulimits:
        soft, hard = limit.soft or 0, limit.hard or 0
        if not limit.name:
            raise BadRequest("ContainerSpec.Ulimits: a limit has no name")
        if hard != -1 and (soft > hard or soft == -1):
            raise BadRequest(f"ContainerSpec.Ulimits: {limit.name} has a soft limit {soft} above its hard limit {hard}")


def _check_privileges(privileges: Privileges) -> None:
    for name, options, modes in (
        ("Seccomp", privileges.seccomp, ("default", "unconfined", "custom")),
        ("AppArmor", privileges.apparmor, ("default", "disabled")),
    ):
        if options is not None and options.mode and options.mode not in modes:
            raise BadRequest(f"ContainerSpec.Privileges.{name}.Mode {options.mode!r} is none of {', '.join(modes)}")


def _check_health(health: HealthConfig) -> None:
    if health.test and health.test[0] not in _HEALTH_WORDS:
        words = ", ".join(_HEALTH_WORDS)
        raise BadRequest(f"ContainerSpec.Healthcheck.Test starts with {health.test[0]!r}; it must be one of {words}")
    if health.test and health.test[0] != "NONE" and len(health.test) == 1:
        raise BadRequest(f"ContainerSpec.Healthcheck.Test: no command after {health.test[0]}")
    for field in ("interval", "timeout", "start_period", "start_interval"):
        value = getattr(health, field)
        # The engine refuses shorter times, except 0, which means: inherit.
        if value is not None and value != 0 and value < _MILLISECOND:
            name = field.title().replace("_", "")
            raise BadRequest(f"ContainerSpec.Healthcheck.{name} must be 0 or at least one millisecond")
    if health.retries is not None and health.retries < 0:
        raise BadRequest("ContainerSpec.Healthcheck.Retries must not be negative")


def _check_mounts(mounts: tuple[Mount, ...]) -> None:
    for index, mount in enumerate(mounts):
        _check_mount(mount, f"ContainerSpec.Mounts[{index}]")
    # Targets are compared without a trailing slash; those with templates only once they are filled in.
    targets = Counter(str(PurePosixPath(mount.target or "")) for mount in mounts)
    for target, count in targets.items():
        if count > 1:
            raise BadRequest(f"ContainerSpec.Mounts: {target} is the target of {count} mounts")


def _check_mount(mount: Mount, where: str) -> None:
    kind = mount.type or MountType.VOLUME
    if not mount.target:
        raise BadRequest(f"{where}: Target is required")
    if not mount.target.startswith(("/", "{{")):
        raise BadRequest(f"{where}: Target {mount.target!r} must be an absolute path")
    if mount.target.rstrip("/") == "":
        raise BadRequest(f"{where}: Target must not be /")
    for options, owner in (
        ("bind_options", MountType.BIND),
        ("volume_options", MountType.VOLUME),
        ("tmpfs_options", MountType.TMPFS),
    ):
        if getattr(mount, options) is not None and kind is not owner:
            name = options.title().replace("_", "")
            raise BadRequest(
                f"{where}: {name} belongs to mounts of type {owner.value}, this one is of type {kind.value}"
            )
    _check_source(mount, kind, where)
    _check_affinity(mount, where)


def _check_affinity(mount: Mount, where: str) -> None:
    options = mount.volume_options
    value = ((options and options.labels) or {}).get(VOLUME_AFFINITY)
    if options is None or value is None:
        return
    if value not in ("true", "false"):
        raise BadRequest(f"{where}: the label {VOLUME_AFFINITY} is {value!r}; it must be true or false")
    if not has_affinity(mount):
        return
    driver = (options.driver_config and options.driver_config.name) or "local"
    if driver != "local":
        raise BadRequest(
            f"{where}: the label {VOLUME_AFFINITY} is for the driver local, and this volume's is {driver}: only local "
            "volumes belong to a node"
        )
    if not mount.source:
        raise BadRequest(f"{where}: the label {VOLUME_AFFINITY} needs a volume with a name: set Source")
    try:
        check_volume_name(mount.source)
    except BadRequest as error:
        raise BadRequest(f"{where}: {error}") from None


def _check_source(mount: Mount, kind: MountType, where: str) -> None:
    source = mount.source or ""
    if kind is MountType.BIND and not source.startswith(("/", "{{")):
        raise BadRequest(f"{where}: Source {source!r} of a bind mount must be an absolute path")
    if kind is MountType.TMPFS and source:
        raise BadRequest(f"{where}: a tmpfs mount has no Source, and {source!r} was given")
    if kind is MountType.VOLUME and source.startswith("/"):
        raise BadRequest(f"{where}: Source {source!r} is a path, and a volume has a name; use type bind for paths")
    size = mount.tmpfs_options.size_bytes if mount.tmpfs_options else None
    if size is not None and size < 0:
        raise BadRequest(f"{where}: TmpfsOptions.SizeBytes must not be negative")
