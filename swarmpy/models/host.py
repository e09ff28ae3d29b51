"""What a container wishes of its machine and Docker's `ContainerSpec` has no field for. Pure.

It travels as JSON in a label of the container's spec. Who admits it, who places it and who carries it out read it here,
so that all three see the same.
"""

from collections.abc import Mapping
from functools import lru_cache

from pydantic import ConfigDict, ValidationError

from swarmpy import labels
from swarmpy.errors import BadRequest
from swarmpy.models.base import DockerModel

# Words that the engine does not write in plain CamelCase. It has rules of its own: `PidMode`, but `PIDs` elsewhere.
_WORDS = {"uts": "UTS", "iops": "IOps", "ids": "IDs"}
WHERE = f"ContainerSpec.Labels[{labels.HOST}]"


def _engine_name(field: str) -> str:
    return "".join(_WORDS.get(word, word.capitalize()) for word in field.split("_"))


class _EngineModel(DockerModel):
    """With the names that the engine's request to create a container has."""

    model_config = ConfigDict(alias_generator=_engine_name)


class Device(_EngineModel):
    """`cgroup_permissions` are letters of `rwm`."""

    path_on_host: str
    path_in_container: str | None = None
    cgroup_permissions: str | None = None


class DeviceRequest(_EngineModel):
    """Devices by what they can do. `count` -1 is all; `capabilities` are alternatives, each a list of words."""

    driver: str | None = None
    count: int | None = None
    device_ids: tuple[str, ...] | None = None
    capabilities: tuple[tuple[str, ...], ...] | None = None
    options: dict[str, str] | None = None


class WeightDevice(_EngineModel):
    path: str
    weight: int


class ThrottleDevice(_EngineModel):
    """`rate` is bytes, or operations, in a second."""

    path: str
    rate: int


class HostOptions(_EngineModel):
    """Sizes in bytes; None is as the engine has it. `host_ips` are addresses of the node on which alone ports in host
    mode are opened, by `PUBLISHED:TARGET/PROTOCOL`: the engine has them among its port bindings."""

    privileged: bool | None = None
    devices: tuple[Device, ...] | None = None
    device_requests: tuple[DeviceRequest, ...] | None = None
    device_cgroup_rules: tuple[str, ...] | None = None
    security_opt: tuple[str, ...] | None = None
    shm_size: int | None = None
    pid_mode: str | None = None
    ipc_mode: str | None = None
    uts_mode: str | None = None
    userns_mode: str | None = None
    cgroupns_mode: str | None = None
    cgroup_parent: str | None = None
    runtime: str | None = None
    oom_score_adj: int | None = None
    oom_kill_disable: bool | None = None
    memory_swap: int | None = None
    memory_swappiness: int | None = None
    cpu_shares: int | None = None
    cpu_period: int | None = None
    cpu_quota: int | None = None
    cpu_realtime_period: int | None = None
    cpu_realtime_runtime: int | None = None
    cpuset_cpus: str | None = None
    cpu_count: int | None = None
    cpu_percent: int | None = None
    blkio_weight: int | None = None
    blkio_weight_device: tuple[WeightDevice, ...] | None = None
    blkio_device_read_bps: tuple[ThrottleDevice, ...] | None = None
    blkio_device_write_bps: tuple[ThrottleDevice, ...] | None = None
    blkio_device_read_iops: tuple[ThrottleDevice, ...] | None = None
    blkio_device_write_iops: tuple[ThrottleDevice, ...] | None = None
    storage_opt: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    domainname: str | None = None
    mac_address: str | None = None
    host_ips: dict[str, str] | None = None


NO_HOST_OPTIONS = HostOptions()
# Several seccomp profiles have room in it.
LARGEST = 256 << 10


def host_options(container_labels: Mapping[str, str] | None) -> HostOptions:
    """Of a `ContainerSpec.Labels`; empty without the label. Raises `BadRequest` that names the field at fault."""
    text = (container_labels or {}).get(labels.HOST)
    if text is None:
        return NO_HOST_OPTIONS
    if len(text) > LARGEST:
        raise BadRequest(f"{WHERE} is longer than {LARGEST >> 10} KiB")
    return _parsed(text)


@lru_cache(maxsize=256)
def _parsed(text: str) -> HostOptions:
    try:
        return HostOptions.model_validate_json(text)
    except ValidationError as error:
        raise BadRequest(_sentence(error)) from None


def _sentence(error: ValidationError) -> str:
    """The first fault. What was written there is not repeated: it may be long."""
    fault = error.errors(include_url=False, include_input=False)[0]
    if fault["type"] == "json_invalid":
        return f"{WHERE} is no valid JSON: {fault['ctx']['error']}"
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"]).lstrip(".")
    if fault["type"] == "extra_forbidden":
        return f"{WHERE}: {field} is not a known option of the host"
    words = fault["msg"].replace("Input should be", "must be").replace("Value error, ", "")
    if not field:
        return f"{WHERE} {words}" if fault["type"] == "value_error" else f"{WHERE} must be a JSON object"
    return f"{WHERE}: {field} {words}"
