"""What a container wishes of its machine: is it sound, and does the cluster's policy let services ask for it? Pure.

The words of the policy are the keys of a stack file. Docker's own `Privileges` are under it where they take away what
keeps a container from its machine; capabilities and bind mounts are not, as Docker has it.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from manager.admission.faults import at
from manager.admission.names import check_domain
from manager.admission.texts import check_texts
from swarmpy import labels
from swarmpy.errors import BadRequest, Forbidden, Unsupported
from swarmpy.models.cluster import ClusterSpec
from swarmpy.models.container import ContainerSpec, Privileges, SELinuxContext
from swarmpy.models.host import WHERE, Device, DeviceRequest, HostOptions, ThrottleDevice, WeightDevice, host_options
from swarmpy.models.resources import Limits
from swarmpy.models.task import TaskSpec
from swarmpy.shown import shown

# Words of the policy. The other options touch only the container that asks, and need no leave.
WORDS = (
    "cgroup", "cgroup_parent", "devices", "gpus", "ipc", "oom_kill_disable", "oom_score_adj", "pid", "privileged",
    "runtime", "security_opt", "userns_mode", "uts",
)  # fmt: skip

_MODES = {
    "PidMode": ("host",),
    "IpcMode": ("none", "private", "shareable", "host"),
    "UTSMode": ("host",),
    "UsernsMode": ("host",),
    "CgroupnsMode": ("host", "private"),
}
_LABEL_PARTS = ("user", "role", "type", "level")
# Types of SELinux policies that confine a container as the engine's own choice does. Of any other nobody knows what it
# lets through.
_CONFINING_TYPES = ("container_t", "container_init_t")
_DEVICE_RULE = re.compile(r"[acb] ([0-9]+|\*):([0-9]+|\*) [rwm]{1,3}")
_CPUSET = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")
_RUNTIME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_MAC = re.compile(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}")
# Field -> least and most; engines refuse what is beyond.
_RANGES = {
    "oom_score_adj": ("OomScoreAdj", -1000, 1000),
    "memory_swappiness": ("MemorySwappiness", 0, 100),
    "memory_swap": ("MemorySwap", -1, 2**62),
    "shm_size": ("ShmSize", 1, 2**62),
    "cpu_shares": ("CpuShares", 0, 262144),
    "cpu_period": ("CpuPeriod", 1000, 1_000_000),
    "cpu_quota": ("CpuQuota", -1, 2**62),
    "cpu_realtime_period": ("CpuRealtimePeriod", 0, 2**62),
    "cpu_realtime_runtime": ("CpuRealtimeRuntime", 0, 2**62),
}


# Microseconds.
_LEAST_QUOTA = 1000


def allowed_words(spec: ClusterSpec | None) -> frozenset[str]:
    """What services of the cluster may ask for."""
    text = ((spec.labels if spec else None) or {}).get(labels.ALLOW, "")
    return frozenset(word.strip() for word in text.split(",") if word.strip())


def check_words(spec: ClusterSpec) -> None:
    unknown = sorted(allowed_words(spec) - set(WORDS))
    if unknown:
        raise BadRequest(
            f"Labels[{labels.ALLOW}]: {shown(unknown[0])} cannot be allowed; the words are {', '.join(WORDS)}"
        )


def check_host(template: TaskSpec, allowed: frozenset[str]) -> None:
    """Raises `BadRequest` for what makes no sense, `Unsupported` for what no node carries out, and `Forbidden` for
    what the cluster does not let services ask for."""
    container = template.container_spec or ContainerSpec()
    options = host_options(container.labels)
    check_texts(options, WHERE)
    _check_ranges(options)
    _check_modes(options)
    _check_devices(options)
    _check_texts(options)
    if options.uts_mode == "host" and (options.domainname or container.hostname):
        raise BadRequest(f"{WHERE}: UTSMode host is to have the machine's names: give no Hostname and no Domainname")
    for option in options.security_opt or ():
        _check_security(option)
    _check_limits(options, (template.resources and template.resources.limits) or Limits())
    lacking = sorted(words_needed(container) - allowed)
    if lacking:
        what, whole = ", ".join(lacking), ",".join(sorted(allowed | set(lacking)))
        raise Forbidden(
            f"{what}: touches the machine that the container runs on, and this cluster does not let services ask for"
            f" it; `swarmpy cluster update --allow {whole}` would allow it"
        )


def words_needed(container: ContainerSpec) -> frozenset[str]:
    """The policy's words for all that the container asks for. Raises `BadRequest` for a label that cannot be read."""
    options = host_options(container.labels)
    asked = {
        "privileged": bool(options.privileged),
        "devices": bool(options.devices or options.device_cgroup_rules or _requests(options, is_cdi=True)),
        "gpus": bool(_requests(options, is_cdi=False)),
        "security_opt": any(map(_weakens, options.security_opt or ())) or _bares(container.privileges),
        "pid": options.pid_mode == "host",
        "ipc": options.ipc_mode == "host",
        "uts": options.uts_mode == "host",
        "userns_mode": options.userns_mode == "host",
        "cgroup": options.cgroupns_mode == "host",
        "cgroup_parent": bool(options.cgroup_parent),
        # Also runc by its name: the engine's own choice may be one that keeps containers further away.
        "runtime": bool(options.runtime),
        "oom_score_adj": (options.oom_score_adj or 0) < 0,
        "oom_kill_disable": bool(options.oom_kill_disable),
    }
    return frozenset(word for word, is_asked in asked.items() if is_asked)


