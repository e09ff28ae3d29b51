"""The network map as the state has it, kept up to date change by change, and what each node is told of it. Pure.

The map of a network is the same for all its nodes: it is kept once, as a sheet. What stands in it says `map_entries`.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType

from manager.dispatcher.frames import SharedMap
from manager.dispatcher.map_entries import endpoints_of, peers_of, services_of, services_on, tasks_on
from manager.dispatcher.map_sheet import ENDPOINT, LONGEST_LOG, PEER, SERVICE, Entry, Key, Sheet
from manager.objects import Network, Node, Service, Task
from manager.state import Changed, State
from swarmpy.network_map import NO_CHANGES, Endpoint, MapChanges, MappedService, NetworkMap
from swarmpy.states import NodeState

Positions = Mapping[str, int]
# Services or tasks of a step: some milliseconds of work.
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Update:
    """Differences for one node, and where in the logs (network id -> position) it stands with them."""

    changes: MapChanges
    positions: Positions


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
        self._sheets: dict[str, Sheet] = {}
        # Above all positions in sheets that are gone: nobody who knows such a one knows a new one.
        self._unused = 0
        self._networks_of_node: dict[str, set[str]] = {}
        # Where a service or a task stands in the maps.
        self._networks_of: dict[Key, tuple[str, ...]] = {}

    # reading

    def nodes_of(self, network_id: str) -> Set[str]:
        """Those that are told of the network."""
        sheet = self._sheets.get(network_id)
        return sheet.nodes if sheet is not None else frozenset()

    def is_endpoint(self, task_id: str) -> bool:
        return bool(self._networks_of.get((ENDPOINT, task_id)))

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
            touched.tasks.update(tasks_on(state, touched.new_networks))
        return self._revise(state, touched)

    def rebuild(self, state: State) -> Set[str]:
        return frozenset().union(*self.rebuilding(state))

    def rebuilding(self, state: State) -> Iterator[Set[str]]:
        """`rebuild` in short steps. What the state changes to between two is to be folded afterwards."""
        known = self._networks_of
        services = {*state.services, *(id for kind, id in known if kind == SERVICE)}
        tasks = {*state.tasks, *(id for kind, id in known if kind == ENDPOINT)}
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
            changed.update(self._revise_entries((SERVICE, service_id), services_of(state, service) if service else ()))
        for task_id in touched.tasks:
            task = state.tasks.get(task_id)
            changed.update(self._revise_entries((ENDPOINT, task_id), endpoints_of(state, task) if task else ()))
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
            sheet = self._sheets[network_id] = Sheet(self._unused, self._longest_log)
        nodes = frozenset(share.node_id for share in network.node_subnets)
        is_news = nodes != sheet.nodes
        self._assign(network_id, sheet.nodes, nodes)
        sheet.nodes = nodes
        peers: dict[Key, Entry] = {(PEER, peer.key): peer for peer in peers_of(state, network)}
        for key in [key for key in sheet.entries if key[0] == PEER and key not in peers]:
            is_news |= sheet.note(key, None)
        for key, peer in peers.items():
            is_news |= sheet.note(key, peer)
        return is_news

    def _assign(self, network_id: str, before: Set[str], now: Set[str]) -> None:
        for node_id in before - now:
            self._networks_of_node[node_id].discard(network_id)
        for node_id in now - before:
            self._networks_of_node.setdefault(node_id, set()).add(network_id)

    def _revise_entries(self, whose: Key, entries: Iterable[MappedService | Endpoint]) -> Iterator[str]:
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
