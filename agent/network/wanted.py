"""What this node's links and routes are to be, by its picture. Pure."""

from collections.abc import Iterable, Iterator, Set
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, collapse_addresses
from typing import TypeVar

from agent.network.links import (
    END_PRIORITY,
    MARK_PRIORITY,
    SKIP_PRIORITY,
    Bridge,
    BridgePort,
    ContainerRoutes,
    FdbEntry,
    Links,
    Neighbour,
    Ports,
    Route,
    Rule,
    Sysctl,
    Vtep,
    Way,
)
from agent.network.picture import (
    TUNNEL,
    LocalNetwork,
    LocalTask,
    Picture,
    bridge_mac,
    mark_of,
    overhead_of,
    vtep_address,
    vtep_mac,
)
from swarmpy.network_map import Peer

_ANYWHERE = IPv4Network("0.0.0.0/0")


def wanted(picture: Picture, ports: Set[BridgePort] = frozenset(), *, has_rules: bool = True) -> Links:
    """`ports` are the places of the running containers' veths. `has_rules`: the packet rules of this picture are in
    force; without them, loopback addresses are not routed on any device."""
    networks = [network for _, network in sorted(picture.networks.items())]
    told = _peers_by_network(picture)
    peers = [(network, peer) for network in networks for peer in _reached(network, told.get(network.id, ()))]
    routes = [_route(network, peer) for network, peer in peers]
    marked = [(network, peer) for network, peer in peers if network.is_ingress]
    bridges = {network.bridge for network in networks if network.on_engine}
    return Links(
        bridges=_as_wide_as_their_ports(wanted_bridges(picture), ports),
        ports=frozenset(port for port in ports if port.bridge in bridges),
        vteps=frozenset(_vtep(network, picture) for network in networks),
        sysctls=wanted_sysctls(picture, has_rules=has_rules),
        neighbours=_unique(_neighbour(network, peer) for network, peer in peers),
        fdb=_unique(_fdb_entry(network, peer) for network, peer in peers),
        routes=_unique([*_service_routes(networks), *routes, *(_way_back(network, peer) for network, peer in marked)]),
        rules=_rules([mark_of(IPv4Network(peer.subnet)) for _, peer in marked]),
        containers=frozenset(wanted_in_containers(picture)),
    )


def wanted_bridges(picture: Picture) -> Set[Bridge]:
    """The engine makes them, and ours would be in its way: before that, a network of this node has none."""
    return frozenset(_bridge(network) for network in picture.networks.values() if network.on_engine)


def _as_wide_as_their_ports(bridges: Iterable[Bridge], ports: Iterable[BridgePort]) -> Set[Bridge]:
    """The engine may have made its network when the underlay left other room, and containers keep what it gave them.
    Where bridged frames pass the rules of IP, the kernel drops larger ones than the bridge has itself, and fragments of
    that size, without a word; and a container's veth drops what is larger than it carries."""
    widest: dict[str, int] = {}
    for port in ports:
        widest[port.bridge] = max(port.mtu, widest.get(port.bridge, 0))
    return frozenset(replace(bridge, mtu=widest.get(bridge.name) or bridge.mtu) for bridge in bridges)


def wanted_sysctls(picture: Picture, *, has_rules: bool = True) -> Set[Sysctl]:
    """Those of the node itself (`ip_forward`, and two of all devices) are never put back: nobody here knows who relies
    on them by now."""
    return frozenset(_sysctls(picture.networks.values(), has_rules))


def _peers_by_network(picture: Picture) -> dict[str, list[Peer]]:
    """The other nodes, in a fixed order."""
    found: dict[str, list[Peer]] = {}
    for _, peer in sorted(picture.map.peers.items()):
        if peer.node_id != picture.node_id:
            found.setdefault(peer.network_id, []).append(peer)
    return found


def _reached(network: LocalNetwork, peers: Iterable[Peer]) -> Iterator[Peer]:
    """Not one that is still said to have what is this node's now: packets for our own containers would leave. Nor one
    that an encrypted network does not reach: without a route there is no way in the clear."""
    return (
        peer
        for peer in peers
        if not IPv4Network(peer.subnet).overlaps(network.subnet) and (peer.wireguard_key or not network.encrypted)
    )


def _bridge(network: LocalNetwork) -> Bridge:
    address = IPv4Interface(f"{network.gateway}/{network.subnet.prefixlen}")
    return Bridge(network.bridge, address, bridge_mac(network.subnet), network.mtu)


def _vtep(network: LocalNetwork, picture: Picture) -> Vtep:
    underlay = picture.underlay
    return Vtep(
        device=network.vtep,
        vni=network.vni,
        mac=vtep_mac(network.subnet),
        local=underlay.address,
        underlay_device=TUNNEL if network.encrypted else underlay.device,
        # The kernel refuses more than the underlay carries.
        mtu=min(network.mtu, underlay.mtu - overhead_of(encrypted=network.encrypted)),
        address=vtep_address(network.subnet),
    )


