"""The rules that say whether a node may run a task, in the order in which they are asked. Each explains itself.

Some look at the node alone, and so hold for every node of a class; the others look at what runs there.
"""

from collections.abc import Iterable
from typing import Protocol

from scheduler.load import NodeLoad
from scheduler.requirements import Requirements
from scheduler.volumes import HeldVolume
from scheduler.words import bytes_text, cpus_text, joined
from swarmpy.models.node import RUNTIME
from swarmpy.states import Availability


class Filter(Protocol):
    """`running` is how many tasks of the same service the node has already."""

    def concerns(self, asked: Requirements) -> bool:
        """Whether the rule can refuse any node at all."""
        ...

    def admits(self, node: NodeLoad, asked: Requirements, running: int) -> bool: ...

    def because(self, node: NodeLoad, asked: Requirements, running: int) -> str:
        """Why the node is refused, in words an operator can act on. Only asked when it is."""
        ...

    def summary(self, nodes: int) -> str:
        """How Docker says that so many nodes were refused."""
        ...


def _on(nodes: int) -> str:
    return "1 node" if nodes == 1 else f"{nodes} nodes"


class WithVolumes:
    """The node has the volumes that the task must be with. Asked first: where a volume is, is what an operator must
    know of a node that is away."""

    def concerns(self, asked: Requirements) -> bool:
        return bool(asked.held)

    def admits(self, node: NodeLoad, asked: Requirements, running: int) -> bool:
        return _is_available(node) and all(node.info.id in volume.nodes for volume in asked.held)

    def because(self, node: NodeLoad, asked: Requirements, running: int) -> str:
        lacking = next((volume for volume in asked.held if node.info.id not in volume.nodes), None)
        if lacking is not None:
            return self.elsewhere(lacking)
        name = asked.held[0].name
        return f"volume {name} is on node {node.info.name}, which is {_why_away(node)}; nothing else may take it"

    def elsewhere(self, volume: HeldVolume) -> str:
        """What all nodes say that do not have it."""
        return f"does not have volume {volume.name}, which is on {joined(sorted(volume.on))}"

    def summary(self, nodes: int) -> str:
        return f"a volume is elsewhere or out of reach on {_on(nodes)}"


def _is_available(node: NodeLoad) -> bool:
    return node.info.ready and node.info.availability is Availability.ACTIVE


def _why_away(node: NodeLoad) -> str:
    if not node.info.ready:
        return "down"
    return "drained" if node.info.availability is Availability.DRAIN else "paused"


class Available:
    """The node answers and the operator lets it take tasks."""

    def concerns(self, asked: Requirements) -> bool:
        return True

    def admits(self, node: NodeLoad, asked: Requirements, running: int) -> bool:
        return _is_available(node)

    def because(self, node: NodeLoad, asked: Requirements, running: int) -> str:
        if not node.info.ready:
            return f"down: {node.info.state_message or 'no heartbeat'}"
        if node.info.availability is Availability.DRAIN:
            return "drained by the operator"
        return "paused by the operator"

    def summary(self, nodes: int) -> str:
        return f"{_on(nodes)} not available for new tasks"


class PlatformFits:
    def concerns(self, asked: Requirements) -> bool:
        return bool(asked.platforms)

    def admits(self, node: NodeLoad, asked: Requirements, running: int) -> bool:
        return any(
            os in ("", node.info.os) and architecture in ("", node.info.arch) for os, architecture in asked.platforms
        )

    def because(self, node: NodeLoad, asked: Requirements, running: int) -> str:
        wanted = joined("/".join(part or "any" for part in platform) for platform in asked.platforms)
        return f"platform is {node.info.os or 'unknown'}/{node.info.arch or 'unknown'}: the image is for {wanted}"

    def summary(self, nodes: int) -> str:
        return f"unsupported platform on {_on(nodes)}"


class ConstraintsHold:
    def concerns(self, asked: Requirements) -> bool:
        return bool(asked.constraints)

    def admits(self, node: NodeLoad, asked: Requirements, running: int) -> bool:
        return all(constraint.matches(node.info) for constraint in asked.constraints)

    def because(self, node: NodeLoad, asked: Requirements, running: int) -> str:
        return next(c.breach(node.info) for c in asked.constraints if not c.matches(node.info))

    def summary(self, nodes: int) -> str:
        return f"scheduling constraints not satisfied on {_on(nodes)}"


class ResourcesSuffice:
    def concerns(self, asked: Requirements) -> bool:
        return bool(asked.nano_cpus or asked.memory_bytes or asked.generic)

    def admits(self, node: NodeLoad, asked: Requirements, running: int) -> bool:
        return (
            (not asked.nano_cpus or asked.nano_cpus <= node.free_cpus)
            and (not asked.memory_bytes or asked.memory_bytes <= node.free_memory)
            and (not asked.generic or node.generic.shortage(asked.generic) is None)
        )

    def because(self, node: NodeLoad, asked: Requirements, running: int) -> str:
        if asked.nano_cpus and asked.nano_cpus > node.free_cpus:
            return (
                f"lacks {cpus_text(asked.nano_cpus - node.free_cpus)} CPU: {cpus_text(asked.nano_cpus)} asked, "
                f"{cpus_text(node.cpus - node.free_cpus)} of {cpus_text(node.cpus)} reserved"
            )
        if asked.memory_bytes and asked.memory_bytes > node.free_memory:
            return (
                f"lacks {bytes_text(asked.memory_bytes - node.free_memory)} of memory: "
                f"{bytes_text(asked.memory_bytes)} asked, "
                f"{bytes_text(node.memory - node.free_memory)} of {bytes_text(node.memory)} reserved"
            )
        return node.generic.shortage(asked.generic) or ""

    def summary(self, nodes: int) -> str:
        return f"insufficient resources on {_on(nodes)}"


