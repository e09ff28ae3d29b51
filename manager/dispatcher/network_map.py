"""The network map as the state has it, kept up to date change by change, and what each node is told of it. Pure.

The map of a network is the same for all its nodes: it is kept once, with a log of the keys that changed. Whoever is
told remembers a position in that log; what came since a position is worked out once, however many ask.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import Any

from manager.allocator.networks import must_encrypt
from manager.dispatcher.frames import MapPart, SharedMap
from manager.objects import Network, Node, Service, Task
from manager.state import Changed, State
from swarmpy.models.port import PortConfig, PublishMode
from swarmpy.models.task import NetworkAttachmentConfig
from swarmpy.network_map import NO_CHANGES, Endpoint, MapChanges, MappedPort, MappedService, NetworkMap, Peer
from swarmpy.states import NodeState, TaskState

# Changes of one network that a session may be behind before it is told everything instead: never more than this, and
# not many more than the network has entries, or telling everything is shorter.
LONGEST_LOG = 20_000
SHORTEST_LOG = 500
DNSRR = "dnsrr"

Entry = Peer | MappedService | Endpoint
Positions = Mapping[str, int]
_PEER, _SERVICE, _ENDPOINT = range(3)
_Key = tuple[int, str]
# Services or tasks of a step: some milliseconds of work.
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Update:
    """Differences for one node, and where in the logs (network id -> position) it stands with them."""

    changes: MapChanges
    positions: Positions


def peers_of(state: State, network: Network) -> Iterator[Peer]:
    is_encrypted = must_encrypt(network)
    for share in network.node_subnets:
        node = state.nodes.get(share.node_id)
        if node is not None and node.addr:
            key = node.wireguard_key if is_encrypted else ""
            yield Peer(
                network_id=network.id, node_id=node.id, subnet=share.subnet, address=node.addr, wireguard_key=key
            )


def services_of(state: State, service: Service) -> Iterator[MappedService]:
    """The service on each of its networks. One that is being removed has neither names nor ports any more."""
    if service.removed:
        return
    addresses = {vip.network_id: vip.address for vip in service.virtual_ips}
    attachments = _attachments(service)
    ports = _mesh_ports(service)
    ingress = _ingress_ids(state) if ports else ()
    wished = [attachment.target for attachment in attachments if attachment.target]
    is_plain = service.spec.endpoint_spec is not None and service.spec.endpoint_spec.mode == DNSRR
    for network_id in dict.fromkeys((*wished, *addresses, *ingress)):
        if network_id not in state.networks:
            continue
        aliases = (alias for each in attachments if each.target == network_id for alias in each.aliases or ())
        yield MappedService(
            network_id=network_id,
            service_id=service.id,
            names=tuple(dict.fromkeys((service.spec.name, *aliases))),
            vip="" if is_plain else addresses.get(network_id, ""),
            ports=ports if network_id in ingress else (),
        )


def services_on(state: State, networks: Collection[Network]) -> Iterator[str]:
    """Ids of the services that are on one of the networks, as `services_of` has it, or were if it is gone."""
    some = {network.id for network in networks}
    with_ingress = any(network.spec.ingress for network in networks)
    for service in state.services.values():
        named = (attachment.target for attachment in _attachments(service))
        is_on = any(id in some for id in (*named, *(vip.network_id for vip in service.virtual_ips)))
        if is_on or (with_ingress and any(map(_is_mesh, service.published_ports or ()))):
            yield service.id


def endpoints_of(state: State, task: Task) -> Iterator[Endpoint]:
    """Where the task may be sent traffic: it runs, is to go on, and its node is not known to be down."""
    node = state.nodes.get(task.node_id)
    if node is None or node.state is NodeState.DOWN or not is_serving(task):
        return
    for network in task.networks:
        if network.address and network.network_id in state.networks:
            yield Endpoint(
                network_id=network.network_id,
                task_id=task.id,
                service_id=task.service_id,
                node_id=task.node_id,
                address=network.address.partition("/")[0],
                slot=task.slot,
            )


def is_serving(task: Task) -> bool:
    return task.state is TaskState.RUNNING and task.desired_state <= TaskState.RUNNING


def whole_map(state: State, node_id: str) -> NetworkMap:
    """What the node is to know, from nothing: the measure of all that is worked out change by change."""
    mine = {id for id, network in state.networks.items() if any(p.node_id == node_id for p in network.node_subnets)}
    peers = (peer for network in state.networks.values() for peer in peers_of(state, network))
    services = (entry for service in state.services.values() for entry in services_of(state, service))
    endpoints = (endpoint for task in state.tasks.values() for endpoint in endpoints_of(state, task))
    return NetworkMap(
        peers=tuple(peer for peer in peers if peer.network_id in mine),
        services=tuple(entry for entry in services if entry.network_id in mine),
        endpoints=tuple(endpoint for endpoint in endpoints if endpoint.network_id in mine),
    )


class _Sheet:
    """One network: its entries, the nodes with a share, and which keys changed in which order."""

    def __init__(self, start: int, longest_log: int) -> None:
        self.nodes: Set[str] = frozenset()
        self.entries: dict[_Key, Entry] = {}
        self._log: list[_Key] = []
        self._start = start
        self._longest_log = longest_log
        self._computed: dict[int, MapChanges] = {}
        self._whole: MapPart | None = None

    @property
    def position(self) -> int:
        return self._start + len(self._log)

    def reaches_back_to(self, position: int) -> bool:
        return position >= self._start

    def note(self, key: _Key, entry: Entry | None) -> bool:
        """The entry as it is now, None when there is none; false when that is no news."""
        if self.entries.get(key) == entry:
            return False
        if entry is None:
            del self.entries[key]
        else:
            self.entries[key] = entry
        self._log.append(key)
        self._forget()
        self._computed.clear()
        self._whole = None
        return True

    def _forget(self) -> None:
        most = min(self._longest_log, max(SHORTEST_LOG, 2 * len(self.entries)))
        if len(self._log) > most:
            forgotten = len(self._log) - most // 2
            del self._log[:forgotten]
            self._start += forgotten

    def since(self, position: int) -> MapChanges:
        if position == self.position:
            return NO_CHANGES
        if position not in self._computed:
            self._computed[position] = self._changes_of(self._log[position - self._start :])
        return self._computed[position]

    def whole(self) -> MapPart:
        if self._whole is None:
            self._whole = MapPart(**_lists(self.entries.values()))
        return self._whole

    def withdrawal(self, position: int) -> MapChanges:
        """Drops all that whoever stands at that position knows."""
        known = dict.fromkeys((*self.entries, *self._log[position - self._start :]))
        return MapChanges(
            dropped_peers=tuple(key for kind, key in known if kind == _PEER),
            dropped_services=tuple(key for kind, key in known if kind == _SERVICE),
            dropped_endpoints=tuple(key for kind, key in known if kind == _ENDPOINT),
        )

    def _changes_of(self, keys: Iterable[_Key]) -> MapChanges:
        known = dict.fromkeys(keys)
        there = [entry for key in known if (entry := self.entries.get(key)) is not None]
        gone = [key for key in known if key not in self.entries]
        return MapChanges(
            **_lists(there),
            dropped_peers=tuple(key for kind, key in gone if kind == _PEER),
            dropped_services=tuple(key for kind, key in gone if kind == _SERVICE),
            dropped_endpoints=tuple(key for kind, key in gone if kind == _ENDPOINT),
        )


@dataclass(slots=True)
class _Touched:
    """Ids of what may be different now."""

    networks: set[str] = field(default_factory=set)
    services: set[str] = field(default_factory=set)
    tasks: set[str] = field(default_factory=set)
    new_networks: list[Network] = field(default_factory=list)


class Atlas:
    """The maps of all networks. `fold` and `rebuild` return the ids of the networks whose maps are different now."""

    def __init__(self, longest_log: int = LONGEST_LOG) -> None:
        self._longest_log = longest_log
        self._sheets: dict[str, _Sheet] = {}
        # Above all positions in sheets that are gone: nobody who knows such a one knows a new one.
        self._unused = 0
        self._networks_of_node: dict[str, set[str]] = {}
        # Where a service or a task stands in the maps.
        self._networks_of: dict[_Key, tuple[str, ...]] = {}

    # reading

    def nodes_of(self, network_id: str) -> Set[str]:
        """Those that are told of the network."""
        sheet = self._sheets.get(network_id)
        return sheet.nodes if sheet is not None else frozenset()

    def is_endpoint(self, task_id: str) -> bool:
        return bool(self._networks_of.get((_ENDPOINT, task_id)))

    def whole(self, node_id: str) -> tuple[NetworkMap, Positions]:
        sheets = [self._sheets[network_id] for network_id in self._networks_of_node.get(node_id, ())]
        return SharedMap.of([sheet.whole() for sheet in sheets]), self._reached(node_id)

    def since(self, node_id: str, positions: Positions) -> Update | None:
        """What the node must be told to know all. None for one that is too far behind: it is told everything."""
        mine: Set[str] = self._networks_of_node.get(node_id, frozenset())
        parts = []
        for network_id, position in positions.items():
            sheet = self._sheets.get(network_id)
            if sheet is None or not sheet.reaches_back_to(position):
                return None
            parts.append(sheet.since(position) if network_id in mine else sheet.withdrawal(position))
        parts += [self._sheets[network_id].whole() for network_id in mine if network_id not in positions]
        return Update(_together([part for part in parts if not part.says_nothing]), self._reached(node_id))

    def _reached(self, node_id: str) -> Positions:
        mine = self._networks_of_node.get(node_id, ())
        return MappingProxyType({network_id: self._sheets[network_id].position for network_id in mine})

    # following the state

    def fold(self, state: State, changes: Iterable[Changed]) -> Set[str]:
        touched = _Touched()
        for change in changes:
            self._touch(state, change, touched)
        if touched.new_networks:
            touched.services.update(services_on(state, touched.new_networks))
            touched.tasks.update(_tasks_on(state, touched.new_networks))
        return self._revise(state, touched)

    def rebuild(self, state: State) -> Set[str]:
        return frozenset().union(*self.rebuilding(state))

    def rebuilding(self, state: State) -> Iterator[Set[str]]:
        """`rebuild` in short steps. What the state changes to between two is to be folded afterwards."""
        known = self._networks_of
        services = {*state.services, *(id for kind, id in known if kind == _SERVICE)}
        tasks = {*state.tasks, *(id for kind, id in known if kind == _ENDPOINT)}
        for portion in _portions({*state.networks, *self._sheets}, 1):
            yield self._revise(state, _Touched(networks=portion))
        for portion in _portions(services, _AT_ONCE):
            yield self._revise(state, _Touched(services=portion))
        for portion in _portions(tasks, _AT_ONCE):
            yield self._revise(state, _Touched(tasks=portion))

    def _touch(self, state: State, change: Changed, touched: _Touched) -> None:
        some = change.after or change.before
        if isinstance(some, Task):
            touched.tasks.add(some.id)
        elif isinstance(some, Service):
            touched.services.add(some.id)
        elif isinstance(some, Network):
            touched.networks.add(some.id)
            if change.before is None:
                touched.new_networks.append(some)
        elif isinstance(some, Node) and _as_others_see(change.before) != _as_others_see(change.after):
            touched.networks.update(self._networks_of_node.get(some.id, ()))
            touched.tasks.update(task.id for task in state.tasks_of_node(some.id))

    def _revise(self, state: State, touched: _Touched) -> Set[str]:
        changed: set[str] = set()
        for network_id in touched.networks:
            if self._revise_network(state, network_id):
                changed.add(network_id)
        for service_id in touched.services:
            service = state.services.get(service_id)
            changed.update(self._revise_entries((_SERVICE, service_id), services_of(state, service) if service else ()))
        for task_id in touched.tasks:
            task = state.tasks.get(task_id)
            changed.update(self._revise_entries((_ENDPOINT, task_id), endpoints_of(state, task) if task else ()))
        return changed

    def _revise_network(self, state: State, network_id: str) -> bool:
        network = state.networks.get(network_id)
        if network is None:
            self._assign(network_id, self.nodes_of(network_id), frozenset())
            gone = self._sheets.pop(network_id, None)
            self._unused = max(self._unused, gone.position + 1 if gone else 0)
            return gone is not None
        sheet = self._sheets.get(network_id)
        if sheet is None:
            sheet = self._sheets[network_id] = _Sheet(self._unused, self._longest_log)
        nodes = frozenset(share.node_id for share in network.node_subnets)
        is_news = nodes != sheet.nodes
        self._assign(network_id, sheet.nodes, nodes)
        sheet.nodes = nodes
        peers: dict[_Key, Entry] = {(_PEER, peer.key): peer for peer in peers_of(state, network)}
        for key in [key for key in sheet.entries if key[0] == _PEER and key not in peers]:
            is_news |= sheet.note(key, None)
        for key, peer in peers.items():
            is_news |= sheet.note(key, peer)
        return is_news

    def _assign(self, network_id: str, before: Set[str], now: Set[str]) -> None:
        for node_id in before - now:
            self._networks_of_node[node_id].discard(network_id)
        for node_id in now - before:
            self._networks_of_node.setdefault(node_id, set()).add(network_id)

    def _revise_entries(self, whose: _Key, entries: Iterable[MappedService | Endpoint]) -> Iterator[str]:
        """The networks whose maps it changes that this service or task has these entries now."""
        kind, id = whose
        now = {entry.network_id: entry for entry in entries}
        for network_id in {*self._networks_of.pop(whose, ()), *now}:
            sheet = self._sheets.get(network_id)
            if sheet is not None and sheet.note((kind, f"{network_id}/{id}"), now.get(network_id)):
                yield network_id
        if now:
            self._networks_of[whose] = tuple(now)


def _portions(ids: Iterable[str], size: int) -> Iterator[set[str]]:
    rest = iter(ids)
    while portion := set(islice(rest, size)):
        yield portion


def _lists(entries: Iterable[Entry]) -> dict[str, Any]:
    entries = tuple(entries)
    return {
        "peers": tuple(entry for entry in entries if isinstance(entry, Peer)),
        "services": tuple(entry for entry in entries if isinstance(entry, MappedService)),
        "endpoints": tuple(entry for entry in entries if isinstance(entry, Endpoint)),
    }


def _together(parts: list[MapChanges]) -> MapChanges:
    """Parts of different networks."""
    if len(parts) < 2:
        return parts[0] if parts else NO_CHANGES
    return MapChanges(
        peers=tuple(entry for part in parts for entry in part.peers),
        services=tuple(entry for part in parts for entry in part.services),
        endpoints=tuple(entry for part in parts for entry in part.endpoints),
        dropped_peers=tuple(key for part in parts for key in part.dropped_peers),
        dropped_services=tuple(key for part in parts for key in part.dropped_services),
        dropped_endpoints=tuple(key for part in parts for key in part.dropped_endpoints),
    )


def _as_others_see(node: object) -> tuple[str, str, bool] | None:
    return (node.addr, node.wireguard_key, node.state is NodeState.DOWN) if isinstance(node, Node) else None


def _attachments(service: Service) -> Iterable[NetworkAttachmentConfig]:
    return service.spec.task_template.networks or service.spec.networks or ()


def _ingress_ids(state: State) -> Collection[str]:
    """Whoever looks at a thousand services asks for each."""

    def find() -> Collection[str]:
        return [network.id for network in state.networks.values() if network.spec.ingress]

    return state.remembered("ingress-ids", find)


def _tasks_on(state: State, networks: Iterable[Network]) -> Iterator[str]:
    some = {network.id for network in networks}
    for task in state.tasks.values():
        if any(joined.network_id in some for joined in task.networks):
            yield task.id


def _is_mesh(port: PortConfig) -> bool:
    return port.publish_mode is not PublishMode.HOST and bool(port.published_port and port.target_port)


def _mesh_ports(service: Service) -> tuple[MappedPort, ...]:
    return tuple(
        MappedPort(
            protocol=port.protocol or "tcp",
            published=port.published_port,
            target=port.target_port,
            name=port.name or "",
        )
        for port in service.published_ports or ()
        if _is_mesh(port)
    )
