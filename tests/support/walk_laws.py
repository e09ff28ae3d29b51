"""What must hold in every history of a cluster, beyond the laws of single writes: which nodes may be called down, what
may be stopped and why, how often a job runs.

Looks at what was written (`support.history` tells it) and knows what really happened to the machines, which no manager
does.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from manager.objects import AnyObject, Node, ReasonCode, Service, Task
from manager.orchestrator.slots import is_job
from manager.state import Changed, State
from manager.store.port import Revision
from swarmpy.clock import Clock
from swarmpy.states import Availability, NodeState, TaskState

GRACE = timedelta(seconds=5)
# So long an agent may need to find the leader once it can: it asks one manager after the other, and one that is paused
# keeps it waiting.
FINDING, WAITING = timedelta(seconds=1.6), timedelta(seconds=3.1)
# Decisions are made on what was written so shortly ago that it was still under way.
RACE = 40
_EVERYBODY = ""

_OWN_ENDS = frozenset({TaskState.COMPLETE, TaskState.FAILED, TaskState.REJECTED, TaskState.SHUTDOWN})
_RunKey = tuple[str, int | None, int, str]


@dataclass
class _Away:
    """A time in which nothing of a node could be heard. Open until `end`."""

    begin: datetime
    end: datetime | None = None


class Whereabouts:
    """When each node was out of touch with all managers, and when some manager kept everybody waiting."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._away: dict[str, list[_Away]] = {}

    def note(self, node_id: str, *, is_away: bool) -> None:
        times = self._away.setdefault(node_id, [])
        is_known = bool(times) and times[-1].end is None
        if is_away and not is_known:
            times.append(_Away(self._clock.now()))
        elif is_known and not is_away:
            times[-1].end = self._clock.now()

    def note_waiting(self, *, is_waiting: bool) -> None:
        self.note(_EVERYBODY, is_away=is_waiting)

    def forget(self, before: datetime) -> None:
        for node_id, times in self._away.items():
            self._away[node_id] = [away for away in times if away.end is None or away.end > before]

    def in_touch(self, node_id: str, begin: datetime, end: datetime) -> timedelta:
        """The longest time without a break, between these two, in which the leader should have heard of the node."""
        longest, since = timedelta(0), begin
        for away in self._between(node_id, begin, end):
            longest = max(longest, away.begin - since)
            since = max(since, away.end or end)
        return max(longest, end - since) - FINDING

    def is_waiting(self, begin: datetime, end: datetime) -> bool:
        return any(self._between(_EVERYBODY, begin, end))

    def _between(self, node_id: str, begin: datetime, end: datetime) -> list[_Away]:
        times = self._away.get(node_id, [])
        return [away for away in times if away.begin <= end and (away.end is None or away.end >= begin)]


