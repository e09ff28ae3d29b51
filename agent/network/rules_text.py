"""Words of the rule language that several chains share: sets, names of chains, what stands for this node. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from agent.network.picture import LocalNetwork, Picture
from agent.network.rules_port import Features
from swarmpy.network_map import MappedService

# A name of the cluster is asked at a gateway; no published port may take that away.
DNS = "meta l4proto { tcp, udp } th dport 53"
# It is in the second word of the VXLAN header, which follows UDP's.
VNI = "@th,96,24"

# Of each network, in a fixed order. All of a cluster's are sorted once, and not for each network and task anew.
Services = Mapping[str, Sequence[MappedService]]


def any_of(values: Iterable[object]) -> str:
    """One value as it is, several as a set in the rule itself."""
    listed = [str(value) for value in values]
    return listed[0] if len(listed) == 1 else f"{{ {', '.join(listed)} }}"


def quoted(device: str) -> str:
    return f'"{device}"'


def networks_of(picture: Picture) -> Sequence[LocalNetwork]:
    return [picture.networks[key] for key in sorted(picture.networks)]


def services_by_network(picture: Picture) -> Services:
    found: dict[str, list[MappedService]] = {}
    for _, service in sorted(picture.map.services.items()):
        found.setdefault(service.network_id, []).append(service)
    return found


def ranges_of(services: Services, network: LocalNetwork) -> tuple[str, ...]:
    """Where services of a network have their addresses; those outside the ranges that we were told stand alone."""
    told = sorted(network.service_subnets)
    vips = sorted({service.vip for service in services.get(network.id, ()) if service.vip})
    starts = [(int(subnet.network_address), int(subnet.netmask)) for subnet in told]
    strays = (vip for vip in vips if not any(_number(vip) & mask == start for start, mask in starts))
    return (*map(str, told), *strays)


def addressed_here(picture: Picture, features: Features) -> str:
    """Matches packets to an address of this node. Without `fib` those are listed that we know of."""
    if features.fib:
        return "fib daddr type local"
    known = {str(picture.underlay.address), *(str(network.gateway) for network in picture.networks.values())}
    return f"ip daddr {any_of(['127.0.0.0/8', *sorted(known)])}"


def _number(address: str) -> int:
    first, second, third, fourth = address.split(".")
    return int(first) << 24 | int(second) << 16 | int(third) << 8 | int(fourth)
