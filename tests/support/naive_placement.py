"""The law of placing written down as plainly as can be: one task at a time, every node looked at each time.

Shares with the scheduler only the reading of requirements. Used to check that the fast algorithm gives the same.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from scheduler.place import TaskGroup
from scheduler.view import NodeInfo, PlacedTask, Requirements
from swarmpy.states import Availability


@dataclass
class NaiveCluster:
    """`failures` are (node id, service id, spec version, time); `rooms` have by network and node how many addresses
    are there."""

    nodes: Sequence[NodeInfo]
    tasks: list[PlacedTask] = field(default_factory=list)
    failures: Sequence[tuple[str, str, int, datetime]] = ()
    rooms: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def place(self, groups: Iterable[TaskGroup], now: datetime) -> Mapping[str, str]:
        """Task id -> node id, for the tasks that found a node; once one of a group found none, the rest does not."""
        found: dict[str, str] = {}
        for group in groups:
            for task_id in group.task_ids:
                fit = [node for node in self.nodes if self.fits(node, group)]
                if not fit:
                    break
                best = min(fit, key=lambda node: self.rank(node, group, now))
                found[task_id] = best.id
                self.tasks.append(
                    PlacedTask(task_id, group.service_id, group.spec_version, best.id, group.requirements)
                )
        return found

    def fits(self, node: NodeInfo, group: TaskGroup) -> bool:
        asked = group.requirements
        here = [task for task in self.tasks if task.node_id == node.id]
        of_service = [task for task in here if task.service_id == group.service_id and not task.leaving]
        taken_ports = {port for task in here for port in task.requirements.host_ports}
        cpus = sum(task.requirements.nano_cpus for task in here) + asked.nano_cpus
        memory = sum(task.requirements.memory_bytes for task in here) + asked.memory_bytes
        return (
            node.ready
            and node.availability is Availability.ACTIVE
            and (not asked.platforms or (node.os, node.arch) in asked.platforms)
            and all(constraint.matches(node) for constraint in asked.constraints)
            and (not asked.nano_cpus or cpus <= (node.capacity.nano_cpus or 0))
            and (not asked.memory_bytes or memory <= (node.capacity.memory_bytes or 0))
            and taken_ports.isdisjoint(asked.host_ports)
            and all(
                sum(network in task.requirements.networks for task in here) < self.rooms[network, node.id]
                for network in asked.networks
            )
            and (not asked.max_replicas or len(of_service) < asked.max_replicas)
        )

    def rank(self, node: NodeInfo, group: TaskGroup, now: datetime) -> tuple[object, ...]:
        branches = tuple(self._in_branch(node, group, depth) for depth in range(1, len(group.requirements.spread) + 1))
        here = [task for task in self.tasks if task.node_id == node.id]
        staying = [task for task in here if not task.leaving]
        failing = self._is_failing(node, group, now)
        return (failing, *branches, crowd({node.id}, group, staying), share(node, here), len(staying), node.id)

    def _in_branch(self, node: NodeInfo, group: TaskGroup, depth: int) -> tuple[int, int]:
        """How crowded the nodes are that have the same values of the first `depth` attributes."""
        attributes = group.requirements.spread[:depth]
        branch = {n.id for n in self.nodes if all(a.of(n) == a.of(node) for a in attributes)}
        return crowd(branch, group, [task for task in self.tasks if not task.leaving])

    def _is_failing(self, node: NodeInfo, group: TaskGroup, now: datetime) -> bool:
        wish = (node.id, group.service_id, group.spec_version)
        return sum((n, s, v) == wish and now - at <= timedelta(minutes=5) for n, s, v, at in self.failures) >= 5


def crowd(nodes: Collection[str], group: TaskGroup, staying: Iterable[PlacedTask]) -> tuple[int, int]:
    """The tasks there of the spec version that is being placed, and all of its service."""
    there = [t for t in staying if t.service_id == group.service_id and t.node_id in nodes]
    return sum(t.spec_version == group.spec_version for t in there), len(there)


def share(node: NodeInfo, tasks: Iterable[PlacedTask]) -> float:
    """The reserved part of the scarcer of CPU and memory."""
    asked: list[Requirements] = [task.requirements for task in tasks]
    cpus, memory = node.capacity.nano_cpus or 0, node.capacity.memory_bytes or 0
    free_cpus = cpus - sum(a.nano_cpus for a in asked)
    free_memory = memory - sum(a.memory_bytes for a in asked)
    return max(1 - free_cpus / cpus if cpus else 0.0, 1 - free_memory / memory if memory else 0.0)
