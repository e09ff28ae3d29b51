"""How many addresses of a network are used: by network, and by node. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from manager.allocator.networks import share_room
from manager.allocator.vips import room_for_vips, vip_demand
from manager.api.steps import Steps
from manager.objects import Network
from manager.orchestrator.reasons import name_of
from manager.orchestrator.slots import is_placed
from manager.state import State

_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class ShareUse:
    node_id: str
    hostname: str
    subnet: str
    used: int
    total: int


@dataclass(frozen=True, slots=True)
class NetworkUse:
    """`used` and `total` are addresses of tasks in the shares of all nodes, `vips` those of services; so many services
    as are `lacking` one are reached by the addresses of their tasks alone. `full` are the hostnames of the nodes whose
    share has no address left."""

    used: int
    total: int
    vips_used: int
    vips_total: int
    lacking: int
    full: tuple[str, ...]


# Addresses in use by network and node; those of services under no node.
Used = Mapping[tuple[str, str], int]


def usage_of(network: Network, used: Used, state: State) -> NetworkUse:
    there = total = 0
    full = []
    for share in network.node_subnets:
        mine, room = used.get((network.id, share.node_id), 0), _room(share.subnet)
        there += mine
        total += room
        if mine >= room:
            full.append(share.node_id)
    vips, vip_room = used.get((network.id, ""), 0), room_for_vips(network)
    return NetworkUse(
        used=there,
        total=total,
        vips_used=vips,
        vips_total=vip_room,
        # Those that come while there is room get theirs in a moment; what was counted may be a moment old.
        lacking=max(0, vip_demand(state)[network.id] - vips) if network.subnet and vips >= vip_room else 0,
        full=tuple(_hostname(state, node_id) for node_id in sorted(full)),
    )


def shares_of(network: Network, used: Used, state: State) -> tuple[ShareUse, ...]:
    return tuple(
        ShareUse(
            node_id=share.node_id,
            hostname=_hostname(state, share.node_id),
            subnet=share.subnet,
            used=used.get((network.id, share.node_id), 0),
            total=_room(share.subnet),
        )
        for share in sorted(network.node_subnets, key=lambda share: share.node_id)
    )


def usage_document(use: NetworkUse) -> dict[str, Any]:
    return {
        "Used": use.used,
        "Total": use.total,
        "Services": {"Used": use.vips_used, "Total": use.vips_total, "Lacking": use.lacking},
    }


def share_document(share: ShareUse) -> dict[str, Any]:
    return {
        "ID": share.node_id,
        "Hostname": share.hostname,
        "Subnet": share.subnet,
        "Used": share.used,
        "Total": share.total,
    }


def addresses_used(state: State) -> Steps[Used]:
    """A task counts from when it has its node until it has ended, as the scheduler counts it. A step some tasks."""
    counts: Counter[tuple[str, str]] = Counter()
    for number, task in enumerate(tuple(state.tasks.values())):
        if task.networks and task.is_live and is_placed(task):
            for joined in task.networks:
                counts[joined.network_id, task.node_id] += 1
        if number % _AT_ONCE == 0:
            yield
    for service in state.services.values():
        for vip in service.virtual_ips:
            counts[vip.network_id, ""] += 1
    return counts


def _room(subnet: str) -> int:
    return _room_of(subnet.rpartition("/")[2])


@lru_cache
def _room_of(length: str) -> int:
    return share_room(f"0.0.0.0/{length}")


def _hostname(state: State, node_id: str) -> str:
    node = state.nodes.get(node_id)
    return name_of(node) if node else node_id
