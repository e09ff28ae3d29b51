"""How many addresses of a network are used: by network, and by node. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from manager.allocator.networks import share_room
from manager.allocator.vips import room_for_vips, vip_demand
from manager.objects import Network
from manager.orchestrator.reasons import name_of
from manager.orchestrator.slots import is_placed
from manager.state import State


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
    as are `lacking` one are reached by the addresses of their tasks alone."""

    shares: tuple[ShareUse, ...]
    vips_used: int
    vips_total: int
    lacking: int = 0

    @property
    def used(self) -> int:
        return sum(share.used for share in self.shares)

    @property
    def total(self) -> int:
        return sum(share.total for share in self.shares)


def usage_of(network: Network, state: State) -> NetworkUse:
    """A task counts from when it has its node until it has ended, as the scheduler counts it."""
    used = state.remembered("addresses", lambda: _addresses(state))
    shares = sorted(network.node_subnets, key=lambda share: share.node_id)
    vips, room = used.get((network.id, ""), 0), room_for_vips(network)
    return NetworkUse(
        shares=tuple(
            ShareUse(
                node_id=share.node_id,
                hostname=_hostname(state, share.node_id),
                subnet=share.subnet,
                used=used.get((network.id, share.node_id), 0),
                total=share_room(share.subnet),
            )
            for share in shares
        ),
        vips_used=vips,
        vips_total=room,
        # Those that come while there is room get theirs in a moment.
        lacking=vip_demand(state)[network.id] - vips if network.subnet and vips >= room else 0,
    )


def usage_document(use: NetworkUse) -> dict[str, Any]:
    return {
        "Used": use.used,
        "Total": use.total,
        "Services": {"Used": use.vips_used, "Total": use.vips_total, "Lacking": use.lacking},
        "Nodes": [
            {
                "ID": share.node_id,
                "Hostname": share.hostname,
                "Subnet": share.subnet,
                "Used": share.used,
                "Total": share.total,
            }
            for share in use.shares
        ],
    }


def _addresses(state: State) -> Mapping[tuple[str, str], int]:
    """By network and node; those of services under no node."""
    counts: Counter[tuple[str, str]] = Counter()
    for task in state.tasks.values():
        if task.networks and task.is_live and is_placed(task):
            counts.update((joined.network_id, task.node_id) for joined in task.networks)
    for service in state.services.values():
        counts.update((vip.network_id, "") for vip in service.virtual_ips)
    return counts


def _hostname(state: State, node_id: str) -> str:
    node = state.nodes.get(node_id)
    return name_of(node) if node else node_id
