"""What a lab consists of: names, addresses, and the commands that make its network. Pure: runs nothing.

A lab is a switch (a network namespace with a bridge, out of the reach of this machine's packet filter), and nodes that
are plugged into it, each with namespaces of its own. This machine is plugged in as well, and is the nodes' gateway.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from swarmpy.errors import BadRequest, Unavailable

# Of each lab one /24, so that several may be there at once.
POOL = IPv4Network("10.213.0.0/16")
MOST_NODES = 100
_NAME = re.compile(r"[a-z][a-z0-9]{0,8}")

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LabNode:
    """`number` counts from 1."""

    number: int
    address: str
    is_manager: bool

    @property
    def name(self) -> str:
        return f"node-{self.number}"

    @property
    def link(self) -> str:
        """Its plug in the switch."""
        return f"n{self.number}"

    @property
    def mac(self) -> str:
        """The same after each start, so that nobody's memory of it is wrong."""
        return f"02:53:57:00:{self.number >> 8:02x}:{self.number & 255:02x}"


@dataclass(frozen=True, slots=True)
class LabPlan:
    name: str
    subnet: str
    nodes: tuple[LabNode, ...]

    @property
    def switch(self) -> str:
        """The switch's namespace."""
        return f"swarmpy-lab-{self.name}"

    @property
    def uplink(self) -> str:
        """This machine's own plug."""
        return f"swlab-{self.name}"

    @property
    def gateway(self) -> str:
        return str(IPv4Network(self.subnet)[-2])

    def node(self, name: str) -> LabNode:
        """Raises `BadRequest` for one that is not there."""
        found = next((node for node in self.nodes if node.name == name), None)
        if found is None:
            names = ", ".join(node.name for node in self.nodes)
            raise BadRequest(f"lab {self.name} has no node {name}; it has {names}")
        return found


def plan_lab(name: str, nodes: int, managers: int, taken: Iterable[str]) -> LabPlan:
    """`taken` are networks (CIDR) that this machine reaches already. Raises `BadRequest` for numbers that cannot be."""
    if _NAME.fullmatch(name) is None:
        raise BadRequest(f"lab name {name!r}: give 1 to 9 lower-case letters and digits, a letter first")
    if not 0 < nodes <= MOST_NODES:
        raise BadRequest(f"--nodes {nodes}: a lab has 1 to {MOST_NODES} nodes")
    if not 0 < managers <= nodes:
        raise BadRequest(f"--managers {managers}: of {nodes} nodes 1 to {nodes} can be managers")
    subnet = _free_subnet(taken)
    return LabPlan(
        name, str(subnet), tuple(_node(subnet, number, number <= managers) for number in range(1, nodes + 1))
    )


def grown(plan: LabPlan, nodes: int, *, managers: bool) -> LabPlan:
    """With so many nodes more."""
    first = max(node.number for node in plan.nodes) + 1
    if not nodes > 0 or first + nodes - 1 > MOST_NODES:
        raise BadRequest(f"--nodes {nodes}: a lab has at most {MOST_NODES} nodes, and this one has {len(plan.nodes)}")
    subnet = IPv4Network(plan.subnet)
    more = (_node(subnet, number, managers) for number in range(first, first + nodes))
    return LabPlan(plan.name, plan.subnet, (*plan.nodes, *more))


def switch_commands(plan: LabPlan) -> tuple[Command, ...]:
    """Make the switch and plug this machine in."""
    inside = ("ip", "-n", plan.switch)
    length = IPv4Network(plan.subnet).prefixlen
    return (
        ("ip", "netns", "add", plan.switch),
        (*inside, "link", "set", "lo", "up"),
        (*inside, "link", "add", "br0", "type", "bridge", "forward_delay", "0"),
        (*inside, "link", "set", "br0", "up"),
        ("ip", "link", "add", plan.uplink, "type", "veth", "peer", "name", "host", "netns", plan.switch),
        (*inside, "link", "set", "host", "master", "br0", "up"),
        ("ip", "addr", "add", f"{plan.gateway}/{length}", "dev", plan.uplink),
        ("ip", "link", "set", plan.uplink, "up"),
    )


def plug_commands(plan: LabPlan, node: LabNode, pid: int) -> tuple[Command, ...]:
    """Plug a node in, whose first process is `pid`."""
    into, length = ("nsenter", f"--net=/proc/{pid}/ns/net"), IPv4Network(plan.subnet).prefixlen
    peer = ("peer", "name", "eth0", "address", node.mac, "netns", str(pid))
    return (
        ("ip", "-n", plan.switch, "link", "add", node.link, "type", "veth", *peer),
        (*into, "ip", "link", "set", "lo", "up"),
        (*into, "ip", "addr", "add", f"{node.address}/{length}", "dev", "eth0"),
        (*into, "ip", "link", "set", "eth0", "up"),
        (*into, "ip", "route", "add", "default", "via", plan.gateway),
        ("ip", "-n", plan.switch, "link", "set", node.link, "master", "br0", "up"),
    )


def cut_command(plan: LabPlan, node: LabNode) -> Command:
    """Nothing passes any more, and nobody is told: the cable looks as if it were in."""
    return ("ip", "-n", plan.switch, "link", "set", node.link, "nomaster")


def heal_command(plan: LabPlan, node: LabNode) -> Command:
    return ("ip", "-n", plan.switch, "link", "set", node.link, "master", "br0")


def removal_commands(plan: LabPlan) -> tuple[Command, ...]:
    """With the namespace go the bridge and all plugs."""
    return (("ip", "link", "del", plan.uplink), ("ip", "netns", "del", plan.switch))


def _node(subnet: IPv4Network, number: int, is_manager: bool) -> LabNode:
    return LabNode(number, str(subnet[number]), is_manager)


def _free_subnet(taken: Iterable[str]) -> IPv4Network:
    used: Sequence[IPv4Network] = [IPv4Network(text, strict=False) for text in taken]
    for subnet in POOL.subnets(new_prefix=24):
        if not any(subnet.overlaps(other) for other in used):
            return subnet
    raise Unavailable(f"no part of {POOL} is free on this machine; `swarmpy lab down` removes a lab")
