"""The packet rules of this node, made of its picture. Pure. Applies nothing, and makes no link and no route.

A service is found by one look-up, however many there are: its address in `vips`, its published ports in `ports`; both
lead to a chain that picks a back end. An empty chain leaves the packet as it is, and what still goes to a service after
translation is refused by the filters. Connections keep their back end, for the kernel tracks them; so a back end is
drawn at random: a counter would begin anew with each change of the chain, and on all nodes with the same back end.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from agent.network.picture import LocalNetwork, LocalTask, Picture, mark_of, vtep_mac
from agent.network.rules_filter import doors_of, filter_chains, filter_lookups
from agent.network.rules_port import Features
from agent.network.rules_sealed import sealing_chains
from agent.network.rules_text import (
    DNS,
    Services,
    addressed_here,
    any_of,
    networks_of,
    quoted,
    ranges_of,
    services_by_network,
)
from agent.network.table import Chain, Lookup, Ruleset, Table
from swarmpy.network_map import Endpoint, MappedPort

ALL_FEATURES = Features()
# Docker's own translation runs at -100 and 100; whoever translates a connection first has it.
_BEFORE_DOCKER_IN, _BEFORE_DOCKER_OUT = -105, 95


def rules_of(picture: Picture, bridge_macs: Mapping[str, str], features: Features = ALL_FEATURES) -> Ruleset:
    """`bridge_macs` by network id; a network whose bridge is not there yet has no containers to be served either."""
    told = services_by_network(picture)
    services = _services(picture, told)
    lookups = {**services.lookups, **_address_lookups(picture), **filter_lookups(picture, services.published)}
    chains = {**services.chains, **_translation(picture, features, told), **filter_chains(picture, features, told)}
    chains |= sealing_chains(picture)
    tables = {"ip": Table(chains, lookups)}
    if features.bridge:
        tables["bridge"] = _bridge_table(picture, bridge_macs)
    return Ruleset(tables)


def why_not(features: Features) -> tuple[str, ...]:
    """Sentences for an operator: what does not work here as it should, and what would mend it."""
    if not features.rules:
        return (f"packet rules cannot be set on this node ({features.reason}): no service address and no published "
                "port works here; it needs nft and a kernel with nf_tables and NAT",)  # fmt: skip
    found = []
    if not features.bridge:
        found.append("the kernel has no nf_tables for bridges (nf_tables_bridge): a task asked through its service by "
                     "a task on the same node sees the node's address instead of the client's")  # fmt: skip
    if not features.fib:
        found.append("the kernel has no nft_fib_ipv4: published ports are taken at the node's own address of the "
                     "cluster, at 127.0.0.1 and at gateways, not at the node's other addresses")  # fmt: skip
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Services:
    chains: Mapping[str, Chain] = field(default_factory=dict)
    lookups: Mapping[str, Lookup] = field(default_factory=dict)
    published: tuple[str, ...] = ()


def _services(picture: Picture, told: Services) -> _Services:
    """A port that two services claim belongs to the first of them by id, on every node the same."""
    backends, chains = picture.backends(), {}
    vips: dict[str, str] = {}
    ports: dict[str, str] = {}
    for network in networks_of(picture):
        for service in told.get(network.id, ()):
            endpoints = backends.get((network.id, service.service_id), ())
            if service.vip:
                name = f"vip_{network.id}_{service.service_id}"
                vips[service.vip] = f"goto {name}"
                chains[name] = Chain(_to_one_of([endpoint.address for endpoint in endpoints]))
            for port in service.ports:
                name = f"port_{port.protocol}_{port.published}"
                if name not in chains:
                    ports[f"{port.protocol} . {port.published}"] = f"goto {name}"
                    chains[name] = Chain(_to_port_of_one(port, endpoints))
    lookups = {
        "vips": Lookup("ipv4_addr : verdict", vips),
        "ports": Lookup("inet_proto . inet_service : verdict", ports),
    }
    return _Services(chains, lookups, tuple(ports))


def _to_one_of(addresses: Sequence[str]) -> tuple[str, ...]:
    if len(addresses) < 2:
        return tuple(f"dnat to {address}" for address in addresses)
    return (f"dnat to {_drawn(addresses)}",)


def _to_port_of_one(port: MappedPort, endpoints: Sequence[Endpoint]) -> tuple[str, ...]:
    if len(endpoints) < 2:
        return tuple(f"meta l4proto {port.protocol} dnat to {one.address}:{port.target}" for one in endpoints)
    drawn = _drawn([f"{endpoint.address} . {port.target}" for endpoint in endpoints])
    return (f"meta l4proto {port.protocol} dnat to {drawn}",)


def _drawn(targets: Sequence[str]) -> str:
    listed = ", ".join(f"{number} : {target}" for number, target in enumerate(targets))
    return f"numgen random mod {len(targets)} map {{ {listed} }}"


def _address_lookups(picture: Picture) -> dict[str, Lookup]:
    networks = networks_of(picture)
    peers = [peer for network in networks if network.is_ingress for peer in picture.peers_of(network.id)]
    marks = {vtep_mac(subnet): f"{mark_of(subnet):#010x}" for subnet in (IPv4Network(peer.subnet) for peer in peers)}
    return {
        "entrances": Lookup(
            "ifname : verdict", {quoted(network.bridge): f"goto enter_{network.id}" for network in networks}
        ),
        "members": Lookup(
            "ipv4_addr : verdict",
            {str(one): f"jump member_{task.task_id}" for task in _joiners(picture) for one in task.addresses.values()},
        ),
        "own_addresses": Lookup("ipv4_addr . ifname : ipv4_addr", doors_of(picture)),
        "own_pairs": Lookup("ipv4_addr . ipv4_addr", dict.fromkeys(_own_pairs(picture), "")),
        "mesh_senders": Lookup("ether_addr : mark", marks),
        "mesh_marks": Lookup("mark", dict.fromkeys(marks.values(), "")),
    }


def _joiners(picture: Picture) -> list[LocalTask]:
    """Tasks on several networks: they have one gateway, and ask services of the others there as well."""
    return [task for _, task in sorted(picture.tasks.items()) if len(task.addresses) > 1]


def _of_member(picture: Picture, task: LocalTask, ranges_of_each: Mapping[str, Sequence[str]]) -> Chain:
    networks = [key for key in sorted(task.addresses) if key in picture.networks]
    ranges = [one for network in networks for one in ranges_of_each[network]]
    return Chain(tuple([f"ip daddr {any_of(ranges)} ip daddr vmap @vips"] if ranges else []))


def _own_pairs(picture: Picture) -> Iterator[str]:
    """A container takes no packet with one of its own addresses as the sender."""
    for task in picture.tasks.values():
        addresses = sorted(task.addresses.values())
        yield from (f"{source} . {target}" for source in addresses for target in addresses)


def _translation(picture: Picture, features: Features, told: Services) -> dict[str, Chain]:
    networks = networks_of(picture)
    ranges = {network.id: ranges_of(told, network) for network in networks}
    take_ports = f"{addressed_here(picture, features)} meta l4proto . th dport vmap @ports"
    hook = f"type nat hook {{}} priority {_BEFORE_DOCKER_IN}; policy accept;"
    entering = {f"enter_{network.id}": _entering(network, ranges[network.id], take_ports) for network in networks}
    members = {f"member_{task.task_id}": _of_member(picture, task, ranges) for task in _joiners(picture)}
    return {
        **entering,
        **members,
        "translate_entering": Chain(
            # What comes by VXLAN has been translated where it came from.
            ("iifname vmap @entrances", 'iifname "spx*" return', take_ports),
            hook.format("prerouting"),
        ),
        "translate_own": Chain(("ip daddr vmap @vips", take_ports), hook.format("output")),
        "translate_leaving": Chain(
            (*_senders(networks, features), *_senders_to_ingress(picture)),
            f"type nat hook postrouting priority {_BEFORE_DOCKER_OUT}; policy accept;",
        ),
    }


def _entering(network: LocalNetwork, ranges: Sequence[str], take_ports: str) -> Chain:
    """From a container: addresses of services on the same network, and what this node publishes."""
    rules = [f"ip daddr {any_of(ranges)} ip daddr vmap @vips"] if ranges else []
    rules.append("ip saddr vmap @members")
    if not network.internal:
        rules += [f"ip daddr {network.gateway} {DNS} return", take_ports]
    return Chain(tuple(rules))


def _senders(networks: Sequence[LocalNetwork], features: Features) -> Iterator[str]:
    """Whose address is replaced by ours: where an answer could not come back otherwise."""
    yield "oifname @our_devices ip saddr 127.0.0.0/8 masquerade"
    yield "ip saddr . ip daddr @own_pairs masquerade"
    yield "snat to ip saddr . oifname map @own_addresses"
    # From the node itself: containers know the way to their gateway, and other nodes to this one's VXLAN device.
    plain = [quoted(device) for one in networks if not one.is_ingress for device in (one.bridge, one.vtep)]
    if plain and features.fib:
        yield f"oifname {any_of(plain)} fib saddr type local masquerade"
    yield "iifname @ways_out oifname != @our_devices masquerade"
    yield "ip saddr @may_leave oifname != @our_devices masquerade"
    if not features.bridge:
        same = (f"iifname {quoted(one.bridge)} oifname {quoted(one.bridge)}" for one in networks)
        yield from (f"{both} ct status dnat masquerade" for both in same)


def _senders_to_ingress(picture: Picture) -> Iterator[str]:
    """Clients outside are seen by their addresses, other than these two."""
    networks = networks_of(picture)
    entries = [quoted(device) for one in networks if one.is_ingress for device in (one.bridge, one.vtep)]
    # A task may be on the client's network as well, and answer there: with UDP as somebody whom the client never asked.
    if entries and (others := [one.subnet for one in networks if not one.is_ingress]):
        yield f"oifname {any_of(entries)} ip saddr {any_of(others)} masquerade"
    # A node takes no packet with its own address as the sender, when it asks by way of another node.
    peers = [peer for one in networks if one.is_ingress for peer in picture.peers_of(one.id)]
    if peers:
        pairs = ", ".join(f"{peer.address} . {peer.subnet}" for peer in peers)
        yield f"ip saddr . ip daddr {{ {pairs} }} masquerade"


def _bridge_table(picture: Picture, bridge_macs: Mapping[str, str]) -> Table:
    """Containers of one bridge speak through the host's IP stack: answers of a translated connection would cross the
    bridge untranslated, and senders' addresses unchecked. Addresses tell the bridge: not every kernel can name it."""
    rules = (
        f"ip daddr {network.subnet} "
        f"ip daddr != {{ {network.gateway}, {network.subnet.broadcast_address} }} "
        f"ether daddr set {bridge_macs[network.id]} meta pkttype set host"
        for network in networks_of(picture)
        if network.id in bridge_macs
    )
    hook = "type filter hook prerouting priority -300; policy accept;"
    return Table({"through_host": Chain(tuple(rules), hook)})
