"""Which nodes are there, and which tasks must leave theirs: down, drained, removed or no longer fitting."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from manager.objects import Node, Reason, ReasonCode, Task
from manager.orchestrator.decision import Decision, SetState, earliest
from manager.orchestrator.reasons import name_of, node_down, reason
from manager.orchestrator.slots import is_pinned
from manager.published_ports import is_cut_off
from manager.state import State
from swarmpy.states import Availability, NodeState, TaskState

# A node that is down this long is taken to have lost its tasks.
ORPHANED_AFTER = timedelta(hours=24)

Unfit = Callable[[Task], str | None]


def fits(task: Task) -> str | None:
    """Nothing stands against the task's node."""
    return None


@dataclass(frozen=True, slots=True)
class _Seen:
    state: NodeState
    message: str


def reconcile_nodes(
    state: State, last_heard: Mapping[str, datetime], leading_since: datetime, now: datetime, grace: timedelta
) -> Decision:
    """Nodes heard within the grace are ready, others down. A new leader has heard nobody yet: it gives every node a
    full grace from the moment it took over, and until then leaves them as they stand."""
    changed: list[Node] = []
    again: list[datetime] = []
    for node in state.nodes.values():
        heard = last_heard.get(node.id)
        # A node that has just joined was not there to be heard before; what was heard of an earlier one is not it.
        deadline = max(heard or node.created_at, node.created_at, leading_since) + grace
        if now < deadline:
            if node.state is not NodeState.DOWN or heard is not None:
                again.append(deadline)
            seen = _Seen(NodeState.READY, "") if heard is not None and now < heard + grace else None
        else:
            seen = _Seen(NodeState.DOWN, f"no heartbeat for {grace.total_seconds():g} s")
        if seen is not None and seen.state is not node.state:
            changed.append(node.model_copy(update={"state": seen.state, "message": seen.message, "since": now}))
    return Decision(replace=tuple(changed), again_at=earliest(*again))


def must_leave(state: State, task: Task, now: datetime, unfit: Unfit = fits) -> Reason | None:
    """Why a wanted task may not stay on its node, None when it may. That the node is down is no cause for a task that
    nothing replaces elsewhere: should it come back, the task may still run. A lost ingress network is like a lost
    node."""
    if is_cut_off(state, task):
        return reason(ReasonCode.REPLACED, "the ingress network that it was made for was removed", now)
    if not task.node_id:
        return None
    node = state.nodes.get(task.node_id)
    if node is None:
        return reason(ReasonCode.NODE_DOWN, f"node {task.node_id} was removed from the cluster", now)
    if node.state is NodeState.DOWN and not is_pinned(task):
        return node_down(node, now)
    if node.spec.availability is Availability.DRAIN:
        return reason(ReasonCode.NODE_DRAINED, f"node {name_of(node)} is drained", now)
    misfit = unfit(task) if node.spec.availability is Availability.ACTIVE else None
    if misfit:
        return reason(ReasonCode.REPLACED, f"node {name_of(node)} no longer fits: {misfit}", now)
    return None


def orphaned(state: State, task: Task, now: datetime) -> SetState | None:
    """The manager's last word on a task of a node that is gone, or, when it was to stop, down for a day."""
    if not task.is_live or not task.node_id:
        return None
    node = state.nodes.get(task.node_id)
    if node is None:
        return SetState(task.id, TaskState.ORPHANED, "its node was removed from the cluster")
    due = orphaned_at(state, task)
    if due is not None and now >= due:
        return SetState(task.id, TaskState.ORPHANED, f"its node {name_of(node)} has been down for a day")
    return None


def orphaned_at(state: State, task: Task) -> datetime | None:
    """When the task, which is to stop, will be given up as orphaned, should its node stay down."""
    node = state.nodes.get(task.node_id)
    if node is None or node.state is not NodeState.DOWN or not task.is_live or task.is_wanted:
        return None
    return node.since + ORPHANED_AFTER
