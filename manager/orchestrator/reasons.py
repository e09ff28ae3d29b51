"""Why a task does not run: the words, and which of them holds now. Pure; decides nothing else."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from manager.attached import gone
from manager.objects import Node, Reason, ReasonCode, Task
from manager.orchestrator.decision import SetReason
from manager.orchestrator.depends import Unmet, unmet_of_task, waiting_text
from manager.orchestrator.slots import blockers, is_placed
from manager.state import State
from swarmpy.lines import in_one_line
from swarmpy.states import NodeState, TaskState

# A wait ends by itself; any other reason tells why a task was stopped, or how it ended, and stays.
WAITS = frozenset(
    {
        ReasonCode.NO_NODE,
        ReasonCode.NO_ADDRESS,
        ReasonCode.WAITING_RESTART_DELAY,
        ReasonCode.WAITING_OLD_TASK,
        ReasonCode.WAITING_DEPENDENCY,
        ReasonCode.WAITING_AGENT,
        ReasonCode.WAITING_ENGINE,
    }
)


def reason(
    code: ReasonCode,
    text: str,
    now: datetime,
    *,
    known: Reason | None = None,
    nodes: Mapping[str, str] | None = None,
) -> Reason:
    """`since` stays that of the known reason while the code is the same."""
    since = known.since if known is not None and known.code == code else now
    return Reason(code=code, text=text, since=since, nodes=dict(nodes or {}))


def name_of(node: Node) -> str:
    return node.spec.name or node.description.hostname or node.id


def not_placed_yet(now: datetime, known: Reason | None = None) -> Reason:
    return reason(ReasonCode.NO_NODE, "no node is chosen yet", now, known=known)


def no_node(text: str, nodes: Mapping[str, str], now: datetime, known: Reason | None = None) -> Reason:
    """The scheduler's refusal: `nodes` says per node id what stands against it."""
    return reason(ReasonCode.NO_NODE, text, now, known=known, nodes=nodes)


def waiting_for_agent(node: Node | None, now: datetime, known: Reason | None = None) -> Reason:
    """Placed, and it is the agent's turn. The text does not follow the task's steps: its status does that."""
    text = f"waits for the agent of node {name_of(node)} to start it" if node else "waits for its agent to start it"
    if node is not None and node.message:
        trouble = f"waits for the engine of node {name_of(node)}: {node.message}"
        return reason(ReasonCode.WAITING_ENGINE, trouble, now, known=known)
    return reason(ReasonCode.WAITING_AGENT, text, now, known=known)


def node_down(node: Node, now: datetime, known: Reason | None = None) -> Reason:
    return reason(ReasonCode.NODE_DOWN, f"node {name_of(node)} is down: {node.message}", now, known=known)


def waiting_for_delay(start_after: datetime, now: datetime, known: Reason | None = None) -> Reason:
    text = f"starts at {start_after:%H:%M:%S} UTC, by its restart policy"
    return reason(ReasonCode.WAITING_RESTART_DELAY, text, now, known=known)


def waiting_for_old(old: Task, now: datetime, known: Reason | None = None) -> Reason:
    text = f"waits until task {old.id} of the same slot has stopped"
    return reason(ReasonCode.WAITING_OLD_TASK, text, now, known=known)


def waiting_for_dependency(waits: Iterable[Unmet], now: datetime, known: Reason | None = None) -> Reason:
    return reason(ReasonCode.WAITING_DEPENDENCY, waiting_text(waits), now, known=known)


def ended(task: Task, now: datetime) -> Reason | None:
    """How a finished task came to its end; a wait that it ended in is replaced by what its status says. So is that
    its node was down, unless it was to stop for that."""
    was_wanted = task.desired_state <= TaskState.RUNNING
    waits = WAITS | {ReasonCode.NODE_DOWN} if was_wanted else WAITS
    if task.reason is not None and task.reason.code not in waits:
        return task.reason
    code = {TaskState.FAILED: ReasonCode.EXITED, TaskState.REJECTED: ReasonCode.ENGINE}.get(task.state)
    if code is None:
        return None
    return Reason(code=code, text=outcome(task), since=task.finished_at or now)


def retried_at(task: Task, until: datetime, now: datetime) -> Reason:
    """How a task ended whose slot stays empty until the next attempt."""
    code = ReasonCode.ENGINE if task.state is TaskState.REJECTED else ReasonCode.EXITED
    text = f"{outcome(task)}; tried again at {until:%H:%M:%S} UTC"
    return Reason(code=code, text=text, since=task.finished_at or now)


def outcome(task: Task) -> str:
    """The end of a task in a few words. What its health check printed may be many lines."""
    return in_one_line(task.status.err or task.status.message or task.state.label)


def waiting_reason(state: State, task: Task, now: datetime) -> Reason | None:
    """Why a wanted task does not run, as far as anyone can see; None when it runs. A reason that still holds is
    returned as it is, so that the scheduler's words on each node are not lost."""
    known = task.reason
    node = state.nodes.get(task.node_id)
    if node is not None and node.state is NodeState.DOWN:
        return node_down(node, now, known)
    if task.state is TaskState.RUNNING:
        return None
    if task.desired_state < TaskState.RUNNING:
        if task.start_after is not None and task.start_after > now:
            return waiting_for_delay(task.start_after, now, known)
        if waits := unmet_of_task(state, task):
            return waiting_for_dependency(waits, now, known)
        for old in blockers(state, task):
            return waiting_for_old(old, now, known)
        if known is not None and known.code is ReasonCode.WAITING_DEPENDENCY:
            # It is let go by a decision, that has more to look at.
            return known
    if lacking := network_reason(state, task):
        return reason(ReasonCode.NO_ADDRESS, lacking, now, known=known)
    if not is_placed(task):
        return known if known is not None and known.code is ReasonCode.NO_NODE else not_placed_yet(now, known)
    return waiting_for_agent(node, now, known)


def network_reason(state: State, task: Task) -> str:
    """What is wrong with a network of the task; empty when nothing is. One that has a range but no share for another
    node takes tasks where it is."""
    for attachment in task.networks:
        if name := gone(state, attachment.network_id):
            return f"network {name} does not exist any more"
        network = state.networks.get(attachment.network_id)
        if network is not None and network.reason is not None and not network.subnet:
            return f"network {network.spec.name}: {network.reason.text}"
    return ""


def explain(state: State, tasks: Iterable[Task], now: datetime) -> tuple[SetReason, ...]:
    """The reasons of wanted tasks that are no longer what they say."""
    changes = []
    for task in tasks:
        if not task.is_wanted:
            continue
        holds = waiting_reason(state, task, now)
        if holds != task.reason:
            changes.append(SetReason(task.id, holds))
    return tuple(changes)
