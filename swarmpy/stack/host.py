"""Options of the engine that Docker's service spec has no field for, as the label that carries them. Pure."""

import json
import re
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Any

from swarmpy.labels import HOST
from swarmpy.stack.canonical import Config
from swarmpy.stack.docker_json import Object, stated
from swarmpy.stack.faults import Faults
from swarmpy.stack.tree import Path
from swarmpy.stack.units import parse_duration, parse_size, parse_whole

Reader = Callable[[Any, Path, Faults], Object]

_PERMISSIONS = re.compile(r"[rwm]{1,3}")
# `vendor.com/class=name`: a device by its name in the machine's CDI files.
_CDI = re.compile(r"[A-Za-z][\w.-]*/[A-Za-z][\w.-]*=.+")


def host_label(service: Config, path: Path, faults: Faults) -> dict[str, str]:
    """Empty where the service asks for nothing of the kind."""
    options: Object = {}
    for key, read in READERS.items():
        if asks_for_something(service.get(key)):
            for name, value in read(service[key], (*path, key), faults).items():
                options[name] = [*options.get(name, ()), *value] if isinstance(value, list) else value
    reservations = ((service.get("deploy") or {}).get("resources") or {}).get("reservations") or {}
    if reservations.get("devices"):
        here = (*path, "deploy", "resources", "reservations", "devices")
        requests = _gpus(reservations["devices"], here, faults)["DeviceRequests"]
        options["DeviceRequests"] = [*options.get("DeviceRequests", ()), *requests]
    if addresses := _host_ips(service.get("ports") or (), path, faults):
        options["HostIps"] = addresses
    return {HOST: json.dumps(options, sort_keys=True, separators=(",", ":"))} if options else {}


def bound_address(port: Config) -> str:
    """The one address that a port is to be opened on; empty for all of them."""
    address = str(port.get("host_ip") or "").strip("[]")
    return "" if address in ("0.0.0.0", "::") else address


def _host_ips(ports: Sequence[Config], path: Path, faults: Faults) -> dict[str, str]:
    found = {}
    for index, port in enumerate(ports):
        address = bound_address(port)
        if not address or (port.get("mode") or "ingress") != "host":
            continue
        try:
            ip_address(address)
        except ValueError:
            faults.add((*path, "ports", index, "host_ip"), f"{address!r} is no address")
        published, protocol = port.get("published") or "", port.get("protocol") or "tcp"
        found[f"{published}:{port.get('target')}/{protocol}"] = address
    return found


def asks_for_something(value: Any) -> bool:
    """A number does, also zero; an empty value and `false` do not."""
    return value is not None and value is not False and value not in ("", [], {})


def _as(name: str) -> Reader:
    return lambda value, path, faults: {name: value}


def _one_of(name: str, *choices: str) -> Reader:
    """A word of these; `service:` and `container:` are for one machine only."""

    def read(value: Any, path: Path, faults: Faults) -> Object:
        return stated({name: faults.choose(path, value, choices)})

    return read


def _bytes(name: str) -> Reader:
    def read(value: Any, path: Path, faults: Faults) -> Object:
        return stated({name: -1 if str(value) == "-1" else faults.read(path, str(value), parse_size)})

    return read


