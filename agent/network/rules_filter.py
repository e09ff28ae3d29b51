"""Who may speak to whom on this node, what is refused at once, and the marks of the mesh: the chains that filter. Pure.

Networks are closed: containers reach their own network, the outside unless it is internal, and what was translated on
their behalf. The ingress network leads in; out only for tasks that may go out anyway, or internal networks would have a
way out there. A container has one gateway: what it sends to another of its networks comes by that bridge, and is let
through.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import permutations

from agent.network.picture import TUNNEL, VXLAN_PORT, LocalNetwork, Picture
from agent.network.rules_port import Features
from agent.network.rules_text import (
    DNS,
    VNI,
    Services,
    addressed_here,
    any_of,
    networks_of,
    quoted,
    ranges_of,
)
from agent.network.table import Chain, Lookup

# After connection tracking (-200) and before any translation (-105).
_TRACKED = -150
# Before Docker's filters, after all translation but that of senders.
_BEFORE_FILTERS = -5
# Compared before it is looked up, for most packets have no mark.
_ANY = "!= 0x00000000"
_DEPARTING = f'meta mark {_ANY} oifname "spx*" meta mark @mesh_marks meta mark set 0x00000000'


def filter_lookups(picture: Picture, published: Iterable[str]) -> dict[str, Lookup]:
    networks = networks_of(picture)
    peers = sorted({peer.address for peer in picture.map.peers.values() if peer.node_id != picture.node_id})
    devices = [quoted(device) for network in networks for device in (network.bridge, network.vtep)]
    leaving = {quoted(network.bridge): f"goto leave_{network.id}" for network in networks}
    arriving = {quoted(network.vtep): f"goto arrive_{network.id}" for network in networks}
    return {
        "our_devices": Lookup("ifname", dict.fromkeys(devices, "")),
        "ways_out": Lookup("ifname", {quoted(network.bridge): "" for network in networks if _leads_out(network)}),
        "doors": Lookup("ipv4_addr . ifname", dict.fromkeys(doors_of(picture), "")),
        "may_leave": Lookup("ipv4_addr", dict.fromkeys(_may_leave(picture), "")),
        "published": Lookup("inet_proto . inet_service", dict.fromkeys(published, "")),
        "sources": Lookup(
            "ifname : verdict", {quoted(network.bridge): f"goto source_{network.id}" for network in networks}
        ),
        "directions": Lookup("ifname : verdict", leaving | arriving),
        "nodes": Lookup("ipv4_addr", dict.fromkeys(peers, "")),
        "gateways": Lookup("ipv4_addr", {str(network.gateway): "" for network in networks}),
    }


def filter_chains(picture: Picture, features: Features, services: Services) -> dict[str, Chain]:
    networks = networks_of(picture)
    ranges = [one for network in networks for one in ranges_of(services, network)]
    to_services = f"ip daddr {any_of(ranges)}" if ranges else ""
    chains = {
        "refuse": Chain(("meta l4proto tcp reject with tcp reset", "reject with icmp type port-unreachable")),
        "arriving": _base("prerouting", _TRACKED, _arriving(networks)),
        "passing": _base("forward", _BEFORE_FILTERS, _passing(to_services, features)),
        "to_node": _base("input", _BEFORE_FILTERS, _to_node(networks)),
        "enveloped": Chain(tuple(_enveloped(picture))),
        "from_node": _base("output", _BEFORE_FILTERS, _from_node(to_services, addressed_here(picture, features))),
        # The encapsulated packet keeps the mark, and would take the mesh's way once more.
        "departing": _base("postrouting", _TRACKED, [_DEPARTING]),
    }
    for network in networks:
        chains |= _chains_of(network)
    return chains


def _base(hook: str, priority: int, rules: Iterable[str]) -> Chain:
    return Chain(tuple(rules), f"type filter hook {hook} priority {priority}; policy accept;")


def _leads_out(network: LocalNetwork) -> bool:
    return not network.internal and not network.is_ingress


def doors_of(picture: Picture) -> dict[str, str]:
    """By `address . device`: a task sends from an address of it, to another of its networks, where it has that address
    (the value)."""
    found = {}
    for task in picture.tasks.values():
        here = {key: address for key, address in task.addresses.items() if key in picture.networks}
        for source, target in permutations(here, 2):
            network = picture.networks[target]
            for device in (network.bridge, network.vtep):
                found[f"{here[source]} . {quoted(device)}"] = str(here[target])
    return found


def _may_leave(picture: Picture) -> Iterator[str]:
    """Addresses, on networks that lead out nobody, of tasks that no internal network is to keep in."""
    for task in picture.tasks.values():
        networks = [picture.networks[key] for key in task.addresses if key in picture.networks]
        others = [network for network in networks if not network.is_ingress]
        if not others or not all(network.internal for network in others):
            yield from (str(task.addresses[network.id]) for network in networks if not _leads_out(network))


def _arriving(networks: Iterable[LocalNetwork]) -> Iterator[str]:
    """Loopback addresses are routed on our devices, for the node's own requests: nobody else may use that. Every packet
    comes by here: what is cheap to see and seldom true is asked first."""
    yield "ip daddr 127.0.0.0/8 iifname @our_devices drop"
    yield "ip saddr 127.0.0.0/8 iifname @our_devices drop"
    if ingress := [quoted(network.vtep) for network in networks if network.is_ingress]:
        yield f"iifname {any_of(ingress)} ct state new ct mark set ether saddr map @mesh_senders"
        # By whichever bridge the container answers.
        yield f'ct direction reply ct mark {_ANY} iifname != "spx*" ct mark @mesh_marks meta mark set ct mark'
    yield "ct direction reply accept"
    yield "iifname vmap @sources"


def _passing(to_services: str, features: Features) -> Iterator[str]:
    yield from _forged_here(features)
    yield "ct state established,related accept"
    # Untranslated, late packets would end the connection at the other side.
    yield "iifname @our_devices ct state invalid drop"
    yield "ct status dnat accept"
    if to_services:
        yield f"{to_services} goto refuse"
    yield "iifname vmap @directions"
    yield "oifname @our_devices drop"


def _forged_here(features: Features) -> Iterator[str]:
    """VXLAN is a datagram that anybody can write, and a container's leaves in this node's name, which its peers trust.
    What nodes send each other through this one, as to a virtual machine of it, may pass: where the way back says so."""
    to_nodes = f"udp dport {VXLAN_PORT} ip daddr @nodes"
    if features.fib:
        yield f"{to_nodes} ip saddr != @nodes drop"
        yield f"{to_nodes} fib saddr . iif oif missing drop"
    else:
        yield f"{to_nodes} drop"


def _enveloped(picture: Picture) -> Iterator[str]:
    """VXLAN with a VNI of ours: the kernel would take it from everybody, and at each of its addresses."""
    devices = any_of([quoted(device) for device in (picture.underlay.device, TUNNEL)])
    yield f"iifname {devices} ip saddr @nodes ip daddr {picture.underlay.address} accept"
    yield "drop"


def _to_node(networks: Sequence[LocalNetwork]) -> Iterator[str]:
    """A published port is the cluster's, whether or not there is a back end, and whoever listens here. Names are for
    containers and the node itself. What listens on the node is outside of an internal network."""
    if networks:
        yield f"udp dport {VXLAN_PORT} {VNI} {any_of(sorted(network.vni for network in networks))} goto enveloped"
    yield f'iifname != @our_devices iifname != "lo" ip daddr @gateways {DNS} drop'
    yield f"iifname @our_devices {DNS} accept"
    if closed := [quoted(network.bridge) for network in networks if network.internal]:
        yield f"iifname {any_of(closed)} meta l4proto {{ tcp, udp }} ct state new goto refuse"
    yield "meta l4proto . th dport @published ct state invalid drop"
    yield "meta l4proto . th dport @published ct state new goto refuse"


def _from_node(to_services: str, here: str) -> Iterator[str]:
    if to_services:
        yield f"{to_services} ct state new goto refuse"
    yield f"{here} meta l4proto . th dport @published ct state new goto refuse"


def _chains_of(network: LocalNetwork) -> dict[str, Chain]:
    both = any_of([quoted(network.bridge), quoted(network.vtep)])
    leave = [f"oifname {both} accept", "ip saddr . oifname @doors accept", "oifname @our_devices drop"]
    if not _leads_out(network):
        leave += ["ip saddr @may_leave accept", "reject with icmp type admin-prohibited"]
    return {
        f"source_{network.id}": Chain((f"ip saddr != {network.subnet} drop",)),
        f"leave_{network.id}": Chain(tuple(leave)),
        f"arrive_{network.id}": Chain((f"oifname {quoted(network.bridge)} accept", "drop")),
    }
