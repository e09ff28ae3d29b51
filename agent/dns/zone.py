"""The names that tasks of this node may ask for: an index over the picture, made anew from the last one. Pure.

On each network a service is known by its names (its VIP; the addresses of its tasks where it has none), and beneath
them: `tasks.NAME` (all its tasks), `SLOT.NAME` (those of one slot) and `NAME.SLOT.TASK` (one task, the name of its
container). Each may be followed by `.NETWORK`. Names are kept in small letters, without a dot at the end.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network

from agent.network.picture import LocalNetwork, Picture
from swarmpy.network_map import Endpoint, IndexedMap, MappedPort, MappedService

# A name that ends so is the name of a container, whether it is there or not: nobody outside is asked for it.
_LETTERS_OF_TASK_ID = 25


@dataclass(frozen=True, slots=True)
class Known:
    """What a name stands for. `exists` is false for names of ours that are not there, such as a slot beyond the last;
    a service without a healthy task exists, and has no address."""

    network: str
    services: tuple[MappedService, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    exists: bool = True

    @property
    def addresses(self) -> tuple[str, ...]:
        return (
            *(service.vip for service in self.services if service.vip),
            *(endpoint.address for endpoint in self.endpoints),
        )


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: the networks whose names it is told, in order; whether names of outside may be asked for it, and of
    whom (nobody named: of whom the node asks)."""

    networks: tuple[str, ...] = ()
    may_ask_outside: bool = True
    nameservers: tuple[str, ...] = ()


_NOBODY = Asker(may_ask_outside=False)


@dataclass(frozen=True, slots=True)
class NetworkNames:
    """The names of one network. `owners` says who has an address; `subnets` are all that the cluster has there."""

    id: str
    name: str
    subnets: tuple[IPv4Network, ...] = ()
    services: Mapping[str, MappedService] = field(default_factory=dict)
    by_name: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    endpoints: Mapping[str, Mapping[str, Endpoint]] = field(default_factory=dict)
    owners: Mapping[str, MappedService | Endpoint] = field(default_factory=dict)

    def find(self, name: str) -> Known | None:
        """None: nothing that this network could know."""
        if name in self.by_name:
            return self._service(name)
        head, _, rest = name.partition(".")
        if rest in self.by_name:
            if head == "tasks":
                return Known(self.name, endpoints=tuple(self._endpoints(rest)))
            if head.isdecimal():
                slot = tuple(
                    endpoint for endpoint in self._endpoints(rest) if endpoint.slot and str(endpoint.slot) == head
                )
                return Known(self.name, endpoints=slot, exists=bool(slot))
        return self._container(name)

    def name_of(self, owner: MappedService | Endpoint) -> str:
        """The one name that leads to it, from every network."""
        service = self.services.get(owner.service_id)
        own = service.names[0] if service is not None and service.names else owner.service_id
        if isinstance(owner, MappedService):
            return f"{own}.{self.name}"
        return f"{own}.{owner.slot or owner.node_id}.{owner.task_id}.{self.name}"

    def _service(self, name: str) -> Known:
        services = tuple(self.services[id] for id in self.by_name[name])
        without = [service.service_id for service in services if not service.vip]
        endpoints = tuple(endpoint for id in without for endpoint in self.endpoints.get(id, {}).values())
        return Known(self.name, tuple(service for service in services if service.vip), endpoints)

    def _endpoints(self, name: str) -> Iterator[Endpoint]:
        for id in self.by_name[name]:
            yield from self.endpoints.get(id, {}).values()

    def _container(self, name: str) -> Known | None:
        front, _, task_id = name.rpartition(".")
        own, _, place = front.rpartition(".")
        for id in self.by_name.get(own, ()):
            endpoint = self.endpoints.get(id, {}).get(task_id)
            if endpoint is not None and place == str(endpoint.slot or endpoint.node_id):
                return Known(self.name, endpoints=(endpoint,))
        if own in self.by_name and len(task_id) == _LETTERS_OF_TASK_ID:
            return Known(self.name, exists=False)
        return None


