"""What overlay networks get: VNI, subnet, and one node subnet for each node that has tasks there. Pure.

Addresses of tasks are not given here: each agent picks them in its node subnet.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from ipaddress import IPv4Network
from itertools import chain

from manager.allocator.ranges import Ranges
from manager.allocator.resting_shares import RestingShares, with_rest
from manager.allocator.spare_subnets import without_spare
from manager.allocator.vips import NOTHING_RESTS, Resting, room_for_vips, vip_demand
from manager.allocator.vnis import Vnis
from manager.objects import Cluster, Network, NodeSubnet, Reason, ReasonCode, Service, Task, TaskNetwork
from manager.orchestrator.decision import Decision
from manager.orchestrator.reasons import name_of, reason
from manager.orchestrator.slots import is_placed
from manager.published_ports import publishes
from manager.state import State
from swarmpy.models.network import ENCRYPTED_OPTION, IPAMConfig
from swarmpy.models.task import TaskSpec
from swarmpy.states import NodeState

DEFAULT_POOLS = ("10.0.0.0/8",)
# Sizes to try for a network that names no subnet, the widest first: a crowded pool still serves.
NETWORK_PREFIXES = (16, 18, 20, 22, 24)
NODE_PREFIX = 24
# The longest node subnet, but for networks that are hardly longer: 13 tasks beside the gateway.
LONGEST_NODE_PREFIX = 28


def task_networks(service: Service, template: TaskSpec, ingress: Network | None) -> tuple[TaskNetwork, ...]:
    """The networks of a new task, with the names it is known by there besides the service's own."""
    wished = template.networks or service.spec.networks or ()
    joined = tuple(
        TaskNetwork(network_id=attachment.target, aliases=attachment.aliases or ())
        for attachment in wished
        if attachment.target
    )
    if ingress is None or not publishes(service.spec):
        return joined
    return (*joined, TaskNetwork(network_id=ingress.id, is_ingress=True))


def pools_of(cluster: Cluster | None) -> tuple[str, ...]:
    return (cluster.address_pools if cluster else ()) or DEFAULT_POOLS


def prefixes_of(cluster: Cluster | None) -> tuple[int, ...]:
    """Sizes to try for a network that names no subnet: the wished one first, smaller where that is not to be had."""
    wished = cluster.subnet_size if cluster else 0
    return (wished, *(size for size in NETWORK_PREFIXES if size > wished)) if wished else NETWORK_PREFIXES


def allocate_networks(
    state: State,
    now: datetime,
    *,
    joining: Mapping[str, Collection[str]] | None = None,
    sweep: bool = True,
    resting: Resting = NOTHING_RESTS,
) -> Decision:
    """Give every network what it lacks, and every node its share of the networks that its tasks are on.

    `joining` names nodes (by network id) whose tasks are placed in this very pass. With `sweep`, shares without a
    task are given back, and subnets that services do not need; it costs a look at every task.
    """
    shares = _shares(state.tasks.values()) if sweep else {}
    demand = vip_demand(state)
    lacking: list[tuple[Network, set[str]]] = []
    for network in state.networks.values():
        if network.removed:
            continue
        held = {share.node_id for share in network.node_subnets}
        present = shares.get(network.id, set()) if sweep else held
        nodes = (_takers(state, held) if network.spec.ingress else present).union((joining or {}).get(network.id, ()))
        is_whole = network.subnet and network.service_subnets and room_for_vips(network) >= demand[network.id]
        spared = without_spare(state, network, demand[network.id], resting) if sweep else network
        if not is_whole or network.reason is not None or nodes != held or spared is not network:
            lacking.append((spared, nodes))
    if not lacking:
        return Decision()
    ground = _Ground(state, now)
    lacking.sort(key=lambda item: (item[0].created_at, item[0].id))
    decided = [ground.allocated(network, nodes, demand[network.id], now) for network, nodes in lacking]
    return Decision(replace=tuple(after for after in decided if after != state.networks[after.id]))


def has_free_share(network: Network) -> bool:
    """Whether a node that has no share of the network yet would get one, as far as the network itself tells."""
    if network.reason is not None:
        return False
    return not _config(network).subnet or next(_own_pieces(network), None) is not None


