"""What one node must run and provide, as its agent is told: the whole set, and the differences between two sets. Pure.

A task is part of the set from the moment it is assigned until its record is dropped, so that a stopped container
stays (for its logs) as long as its task is remembered. Does not send anything.
"""

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from functools import lru_cache
from ipaddress import IPv4Network, collapse_addresses
from types import MappingProxyType
from typing import TypeVar

from manager.allocator.networks import must_encrypt
from manager.dispatcher.files import files_of
from manager.objects import Network, Task
from manager.state import State
from swarmpy.models.base import Labels
from swarmpy.models.network import MTU_OPTION
from swarmpy.models.service import ServiceMode
from swarmpy.network_map import NO_CHANGES, MapChanges, NetworkMap
from swarmpy.states import TaskState
from swarmpy.wire import (
    Changes,
    FileAssignment,
    Full,
    NetworkAssignment,
    TaskAssignment,
    TaskNetworkAssignment,
)

# The credential as the client sent it; None when it cannot be read.
Unseal = Callable[[str], str | None]
# Ids to secrets and configs; those that cannot be read are left out.
OpenFiles = Callable[[Set[str]], tuple[FileAssignment, ...]]
_T = TypeVar("_T")
_NO_MAP = NetworkMap()


def no_files(ids: Set[str]) -> tuple[FileAssignment, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class AssignmentSet:
    """All that one node is told at one revision. `files` are the ids of the secrets and configs that its tasks need:
    what is in them, which never changes, is looked up when it is told."""

    tasks: Mapping[str, TaskAssignment] = field(default_factory=lambda: MappingProxyType({}))
    networks: Mapping[str, NetworkAssignment] = field(default_factory=lambda: MappingProxyType({}))
    files: Set[str] = frozenset()
    node_labels: Labels = field(default_factory=dict)
    node_availability: str = "active"

    def as_full(self, revision: int, open_files: OpenFiles = no_files, map: NetworkMap = _NO_MAP) -> Full:
        return Full(
            revision=revision,
            tasks=tuple(self.tasks.values()),
            networks=tuple(self.networks.values()),
            files=open_files(self.files),
            map=map,
            node_labels=self.node_labels,
            node_availability=self.node_availability,
        )


def assignment_set(state: State, node_id: str, unseal: Unseal, withheld: Set[str] = frozenset()) -> AssignmentSet:
    """Everything, from nothing."""
    empty = with_node(AssignmentSet(), state, node_id)
    tasks = [task.id for task in state.tasks_of_node(node_id)]
    return revised(empty, state, node_id, tasks, state.networks, unseal, withheld)


def with_node(known: AssignmentSet, state: State, node_id: str) -> AssignmentSet:
    """The set with the node's labels and availability as they are now."""
    node = state.nodes.get(node_id)
    if node is None:
        return known
    return replace(known, node_labels=node.spec.labels or {}, node_availability=node.spec.availability.value)


def revised(
    known: AssignmentSet,
    state: State,
    node_id: str,
    tasks: Iterable[str],
    networks: Iterable[str],
    unseal: Unseal,
    withheld: Set[str] = frozenset(),
) -> AssignmentSet:
    """The set with these tasks and networks as they are now. Costs no more than what is named, unless a named task
    is given secrets or configs. Tasks `withheld` are told to run on: nobody may hear yet that they are to stop."""
    news = {id: _task_on(state, node_id, id, unseal, is_withheld=id in withheld) for id in tasks}
    now = _amended(known.tasks, news)
    touched = [task for id in news for task in (known.tasks.get(id), now.get(id)) if task is not None]
    return replace(
        known,
        tasks=now,
        # Others may need the same, so that all are asked, but only where files come or go at all.
        files=files_of(now.values()) if now is not known.tasks and files_of(touched) else known.files,
        networks=_amended(known.networks, {id: _network_on(state, node_id, id) for id in networks}),
    )


def changes_between(
    before: AssignmentSet,
    now: AssignmentSet,
    after: int,
    revision: int,
    open_files: OpenFiles = no_files,
    map: MapChanges = NO_CHANGES,
) -> Changes | None:
    """What turns the first set into the second; None when they are equal."""
    changes = Changes(
        after=after,
        revision=revision,
        tasks=tuple(task for id, task in now.tasks.items() if before.tasks.get(id) != task),
        dropped_tasks=tuple(id for id in before.tasks if id not in now.tasks),
        networks=tuple(network for id, network in now.networks.items() if before.networks.get(id) != network),
        dropped_networks=tuple(id for id in before.networks if id not in now.networks),
        files=open_files(now.files - before.files),
        dropped_files=tuple(sorted(before.files - now.files)),
        map=map,
    )
    nothing = Changes(after=after, revision=revision)
    return changes if changes != nothing else None


def nodes_told_of(before: Network | None, after: Network | None) -> set[str]:
    """The nodes whose assignments a changed network changes."""
    old = {part.node_id: part for part in before.node_subnets} if before else {}
    new = {part.node_id: part for part in after.node_subnets} if after else {}
    if before is None or after is None or _shared(before) != _shared(after):
        return {*old, *new}
    return {node_id for node_id in {*old, *new} if old.get(node_id) != new.get(node_id)}


def _shared(network: Network) -> tuple[object, ...]:
    spec = network.spec
    wish = spec.internal, spec.attachable, spec.ingress, spec.options, spec.labels
    return network.vni, network.service_subnets, _ranges(network), *wish


def _amended(known: Mapping[str, _T], news: Mapping[str, _T | None]) -> Mapping[str, _T]:
    if all(known.get(id) == value for id, value in news.items()):
        return known
    amended = dict(known)
    for id, value in news.items():
        if value is None:
            amended.pop(id, None)
        else:
            amended[id] = value
    return MappingProxyType(amended)


def _task_on(state: State, node_id: str, task_id: str, unseal: Unseal, *, is_withheld: bool) -> TaskAssignment | None:
    task = state.tasks.get(task_id)
    if task is None or task.node_id != node_id or task.state < TaskState.ASSIGNED:
        return None
    if is_withheld:
        task = task.model_copy(update={"desired_state": TaskState.RUNNING})
    service = state.services.get(task.service_id)
    wish = state.spec_of(task)
    return TaskAssignment(
        id=task.id,
        service_id=task.service_id,
        service_name=task.service_name,
        slot=task.slot,
        node_id=node_id,
        spec_version=task.spec_version,
        desired_state=_desired(task),
        spec=wish.template,
        service_labels=(service.spec.labels or {}) if service else {},
        networks=tuple(TaskNetworkAssignment(network_id=n.network_id, aliases=n.aliases) for n in task.networks),
        ports=task.ports,
        pull_auth=unseal(wish.sealed_auth) if wish.sealed_auth and task.is_wanted else None,
        is_job=service is not None and _is_job(service.spec.mode),
    )


def _desired(task: Task) -> TaskState:
    """A finished attempt is never run again, whatever the agent has forgotten."""
    return max(task.desired_state, TaskState.SHUTDOWN) if task.state.is_finished else task.desired_state


def _is_job(mode: ServiceMode) -> bool:
    return mode.replicated_job is not None or mode.global_job is not None


def _network_on(state: State, node_id: str, network_id: str) -> NetworkAssignment | None:
    network = state.networks.get(network_id)
    part = next((p for p in network.node_subnets if p.node_id == node_id), None) if network else None
    if network is None or part is None:
        return None
    return NetworkAssignment(
        id=network.id,
        name=network.spec.name,
        subnet=part.subnet,
        gateway=part.gateway,
        vni=network.vni,
        service_subnets=network.service_subnets,
        ranges=_ranges(network),
        internal=bool(network.spec.internal),
        is_ingress=bool(network.spec.ingress),
        attachable=bool(network.spec.attachable),
        encrypted=must_encrypt(network),
        mtu=_mtu(network),
        labels=network.spec.labels or {},
    )


def _ranges(network: Network) -> tuple[str, ...]:
    """Its own, and those that it was given when it ran out."""
    if not network.subnet:
        return ()
    return _collapsed((network.subnet, *(part.subnet for part in network.node_subnets), *network.service_subnets))


# All nodes of a network ask at once, and there may be thousands.
@lru_cache(maxsize=64)
def _collapsed(subnets: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(str, collapse_addresses(IPv4Network(subnet, strict=False) for subnet in subnets)))


def _mtu(network: Network) -> int | None:
    """Docker's option; what is no number was refused when the network was made."""
    text = (network.spec.options or {}).get(MTU_OPTION, "")
    return int(text) if text.isdecimal() else None