class HostPortsFree:
    def concerns(self, asked: Requirements) -> bool:
        return bool(asked.host_ports)

    def admits(self, node: NodeLoad, asked: Requirements, running: int) -> bool:
        return not any(port in node.ports for port in asked.host_ports)

    def because(self, node: NodeLoad, asked: Requirements, running: int) -> str:
        protocol, number = next(port for port in asked.host_ports if port in node.ports)
        return f"host port {number}/{protocol} is taken by {node.ports[protocol, number][0]}"

    def summary(self, nodes: int) -> str:
        return f"host-mode port already in use on {_on(nodes)}"


class PluginsPresent:
    """Volume and log drivers, and runtimes. An engine that names no log drivers at all is one that does not tell of
    them."""

    def concerns(self, asked: Requirements) -> bool:
        return bool(asked.plugins)

    def admits(self, node: NodeLoad, asked: Requirements, running: int) -> bool:
        return not self._missing(node, asked)

    def because(self, node: NodeLoad, asked: Requirements, running: int) -> str:
        missing = self._missing(node, asked)
        drivers = [f"the {kind.lower()} driver {name}" for kind, name in missing if kind != RUNTIME]
        lacks = [f"lacks {joined(drivers)}"] if drivers else []
        return joined([*lacks, *(f"runtime {name} is not on this node" for kind, name in missing if kind == RUNTIME)])

    def summary(self, nodes: int) -> str:
        return f"missing plugin on {_on(nodes)}"

    def _missing(self, node: NodeLoad, asked: Requirements) -> list[tuple[str, str]]:
        present = node.info.plugins
        tells_of_logs = any(kind == "Log" for kind, _ in present)
        return [p for p in asked.plugins if p not in present and (p[0] != "Log" or tells_of_logs)]


class NetworksHaveRoom:
    """The node's share of each network has an address left, or the node would get one that has; and its kernel can what
    the network asks for. A network that is not known yet refuses nobody."""

    def concerns(self, asked: Requirements) -> bool:
        return bool(asked.networks)

    def admits(self, node: NodeLoad, asked: Requirements, running: int) -> bool:
        for network_id in asked.networks:  # noqa: SIM110  asked as often as the loop over the rules itself
            if self._refuses(node, network_id):
                return False
        return True

    def because(self, node: NodeLoad, asked: Requirements, running: int) -> str:
        network_id = next(id for id in asked.networks if self._refuses(node, id))
        room, used = node.networks[network_id], node.addresses.get(network_id, 0)
        if room.feature and room.feature not in node.info.features:
            return f"the kernel of {node.info.name} has no {room.feature}, which network {room.name} needs"
        if not room.on(node.info.id):
            return f"network {room.name} has no share left for {node.info.name}: all of its range is given to others"
        most = room.on(node.info.id)
        return f"network {room.name} has no address left on {node.info.name}: {used} of {most} are used"

    def summary(self, nodes: int) -> str:
        return f"no address left on a network on {_on(nodes)}"

    def _refuses(self, node: NodeLoad, network_id: str) -> bool:
        room = node.networks.get(network_id)
        if room is None:
            return False
        if room.feature and room.feature not in node.info.features:
            return True
        return node.addresses.get(network_id, 0) >= room.on(node.info.id)


class BelowMaximum:
    def concerns(self, asked: Requirements) -> bool:
        return asked.max_replicas > 0

    def admits(self, node: NodeLoad, asked: Requirements, running: int) -> bool:
        return running < asked.max_replicas

    def because(self, node: NodeLoad, asked: Requirements, running: int) -> str:
        return f"runs {running} of at most {asked.max_replicas} replicas per node"

    def summary(self, nodes: int) -> str:
        return "max replicas per node limit exceed"


AVAILABLE = Available()
WITH_VOLUMES = WithVolumes()
FILTERS: tuple[Filter, ...] = (
    WITH_VOLUMES, AVAILABLE, PlatformFits(), ConstraintsHold(), ResourcesSuffice(), HostPortsFree(), PluginsPresent(),
    NetworksHaveRoom(), BelowMaximum(),
)  # fmt: skip
# Those that judge the node alone, whatever runs there; of them, those that a running task must go on obeying.
STANDING = tuple(f for f in FILTERS if isinstance(f, Available | PlatformFits | ConstraintsHold | PluginsPresent))
LASTING = tuple(f for f in FILTERS if isinstance(f, PlatformFits | ConstraintsHold))
# Those that what runs must obey when it is asked anew. Addresses it has.
KEEPING = tuple(f for f in FILTERS if not isinstance(f, Available | NetworksHaveRoom))
# Those that judge the room left, which each placement changes.
PASSING = tuple(f for f in FILTERS if f not in STANDING)


def concerned(rules: Iterable[Filter], asked: Requirements) -> tuple[Filter, ...]:
    return tuple(rule for rule in rules if rule.concerns(asked))
