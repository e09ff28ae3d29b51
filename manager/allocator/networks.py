"""Ranges of overlay networks: VNI, subnet, and one node subnet for each node that has tasks there. Pure.

Addresses of tasks are not given here: each agent picks them in its node subnet.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from ipaddress import IPv4Network
from itertools import chain, count

from manager.allocator.ranges import Ranges
from manager.objects import Network, NodeSubnet, Reason, ReasonCode, Service, Task, TaskNetwork
from manager.orchestrator.decision import Decision
from manager.orchestrator.reasons import reason
from manager.orchestrator.slots import is_placed
from manager.state import State
from swarmpy.models.network import IPAMConfig
from swarmpy.models.task import TaskSpec

DEFAULT_POOLS = ("10.0.0.0/8",)
# VNIs have 24 bits: ranges run out long before them.
FIRST_VNI = 4097
# Sizes to try for a network that names no subnet, the widest first: a crowded pool still serves.
NETWORK_PREFIXES = (16, 18, 20, 22, 24)
NODE_PREFIX = 24
# The longest node subnet: 13 tasks beside the gateway.
LONGEST_NODE_PREFIX = 28


def task_networks(service: Service, template: TaskSpec) -> tuple[TaskNetwork, ...]:
    """The networks of a new task, with the names it is known by there besides the service's own."""
    wished = template.networks or service.spec.networks or ()
    return tuple(
        TaskNetwork(network_id=attachment.target, aliases=attachment.aliases or ())
        for attachment in wished
        if attachment.target
    )


def allocate_networks(
    state: State,
    pools: Collection[str],
    host_routes: Collection[str],
    now: datetime,
    *,
    joining: Mapping[str, Collection[str]] | None = None,
    sweep: bool = True,
) -> Decision:
    """Give every network what it lacks, and every node its share of the networks that its tasks are on.

    `joining` names nodes (by network id) whose tasks are placed in this very pass. With `sweep`, shares without a
    task are given back; it costs a look at every task.
    """
    shares = _shares(state.tasks.values()) if sweep else {}
    lacking: list[tuple[Network, set[str]]] = []
    for network in state.networks.values():
        if network.removed:
            continue
        held = {share.node_id for share in network.node_subnets}
        nodes = (shares.get(network.id, set()) if sweep else held).union((joining or {}).get(network.id, ()))
        if not network.subnet or network.reason is not None or nodes != held:
            lacking.append((network, nodes))
    if not lacking:
        return Decision()
    ground = _Ground(state, pools, host_routes)
    lacking.sort(key=lambda item: (item[0].created_at, item[0].id))
    decided = [(network, ground.allocated(network, nodes, now)) for network, nodes in lacking]
    return Decision(replace=tuple(after for network, after in decided if after != network))


