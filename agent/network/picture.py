"""What this node's networks are to be: the assignment, the network map, and what only the node itself knows. Pure.

Three things are made of it: links and routes (`links`), packet rules (`rules`) and names (`agent.dns.zone`). Devices
carry names with our prefixes, so that what is ours can be told from what is not.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from swarmpy.network_map import EMPTY_MAP, Endpoint, IndexedMap, Peer

BRIDGE_PREFIX, VTEP_PREFIX = "spb", "spx"
# The kernel's names of devices have 15 letters. The end of an id, for a test's ids begin all alike.
_LETTERS_OF_ID = 12
# What VXLAN adds to a packet: outer IPv4, UDP and VXLAN headers, and the inner Ethernet header (RFC 7348).
VXLAN_OVERHEAD = 50
# RFC 7348, section 5; what firewalls opened for Docker's Swarm let through as well.
VXLAN_PORT = 4789
# The device that VXLAN of encrypted networks runs over, and its port: one for all nodes, for none is told another's.
TUNNEL, TUNNEL_PORT = "spwg0", 51820
# Outer IPv4 and UDP headers, and WireGuard's own with its tag.
TUNNEL_OVERHEAD = 60


@dataclass(frozen=True, slots=True)
class Underlay:
    """How this node is reached by the others: its address, the device that has it, and what that carries, in bytes."""

    address: IPv4Address
    device: str
    mtu: int = 1500


@dataclass(frozen=True, slots=True)
class LocalNetwork:
    """An overlay network as this node provides it. `subnet` is the node's own share, `ranges` are where all addresses
    of the network lie. `on_engine`: the engine has made its bridge, so that one is to be there."""

    id: str
    name: str
    subnet: IPv4Network
    gateway: IPv4Address
    vni: int
    mtu: int
    service_subnets: tuple[IPv4Network, ...] = ()
    internal: bool = False
    is_ingress: bool = False
    encrypted: bool = False
    on_engine: bool = False
    ranges: tuple[IPv4Network, ...] = ()

    @property
    def bridge(self) -> str:
        return bridge_of(self.id)

    @property
    def vtep(self) -> str:
        return vtep_of(self.id)


@dataclass(frozen=True, slots=True)
class LocalTask:
    """A task of this node whose container has addresses (network id -> address). `nameservers` are asked, in order,
    what the cluster does not know; none: the node's own. `pid` is the container's first process while it runs, else 0.
    """

    task_id: str
    service_id: str
    addresses: Mapping[str, IPv4Address]
    nameservers: tuple[str, ...] = ()
    pid: int = 0

    def places_among(self, networks: Mapping[str, LocalNetwork]) -> Iterator[tuple[IPv4Address, LocalNetwork]]:
        """Its addresses, each with the network whose node subnet has it."""
        for network_id, address in self.addresses.items():
            network = networks.get(network_id)
            if network is not None and address in network.subnet:
                yield address, network


@dataclass(frozen=True, slots=True)
class Picture:
    """`map` holds no endpoint of this node that is known here to be down, whatever the manager says yet."""

    node_id: str
    underlay: Underlay
    networks: Mapping[str, LocalNetwork] = field(default_factory=dict)
    map: IndexedMap = EMPTY_MAP
    tasks: Mapping[str, LocalTask] = field(default_factory=dict)

    def peers_of(self, network_id: str) -> Iterator[Peer]:
        """The other nodes of a network, in a fixed order."""
        for key in sorted(self.map.peers):
            peer = self.map.peers[key]
            if peer.network_id == network_id and peer.node_id != self.node_id:
                yield peer

    def backends(self) -> dict[tuple[str, str], tuple[Endpoint, ...]]:
        """Endpoints by (network, service), each in the order of their task ids, so that equal maps give equal rules."""
        found: dict[tuple[str, str], list[Endpoint]] = {}
        for _, endpoint in sorted(self.map.endpoints.items()):
            found.setdefault((endpoint.network_id, endpoint.service_id), []).append(endpoint)
        return {key: tuple(endpoints) for key, endpoints in found.items()}


NO_PICTURE = Picture("", Underlay(IPv4Address(0), ""))


def overhead_of(*, encrypted: bool) -> int:
    """What the way between nodes adds to a packet of such a network."""
    return VXLAN_OVERHEAD + (TUNNEL_OVERHEAD if encrypted else 0)


def bridge_of(network_id: str) -> str:
    return f"{BRIDGE_PREFIX}{network_id[-_LETTERS_OF_ID:]}"


def vtep_of(network_id: str) -> str:
    return f"{VTEP_PREFIX}{network_id[-_LETTERS_OF_ID:]}"


def vtep_address(subnet: IPv4Network) -> IPv4Address:
    """Where routes to a node subnet point: its first address, which no container has."""
    return subnet.network_address


def vtep_mac(subnet: IPv4Network) -> str:
    """Locally administered, and the same whoever computes it: nodes need not tell each other."""
    return ":".join(f"{octet:02x}" for octet in (0x02, 0x00, *subnet.network_address.packed))


def bridge_mac(subnet: IPv4Network) -> str:
    """The MAC of the bridge that has this node subnet: the same when it is made again, so that containers, which
    remember it, need not ask for their gateway once more."""
    return ":".join(f"{octet:02x}" for octet in (0x02, 0x01, *subnet.network_address.packed))


def mark_of(subnet: IPv4Network) -> int:
    """The mark of connections that came in by that node, and the routing table that sends their answers back there."""
    return int(subnet.network_address)