def _requests(options: HostOptions, *, is_cdi: bool) -> list[DeviceRequest]:
    """A stack file names devices of the CDI among its devices, and others among its gpus."""
    return [request for request in options.device_requests or () if (request.driver == "cdi") is is_cdi]


def _weakens(option: str) -> bool:
    """Whether less stands between the container and its machine than without the option."""
    name, value = _parts(option)
    if name == "label":
        part, _, chosen = value.partition(":")
        return not (part == "level" or (part == "type" and chosen in _CONFINING_TYPES))
    return (name, value) not in (
        ("no-new-privileges", ""),
        ("no-new-privileges", "true"),
        ("seccomp", "builtin"),
        ("apparmor", "docker-default"),
    )


def _bares(privileges: Privileges | None) -> bool:
    """The same of Docker's own fields."""
    if privileges is None:
        return False
    selinux, seccomp, apparmor = privileges.selinux_context, privileges.seccomp, privileges.apparmor
    return bool(
        (selinux and _frees(selinux))
        or (seccomp and (seccomp.mode or "default") != "default")
        or (apparmor and (apparmor.mode or "default") != "default")
    )


def _frees(context: SELinuxContext) -> bool:
    other_type = bool(context.type) and context.type not in _CONFINING_TYPES
    return bool(context.disable or context.user or context.role or other_type)


def _parts(option: str) -> tuple[str, str]:
    """Engines take `name=value`, and of old `name:value`."""
    name, separator, value = option.partition("=")
    if not separator:
        name, _, value = option.partition(":")
    return name, value


def _check_security(option: str) -> None:
    name, value = _parts(option)
    where = f"{WHERE}: SecurityOpt {name}"
    match name:
        case "no-new-privileges":
            is_sound = option == name or value in ("true", "false")
        case "label":
            part, _, chosen = value.partition(":")
            is_sound = value == "disable" or (part in _LABEL_PARTS and bool(chosen))
        case "seccomp":
            is_sound = value in ("unconfined", "builtin") or value.lstrip().startswith("{")
            if not is_sound:
                raise BadRequest(f"{where} must be unconfined, builtin or the profile itself as JSON, not a path")
        case "apparmor":
            is_sound = bool(value)
        case "systempaths":
            is_sound = value == "unconfined"
        case _:
            known = "no-new-privileges, label, seccomp, apparmor, systempaths"
            raise BadRequest(f"{WHERE}: SecurityOpt {shown(name)} is not known; there are {known}")
    if not is_sound:
        raise BadRequest(f"{where} cannot be {shown(value)}")


def _check_ranges(options: HostOptions) -> None:
    for field, (name, least, most) in _RANGES.items():
        value = getattr(options, field)
        # 0 is as the engine has it, but a size of 0 would be nothing at all.
        if value is not None and (value or name == "ShmSize") and not least <= value <= most:
            span = f"between {least} and {most}" if most < 2**62 else f"at least {least}"
            raise BadRequest(f"{WHERE}: {name} must be {span}, and {value} is not")
    if 0 < (options.cpu_quota or 0) < _LEAST_QUOTA:
        raise BadRequest(
            f"{WHERE}: CpuQuota must be at least {_LEAST_QUOTA} microseconds, and {options.cpu_quota} is not"
        )
    weights = [options.blkio_weight, *(device.weight for device in options.blkio_weight_device or ())]
    if any(weight is not None and weight != 0 and not 10 <= weight <= 1000 for weight in weights):
        raise BadRequest(f"{WHERE}: a BlkioWeight must be 0 or between 10 and 1000")
    for name, value in (("CpuCount", options.cpu_count), ("CpuPercent", options.cpu_percent)):
        if value:
            raise Unsupported(f"{WHERE}: {name} is of Windows and not carried out")