def _microseconds(name: str) -> Reader:
    def read(value: Any, path: Path, faults: Faults) -> Object:
        text = str(value)
        if re.fullmatch(r"-?\d+", text):
            return {name: int(text)}
        nanoseconds = faults.read(path, text, parse_duration)
        return {} if nanoseconds is None else {name: nanoseconds // 1000}

    return read


def _whole(name: str) -> Reader:
    def read(value: Any, path: Path, faults: Faults) -> Object:
        return stated({name: faults.read(path, str(value), parse_whole)})

    return read


def _devices(value: Any, path: Path, faults: Faults) -> Object:
    devices, named = [], []
    for index, item in enumerate(value):
        if isinstance(item, str) and _CDI.fullmatch(item):
            named.append(item)
        else:
            devices.append(_device(item, (*path, index), faults))
    requests = [{"Driver": "cdi", "DeviceIDs": named}] if named else None
    return stated({"Devices": devices or None, "DeviceRequests": requests})


def _device(item: Any, path: Path, faults: Faults) -> Object:
    """`PATH[:PATH IN THE CONTAINER][:PERMISSIONS]`, or those three as a mapping."""
    if isinstance(item, dict):
        source, target, permissions = item.get("source", ""), item.get("target"), item.get("permissions")
    else:
        source, *rest = item.split(":")
        permissions = rest.pop() if rest and _PERMISSIONS.fullmatch(rest[-1]) else None
        target = rest.pop(0) if rest else None
        if rest:
            faults.add(path, f"{item!r} is no device; write /dev/fuse, /dev/sda:/dev/xvda or /dev/sda:/dev/xvda:rwm")
    if permissions and _PERMISSIONS.fullmatch(permissions) is None:
        faults.add(path, f"{permissions!r} are no permissions; they are of the letters r, w and m")
    return {"PathOnHost": source, "PathInContainer": target or source, "CgroupPermissions": permissions or "rwm"}


def _gpus(value: Any, path: Path, faults: Faults) -> Object:
    """`all`, or requests with a count or ids of devices; without either: all."""
    given = [{"count": "all"}] if isinstance(value, str) else value
    if isinstance(value, str) and value != "all":
        faults.add(path, f"{value!r}: write all, or a list of requests")
    return {"DeviceRequests": [_request(item, (*path, index), faults) for index, item in enumerate(given)]}


def _request(item: Config, path: Path, faults: Faults) -> Object:
    ids, count = item.get("device_ids"), item.get("count")
    if ids and count is not None:
        faults.add((*path, "count"), "does not go together with device_ids")
    number = -1 if count in (None, "all") else faults.read((*path, "count"), str(count), parse_whole)
    return stated(
        {
            "Driver": item.get("driver"),
            "Count": None if ids else number,
            "DeviceIDs": ids,
            # A list of alternatives, each of which must have all its members.
            "Capabilities": [item.get("capabilities") or ["gpu"]],
            "Options": item.get("options"),
        }
    )


def _security(value: Any, path: Path, faults: Faults) -> Object:
    for index, item in enumerate(value):
        name, sign, rest = item.partition("=") if "=" in item else item.partition(":")
        if name == "seccomp" and sign and rest not in ("unconfined", "builtin") and not rest.startswith("{"):
            text = f"{rest!r} is a file on this machine, which is not read; the profiles are unconfined and builtin"
            faults.add((*path, index), text)
    return {"SecurityOpt": list(value)}


_RATES = {
    "device_read_bps": "BlkioDeviceReadBps",
    "device_write_bps": "BlkioDeviceWriteBps",
    "device_read_iops": "BlkioDeviceReadIOps",
    "device_write_iops": "BlkioDeviceWriteIOps",
}


def _blkio(value: Config, path: Path, faults: Faults) -> Object:
    options: Object = {}
    if value.get("weight"):
        options |= _whole("BlkioWeight")(value["weight"], (*path, "weight"), faults)
    weights = value.get("weight_device")
    if weights:
        options["BlkioWeightDevice"] = [{"Path": item.get("path"), "Weight": item.get("weight")} for item in weights]
    for key, name in _RATES.items():
        found = []
        for index, item in enumerate(value.get(key) or ()):
            rate = faults.read((*path, key, index, "rate"), str(item.get("rate")), parse_size)
            found.append({"Path": item.get("path"), "Rate": rate})
        if found:
            options[name] = found
    return options


READERS: dict[str, Reader] = {
    "annotations": _as("Annotations"),
    "blkio_config": _blkio,
    "cgroup": _one_of("CgroupnsMode", "host", "private"),
    "cgroup_parent": _as("CgroupParent"),
    "cgroupns_mode": _one_of("CgroupnsMode", "host", "private"),
    "cpu_count": _whole("CpuCount"),
    "cpu_percent": _whole("CpuPercent"),
    "cpu_period": _microseconds("CpuPeriod"),
    "cpu_quota": _microseconds("CpuQuota"),
    "cpu_rt_period": _microseconds("CpuRealtimePeriod"),
    "cpu_rt_runtime": _microseconds("CpuRealtimeRuntime"),
    "cpu_shares": _whole("CpuShares"),
    "cpuset": _as("CpusetCpus"),
    "device_cgroup_rules": _as("DeviceCgroupRules"),
    "devices": _devices,
    "domainname": _as("Domainname"),
    "gpus": _gpus,
    "ipc": _one_of("IpcMode", "host", "private", "shareable", "none"),
    "mac_address": _as("MacAddress"),
    "mem_swappiness": _whole("MemorySwappiness"),
    "memswap_limit": _bytes("MemorySwap"),
    "oom_kill_disable": _as("OomKillDisable"),
    "oom_score_adj": _whole("OomScoreAdj"),
    "pid": _one_of("PidMode", "host"),
    "privileged": _as("Privileged"),
    "runtime": _as("Runtime"),
    "security_opt": _security,
    "shm_size": _bytes("ShmSize"),
    "storage_opt": _as("StorageOpt"),
    "userns_mode": _one_of("UsernsMode", "host"),
    "uts": _one_of("UTSMode", "host"),
}
