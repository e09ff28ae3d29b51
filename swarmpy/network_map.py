"""The network map: what the nodes of an overlay network must know of each other, and of the services there. Pure.

The manager computes it from the state, agents turn it into routes, packet rules and names. It is made of small entries
with keys, so that the start or the end of one container is one small difference for every node concerned.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from swarmpy.models.base import Document


class Peer(Document):
    """A node that takes part in a network: its node subnet there, and `address`, where the underlay reaches it.
    `wireguard_key` is its public key where the network is encrypted; without one it is not reached there."""

    network_id: str
    node_id: str
    subnet: str
    address: str
    wireguard_key: str = ""

    @property
    def key(self) -> str:
        return f"{self.network_id}/{self.node_id}"


class MappedPort(Document):
    """A published port in ingress mode: every node takes it, for the service's backends. `protocol` is tcp, udp or
    sctp; `name` is what the service calls it, for SRV records."""

    protocol: str
    published: int
    target: int
    name: str = ""


class MappedService(Document):
    """A service on a network. `names` are what it is called there, its own name first; `vip` is empty where names
    stand for the tasks' own addresses (dnsrr). `ports` are set on the ingress network alone."""

    network_id: str
    service_id: str
    names: tuple[str, ...]
    vip: str = ""
    ports: tuple[MappedPort, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.network_id}/{self.service_id}"


class Endpoint(Document):
    """A task that may be sent traffic on a network: it runs, is healthy, and is to go on. `address` is plain IPv4.
    `slot` is 0 for tasks of global services."""

    network_id: str
    task_id: str
    service_id: str
    node_id: str
    address: str
    slot: int = 0

    @property
    def key(self) -> str:
        return f"{self.network_id}/{self.task_id}"


class NetworkMap(Document):
    """All that one node is told, of the networks that it takes part in; itself is among the peers."""

    peers: tuple[Peer, ...] = ()
    services: tuple[MappedService, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()


class MapChanges(Document):
    """Differences: put these, drop those keys."""

    peers: tuple[Peer, ...] = ()
    services: tuple[MappedService, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    dropped_peers: tuple[str, ...] = ()
    dropped_services: tuple[str, ...] = ()
    dropped_endpoints: tuple[str, ...] = ()

    @property
    def says_nothing(self) -> bool:
        told = self.peers or self.services or self.endpoints
        return not (told or self.dropped_peers or self.dropped_services or self.dropped_endpoints)


NO_CHANGES = MapChanges()


class _Keyed(Protocol):
    @property
    def key(self) -> str: ...


_T = TypeVar("_T", bound=_Keyed)


@dataclass(frozen=True, slots=True)
class IndexedMap:
    """The map by key, as an agent holds it."""

    peers: Mapping[str, Peer] = field(default_factory=dict)
    services: Mapping[str, MappedService] = field(default_factory=dict)
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)

    @classmethod
    def of(cls, told: NetworkMap) -> "IndexedMap":
        return cls(_by_key(told.peers), _by_key(told.services), _by_key(told.endpoints))

    def as_document(self) -> NetworkMap:
        return NetworkMap(
            peers=tuple(self.peers.values()),
            services=tuple(self.services.values()),
            endpoints=tuple(self.endpoints.values()),
        )

    def amended(self, changes: MapChanges) -> "IndexedMap":
        return IndexedMap(
            _amended(self.peers, changes.peers, changes.dropped_peers),
            _amended(self.services, changes.services, changes.dropped_services),
            _amended(self.endpoints, changes.endpoints, changes.dropped_endpoints),
        )


EMPTY_MAP = IndexedMap()


def _by_key(entries: Iterable[_T]) -> dict[str, _T]:
    return {entry.key: entry for entry in entries}


def _amended(known: Mapping[str, _T], put: Iterable[_T], dropped: Iterable[str]) -> Mapping[str, _T]:
    put, gone = tuple(put), set(dropped)
    if not put and not gone:
        return known
    kept = {key: entry for key, entry in known.items() if key not in gone}
    return {**kept, **_by_key(put)}