def _check_modes(options: HostOptions) -> None:
    values = (options.pid_mode, options.ipc_mode, options.uts_mode, options.userns_mode, options.cgroupns_mode)
    for (name, known), value in zip(_MODES.items(), values, strict=True):
        if not value or value in known:
            continue
        if value.startswith(("container:", "service:")):
            raise Unsupported(
                f"{WHERE}: {name} {shown(value)} is not carried out: tasks are placed one by one, and another's"
                " container may be on another node, or replaced at any time"
            )
        raise BadRequest(f"{WHERE}: {name} must be one of {', '.join(known)}, and {shown(value)} is not")


def _check_devices(options: HostOptions) -> None:
    for index, device in enumerate(options.devices or ()):
        _check_device(device, f"{WHERE}: Devices[{index}]")
    for rule in options.device_cgroup_rules or ():
        if not _DEVICE_RULE.fullmatch(rule):
            raise BadRequest(f"{WHERE}: DeviceCgroupRules: {shown(rule)} is not of the form `c 10:200 rwm`")
    for index, request in enumerate(options.device_requests or ()):
        if request.count and request.device_ids:
            raise BadRequest(f"{WHERE}: DeviceRequests[{index}] has both Count and DeviceIDs; give one of them")
        if request.count is not None and request.count < -1:
            raise BadRequest(f"{WHERE}: DeviceRequests[{index}].Count must be -1 (all) or not negative")
    for limited in _limited_devices(options):
        if not limited.path.startswith("/"):
            raise BadRequest(f"{WHERE}: {shown(limited.path)}, a device with limits, must be an absolute path")
        if isinstance(limited, ThrottleDevice) and limited.rate < 0:
            raise BadRequest(f"{WHERE}: the rate of {limited.path} must not be negative")


def _check_device(device: Device, where: str) -> None:
    for name, path in (("PathOnHost", device.path_on_host), ("PathInContainer", device.path_in_container)):
        if path is not None and not path.startswith("/"):
            raise BadRequest(f"{where}.{name} must be an absolute path, and {shown(path)} is not")
    letters = device.cgroup_permissions
    if letters is not None and (not set(letters) <= set("rwm") or len(set(letters)) < len(letters)):
        raise BadRequest(f"{where}.CgroupPermissions must be letters of rwm, each once, and {shown(letters)} is not")


def _limited_devices(options: HostOptions) -> Iterator[WeightDevice | ThrottleDevice]:
    lists: Sequence[Iterable[WeightDevice | ThrottleDevice] | None] = (
        options.blkio_weight_device, options.blkio_device_read_bps, options.blkio_device_write_bps,
        options.blkio_device_read_iops, options.blkio_device_write_iops,
    )  # fmt: skip
    for devices in lists:
        yield from devices or ()


def _check_texts(options: HostOptions) -> None:
    for name, value, pattern, example in (
        ("CpusetCpus", options.cpuset_cpus, _CPUSET, "0-2,4"),
        ("Runtime", options.runtime, _RUNTIME, "runsc"),
        ("MacAddress", options.mac_address, _MAC, "02:42:ac:11:00:02"),
    ):
        if value and not pattern.fullmatch(value):
            raise BadRequest(f"{WHERE}: {name} must look like {example}, and {shown(value)} does not")
    if options.domainname:
        with at(f"{WHERE}: Domainname"):
            check_domain(options.domainname)


def _check_limits(options: HostOptions, limits: Limits) -> None:
    """Where Docker's own limits and these speak of the same."""
    swap, memory = options.memory_swap or 0, limits.memory_bytes or 0
    if swap and not memory:
        raise BadRequest(f"{WHERE}: MemorySwap is memory and swap together: give Resources.Limits.MemoryBytes, too")
    if 0 < swap < memory:
        raise BadRequest(f"{WHERE}: MemorySwap ({swap}) is memory and swap together, and less than the memory limit")
    if limits.nano_cpus and (options.cpu_period or options.cpu_quota):
        raise BadRequest(f"{WHERE}: CpuPeriod and CpuQuota say the same as Resources.Limits.NanoCPUs; give one of them")
