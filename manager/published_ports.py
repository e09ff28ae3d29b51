"""Ports that a service wishes for: which every node opens, which each task, and whether a task was made for them. Pure.

Host-mode ports belong to each task: they are written on it when it is made. Numbers for those that leave theirs open
the allocator gives.
"""

from collections.abc import Sequence

from manager.objects import Task
from manager.state import State
from swarmpy.models.port import PortConfig, Protocol, PublishMode
from swarmpy.models.service import ServiceSpec


def wished_ports(spec: ServiceSpec) -> tuple[PortConfig, ...]:
    return (spec.endpoint_spec.ports if spec.endpoint_spec else None) or ()


def host_ports(spec: ServiceSpec) -> tuple[PortConfig, ...]:
    """The ports that every task of the service opens on its own node."""
    return tuple(port for port in wished_ports(spec) if port.publish_mode is PublishMode.HOST)


def publishes(spec: ServiceSpec) -> bool:
    """Whether every node takes some port for the service: its tasks are on the ingress network then."""
    return any(port.publish_mode is not PublishMode.HOST for port in wished_ports(spec))


def fits_endpoint(task: Task, spec: ServiceSpec) -> bool:
    """Whether the task was made with the ports, and on the ingress network or not, as the wish has it."""
    return same_ports(task.ports, host_ports(spec)) and is_on_ingress(task) == publishes(spec)


def is_on_ingress(task: Task) -> bool:
    return any(joined.is_ingress for joined in task.networks)


def is_cut_off(state: State, task: Task) -> bool:
    """It was made for an ingress network that is there no more: nothing that is published leads to it."""
    return any(joined.is_ingress and not _stays(state, joined.network_id) for joined in task.networks)


def _stays(state: State, network_id: str) -> bool:
    network = state.networks.get(network_id)
    return network is not None and not network.removed


def same_ports(open_ports: Sequence[PortConfig], wished: Sequence[PortConfig]) -> bool:
    """Whether a task's ports are the wished ones. A number that was left to the engine matches any."""
    if not open_ports and not wished:
        return True
    have = sorted(_wish(port) for port in open_ports if port.publish_mode is PublishMode.HOST)
    want = sorted(_wish(port) for port in wished)
    return len(have) == len(want) and all(h[:2] == w[:2] and w[2] in (0, h[2]) for h, w in zip(have, want, strict=True))


def _wish(port: PortConfig) -> tuple[str, int, int]:
    return (port.protocol or Protocol.TCP).value, port.target_port or 0, port.published_port or 0