class _Ground:
    """The address space and the VNIs while shares are handed out, one network after the other."""

    def __init__(self, state: State, pools: Collection[str], host_routes: Collection[str]) -> None:
        self._pools = tuple(_subnet(pool) for pool in pools)
        routes = (IPv4Network(route, strict=False) for route in host_routes)
        # A default route covers everything and says nothing about what is used.
        self._routes = tuple(route for route in routes if route.prefixlen)
        networks = state.networks.values()
        self._ranges = {network.id: _ranges(network) for network in networks}
        self._names = {network.id: network.spec.name for network in networks}
        self._vnis = {network.vni for network in networks}
        # Subnets that users named are kept clear of, allocated already or not.
        self._named = {network.id: named for network in networks if (named := _named_subnet(network))}
        occupied = chain(self._routes, chain.from_iterable(self._ranges.values()), self._named.values())
        self._occupied = Ranges(occupied)

    def allocated(self, network: Network, nodes: Collection[str], now: datetime) -> Network:
        """The network with all it needs, or with the reason why it cannot have it."""
        after, lack = self._with_subnet(network)
        if not lack:
            after, lack = self._with_shares(after, nodes)
        self._ranges[network.id] = _ranges(after)
        for subnet in self._ranges[network.id]:
            self._occupied.add(subnet)
        return after.model_copy(update={"reason": _lack(network, lack, now)})

    def _with_subnet(self, network: Network) -> tuple[Network, str]:
        if network.subnet:
            return network, ""
        config = _config(network)
        subnet = self._named.get(network.id)
        if subnet is not None:
            rival = self._rival(subnet, network.id)
            if rival:
                return network, f"subnet {subnet} overlaps {rival}: choose another"
        else:
            subnet = self._free_range()
        if subnet is None:
            pools = ", ".join(map(str, self._pools))
            return network, f"no free range is left in {pools}: remove networks, or add a pool"
        vni = next(vni for vni in count(FIRST_VNI) if vni not in self._vnis)
        self._vnis.add(vni)
        gateway = config.gateway or str(subnet[1])
        return network.model_copy(update={"vni": vni, "subnet": str(subnet), "gateway": gateway}), ""

    def _with_shares(self, network: Network, nodes: Collection[str]) -> tuple[Network, str]:
        shares = [share for share in network.node_subnets if share.node_id in nodes]
        missing = sorted(set(nodes) - {share.node_id for share in shares})
        lack = ""
        pieces = self._free_pieces(network)
        for node_id in missing:
            piece = next(pieces, None)
            if piece is None:
                lack = f"{network.subnet} has no room for {len(nodes)} nodes: choose a wider subnet"
                break
            shares.append(NodeSubnet(node_id=node_id, subnet=str(piece), gateway=str(piece[1])))
        return network.model_copy(update={"node_subnets": tuple(shares)}), lack

    def _free_pieces(self, network: Network) -> Iterator[IPv4Network]:
        """Node subnets not in use: of the network's own range, then, unless a user named it, of the pools."""
        yield from _own_pieces(network)
        if network.id in self._named:
            return
        self._occupied.add(_subnet(network.subnet))
        for pool in self._pools:
            yield from self._occupied.free(pool, max(NODE_PREFIX, pool.prefixlen))

    def _free_range(self) -> IPv4Network | None:
        """The first free range of the widest size that is to be had."""
        for prefix in NETWORK_PREFIXES:
            for pool in self._pools:
                free = next(self._occupied.free(pool, prefix), None)
                if free is not None:
                    return free
        return None

    def _rival(self, subnet: IPv4Network, besides: str) -> str:
        """What the subnet overlaps, in words; empty when nothing."""
        route = next(filter(subnet.overlaps, self._routes), None)
        if route is not None:
            return f"route {route} of a node"
        for network_id, ranges in self._ranges.items():
            if network_id != besides and any(map(subnet.overlaps, ranges)):
                return f"network {self._names[network_id]}"
        return ""


def _shares(tasks: Iterable[Task]) -> dict[str, set[str]]:
    """Network id -> nodes where tasks on it may hold an address."""
    nodes: dict[str, set[str]] = {}
    for task in tasks:
        if task.is_live and is_placed(task):
            for attachment in task.networks:
                nodes.setdefault(attachment.network_id, set()).add(task.node_id)
    return nodes


def _own_pieces(network: Network) -> Iterator[IPv4Network]:
    """What is free of the network's range, cut into node subnets. The first is left for addresses of services, where
    that leaves enough for nodes."""
    subnet = IPv4Network(_config(network).ip_range or network.subnet)
    prefix = max(min(max(NODE_PREFIX, subnet.prefixlen + 4), LONGEST_NODE_PREFIX), subnet.prefixlen)
    taken = Ranges(_subnet(share.subnet) for share in network.node_subnets)
    if prefix >= subnet.prefixlen + 2:
        taken.add(IPv4Network((int(subnet.network_address), prefix)))
    return taken.free(subnet, prefix)


def _ranges(network: Network) -> tuple[IPv4Network, ...]:
    """All that the network occupies."""
    if not network.subnet:
        return ()
    own = _subnet(network.subnet)
    shares = (_subnet(share.subnet) for share in network.node_subnets)
    return (own, *(share for share in shares if not share.overlaps(own)))


def _config(network: Network) -> IPAMConfig:
    configs = (network.spec.ipam.config if network.spec.ipam else None) or ()
    return configs[0] if configs else IPAMConfig()


def _named_subnet(network: Network) -> IPv4Network | None:
    subnet = _config(network).subnet
    return _subnet(subnet) if subnet else None


@lru_cache(maxsize=1 << 16)
def _subnet(text: str) -> IPv4Network:
    """The same texts are read in every pass."""
    return IPv4Network(text)


def _lack(network: Network, text: str, now: datetime) -> Reason | None:
    return reason(ReasonCode.NO_ADDRESS, text, now, known=network.reason) if text else None
