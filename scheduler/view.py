"""The scheduler's picture of the cluster: nodes, the tasks that hold room on them, and recent failures.

Kept by its owner with small changes; never built anew for a pass. Chooses nothing (see `place`).
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import TypeVar

from scheduler.classes import NodeClass, NodeClasses
from scheduler.failures import FailureMemory
from scheduler.load import NodeLoad, PlacedTask
from scheduler.networks import NetworkRoom
from scheduler.node import Attribute, NodeInfo, node_info
from scheduler.plans import Plan, plan_for
from scheduler.requirements import Requirements, requirements
from scheduler.volumes import HeldVolume, VolumeMap

__all__ = ["ClusterView", "NetworkRoom", "NodeInfo", "PlacedTask", "Requirements", "node_info", "requirements"]

Key = TypeVar("Key")


class ClusterView:
    """A task whose node is not known (yet, or any more) is remembered and takes its room when the node is put.

    Putting a node or adding a task a second time replaces the first.
    """

    def __init__(self) -> None:
        self.failures = FailureMemory()
        self._nodes: dict[str, NodeLoad] = {}
        self._tasks: dict[str, PlacedTask] = {}
        self._strays: dict[str, dict[str, PlacedTask]] = {}
        self._running: dict[str, dict[str, int]] = {}
        self._of_version: dict[tuple[str, int], dict[str, int]] = {}
        self._classes = NodeClasses()
        self._plans: dict[object, Plan] = {}
        self._plans_generation = 0
        self._volumes = VolumeMap()
        # All nodes look into this one mapping.
        self._networks: dict[str, NetworkRoom] = {}

    def put_network(self, room: NetworkRoom) -> None:
        self._networks[room.id] = room

    def drop_network(self, network_id: str) -> None:
        self._networks.pop(network_id, None)

    def put_node(self, info: NodeInfo) -> None:
        tasks = self._evict(info.id)
        node = self._nodes[info.id] = NodeLoad(info, self._networks)
        self._classes.put(node)
        self._volumes.put_node(info.id, info.volumes)
        for task in tasks:
            self._settle(task)

    def drop_node(self, node_id: str) -> None:
        """Its tasks stay known until they are removed."""
        self._volumes.drop_node(node_id)
        for task in self._evict(node_id):
            self._settle(task)

    def add_task(self, task: PlacedTask) -> PlacedTask:
        """The answer is the task with the generic resources that it holds."""
        if task.id in self._tasks:
            self.remove_task(task.id)
        self._volumes.claim(task.node_id, task.volumes)
        return self._settle(task)

    def remove_task(self, task_id: str) -> None:
        """The task holds no room any more. Not known: nothing to do."""
        task = self._tasks.pop(task_id, None)
        if task is None:
            return
        self._volumes.claim(task.node_id, task.volumes, -1)
        node = self._nodes.get(task.node_id)
        if node is None:
            del self._strays[task.node_id][task_id]
            return
        node.remove(task_id)
        self._classes.of(task.node_id).touch(node)
        if not task.leaving:
            self._discount(task)

    def record_failure(self, node_id: str, service_id: str, spec_version: int, at: datetime) -> None:
        """A task of that service and spec version ended badly on the node. Say it once for each task."""
        self.failures.record(node_id, service_id, spec_version, at)

    @property
    def node_ids(self) -> Collection[str]:
        return self._nodes.keys()

    def node(self, node_id: str) -> NodeLoad:
        """What the node has and what is taken of it; to read, not to change. KeyError when it is not known."""
        return self._nodes[node_id]

    def has_node(self, node_id: str) -> bool:
        return node_id in self._nodes

    def task(self, task_id: str) -> PlacedTask | None:
        return self._tasks.get(task_id)

    def running(self, service_id: str) -> Mapping[str, int]:
        """Node id -> how many of the service's tasks are there and not leaving; nodes with none are left out."""
        return self._running.get(service_id, _NONE)

    def running_version(self, service_id: str, spec_version: int) -> Mapping[str, int]:
        """The same, of one version of its spec."""
        return self._of_version.get((service_id, spec_version), _NONE)

    def held(self, volumes: Iterable[str], presumed: str = "") -> tuple[HeldVolume, ...]:
        """Those of the volumes that are, or will be, on some nodes. `presumed` is a node that has them, should no other
        be known to."""
        found = ((name, self._volumes.holders(name, self._nodes.keys(), presumed)) for name in volumes)
        return tuple(
            HeldVolume(name, nodes, frozenset(f"node {self._nodes[id].info.name}" for id in nodes))
            for name, nodes in found
            if nodes
        )

    def tell_apart(self, attributes: Iterable[Attribute]) -> None:
        """Prepare for requirements that name these attributes, all at once rather than one after the other."""
        self._classes.tell_apart(attributes)

    def classes_for(self, asked: Requirements) -> Iterable[NodeClass]:
        """All nodes, in classes that such requirements judge alike (unless they name single nodes)."""
        self._classes.tell_apart(asked.attributes)
        return self._classes.all()

    def plan(self, asked: Requirements) -> Plan:
        """Which nodes may run such tasks at all, arranged for spreading. Remembered until nodes change."""
        key = (asked.constraints, asked.platforms, asked.plugins, asked.spread)
        plan = self._plans.get(key) if self._plans_generation == self._classes.generation else None
        if plan is None:
            self._classes.tell_apart(asked.attributes)
            if self._plans_generation != self._classes.generation or len(self._plans) > PLANS_KEPT:
                self._plans.clear()
                self._plans_generation = self._classes.generation
            plan = self._plans[key] = plan_for(asked, self._classes)
        return plan

    def _settle(self, task: PlacedTask) -> PlacedTask:
        node = self._nodes.get(task.node_id)
        if node is None:
            self._tasks[task.id] = task
            self._strays.setdefault(task.node_id, {})[task.id] = task
            return task
        task = self._tasks[task.id] = node.add(task)
        self._classes.of(task.node_id).touch(node)
        if not task.leaving:
            _count(self._running, task.service_id, task.node_id)
            _count(self._of_version, (task.service_id, task.spec_version), task.node_id)
        return task

    def _discount(self, task: PlacedTask) -> None:
        _discount(self._running, task.service_id, task.node_id)
        _discount(self._of_version, (task.service_id, task.spec_version), task.node_id)

    def _evict(self, node_id: str) -> tuple[PlacedTask, ...]:
        """Forget the node; the answer is its tasks, which are then of no node."""
        node = self._nodes.pop(node_id, None)
        if node is None:
            return tuple(self._strays.pop(node_id, {}).values())
        self._classes.drop(node)
        for task in node.tasks.values():
            if not task.leaving:
                self._discount(task)
        return tuple(node.tasks.values())


def _count(counts: dict[Key, dict[str, int]], key: Key, node_id: str) -> None:
    of_key = counts.setdefault(key, {})
    of_key[node_id] = of_key.get(node_id, 0) + 1


def _discount(counts: dict[Key, dict[str, int]], key: Key, node_id: str) -> None:
    of_key = counts[key]
    of_key[node_id] -= 1
    if not of_key[node_id]:
        del of_key[node_id]
        if not of_key:
            del counts[key]


PLANS_KEPT = 10_000
_NONE: Mapping[str, int] = {}
