"""A task's whole wish as the engine's request to create its container. Pure.

What this agent does not carry out is refused by name; what the engine refuses, it says itself when asked.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from agent.task.files import file_mounts
from agent.task.host import with_host_options
from agent.task.mounts import engine_mount, require_api
from agent.task.names import container_labels, container_name, network_name
from agent.task.run import DEFAULT_GRACE
from agent.task.security import security_options
from agent.task.templates import NodeFacts, fields_of
from swarmpy.errors import BadRequest, Unsupported
from swarmpy.models.container import ContainerSpec
from swarmpy.models.port import PortConfig, PublishMode
from swarmpy.models.resources import ResourceRequirements
from swarmpy.templating import Value, expand
from swarmpy.wire import NetworkAssignment, TaskAssignment

# Networks every engine has; a task joins one of them by its name and then no other.
PREDEFINED_NETWORKS = frozenset({"host", "none", "bridge"})


@dataclass(frozen=True, slots=True)
class NetworkToJoin:
    """By its name on the engine. The engine gets no aliases: its own name server would answer with the tasks of this
    node alone. Without an address the engine picks one."""

    name: str
    address: IPv4Address | None = None


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """`config` is the body of the engine's request; the networks are joined before the start."""

    name: str
    config: Mapping[str, Any]
    networks: tuple[NetworkToJoin, ...]


def create_request(
    task: TaskAssignment,
    node: NodeFacts,
    networks: Mapping[str, NetworkAssignment],
    files_folder: str = "",
    addresses: Mapping[str, IPv4Address] | None = None,
) -> CreateRequest:
    """`files_folder` holds the task's secrets and configs, `addresses` are its own, by network id. Raises `BadRequest`
    in words for the task's owner."""
    spec = _container_spec(task)
    fields = fields_of(task, node)
    config = {
        **_process(spec, fields),
        **_health(spec, node),
        "Image": spec.image,
        "Labels": container_labels(task),
        "ExposedPorts": {_port_key(port): {} for port in _host_ports(task.ports)},
        "HostConfig": _without_none(
            {
                **_isolation(spec),
                "Dns": _nameservers(task, spec, networks),
                **_resources(task.spec.resources),
                "Mounts": [
                    *(engine_mount(mount, fields, node.api_version) for mount in spec.mounts or ()),
                    *file_mounts(task, files_folder),
                ],
                "LogConfig": _log_config(task),
                "PortBindings": _port_bindings(task.ports),
                "NetworkMode": _network_mode(task),
                "RestartPolicy": {"Name": "no"},
            }
        ),
    }
    known = addresses or {}
    joined = tuple(_joined(part.network_id, task, networks, known.get(part.network_id)) for part in task.networks)
    whole = with_host_options(_without_none(config), spec, node.api_version)
    return CreateRequest(container_name(task), whole, joined)


def _container_spec(task: TaskAssignment) -> ContainerSpec:
    spec = task.spec.container_spec
    if spec is None or task.spec.plugin_spec is not None or task.spec.network_attachment_spec is not None:
        raise Unsupported("only tasks that run a container are carried out")
    if not spec.image:
        raise BadRequest("ContainerSpec.Image is empty")
    return spec


def _process(spec: ContainerSpec, fields: Mapping[str, Value]) -> dict[str, Any]:
    grace = spec.stop_grace_period
    return {
        "Entrypoint": list(spec.command) if spec.command else None,
        "Cmd": list(spec.args) if spec.args else None,
        "Env": [expand(entry, fields, f"env {entry.partition('=')[0]}") for entry in spec.env or ()],
        "WorkingDir": spec.dir,
        "User": spec.user,
        "Hostname": expand(spec.hostname, fields, "hostname") if spec.hostname else None,
        "Tty": bool(spec.tty),
        "OpenStdin": bool(spec.open_stdin),
        "StopSignal": spec.stop_signal,
        "StopTimeout": round(DEFAULT_GRACE if grace is None else grace / 1e9),
    }


