"""Ports that the cluster itself lives by on its nodes: no service publishes them, for every node would hand their
traffic to a container then. Pure."""

from collections.abc import Mapping

from manager.state import State

# Protocol and number, with whose it is. What listens at loopback alone is among them: published ports are taken there.
_FIXED = {
    ("udp", 4789): "traffic between nodes (VXLAN)",
    ("udp", 51820): "encrypted networks (WireGuard)",
    ("tcp", 2377): "the managers' door for nodes",
    ("tcp", 2378): "the status page of managers",
    ("tcp", 2379): "etcd's clients",
    ("tcp", 2380): "etcd's members among each other",
}


def reserved_ports(state: State) -> Mapping[tuple[str, int], str]:
    """With what each is needed for. A worker has a door as well: it may be promoted."""
    doors: dict[tuple[str, int], str] = {}
    for node in state.nodes.values():
        number = node.address.rpartition(":")[2]
        if number.isdecimal():
            doors["tcp", int(number)] = f"the door of node {node.description.hostname or node.id}"
    return {**doors, **_FIXED}