@dataclass(frozen=True, slots=True)
class Zone:
    """All names of all networks of this node, and who may ask for which. `ports` are those that a service publishes."""

    picture: Picture | None = None
    networks: Mapping[str, NetworkNames] = field(default_factory=dict)
    askers: Mapping[str, Asker] = field(default_factory=dict)
    strangers: Mapping[str, Asker] = field(default_factory=dict)
    own_addresses: frozenset[str] = frozenset()
    ports: Mapping[str, tuple[MappedPort, ...]] = field(default_factory=dict)

    def name_of(self, network_id: str) -> str:
        """Of a network, for people; its id when it is none of this node."""
        local = self.picture.networks.get(network_id) if self.picture is not None else None
        return local.name if local is not None else network_id

    def asker(self, source: str, network_id: str) -> Asker:
        """Who asks from an address at the gateway of a network: a task is told the names of all its networks wherever
        it asks, for resolvers try one server only; anybody else the names of that network, when it is on it (a
        container attached by hand), and so is the node itself. Whoever else found a way to the gateway is told nothing
        and asks nobody through it."""
        return self.askers.get(source) or self._stranger(source, network_id)

    def _stranger(self, source: str, network_id: str) -> Asker:
        local = self.picture.networks.get(network_id) if self.picture is not None else None
        address = IPv4Address(source)
        is_node = address.is_loopback or source in self.own_addresses
        if local is None or not (is_node or address in local.subnet):
            return _NOBODY
        return self.strangers.get(network_id, _NOBODY)

    def find(self, asker: Asker, name: str) -> Known | None:
        """The first of the asker's networks that has the name; then the first whose own name ends it."""
        networks = [self.networks[id] for id in asker.networks]
        for network in networks:
            known = network.find(name)
            if known is not None:
                return known
        for network in networks:
            if name.endswith(f".{network.name.lower()}"):
                known = network.find(name[: -len(network.name) - 1])
                if known is not None:
                    return known
        return None

    def owner(self, asker: Asker, address: str) -> str | None:
        """The name of who has the address on a network of the asker; empty: it is of such a network, and nobody's."""
        networks = [self.networks[id] for id in asker.networks]
        for network in networks:
            owner = network.owners.get(address)
            if owner is not None:
                return network.name_of(owner)
        number = IPv4Address(address)
        return "" if any(number in subnet for network in networks for subnet in network.subnets) else None


EMPTY_ZONE = Zone()


def zone_of(picture: Picture, last: Zone = EMPTY_ZONE) -> Zone:
    """The zone of a picture. Equal whatever `last` is; one of a picture shortly before saves the work of what is in
    both."""
    before = last.picture.map if last.picture else IndexedMap()
    now = picture.map
    endpoints = _differences(before.endpoints, now.endpoints)
    services = _differences(before.services, now.services)
    is_same_world = last.picture is not None and before.peers is now.peers
    networks = {}
    for id, local in picture.networks.items():
        if local.is_ingress:
            continue
        known = last.networks.get(id)
        if known is None:
            known = _with_services(NetworkNames(id, local.name), _Differences((), tuple(now.services.values())))
            known = _with_endpoints(known, _Differences((), tuple(now.endpoints.values())))
        else:
            known = _with_endpoints(_with_services(known, services), endpoints)
        if not is_same_world or id not in last.networks or _is_changed(last.picture, local):
            known = _with_places(known, local, picture)
        networks[id] = known
    is_same_ports = last.picture is not None and not services
    ports = {entry.service_id: entry.ports for entry in now.services.values() if entry.ports}
    strangers = {id: Asker((id,) if id in networks else (), not net.internal) for id, net in picture.networks.items()}
    gateways = (network.gateway for network in picture.networks.values())
    own = frozenset(map(str, (picture.underlay.address, *gateways)))
    return Zone(picture, networks, _askers(picture, networks), strangers, own, last.ports if is_same_ports else ports)


