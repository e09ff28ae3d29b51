"""Whether a network that a task needs can be made beside those that the engine has. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network

from swarmpy.wire import NetworkAssignment


@dataclass(frozen=True, slots=True)
class EngineNetwork:
    """One network of the engine, ours or not."""

    name: str
    subnets: frozenset[IPv4Network | IPv6Network]
    internal: bool = False
    options: Mapping[str, str] = field(default_factory=dict)


def obstacle(existing: Iterable[EngineNetwork], name: str, wanted: NetworkAssignment) -> str | None:
    """What stands in the way of the network `name`: None when it is there already as wanted, else a sentence, which
    is empty when nothing that can be seen does."""
    subnet = ip_network(wanted.subnet)
    others = tuple(existing)
    for other in others:
        if other.name == name:
            same = other.subnets == {subnet} and other.internal == wanted.internal
            return None if same else f"network {name} is on the engine already, with another range: remove it"
    for other in others:
        if any(subnet.version == taken.version and subnet.overlaps(taken) for taken in other.subnets):
            return (
                f"network {wanted.name} cannot have {subnet} on this node: the engine's network {other.name} "
                "overlaps it; remove that one (docker network rm) or give the network another subnet"
            )
    return ""