class WalkLaws:
    """`see` is a law of `support.history`."""

    def __init__(self, state: State, clock: Clock) -> None:
        self.whereabouts = Whereabouts(clock)
        self._state = state
        self._recent: deque[tuple[Revision, AnyObject]] = deque()
        self._completed: dict[_RunKey, str] = {}
        # Tasks whose containers were ended by what happened in the world.
        self.ended: set[str] = set()
        # Tasks whose node was down: nobody knew what they did.
        self._lost: set[str] = set()

    def see(self, changes: Sequence[Changed], revision: Revision) -> None:
        for change in changes:
            if change.before is not None and not isinstance(change.before, Task):
                self._recent.append((revision, change.before))
        while self._recent and self._recent[0][0] < revision - RACE:
            self._recent.popleft()
        for change in changes:
            before, after = change.before, change.after
            if isinstance(after, Node):
                self._see_node(before, after)
            elif isinstance(before, Node):
                self._forget_node(before.id)
            elif isinstance(before, Task):
                self._see_task(before, after if isinstance(after, Task) else None)
            elif isinstance(before, Service):
                self._see_service(before, after if isinstance(after, Service) else None)

    # nodes

    def _see_node(self, before: AnyObject | None, node: Node) -> None:
        if node.state is not NodeState.DOWN or (isinstance(before, Node) and before.state is NodeState.DOWN):
            return
        self._lost |= {task.id for task in self._state.tasks_of_node(node.id) if task.is_live}
        window = node.since - GRACE, node.since
        in_touch = self.whereabouts.in_touch(node.id, *window)
        allowed = WAITING if self.whereabouts.is_waiting(*window) else timedelta(0)
        assert in_touch <= allowed, f"node {node.id}, in touch, is called down at {node.since:%H:%M:%S.%f}"

    def _forget_node(self, node_id: str) -> None:
        """A machine of the same name that joins is another node, where jobs run anew."""
        self._forget_runs(lambda run: run[3] == node_id)

    # tasks

    def _see_task(self, before: Task, after: Task | None) -> None:
        if after is None:
            self._lost.discard(before.id)
            self.ended.discard(before.id)
            return
        if before.desired_state <= TaskState.RUNNING < after.desired_state and after.state is TaskState.RUNNING:
            assert self._may_be_stopped(after), f"task {after.id} runs and is stopped: {after.reason}"
        if before.is_wanted and after.state in _OWN_ENDS:
            assert after.id in self.ended, (
                f"task {after.id} is {after.state.label} though nothing ended it: {after.status}"
            )
        if (
            after.state is TaskState.COMPLETE
            and before.state is not TaskState.COMPLETE
            and after.job_iteration is not None
        ):
            self._see_completion(after)

    def _may_be_stopped(self, task: Task) -> bool:
        match task.reason.code if task.reason else None:
            case ReasonCode.NODE_DOWN:
                return self._is_node_lost(task.node_id)
            case ReasonCode.NODE_DRAINED:
                return self._is_node_drained(task.node_id)
            case ReasonCode.GAVE_UP:
                # It had to leave its node, and its policy wants no other attempt.
                return self._is_node_lost(task.node_id) or self._is_node_drained(task.node_id)
            case ReasonCode.SERVICE_REMOVED:
                service = self._state.services.get(task.service_id)
                return service is None or service.removed
            case ReasonCode.SCALED_DOWN:
                return any(self._is_crowded(task, seen) for seen in self._services(task.service_id))
            case ReasonCode.REPLACED:
                return self._is_replaced(task)
        return False

    def _is_node_lost(self, node_id: str) -> bool:
        seen = self._nodes(node_id)
        return node_id not in self._state.nodes or any(node.state is NodeState.DOWN for node in seen)

    def _is_node_drained(self, node_id: str) -> bool:
        return any(node.spec.availability is Availability.DRAIN for node in self._nodes(node_id))

    def _nodes(self, node_id: str) -> list[Node]:
        """The node as it is and as it was a moment ago."""
        present = self._state.nodes.get(node_id)
        former = [seen for _, seen in self._recent if isinstance(seen, Node) and seen.id == node_id]
        return [*former, present] if present else former

    def _services(self, service_id: str) -> list[Service]:
        present = self._state.services.get(service_id)
        former = [seen for _, seen in self._recent if isinstance(seen, Service) and seen.id == service_id]
        return [*former, present] if present else former

    def _is_crowded(self, task: Task, service: Service) -> bool:
        """More slots than replicas, counting the one that is being given up."""
        mode = service.spec.mode
        if mode.replicated_job is not None:
            return task.slot > (mode.replicated_job.total_completions or 1)
        wish = (mode.replicated.replicas if mode.replicated else None) or 0
        tasks = self._state.tasks_of_service(service.id)
        slots = {other.slot for other in tasks if other.desired_state is not TaskState.REMOVE}
        return len(slots | {task.slot}) > wish

    def _is_replaced(self, task: Task) -> bool:
        others = [other for other in self._siblings(task) if other.id != task.id]
        return (
            any(other.is_wanted for other in others)
            or any(
                task.spec_version != seen.spec_version or task.job_iteration != seen.job_iteration
                for seen in self._services(task.service_id)
            )
            or any(other.state is TaskState.COMPLETE and other.job_iteration == task.job_iteration for other in others)
        )

    def _siblings(self, task: Task) -> Iterable[Task]:
        slot = self._state.tasks_of_slot(task.service_id, task.slot)
        return (other for other in slot if task.slot or other.node_id == task.node_id)

    # jobs

    def _see_completion(self, task: Task) -> None:
        """A job's run happens once, unless its node was lost and nobody could know, or nobody wants the slot."""
        if task.id in self._lost or task.desired_state is TaskState.REMOVE:
            return
        run = (task.service_id, task.job_iteration, task.slot, "" if task.slot else task.node_id)
        assert run not in self._completed, f"{run} is complete by {task.id}, and was by {self._completed[run]}"
        self._completed[run] = task.id

    def _see_service(self, before: Service, after: Service | None) -> None:
        """What a job was asked for no longer counts when it is asked for again."""
        if not is_job(before):
            return
        total = after.spec.mode.replicated_job.total_completions if after and after.spec.mode.replicated_job else 0
        iteration = after.job_iteration if after else None
        self._forget_runs(lambda run: run[0] == before.id and (run[1] != iteration or run[2] > (total or 0)))

    def _forget_runs(self, which: Callable[[_RunKey], bool]) -> None:
        for run in [run for run in self._completed if which(run)]:
            del self._completed[run]

    def check_discarded(self, node_id: str, task_ids: Iterable[str]) -> None:
        """An agent is told to forget what runs only when the cluster has done so."""
        for task_id in task_ids:
            task = self._state.tasks.get(task_id)
            is_wanted = task is not None and task.is_wanted
            assert not is_wanted, f"node {node_id} was told to forget {task_id}, which runs there and is wanted"