def _sysctls(networks: Iterable[LocalNetwork], has_rules: bool) -> Iterator[Sysctl]:
    """Answers leave by another way than the reverse path, and 127.0.0.1 reaches published ports: only rules keep
    containers from what listens there."""
    found = encrypted = False
    for network in networks:
        found, encrypted = True, encrypted or network.encrypted
        for device in (network.bridge, network.vtep) if network.on_engine else (network.vtep,):
            yield _of_device(device, "rp_filter", 0)
            yield _of_device(device, "route_localnet", int(has_rules))
        if network.on_engine:
            # The bridge sends packets back out where they came from, and that is meant.
            yield _of_device(network.bridge, "send_redirects", 0)
    if encrypted:
        # No route leads to it.
        yield _of_device(TUNNEL, "rp_filter", 0)
    if found:
        yield Sysctl("net/ipv4/ip_forward", "1")
        # The kernel takes the greater of a device's value and of this one, or either of the two.
        yield Sysctl("net/ipv4/conf/all/rp_filter", "0")
        yield Sysctl("net/ipv4/conf/all/send_redirects", "0")


def _of_device(device: str, name: str, value: int) -> Sysctl:
    return Sysctl(f"net/ipv4/conf/{device}/{name}", str(value), device)


def _neighbour(network: LocalNetwork, peer: Peer) -> Neighbour:
    subnet = IPv4Network(peer.subnet)
    return Neighbour(network.vtep, vtep_address(subnet), vtep_mac(subnet), peer.node_id)


def _fdb_entry(network: LocalNetwork, peer: Peer) -> FdbEntry:
    mac, by = vtep_mac(IPv4Network(peer.subnet)), TUNNEL if network.encrypted else ""
    return FdbEntry(network.vtep, mac, IPv4Address(peer.address), peer.node_id, by)


def _route(network: LocalNetwork, peer: Peer) -> Route:
    subnet = IPv4Network(peer.subnet)
    return Route(subnet, vtep_address(subnet), network.vtep, node=peer.node_id)


def _service_routes(networks: Iterable[LocalNetwork]) -> Iterator[Route]:
    """Where packets to services would go: they are translated or refused before, but only what has a way is looked at,
    and not every node has a way to everywhere."""
    return (Route(subnet, None, network.vtep) for network in networks for subnet in network.service_subnets)


def _way_back(network: LocalNetwork, peer: Peer) -> Route:
    """Where answers go whose questions came in by that peer."""
    subnet = IPv4Network(peer.subnet)
    return Route(_ANYWHERE, vtep_address(subnet), network.vtep, mark_of(subnet), peer.node_id)


def _rules(marks: Iterable[int]) -> Set[Rule]:
    lookups = {Rule(MARK_PRIORITY, mark, mark) for mark in marks}
    if not lookups:
        return frozenset()
    return frozenset({Rule(END_PRIORITY), Rule(SKIP_PRIORITY, 0, goto=END_PRIORITY), *lookups})


def wanted_in_containers(picture: Picture) -> Iterator[ContainerRoutes]:
    """Of tasks whose containers run."""
    return (_in_container(picture, task) for _, task in sorted(picture.tasks.items()) if task.pid)


def _in_container(picture: Picture, task: LocalTask) -> ContainerRoutes:
    """The engine routes the node's own shares, and all else by one of the networks, the first by name that leads out
    unless a container was made otherwise. What is not bound to an address answers from that of its route: each network
    has its own."""
    joined = [
        (picture.networks[id], address) for id, address in sorted(task.addresses.items()) if id in picture.networks
    ]
    joined = [(network, address) for network, address in joined if address in network.subnet]
    ports = frozenset(_in_ranges(_datagram_ports(picture, task)))
    entries = [Way(_ANYWHERE, network.gateway, address) for network, address in joined if network.is_ingress]
    return ContainerRoutes(
        pid=task.pid,
        addresses=frozenset(address for _, address in joined),
        ways=frozenset(
            Way(subnet, network.gateway, address) for network, address in joined for subnet in _elsewhere(network)
        ),
        answers=entries[0] if entries and ports else None,
        answering=ports if entries else frozenset(),
        task=task.task_id,
    )


def _datagram_ports(picture: Picture, task: LocalTask) -> Iterator[int]:
    """Where clients from outside come in by the ingress network: with TCP a connection knows its address."""
    for network in picture.networks.values():
        service = picture.map.services.get(f"{network.id}/{task.service_id}") if network.is_ingress else None
        yield from (port.target for port in (service.ports if service else ()) if port.protocol == "udp")


def _in_ranges(ports: Iterable[int]) -> Iterator[Ports]:
    """A service may publish thousands in a row, and the kernel looks at one range after another."""
    first = last = 0
    for port in sorted({*ports}):
        if last and port > last + 1:
            yield Ports(first, last)
        first, last = (first if last and port == last + 1 else port), port
    if last:
        yield Ports(first, last)


def _elsewhere(network: LocalNetwork) -> list[IPv4Network]:
    """All of a network but what is on its bridge."""
    whole = collapse_addresses([*network.ranges, *network.service_subnets])
    return [subnet for subnet in whole if not subnet.subnet_of(network.subnet)]


_T = TypeVar("_T", Neighbour, FdbEntry, Route)


def _unique(things: Iterable[_T]) -> Set[_T]:
    """The kernel has one of each key. Two peers have one subnet while it changes hands: the last counts."""
    return frozenset({thing.key: thing for thing in things}.values())
