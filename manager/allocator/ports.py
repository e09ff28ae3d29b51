"""Published ports of services. Host-mode ports belong to each task: they are written on it when it is made.

Does not choose nodes: that a node's port is free is the scheduler's to see.
"""

from collections.abc import Sequence

from swarmpy.models.port import PortConfig, Protocol, PublishMode
from swarmpy.models.service import ServiceSpec


def host_ports(spec: ServiceSpec) -> tuple[PortConfig, ...]:
    """The ports that every task of the service opens on its own node."""
    wished = (spec.endpoint_spec.ports if spec.endpoint_spec else None) or ()
    return tuple(port for port in wished if port.publish_mode is PublishMode.HOST)


def same_ports(open_ports: Sequence[PortConfig], wished: Sequence[PortConfig]) -> bool:
    """Whether a task's ports are the wished ones. A number that was left to the engine matches any."""
    if not open_ports and not wished:
        return True
    have = sorted(_wish(port) for port in open_ports if port.publish_mode is PublishMode.HOST)
    want = sorted(_wish(port) for port in wished)
    return len(have) == len(want) and all(h[:2] == w[:2] and w[2] in (0, h[2]) for h, w in zip(have, want, strict=True))


def _wish(port: PortConfig) -> tuple[str, int, int]:
    return (port.protocol or Protocol.TCP).value, port.target_port or 0, port.published_port or 0
