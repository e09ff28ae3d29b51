"""Nodes sorted into classes: the nodes of one class are alike in everything that any constraint or preference names.

So a rule about nodes is asked once a class, not once a node, and each class keeps its nodes in order of load. Only
attributes that were asked for tell nodes apart; that each machine has, say, a label of its own costs nothing until
somebody uses that label.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable

from scheduler.load import Entry, NodeLoad
from scheduler.node import Attribute, NodeInfo


class NodeClass:
    """The nodes that are alike, in order of load. A change is only noted; the order is mended when next asked for."""

    def __init__(self) -> None:
        self.members: dict[str, NodeLoad] = {}
        self._order: list[Entry] = []
        self._places: dict[str, Entry] = {}
        self._moved: dict[str, NodeLoad] = {}

    @property
    def example(self) -> NodeLoad:
        return next(iter(self.members.values()))

    def add(self, node: NodeLoad) -> None:
        self.members[node.info.id] = node
        self.touch(node)

    def remove(self, node: NodeLoad) -> None:
        del self.members[node.info.id]
        self.touch(node)

    def touch(self, node: NodeLoad) -> None:
        """The node's load is not what it was."""
        self._moved[node.info.id] = node

    def in_order(self) -> list[Entry]:
        """The least loaded first. The list is good until the class is asked again."""
        if self._moved:
            if len(self._moved) * 8 > len(self.members):
                self._order = sorted(node.entry() for node in self.members.values())
                self._places = {entry[2]: entry for entry in self._order}
            else:
                self._mend()
            self._moved.clear()
        return self._order

    def _mend(self) -> None:
        for node_id in self._moved:
            old = self._places.pop(node_id, None)
            if old is not None:
                del self._order[bisect_left(self._order, old)]
            node = self.members.get(node_id)
            if node is not None:
                entry = self._places[node_id] = node.entry()
                insort(self._order, entry)


ClassKey = tuple[object, ...]


class NodeClasses:
    """All nodes by class. `generation` moves whenever what was found out about the classes no longer holds."""

    def __init__(self) -> None:
        self.generation = 0
        self._telling: dict[Attribute, None] = {}
        self._by_key: dict[ClassKey, NodeClass] = {}
        self._of: dict[str, NodeClass] = {}
        self._keys: dict[str, ClassKey] = {}

    def all(self) -> Iterable[NodeClass]:
        return self._by_key.values()

    def of(self, node_id: str) -> NodeClass:
        return self._of[node_id]

    def put(self, node: NodeLoad) -> None:
        """Sort in a node that is new or has changed."""
        key = self._key(node.info)
        if self._keys.get(node.info.id) == key:
            self._of[node.info.id].touch(node)
            return
        self.drop(node)
        if key not in self._by_key:
            self._by_key[key] = NodeClass()
        self._keys[node.info.id] = key
        self._of[node.info.id] = self._by_key[key]
        self._by_key[key].add(node)
        self.generation += 1

    def drop(self, node: NodeLoad) -> None:
        key = self._keys.pop(node.info.id, None)
        if key is None:
            return
        self._of.pop(node.info.id).remove(node)
        if not self._by_key[key].members:
            del self._by_key[key]
        self.generation += 1

    def tell_apart(self, attributes: Iterable[Attribute]) -> None:
        """From now on nodes of one class are alike in these too. Costs a new sorting for attributes not heard of."""
        new = [a for a in attributes if a not in self._telling and not a.is_singular]
        if not new:
            return
        self._telling.update(dict.fromkeys(new))
        nodes = [node for group in self._by_key.values() for node in group.members.values()]
        self._by_key.clear()
        self._of.clear()
        self._keys.clear()
        for node in nodes:
            self.put(node)

    def _key(self, info: NodeInfo) -> ClassKey:
        return (
            info.ready, info.availability, info.os, info.arch, info.plugins,
            *(attribute.of(info) for attribute in self._telling),
        )  # fmt: skip
