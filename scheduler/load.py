"""A node and what is reserved on it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from scheduler.generic import GenericPool
from scheduler.networks import NetworkRoom
from scheduler.node import NodeInfo
from scheduler.requirements import HostPort, Requirements
from swarmpy.models.resources import GenericResource


@dataclass(frozen=True, slots=True)
class PlacedTask:
    """A task that holds room on a node: one that is not finished.

    A task that is `leaving` (asked to stop) still holds its room but no longer counts as one of its service's, nor of
    its node's, so its successor may well get the same node. `generic` is what it was given; when empty, the view
    chooses. `name` is for people (`web.1`). `volumes` are those that its successor must be with, by name.
    """

    id: str
    service_id: str
    spec_version: int
    node_id: str
    requirements: Requirements
    generic: tuple[GenericResource, ...] = ()
    leaving: bool = False
    name: str = ""
    volumes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name or f"task {self.id}"


# How nodes that are equal to a service compare: reserved share, number of tasks that stay, id. The load comes along.
Entry = tuple[float, int, str, "NodeLoad"]


_NO_NETWORKS: Mapping[str, NetworkRoom] = {}


class NodeLoad:
    """Room is the capacity less the reservations of its tasks; it is negative where tasks came first and the machine
    shrank. `networks` are all of the cluster's by id, `addresses` how many of each its tasks hold. Only a `ClusterView`
    changes a load."""

    __slots__ = (
        "addresses",
        "cpus",
        "free_cpus",
        "free_memory",
        "generic",
        "info",
        "memory",
        "networks",
        "ports",
        "staying",
        "tasks",
    )

    def __init__(self, info: NodeInfo, networks: Mapping[str, NetworkRoom] = _NO_NETWORKS) -> None:
        self.info = info
        self.networks = networks
        self.addresses: dict[str, int] = {}
        self.cpus = self.free_cpus = info.capacity.nano_cpus or 0
        self.memory = self.free_memory = info.capacity.memory_bytes or 0
        self.generic = GenericPool(info.capacity.generic_resources or ())
        self.ports: dict[HostPort, list[PlacedTask]] = {}
        self.tasks: dict[str, PlacedTask] = {}
        # How many of them are not leaving.
        self.staying = 0

    @property
    def share(self) -> float:
        """The reserved part of the scarcer of CPU and memory."""
        cpus = 1 - self.free_cpus / self.cpus if self.cpus else 0.0
        memory = 1 - self.free_memory / self.memory if self.memory else 0.0
        return cpus if cpus > memory else memory

    def entry(self) -> Entry:
        return (self.share, self.staying, self.info.id, self)

    def add(self, task: PlacedTask) -> PlacedTask:
        """Reserve the task's room; the answer is the task with the generic resources it holds."""
        asked = task.requirements
        if asked.generic:
            if task.generic:
                self.generic.take(task.generic)
            else:
                task = replace(task, generic=self.generic.claim(asked.generic))
        self.free_cpus -= asked.nano_cpus
        self.free_memory -= asked.memory_bytes
        for port in asked.host_ports:
            self.ports.setdefault(port, []).append(task)
        for network_id in asked.networks:
            self.addresses[network_id] = self.addresses.get(network_id, 0) + 1
        self.tasks[task.id] = task
        self.staying += not task.leaving
        return task

    def remove(self, task_id: str) -> PlacedTask:
        task = self.tasks.pop(task_id)
        self.staying -= not task.leaving
        asked = task.requirements
        self.free_cpus += asked.nano_cpus
        self.free_memory += asked.memory_bytes
        self.generic.give_back(task.generic)
        for port in asked.host_ports:
            self._release(port, task)
        for network_id in asked.networks:
            self.addresses[network_id] -= 1
            if not self.addresses[network_id]:
                del self.addresses[network_id]
        return task

    def _release(self, port: HostPort, task: PlacedTask) -> None:
        holders = [holder for holder in self.ports[port] if holder.id != task.id]
        if holders:
            self.ports[port] = holders
        else:
            del self.ports[port]

    def without(self, task_ids: Iterable[str]) -> "NodeLoad":
        """A copy that ranks as this node would without these tasks. It does not know of ports, addresses and
        generic resources."""
        copy = NodeLoad(self.info)
        copy.free_cpus, copy.free_memory, copy.tasks = self.free_cpus, self.free_memory, dict(self.tasks)
        copy.staying = self.staying
        for task_id in task_ids:
            task = copy.tasks.pop(task_id)
            copy.staying -= not task.leaving
            asked = task.requirements
            copy.free_cpus += asked.nano_cpus
            copy.free_memory += asked.memory_bytes
        return copy
