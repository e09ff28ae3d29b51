"""Placing: each task of a group gets the best node there is, or the group learns why there is none.

Tasks are placed one after the other, in the order given, and each placement is reserved in the view before the next
is looked for. The same view and groups give the same result.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from scheduler.candidates import Admits, Candidates, Lone, crowd, spread_tree
from scheduler.filters import PASSING, concerned
from scheduler.load import NodeLoad, PlacedTask
from scheduler.plans import is_eligible, path_of
from scheduler.reasons import explain, explain_one, feasible_nodes, fits
from scheduler.requirements import Requirements
from scheduler.view import ClusterView
from swarmpy.models.resources import GenericResource

__all__ = ["Outcome", "Placed", "Refused", "TaskGroup", "feasible_nodes", "fits", "place", "place_in_slices"]

SLICE = 2000


@dataclass(frozen=True, slots=True)
class TaskGroup:
    """Tasks that are alike. `node_id` is set when the node is not to be chosen, only checked (global services).

    `volumes` has for each task the names of those that it must be with. A task whose volumes some node may have is
    alone in its group: several are together where no node has their volumes, and each has its own. `last_node` is
    where the last task of a lone task's slot was; `made_there`: that one has made its volumes there, even if the node
    does not tell yet.
    """

    service_id: str
    spec_version: int
    requirements: Requirements
    task_ids: tuple[str, ...]
    node_id: str = ""
    volumes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    last_node: str = ""
    made_there: bool = False

    @property
    def presumed(self) -> str:
        """The node that has the volumes, should no other be known to; empty when there is none."""
        return self.last_node if self.made_there else ""


@dataclass(frozen=True, slots=True)
class Placed:
    """`generic` are the generic resources that the task was given."""

    task_id: str
    node_id: str
    generic: tuple[GenericResource, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """`text` is Docker's summary; `nodes` has for each node the first reason why it was refused."""

    task_ids: tuple[str, ...]
    text: str
    nodes: Mapping[str, str]


Outcome = Placed | Refused


def place(view: ClusterView, groups: Sequence[TaskGroup], now: datetime) -> tuple[Outcome, ...]:
    """Place all. What is placed is reserved in the view: where the commit fails, call `view.remove_task`."""
    return tuple(outcome for part in place_in_slices(view, groups, now) for outcome in part)


def place_in_slices(
    view: ClusterView, groups: Sequence[TaskGroup], now: datetime, size: int = SLICE
) -> Iterator[tuple[Outcome, ...]]:
    """The same in steps. A step takes about as long as it takes to place `size` tasks of one service.

    Between two steps the view is whole: the caller may let others run, commit, change the view, or stop here.
    """
    view.tell_apart(attribute for group in groups for attribute in group.requirements.attributes)
    part: list[Outcome] = []
    room = size
    for wanted in groups:
        group = _with_held(view, wanted)
        waiting = group.task_ids
        while waiting:
            taken, waiting = waiting[:room], waiting[room:]
            room -= len(taken) + _start_effort(view, group)
            placed = _place_some(view, group, taken, now)
            part.extend(placed)
            if len(placed) < len(taken):
                part.append(_refused(view, group, taken[len(placed) :] + waiting))
                waiting = ()
                room -= len(view.node_ids) // 4
            if room <= 0:
                yield tuple(part)
                part, room = [], size
    if part:
        yield tuple(part)


def _start_effort(view: ClusterView, group: TaskGroup) -> int:
    """What it takes to begin with a group, in placements: most of it is to look at where the service runs."""
    return 4 + len(view.running(group.service_id)) // 4


def _place_some(view: ClusterView, group: TaskGroup, task_ids: Sequence[str], now: datetime) -> list[Placed]:
    """As many as there is room for, in order."""
    has_room = _room_check(view, group)
    if group.node_id:
        return _place_pinned(view, group, task_ids, has_room)
    failing = view.failures.failing(group.service_id, group.spec_version, now)
    if group.requirements.held:
        return _place_with_volumes(view, group, task_ids, has_room, failing)
    if not failing:
        return _place_among(view, group, task_ids, has_room)
    placed = _place_among(view, group, task_ids, lambda node: node.info.id not in failing and has_room(node))
    rest = task_ids[len(placed) :]
    if rest:
        placed += _place_among(view, group, rest, lambda node: node.info.id in failing and has_room(node))
    return placed


def _place_among(view: ClusterView, group: TaskGroup, task_ids: Sequence[str], admits: Admits) -> list[Placed]:
    placed: list[Placed] = []
    candidates = _candidates(view, group, admits, len(task_ids))
    for task_id in task_ids:
        node = candidates.best
        if node is None:
            break
        placed.append(_reserve(view, group, task_id, node))
        candidates.advance()
    return placed


