"""Pictures of a node's networks."""

from ipaddress import IPv4Address, IPv4Network

from agent.network.picture import LocalNetwork, Picture, Underlay
from swarmpy.network_map import IndexedMap, NetworkMap, Peer


def a_network(id: str = "net1", subnet: str = "10.0.1.0/24", **changes: object) -> LocalNetwork:
    """Its VNI is its subnet's third number."""
    share = IPv4Network(subnet)
    given = {
        "id": id, "name": id, "subnet": share, "gateway": share[1], "vni": share.network_address.packed[2] + 4096,
        "mtu": 1450, "on_engine": True,
    } | changes  # fmt: skip
    return LocalNetwork(**given)  # type: ignore[arg-type]


def a_peer(node_id: str, subnet: str, address: str, network_id: str = "net1") -> Peer:
    return Peer(network_id=network_id, node_id=node_id, subnet=subnet, address=address)


def a_picture(
    *networks: LocalNetwork,
    peers: tuple[Peer, ...] = (),
    node_id: str = "node-1",
    underlay: Underlay | None = None,
) -> Picture:
    return Picture(
        node_id,
        underlay or Underlay(IPv4Address("192.0.2.1"), "eth0"),
        {network.id: network for network in networks},
        IndexedMap.of(NetworkMap(peers=peers)),
    )