def share_room(subnet: str) -> int:
    """Addresses of tasks in a node's share: all but the VTEP's, the gateway's and the broadcast address."""
    return max(0, _subnet(subnet).num_addresses - 3)


def usual_room(network: Network) -> int:
    """The same of a share that is not given yet."""
    return max(0, (1 << (32 - _piece_prefix(_whole(network)))) - 3) if network.subnet else 0


def is_encrypted(options: Mapping[str, str] | None) -> bool:
    """The option alone, without a value, asks for it."""
    value = (options or {}).get(ENCRYPTED_OPTION)
    return value is not None and value.lower() != "false"


def must_encrypt(network: Network) -> bool:
    return is_encrypted(network.spec.options)


def wished_range(network: Network) -> IPv4Network | None:
    """Where its maker said that all its addresses are to be; None where it gets further ranges as it needs them."""
    config = _config(network)
    return _subnet(config.ip_range or config.subnet) if config.subnet else None


def nodes_room(network: Network) -> int | None:
    """On how many nodes there can be tasks of the network at once, beside few services; None: on any number."""
    whole = wished_range(network)
    return None if whole is None else (1 << (_piece_prefix(whole) - whole.prefixlen)) - 1


class _Ground:
    """The address space and the VNIs while shares are handed out, one network after the other."""

    def __init__(self, state: State, now: datetime) -> None:
        self._pools = tuple(_subnet(pool) for pool in pools_of(state.cluster))
        self._prefixes = prefixes_of(state.cluster)
        self._routes = node_routes(state)
        networks = state.networks.values()
        self._ranges = {network.id: _ranges(network) for network in networks}
        self._names = {network.id: network.spec.name for network in networks}
        self._vnis = Vnis(networks)
        self._resting = RestingShares(networks, now)
        # Subnets that users named are kept clear of, allocated already or not.
        self._named = {network.id: named for network in networks if (named := _named_subnet(network))}
        occupied = chain(self._routes, chain.from_iterable(self._ranges.values()), self._named.values())
        self._occupied = Ranges(occupied)

    def allocated(self, network: Network, nodes: Collection[str], vips: int, now: datetime) -> Network:
        """The network with all it needs, or with the reason why it cannot have it."""
        after, lack = self._with_subnet(network)
        if not lack:
            pieces = self._resting.last(self._free_pieces(after))
            after = _with_service_subnets(after, min(vips, 1), pieces)
            after, lack = _with_shares(after, nodes, pieces)
            if lack and network.id not in self._named:
                lack = self._pools_are_full()
            after = _with_service_subnets(after, vips, pieces, self._most_for_services(after))
        self._ranges[network.id] = _ranges(after)
        for subnet in self._ranges[network.id]:
            self._occupied.add(subnet)
        if not lack and network.subnet and network.reason is not None and next(self._free_pieces(after), None) is None:
            # Nobody asks just now: whoever was refused must not try again before there is room.
            lack = network.reason.text
        return with_rest(network, after.model_copy(update={"reason": _lack(network, lack, now)}), now)

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
            return network, self._pools_are_full()
        vni, lack = self._vnis.given(network)
        if lack:
            return network, lack
        gateway = config.gateway or str(subnet[1])
        return network.model_copy(update={"vni": vni, "subnet": str(subnet), "gateway": gateway}), ""

    def _free_pieces(self, network: Network) -> Iterator[IPv4Network]:
        """Subnets not in use: of the network's own range, then, unless a user named it, of the pools, as large as its
        own: where networks are small, a larger one is what others are to have."""
        yield from _own_pieces(network)
        if network.id in self._named:
            return
        self._occupied.add(_subnet(network.subnet))
        size = _piece_prefix(_whole(network))
        for pool in self._pools:
            yield from self._occupied.free(pool, max(size, pool.prefixlen))

    def _most_for_services(self, network: Network) -> int | None:
        """How many subnets of the range that a user named services may have: nodes need some, and there are no more.
        Others grow."""
        if network.id not in self._named:
            return None
        whole = _whole(network)
        return max(1, (1 << (_piece_prefix(whole) - whole.prefixlen)) // 2)

    def _free_range(self) -> IPv4Network | None:
        """The first free range of the widest size that is to be had."""
        for prefix in self._prefixes:
            for pool in self._pools:
                free = next(self._occupied.free(pool, prefix), None)
                if free is not None:
                    return free
        return None

    def _pools_are_full(self) -> str:
        return f"no free range is left in {', '.join(map(str, self._pools))}: remove networks that nothing uses"

    def _rival(self, subnet: IPv4Network, besides: str) -> str:
        """What the subnet overlaps, in words; empty when nothing."""
        route = next(filter(subnet.overlaps, self._routes), None)
        if route is not None:
            return f"route {route} of node {self._routes[route]}"
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


def node_routes(state: State) -> dict[IPv4Network, str]:
    """What nodes reach otherwise than over our networks, with the name of one that does. A default route covers
    everything and says nothing about what is used."""
    routes = ((_subnet(text), node) for node in state.nodes.values() for text in node.routes)
    return {route: name_of(node) for route, node in routes if route.prefixlen}


def occupied_by(network: Network) -> tuple[IPv4Network, ...]:
    """What a network occupies, and what it will: a subnet that was asked for counts before it is allocated."""
    named = _named_subnet(network)
    return (*(() if named is None or network.subnet else (named,)), *_ranges(network))


def _takers(state: State, held: Collection[str]) -> set[str]:
    """The nodes that take published ports: all that are there, and those that were and may be again."""
    return {node.id for node in state.nodes.values() if node.state is NodeState.READY or node.id in held}


def _with_service_subnets(
    network: Network, vips: int, pieces: Iterator[IPv4Network], most: int | None = None
) -> Network:
    """One at least, and as many more as so many services need. Where there is none left, some services do without."""
    while not network.service_subnets or room_for_vips(network) < vips:
        if most is not None and len(network.service_subnets) >= most:
            break
        piece = next(pieces, None)
        if piece is None:
            break
        network = network.model_copy(update={"service_subnets": (*network.service_subnets, str(piece))})
    return network


def _with_shares(network: Network, nodes: Collection[str], pieces: Iterator[IPv4Network]) -> tuple[Network, str]:
    shares = [share for share in network.node_subnets if share.node_id in nodes]
    missing = sorted(set(nodes) - {share.node_id for share in shares})
    lack = ""
    for node_id in missing:
        piece = next(pieces, None)
        if piece is None:
            lack = f"{network.subnet} has no room for {len(nodes)} nodes: choose a wider subnet"
            break
        shares.append(NodeSubnet(node_id=node_id, subnet=str(piece), gateway=str(piece[1])))
    return network.model_copy(update={"node_subnets": tuple(shares)}), lack


def _own_pieces(network: Network) -> Iterator[IPv4Network]:
    """What is free of the network's range, cut into subnets for nodes and for services."""
    whole = _whole(network)
    taken = Ranges(_subnet(text) for text in _pieces(network))
    return taken.free(whole, _piece_prefix(whole))


def _whole(network: Network) -> IPv4Network:
    return _subnet(_config(network).ip_range or network.subnet)


def _piece_prefix(whole: IPv4Network) -> int:
    """So that there are two at least: services need one."""
    return max(min(max(NODE_PREFIX, whole.prefixlen + 4), LONGEST_NODE_PREFIX), whole.prefixlen + 1)


def _pieces(network: Network) -> Iterator[str]:
    yield from network.service_subnets
    yield from (share.subnet for share in network.node_subnets)


def _ranges(network: Network) -> tuple[IPv4Network, ...]:
    """All that the network occupies."""
    if not network.subnet:
        return ()
    own = _subnet(network.subnet)
    return (own, *(piece for text in _pieces(network) if not (piece := _subnet(text)).overlaps(own)))


def _config(network: Network) -> IPAMConfig:
    configs = (network.spec.ipam.config if network.spec.ipam else None) or ()
    return configs[0] if configs else IPAMConfig()


def _named_subnet(network: Network) -> IPv4Network | None:
    subnet = _config(network).subnet
    return _subnet(subnet) if subnet else None


@lru_cache(maxsize=1 << 16)
def _subnet(text: str) -> IPv4Network:
    """The same texts are read in every pass."""
    return IPv4Network(text, strict=False)


def _lack(network: Network, text: str, now: datetime) -> Reason | None:
    return reason(ReasonCode.NO_ADDRESS, text, now, known=network.reason) if text else None
