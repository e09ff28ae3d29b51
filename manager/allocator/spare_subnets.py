"""Subnets of services that a network holds and no service needs any more. Pure."""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network

from manager.allocator.vips import Resting, room_for_vips
from manager.objects import Network
from manager.state import State


def without_spare(state: State, network: Network, vips: int, resting: Resting) -> Network:
    """The network without service subnets, the last ones first, in which no service has an address or had one of late,
    for as long as the others have room for so many `vips`: nodes may need what they take. One always stays."""
    for text in reversed(network.service_subnets):
        fewer = network.model_copy(update={"service_subnets": tuple(n for n in network.service_subnets if n != text)})
        has_room = bool(fewer.service_subnets) and room_for_vips(fewer) >= vips
        if has_room and not _is_used(state, network.id, IPv4Network(text), resting):
            network = fewer
    return network


def _is_used(state: State, network_id: str, subnet: IPv4Network, resting: Resting) -> bool:
    held = state.remembered("vips-held", lambda: _held(state)).get(network_id, frozenset())
    first, last = int(subnet.network_address), int(subnet.broadcast_address)
    return any(first <= number <= last for number in held) or resting.any_within(network_id, subnet)


def _held(state: State) -> Mapping[str, frozenset[int]]:
    """Network id -> the addresses that services have there."""
    numbers: dict[str, set[int]] = {}
    for service in state.services.values():
        for vip in service.virtual_ips:
            numbers.setdefault(vip.network_id, set()).add(int(IPv4Address(vip.address)))
    return {network_id: frozenset(held) for network_id, held in numbers.items()}
