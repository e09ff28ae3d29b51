"""What a task wishes of its machine, put into the engine's request. Pure."""

from collections.abc import Mapping
from typing import Any

from agent.task.mounts import require_api
from swarmpy.errors import Unsupported
from swarmpy.models.container import ContainerSpec
from swarmpy.models.host import HostOptions, host_options

# Those that belong to the container's own part of the request.
_OF_CONFIG = ("Domainname", "MacAddress")
_SINCE = {"Annotations": (1, 43), "CgroupnsMode": (1, 41), "DeviceRequests": (1, 40)}
_BARE_PATHS = ("systempaths=unconfined", "systempaths:unconfined")


def with_host_options(config: Mapping[str, Any], spec: ContainerSpec, api_version: tuple[int, int]) -> dict[str, Any]:
    """The request with the task's options of the host in it. Raises `Unsupported` for what an engine that old does not
    know, as it would leave it out without a word."""
    options = host_options(spec.labels)
    asked = {name: value for name, value in options.to_docker().items() if value not in ("", [], {})}
    for name, since in _SINCE.items():
        if name in asked:
            require_api(name, since, api_version)
    own = {name: asked.pop(name) for name in _OF_CONFIG if name in asked}
    security = asked.pop("SecurityOpt", [])
    addresses = asked.pop("HostIps", {})
    host: dict[str, Any] = {**config["HostConfig"], **asked}
    if addresses and "PortBindings" in host:
        host["PortBindings"] = {key: _bound(key, found, addresses) for key, found in host["PortBindings"].items()}
    if "Devices" in host:
        host["Devices"] = _devices(options)
    if "DeviceRequests" in host:
        host["DeviceRequests"] = _device_requests(options)
    if security:
        known = host.get("SecurityOpt") or []
        host["SecurityOpt"] = [*known, *(o for o in security if o not in known and o not in _BARE_PATHS)]
    if any(option in _BARE_PATHS for option in security):
        # The engine has no such option: the client of old says it with lists of nothing.
        host |= {"MaskedPaths": [], "ReadonlyPaths": []}
    if "MacAddress" in own and host.get("NetworkMode") in ("host", "none"):
        raise Unsupported(f"MacAddress: a task on the network {host['NetworkMode']} has no address of its own")
    return {**config, **own, "HostConfig": host}


def _bound(target: str, bindings: list[dict[str, str]], addresses: Mapping[str, str]) -> list[dict[str, str]]:
    """To the one address of the node that is asked for."""
    wished = ((binding, addresses.get(f"{binding['HostPort']}:{target}")) for binding in bindings)
    return [{**binding, "HostIp": address} if address else binding for binding, address in wished]


def _devices(options: HostOptions) -> list[dict[str, str]]:
    """At the same path inside and with every permission, where nothing else is said."""
    return [
        {
            "PathOnHost": device.path_on_host,
            "PathInContainer": device.path_in_container or device.path_on_host,
            "CgroupPermissions": device.cgroup_permissions or "rwm",
        }
        for device in options.devices or ()
    ]


def _device_requests(options: HostOptions) -> list[dict[str, Any]]:
    """Without a capability it is for what Docker calls a gpu."""
    return [
        {**request.to_docker(), "Capabilities": [list(words) for words in request.capabilities or (("gpu",),)]}
        for request in options.device_requests or ()
    ]
