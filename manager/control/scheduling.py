"""The placing part of a pass: every task that awaits a node gets one, and its networks what they need there; or it
gets a reason.

Owns how tasks are grouped and what becomes of an outcome. The choices are the scheduler's and the allocator's.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from manager.allocator.networks import allocate_networks
from manager.allocator.ports import regiven
from manager.allocator.vips import Resting, allocate_vips
from manager.control.draft import Draft
from manager.control.view_keeper import ViewKeeper, is_waiting
from manager.objects import Reason, ReasonCode, Task
from manager.orchestrator.reasons import network_reason, no_node, reason, waiting_reason
from manager.state import State
from scheduler.place import Placed, Refused, TaskGroup, place_in_slices
from scheduler.volumes import volume_name, volume_sources
from swarmpy.errors import BadRequest
from swarmpy.models.task import TaskStatus
from swarmpy.states import TaskState

# Tasks placed between two breaths: some ten milliseconds of work.
SLICE = 1000
# A volume that a task has made is told of by its node this long after the task's end at the latest.
TOLD_WITHIN = timedelta(minutes=1)


async def schedule(
    draft: Draft, state: State, keeper: ViewKeeper, task_ids: Iterable[str], now: datetime
) -> tuple[Task, ...]:
    """Places in the draft, reserves in the view; returns what was placed. Where the draft is not written after all:
    `keeper.restore`."""
    assigned: list[Task] = []
    groups = _groups(draft, state, keeper, task_ids, now)
    for outcomes in place_in_slices(keeper.view, groups, now, SLICE):
        for outcome in outcomes:
            if isinstance(outcome, Placed):
                assigned.append(_assign(draft, state, outcome, now))
            else:
                _refuse(draft, state, outcome, now)
        await asyncio.sleep(0)
    return tuple(assigned)


def waits_for_share(draft: Draft, keeper: ViewKeeper, task_ids: Iterable[str]) -> bool:
    """Whether some of them have no node still, and a network of theirs has no share for a further one."""
    tasks = (draft.task(task_id) for task_id in task_ids)
    return any(task is not None and is_waiting(task) and keeper.lacks_share(task) for task in tasks)


def allocate(
    draft: Draft,
    state: State,
    keeper: ViewKeeper,
    placed: Iterable[Task],
    now: datetime,
    *,
    sweep: bool,
    resting: Resting,
) -> None:
    """Give networks their ranges, and each node its share of the networks that its new tasks are on. A task for
    whose node a network has no room is taken back, and waits."""
    joining: dict[str, set[str]] = {}
    on_networks = [task for task in placed if task.networks]
    for task in on_networks:
        for attachment in task.networks:
            joining.setdefault(attachment.network_id, set()).add(task.node_id)
    decision = allocate_networks(state, now, joining=joining, sweep=sweep, resting=resting)
    draft.add(decision)
    for task in on_networks:
        lacking = next((lack for n in task.networks if (lack := _lack(draft, n.network_id, task.node_id))), "")
        if lacking:
            _take_back(draft, state, keeper, task, lacking, now)


def allocate_endpoints(draft: Draft, state: State, resting: Resting) -> None:
    """Give services their virtual addresses, and those that went back to a former wish by themselves the ports of that.
    Networks come first: the addresses are of their subnets."""
    for service_id, vips in allocate_vips(state, draft.network, resting).items():
        draft.amend_service(service_id, virtual_ips=vips)
    for service_id, ports in regiven(state).items():
        draft.amend_service(service_id, published_ports=ports)


def _lack(draft: Draft, network_id: str, node_id: str) -> str:
    """Why the node has no share of the network; empty when it has one."""
    network = draft.network(network_id)
    if network is None:
        return f"network {network_id} does not exist any more"
    if any(share.node_id == node_id for share in network.node_subnets):
        return ""
    return f"network {network.spec.name}: {network.reason.text if network.reason else 'it is being removed'}"


def _take_back(draft: Draft, state: State, keeper: ViewKeeper, task: Task, lacking: str, now: datetime) -> None:
    """A global service's task keeps its node: that was never the scheduler's choice."""
    keeper.view.remove_task(task.id)
    node_id = task.node_id if task.slot == 0 else ""
    _hold(
        draft, state, task.model_copy(update={"node_id": node_id, "generic": ()}), _no_address(task, lacking, now), now
    )


def _no_address(task: Task, lacking: str, now: datetime) -> Reason:
    return reason(ReasonCode.NO_ADDRESS, lacking, now, known=task.reason)


def _hold(draft: Draft, state: State, task: Task, lack: Reason, now: datetime) -> None:
    """It waits. One that must wait for something else first says that; the lack may be over by then."""
    why = waiting_reason(state, task.model_copy(update={"reason": lack}), now) or lack
    if task.state is TaskState.PENDING:
        draft.set_reason(task, why)
    else:
        draft.set_state(task, TaskState.PENDING, "waits", why)


def _groups(draft: Draft, state: State, keeper: ViewKeeper, task_ids: Iterable[str], now: datetime) -> list[TaskGroup]:
    """Tasks alike, in order of their arrival; those that no longer wait are left out."""
    groups: dict[tuple[object, ...], TaskGroup] = {}
    members: dict[tuple[object, ...], dict[str, tuple[str, ...]]] = {}
    spoken_for: set[str] = set()
    for task_id in task_ids:
        task = draft.task(task_id)
        if task is None or not is_waiting(task):
            continue
        lacking = network_reason(state, task)
        if lacking:
            _hold(draft, state, task, _no_address(task, lacking, now), now)
            continue
        try:
            asked = keeper.requirements_of(task)
        except BadRequest as error:
            _refuse(draft, state, Refused((task_id,), str(error), {}), now)
            continue
        key: tuple[object, ...] = (task.service_id, task.spec_version, task.node_id, task.ports, asked.networks)
        group = TaskGroup(task.service_id, task.spec_version, asked, (), task.node_id)
        volumes = keeper.volumes_of(task, asked)
        if volumes:
            group = _after_last(group, state, task, volumes, now)
            # Volumes that no node has, nor will have when it is this task's turn, leave it like others of its service.
            is_free = spoken_for.isdisjoint(volumes) and not keeper.view.held(volumes, group.presumed)
            key = (*key, "" if is_free else task_id)
            spoken_for.update(volumes)
        groups.setdefault(key, group)
        members.setdefault(key, {})[task_id] = volumes
    return [_filled(group, members[key]) for key, group in groups.items()]


def _filled(group: TaskGroup, members: Mapping[str, tuple[str, ...]]) -> TaskGroup:
    volumes = {task_id: names for task_id, names in members.items() if names}
    return replace(group, task_ids=tuple(members), volumes=volumes)


def _after_last(group: TaskGroup, state: State, task: Task, volumes: tuple[str, ...], now: datetime) -> TaskGroup:
    last = _last_placed(state, task)
    if last is None:
        return group
    return replace(group, last_node=last.node_id, made_there=_has_just_made(state, last, volumes, now))


def _last_placed(state: State, task: Task) -> Task | None:
    """The slot's newest task that had a node."""
    others = (other for other in state.tasks_of_slot(task.service_id, task.slot) if other.id != task.id)
    return max(
        (other for other in others if other.node_id), key=lambda other: (other.created_at, other.id), default=None
    )


