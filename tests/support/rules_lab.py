"""Two nodes with an overlay by hand (links and routes by `ip`), containers on them, a client outside, and our rules.

Networks: `front`; `back`, internal; `ingress`. Containers by name:
`app1` (front), `web1` (ingress, front), `db1` (back, ingress) and `all1` (all) on n1; `web2` (ingress, front) and
`db2` (back) on n2.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network

from support.netlab import Namespace, NetLab, NetNode, echo, netlab

from agent.network.picture import LocalNetwork, LocalTask, Picture, Underlay, mark_of, vtep_address, vtep_mac
from agent.network.rules import ALL_FEATURES, rules_of
from agent.network.rules_port import Features
from agent.network.table import NO_RULES, Ruleset, render, script
from swarmpy.network_map import Endpoint, IndexedMap, MappedPort, MappedService, NetworkMap, Peer

NODES = {"n1": 1, "n2": 2}
# Name -> second octet of all its addresses: 10.X.NODE.0/24, services in 10.X.0.0/24.
NETWORKS = {"front": 9, "back": 8, "ingress": 7}
# Name -> node, last octet, networks; the first one's gateway is the way to all that is not known to be elsewhere.
CONTAINERS: Mapping[str, tuple[str, int, tuple[str, ...]]] = {
    "app1": ("n1", 10, ("front",)),
    "web1": ("n1", 11, ("ingress", "front")),
    "db1": ("n1", 12, ("back", "ingress")),
    "web2": ("n2", 11, ("ingress", "front")),
    "db2": ("n2", 12, ("back",)),
    "all1": ("n1", 13, ("front", "back", "ingress")),
}
PORT = 80


def subnet_of(network: str, node: str) -> IPv4Network:
    return IPv4Network(f"10.{NETWORKS[network]}.{NODES[node]}.0/24")


def gateway_of(network: str, node: str) -> str:
    return str(subnet_of(network, node)[1])


def mac_of(network: str, node: str) -> str:
    return f"02:42:0a:{NETWORKS[network]:02x}:{NODES[node]:02x}:01"


def address_of(container: str, network: str) -> str:
    node, last, _ = CONTAINERS[container]
    return str(subnet_of(network, node)[last])


def vip_of(network: str, last: int) -> str:
    return f"10.{NETWORKS[network]}.0.{last}"


def local_network(name: str, node: str) -> LocalNetwork:
    return LocalNetwork(
        id=name,
        name=name,
        subnet=subnet_of(name, node),
        gateway=subnet_of(name, node)[1],
        vni=4097 + NETWORKS[name],
        mtu=1450,
        service_subnets=(IPv4Network(f"10.{NETWORKS[name]}.0.0/24"),),
        internal=name == "back",
        is_ingress=name == "ingress",
        on_engine=True,
        ranges=(IPv4Network(f"10.{NETWORKS[name]}.0.0/16"),),
    )


@dataclass(frozen=True)
class Wanted:
    """A service: its back ends, the last octet of its addresses, the network it is on, and the port it publishes."""

    name: str
    last: int
    backends: tuple[str, ...]
    network: str = "front"
    published: int = 0
    protocols: tuple[str, ...] = ("tcp", "udp")

    @property
    def vip(self) -> str:
        return vip_of(self.network, self.last)

    def without(self, backend: str) -> "Wanted":
        return replace(self, backends=tuple(name for name in self.backends if name != backend))

    def services(self) -> Iterator[MappedService]:
        yield MappedService(network_id=self.network, service_id=self.name, names=(self.name,), vip=self.vip)
        if self.published:
            ports = tuple(MappedPort(protocol=one, published=self.published, target=PORT) for one in self.protocols)
            vip = vip_of("ingress", self.last)
            yield MappedService(network_id="ingress", service_id=self.name, names=(self.name,), vip=vip, ports=ports)

    def endpoints(self) -> Iterator[Endpoint]:
        for network in {self.network, "ingress"} if self.published else {self.network}:
            for name in self.backends:
                yield Endpoint(
                    network_id=network,
                    task_id=f"{self.name}.{name}",
                    service_id=self.name,
                    node_id=CONTAINERS[name][0],
                    address=address_of(name, network),
                )


@dataclass
class RulesLab:
    client: NetNode
    nodes: Mapping[str, NetNode]
    containers: Mapping[str, Namespace]
    _before: dict[str, Ruleset] = field(default_factory=dict)
    pictures: dict[str, Picture] = field(default_factory=dict)

    def picture(self, node: str, wanted: Iterable[Wanted]) -> Picture:
        listed = tuple(wanted)
        peers = [
            Peer(network_id=net, node_id=name, subnet=str(subnet_of(net, name)), address=str(self.nodes[name].address))
            for net in NETWORKS
            for name in NODES
        ]
        told = NetworkMap(
            peers=tuple(peers),
            services=tuple(entry for one in listed for entry in one.services()),
            endpoints=tuple(entry for one in listed for entry in one.endpoints()),
        )
        tasks = {
            name: LocalTask(
                name,
                self._service_of(name, listed),
                {net: IPv4Address(address_of(name, net)) for net in networks},
                pid=self.containers[name].pid,
            )
            for name, (where, _, networks) in CONTAINERS.items()
            if where == node
        }
        networks = {name: local_network(name, node) for name in NETWORKS}
        underlay = Underlay(self.nodes[node].address, "eth0")
        return Picture(node, underlay, networks, IndexedMap.of(told), tasks)

    @staticmethod
    def _service_of(container: str, wanted: Iterable[Wanted]) -> str:
        """A task is of one service; here the first that has it, and publishes something, if any does."""
        of = [one for one in wanted if container in one.backends]
        return next((one.name for one in of if one.published), of[0].name if of else container)

    def provide(self, *wanted: Wanted, features: Features = ALL_FEATURES, whole: bool = False) -> None:
        """Bring the rules of both nodes there, by the difference to what they have."""
        for name, node in self.nodes.items():
            self.pictures[name] = self.picture(name, wanted)
            macs = {network: mac_of(network, name) for network in NETWORKS}
            rules = rules_of(self.pictures[name], macs, features)
            node.nft(render(rules) if whole else script(self._before.get(name, NO_RULES), rules))
            self._before[name] = rules


@contextmanager
def rules_lab() -> Iterator[RulesLab]:
    with netlab() as lab, ExitStack() as servers:
        nodes = {name: lab.node(name) for name in NODES}
        client = lab.node("client")
        for name in nodes:
            _overlay(name, nodes)
        containers = {name: _container(lab, nodes, name) for name in CONTAINERS}
        for machine in (*containers.values(), client):
            servers.enter_context(echo(machine, PORT))
        yield RulesLab(client, nodes, containers)


def _overlay(name: str, nodes: Mapping[str, NetNode]) -> None:
    """Bridges, VXLAN devices, and the ways to the other nodes."""
    node = nodes[name]
    node.sysctl(conf__all__rp_filter=0, conf__default__rp_filter=0, conf__all__send_redirects=0)
    node.sysctl(conf__default__send_redirects=0, ping_group_range="0 0")
    for each in NETWORKS:
        network = local_network(each, name)
        node.bridge(network.bridge, f"{network.gateway}/24")
        node.ip(
            # An engine sets it as well; otherwise it changes with the containers that come.
            f"link set {network.bridge} address {mac_of(each, name)}",
            f"link add {network.vtep} mtu 1450 address {vtep_mac(network.subnet)} type vxlan id {network.vni} "
            f"local {node.address} dstport 4789 nolearning dev eth0",
            f"addr add {vtep_address(network.subnet)}/32 dev {network.vtep}",
            f"link set {network.vtep} up",
            # Before translation, addresses of services must be routed somewhere.
            f"route add {network.service_subnets[0]} dev {network.vtep}",
        )
        node.sysctl(**{f"conf__{device}__route_localnet": 1 for device in (network.bridge, network.vtep)})
        for other in (other for other in nodes if other != name):
            subnet = subnet_of(each, other)
            node.ip(*_way_to(network, subnet))
            node.run(*f"bridge fdb add {vtep_mac(subnet)} dev {network.vtep} dst {nodes[other].address}".split())


def _way_to(network: LocalNetwork, subnet: IPv4Network) -> Iterator[str]:
    device, via = network.vtep, vtep_address(subnet)
    yield f"neigh add {via} lladdr {vtep_mac(subnet)} dev {device} nud permanent"
    yield f"route add {subnet} via {via} dev {device} onlink"
    if network.is_ingress:
        yield f"route add default via {via} dev {device} onlink table {mark_of(subnet)}"
        yield f"rule add fwmark {mark_of(subnet)} lookup {mark_of(subnet)}"


def _container(lab: NetLab, nodes: Mapping[str, NetNode], name: str) -> Namespace:
    node, _, (first, *others) = CONTAINERS[name]
    interface = f"{address_of(name, first)}/24"
    bridge = local_network(first, node).bridge
    made = lab.container(nodes[node], bridge, interface, gateway_of(first, node), name=name)
    made.sysctl(ping_group_range="0 0")
    _let_itself_be_reached(nodes[node], name, first)
    for number, other in enumerate(others, 1):
        bridge, interface = local_network(other, node).bridge, f"{address_of(name, other)}/24"
        lab.attach(made, nodes[node], bridge, interface, f"eth{number}")
        _let_itself_be_reached(nodes[node], name, other)
        made.ip(f"route add 10.{NETWORKS[other]}.0.0/16 via {gateway_of(other, node)}")
    return made


def _let_itself_be_reached(node: NetNode, container: str, network: str) -> None:
    """Where bridged frames pass the rules of IP (`bridge-nf-call-iptables`), a bridge delivers a translated packet
    itself, and only so to the port that it came from."""
    veth = f"v{int(IPv4Address(address_of(container, network))):08x}"
    node.ip(f"link set {veth} type bridge_slave hairpin on")