def _health(spec: ContainerSpec, node: NodeFacts) -> dict[str, Any]:
    if spec.health_check is None:
        return {}
    if spec.health_check.start_interval:
        require_api("Healthcheck.StartInterval", (1, 44), node.api_version)
    return {"Healthcheck": spec.health_check.to_docker()}


def _isolation(spec: ContainerSpec) -> dict[str, Any]:
    dns = spec.dns_config
    return {
        "ReadonlyRootfs": bool(spec.read_only),
        "GroupAdd": list(spec.groups or ()),
        "ExtraHosts": [line for entry in spec.hosts or () for line in _extra_hosts(entry)],
        "DnsSearch": list((dns and dns.search) or ()),
        "DnsOptions": list((dns and dns.options) or ()),
        "CapAdd": list(spec.capability_add or ()),
        "CapDrop": list(spec.capability_drop or ()),
        "SecurityOpt": security_options(spec.privileges),
        "Sysctls": spec.sysctls,
        "Init": spec.init,
        "Isolation": spec.isolation,
        "Ulimits": [
            {"Name": limit.name, "Soft": limit.soft or 0, "Hard": limit.hard or 0} for limit in spec.ulimits or ()
        ],
    }


def _extra_hosts(entry: str) -> Iterable[str]:
    """`10.0.0.1 db db.local`, as a hosts file has it, becomes `db:10.0.0.1` and `db.local:10.0.0.1`."""
    address, *names = entry.split()
    if not names:
        raise BadRequest(f"ContainerSpec.Hosts: {entry!r} is not of the form `address name [name ...]`")
    return (f"{name}:{address}" for name in names)


def _resources(resources: ResourceRequirements | None) -> dict[str, Any]:
    limits = resources.limits if resources else None
    reserved = resources.reservations if resources else None
    return {
        "NanoCpus": limits.nano_cpus if limits else None,
        "Memory": limits.memory_bytes if limits else None,
        # 0 would mean unlimited to us and "as the engine's default" to some engines.
        "PidsLimit": (limits.pids or None) if limits else None,
        "MemoryReservation": reserved.memory_bytes if reserved else None,
    }


def _log_config(task: TaskAssignment) -> dict[str, Any] | None:
    driver = task.spec.log_driver
    if driver is None or not driver.name:
        return None
    return {"Type": driver.name, "Config": driver.options or {}}


def _host_ports(ports: Iterable[PortConfig]) -> list[PortConfig]:
    return [port for port in ports if port.publish_mode is PublishMode.HOST]


def _port_key(port: PortConfig) -> str:
    return f"{port.target_port}/{(port.protocol or 'tcp')}"


def _port_bindings(ports: Iterable[PortConfig]) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in _host_ports(ports):
        chosen = {"HostPort": str(port.published_port) if port.published_port else ""}
        bindings.setdefault(_port_key(port), []).append(chosen)
    return bindings


def _network_mode(task: TaskAssignment) -> str | None:
    named = [wish.target for wish in task.spec.networks or () if wish.target in PREDEFINED_NETWORKS]
    if not named:
        return None
    if task.networks or len(named) > 1:
        raise BadRequest(f"the network {named[0]} of the engine cannot be joined together with other networks")
    return named[0]


def _joined(
    network_id: str, task: TaskAssignment, networks: Mapping[str, NetworkAssignment], address: IPv4Address | None
) -> NetworkToJoin:
    network = networks.get(network_id)
    if network is None:
        raise BadRequest(f"network {network_id} of {container_name(task)} is not provided on this node")
    return NetworkToJoin(network_name(network), address)


def _nameservers(task: TaskAssignment, spec: ContainerSpec, networks: Mapping[str, NetworkAssignment]) -> list[str]:
    """On an overlay network the agent answers, at the gateways, and asks those of the wish what it does not know."""
    gateways = [networks[part.network_id].gateway for part in task.networks if part.network_id in networks]
    wished = (spec.dns_config.nameservers if spec.dns_config else None) or ()
    return gateways or list(wished)


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    """Absent means: as the image, or the engine, has it."""
    return {name: value for name, value in values.items() if value is not None}