def _candidates(view: ClusterView, group: TaskGroup, admits: Admits, tasks: int) -> Candidates:
    asked, running = group.requirements, view.running(group.service_id)
    plan = view.plan(asked)
    if tasks == 1 and not running:
        return Lone(plan.in_order(), admits)
    current = view.running_version(group.service_id, group.spec_version)
    crowded = {view.node(node_id): crowd(current.get(node_id, 0), count) for node_id, count in running.items()}
    return spread_tree(plan.pools, {node: (tasks, path_of(asked, node)) for node, tasks in crowded.items()}, admits)


def _with_held(view: ClusterView, group: TaskGroup) -> TaskGroup:
    """The group, bound to where the volumes of its only task are by now."""
    if not group.volumes or len(group.task_ids) > 1:
        return group
    held = view.held(group.volumes[group.task_ids[0]], group.presumed)
    return replace(group, requirements=replace(group.requirements, held=held))


def _place_with_volumes(
    view: ClusterView, group: TaskGroup, task_ids: Sequence[str], has_room: Admits, failing: Collection[str]
) -> list[Placed]:
    """Few nodes have the volumes: they are judged one by one."""
    asked, running = group.requirements, view.running(group.service_id)
    current = view.running_version(group.service_id, group.spec_version)
    placed: list[Placed] = []
    for task_id in task_ids:
        nodes = map(view.node, frozenset.intersection(*(volume.nodes for volume in asked.held)))
        fit = [node for node in nodes if is_eligible(node, asked) and has_room(node)]
        if not fit:
            break
        best = min(fit, key=lambda n: (
            n.info.id in failing, n.info.id != group.last_node,
            current.get(n.info.id, 0), running.get(n.info.id, 0), n.entry()[:3],
        ))  # fmt: skip
        placed.append(_reserve(view, group, task_id, best))
    return placed


def _place_pinned(view: ClusterView, group: TaskGroup, task_ids: Sequence[str], has_room: Admits) -> list[Placed]:
    placed: list[Placed] = []
    if view.has_node(group.node_id):
        node = view.node(group.node_id)
        for task_id in task_ids:
            if not (is_eligible(node, group.requirements) and has_room(node)):
                break
            placed.append(_reserve(view, group, task_id, node))
    return placed


def _reserve(view: ClusterView, group: TaskGroup, task_id: str, node: NodeLoad) -> Placed:
    node_id = node.info.id
    volumes = group.volumes.get(task_id, ())
    task = PlacedTask(task_id, group.service_id, group.spec_version, node_id, group.requirements, volumes=volumes)
    return Placed(task_id, node_id, view.add_task(task).generic)


def _room_check(view: ClusterView, group: TaskGroup) -> Admits:
    """Whether a node has room for one more task of the group, as things stand when it is asked."""
    asked, service_id = group.requirements, group.service_id
    rules = concerned(PASSING, asked)

    def has_room(node: NodeLoad) -> bool:
        running = view.running(service_id).get(node.info.id, 0) if asked.max_replicas else 0
        for rule in rules:  # noqa: SIM110  asked more often than all else, and all(...) takes twice the time
            if not rule.admits(node, asked, running):
                return False
        return True

    return has_room


def _refused(view: ClusterView, group: TaskGroup, task_ids: tuple[str, ...]) -> Refused:
    asked, service_id = group.requirements, group.service_id
    if group.node_id:
        return Refused(task_ids, *explain_one(view, asked, service_id, group.node_id))
    text, nodes = explain(view, asked, service_id)
    return Refused(task_ids, _held_first(asked, nodes) or text, nodes)


def _held_first(asked: Requirements, nodes: Mapping[str, str]) -> str:
    """Where a volume decides, what keeps its own node from taking the task is what people must know."""
    if not asked.held:
        return ""
    holders = sorted(frozenset.intersection(*(volume.nodes for volume in asked.held)) & nodes.keys())
    if not holders:
        parts = " and ".join(f"volume {volume.name} is on {', '.join(sorted(volume.on))}" for volume in asked.held)
        return f"no suitable node ({parts}, and the task needs all of them)"
    first = asked.held[0]
    reasons = dict.fromkeys(nodes[node_id] for node_id in holders)
    tells = all(reason.startswith("volume ") for reason in reasons)
    where = "" if tells else f"volume {first.name} is on {', '.join(sorted(first.on))}: "
    return f"no suitable node ({where}{'; '.join(reasons)})"