def _has_just_made(state: State, last: Task, volumes: tuple[str, ...], now: datetime) -> bool:
    """Whether the volumes are where the task ran, though its node may not have told yet. Later its word is enough."""
    container = last.status.container_status
    if container is None or not container.container_id:
        return False
    if last.finished_at is not None and now > last.finished_at + TOLD_WITHIN:
        return False
    sources = volume_sources(state.spec_of(last).template)
    names = {volume_name(source, last.service_id, last.service_name, last.slot) for source in sources}
    return names.issuperset(volumes)


def _assign(draft: Draft, state: State, placed: Placed, now: datetime) -> Task:
    task = _known(draft, placed.task_id)
    status = TaskStatus(timestamp=now, state=TaskState.ASSIGNED, message="assigned to a node")
    assigned = task.model_copy(update={"node_id": placed.node_id, "generic": placed.generic, "status": status})
    return draft.put_task(assigned, reason=waiting_reason(state, assigned, now))


def _refuse(draft: Draft, state: State, refused: Refused, now: datetime) -> None:
    for task_id in refused.task_ids:
        task = _known(draft, task_id)
        _hold(draft, state, task, no_node(refused.text, refused.nodes, now, task.reason), now)


def _known(draft: Draft, task_id: str) -> Task:
    task = draft.task(task_id)
    assert task is not None
    return task
