"""The lab's network as commands of `ip`: a switch, and a cable to each node. Want, have, ordered steps. Pure.

The switch is a bridge in a namespace of its own, so that no packet filter of the machine ever sees what passes it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from swarmpy.lab.plan import Lab, Machine

BRIDGE, UPLINK, CARD = "bridge", "uplink", "eth0"
# Where `ip netns` keeps its namespaces.
NAMESPACES = "/run/netns"

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """`makes` names the thing that is there afterwards, as in `Have`; a step without may be repeated."""

    do: Command
    makes: str | None = None
    undo: Command | None = None


def namespace(name: str) -> str:
    return f"namespace {name}"


def link(name: str, within: str = "") -> str:
    """`within` is a namespace; none is the machine itself."""
    return f"link {within}/{name}"


def switch_steps(lab: Lab) -> tuple[Step, ...]:
    inside = ("ip", "-n", lab.switch)
    return (
        Step(("ip", "netns", "add", lab.switch), namespace(lab.switch), ("ip", "netns", "del", lab.switch)),
        Step((*inside, "link", "set", "lo", "up")),
        Step((*inside, "link", "add", BRIDGE, "type", "bridge", "forward_delay", "0"), link(BRIDGE, lab.switch)),
        Step((*inside, "link", "set", BRIDGE, "up")),
        Step(
            ("ip", "link", "add", lab.uplink, "type", "veth", "peer", "name", UPLINK, "netns", lab.switch),
            link(lab.uplink),
            ("ip", "link", "del", lab.uplink),
        ),
        Step((*inside, "link", "set", UPLINK, "master", BRIDGE, "up")),
        Step(("ip", "address", "replace", f"{lab.host_address}/{lab.subnet.prefixlen}", "dev", lab.uplink)),
        Step(("ip", "link", "set", lab.uplink, "up")),
    )


def machine_steps(lab: Lab, machine: Machine, *, cut: bool = False) -> tuple[Step, ...]:
    """The node's own namespace, its card and its way out. Plugged in last, when all else is right."""
    inside, switch = ("ip", "-n", machine.namespace), ("ip", "-n", lab.switch)
    peer = ("peer", "name", CARD, "address", machine.mac, "netns", machine.namespace)
    return (
        Step(
            ("ip", "netns", "add", machine.namespace),
            namespace(machine.namespace),
            ("ip", "netns", "del", machine.namespace),
        ),
        Step((*inside, "link", "set", "lo", "up")),
        Step(
            (*switch, "link", "add", machine.port, "type", "veth", *peer),
            link(machine.port, lab.switch),
            (*switch, "link", "del", machine.port),
        ),
        Step((*inside, "address", "replace", f"{machine.address}/{lab.subnet.prefixlen}", "dev", CARD)),
        Step((*inside, "link", "set", CARD, "up")),
        Step((*switch, "link", "set", machine.port, "up")),
        Step((*inside, "route", "replace", "default", "via", lab.host_address)),
        *(() if cut else (Step(plug(lab, machine)),)),
    )


def plug(lab: Lab, machine: Machine) -> Command:
    return ("ip", "-n", lab.switch, "link", "set", machine.port, "master", BRIDGE)


def unplug(lab: Lab, machine: Machine) -> Command:
    """The card keeps its carrier, so that nothing in the node notices but the silence."""
    return ("ip", "-n", lab.switch, "link", "set", machine.port, "nomaster")


def build(steps: Iterable[Step], have: frozenset[str]) -> tuple[Command, ...]:
    return tuple(step.do for step in steps if step.makes not in have)


def teardown(steps: Iterable[Step], have: frozenset[str]) -> tuple[Command, ...]:
    """In reverse, only what is there."""
    return tuple(step.undo for step in reversed(tuple(steps)) if step.undo and step.makes in have)