@dataclass(frozen=True, slots=True)
class _Differences:
    """Entries that are no more, or not so, and those that are there now."""

    gone: tuple[MappedService | Endpoint, ...] = ()
    put: tuple[MappedService | Endpoint, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.gone or self.put)

    def of(self, network_id: str) -> "_Differences":
        return _Differences(
            tuple(entry for entry in self.gone if entry.network_id == network_id),
            tuple(entry for entry in self.put if entry.network_id == network_id),
        )


def _differences(
    before: Mapping[str, MappedService] | Mapping[str, Endpoint],
    now: Mapping[str, MappedService] | Mapping[str, Endpoint],
) -> _Differences:
    """By identity, for that is quick: an entry that only looks changed costs a little work."""
    if before is now:
        return _Differences()
    return _Differences(
        tuple(entry for key, entry in before.items() if now.get(key) is not entry),
        tuple(entry for key, entry in now.items() if before.get(key) is not entry),
    )


def _with_services(names: NetworkNames, differences: _Differences) -> NetworkNames:
    changes = differences.of(names.id)
    if not changes:
        return names
    services, owners = dict(names.services), dict(names.owners)
    for entry in changes.gone:
        services.pop(entry.service_id, None)
        if owners.get(_address_of(entry)) is entry:
            del owners[_address_of(entry)]
    for entry in changes.put:
        if isinstance(entry, MappedService):
            services[entry.service_id] = entry
            if entry.vip:
                owners[entry.vip] = entry
    by_name: dict[str, list[str]] = {}
    for id, service in sorted(services.items()):
        for name in dict.fromkeys(name.lower().rstrip(".") for name in service.names):
            by_name.setdefault(name, []).append(id)
    return replace(names, services=services, owners=owners, by_name={name: tuple(ids) for name, ids in by_name.items()})


def _with_endpoints(names: NetworkNames, differences: _Differences) -> NetworkNames:
    changes = differences.of(names.id)
    if not changes:
        return names
    touched = {entry.service_id for entry in (*changes.gone, *changes.put)}
    groups = {id: dict(names.endpoints.get(id, {})) for id in touched}
    owners = dict(names.owners)
    for entry in changes.gone:
        if isinstance(entry, Endpoint):
            groups[entry.service_id].pop(entry.task_id, None)
            if owners.get(entry.address) is entry:
                del owners[entry.address]
    for entry in changes.put:
        if isinstance(entry, Endpoint):
            groups[entry.service_id][entry.task_id] = entry
            owners[entry.address] = entry
    endpoints = {id: group for id, group in {**names.endpoints, **groups}.items() if group}
    return replace(names, endpoints=endpoints, owners=owners)


def _address_of(entry: MappedService | Endpoint) -> str:
    return entry.vip if isinstance(entry, MappedService) else entry.address


def _is_changed(before: Picture | None, local: LocalNetwork) -> bool:
    return before is None or before.networks.get(local.id) != local


def _with_places(names: NetworkNames, local: LocalNetwork, picture: Picture) -> NetworkNames:
    """What is known of a network beside its services: where its addresses lie."""
    peers = sorted(peer.subnet for peer in picture.map.peers.values() if peer.network_id == local.id)
    subnets = dict.fromkeys((*local.service_subnets, local.subnet, *map(IPv4Network, peers)))
    return replace(names, name=local.name, subnets=tuple(subnets))


def _askers(picture: Picture, networks: Iterable[str]) -> dict[str, Asker]:
    """A task that is on internal networks alone has no way out, and gets none through the names that it asks for."""
    named = set(networks)
    askers = {}
    for task in picture.tasks.values():
        local = [picture.networks[id] for id in task.addresses if id in picture.networks]
        outside = any(not network.internal for network in local)
        asker = Asker(tuple(net.id for net in local if net.id in named), outside, task.nameservers)
        askers.update({str(task.addresses[network.id]): asker for network in local})
    return askers
