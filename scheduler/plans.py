"""Which nodes may run tasks of a kind, arranged by the values that the tasks are to be spread over.

Looks at nodes alone, not at what runs there, and so stays good until a node changes.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import merge

from scheduler.classes import NodeClass, NodeClasses
from scheduler.filters import STANDING, concerned
from scheduler.load import Entry, NodeLoad
from scheduler.requirements import Requirements

Path = tuple[str, ...]


class ClassPool:
    """Nodes that count as one place for spreading: whole classes, which keep their own order."""

    def __init__(self) -> None:
        self._classes: list[NodeClass] = []

    def add(self, group: NodeClass) -> None:
        self._classes.append(group)

    def __contains__(self, node_id: str) -> bool:
        return any(node_id in group.members for group in self._classes)

    def node_ids(self) -> Iterator[str]:
        for group in self._classes:
            yield from group.members

    def in_order(self) -> Iterator[Entry]:
        """The least loaded first; good until the next change of a load is followed by another call."""
        if len(self._classes) == 1:
            return iter(self._classes[0].in_order())
        return merge(*(group.in_order() for group in self._classes))


class NodePool:
    """The same, for nodes that were picked one by one."""

    def __init__(self) -> None:
        self._nodes: dict[str, NodeLoad] = {}

    def add(self, node: NodeLoad) -> None:
        self._nodes[node.info.id] = node

    def __contains__(self, node_id: str) -> bool:
        return node_id in self._nodes

    def node_ids(self) -> Iterator[str]:
        return iter(self._nodes)

    def in_order(self) -> Iterator[Entry]:
        return iter(sorted(node.entry() for node in self._nodes.values()))


Pool = ClassPool | NodePool


@dataclass(frozen=True, slots=True)
class Plan:
    """`pools` has one entry for each combination of values of the attributes spread over."""

    pools: Mapping[Path, Pool]

    def node_ids(self) -> Iterator[str]:
        for pool in self.pools.values():
            yield from pool.node_ids()

    def in_order(self) -> Iterator[Entry]:
        """The least loaded of all first."""
        return merge(*(pool.in_order() for pool in self.pools.values()))


def path_of(asked: Requirements, node: NodeLoad) -> Path:
    """The branches of the spread tree on which the node sits, from the root."""
    return tuple(attribute.of(node.info) for attribute in asked.spread)


def plan_for(asked: Requirements, classes: NodeClasses) -> Plan:
    """The classes must tell apart all attributes that `asked` names."""
    if asked.is_singular:
        return Plan(_pools_of_nodes(asked, classes.all()))
    pools: dict[Path, ClassPool] = {}
    for group in classes.all():
        if is_eligible(group.example, asked):
            pools.setdefault(path_of(asked, group.example), ClassPool()).add(group)
    return Plan(pools)


def _pools_of_nodes(asked: Requirements, classes: Iterable[NodeClass]) -> Mapping[Path, NodePool]:
    pools: dict[Path, NodePool] = {}
    for group in classes:
        for node in group.members.values():
            if is_eligible(node, asked):
                pools.setdefault(path_of(asked, node), NodePool()).add(node)
    return pools


def is_eligible(node: NodeLoad, asked: Requirements) -> bool:
    """Whether the node, were it empty, might run such a task."""
    return all(rule.admits(node, asked, 0) for rule in concerned(STANDING, asked))
