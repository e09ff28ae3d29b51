"""Places that tasks fill: a numbered slot of a replicated service, a node of a global one. Decides nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from manager.objects import Service, Task
from manager.orchestrator.decision import NewTask
from manager.published_ports import fits_endpoint
from manager.state import State
from swarmpy.models.service import UpdateOrder, UpdateState
from swarmpy.states import NodeState, TaskState

Place = tuple[int, str]

# Later than any revision.
_STILL_TO_COME = 1 << 63

ROLLING_BACK = frozenset({UpdateState.ROLLBACK_STARTED, UpdateState.ROLLBACK_PAUSED, UpdateState.ROLLBACK_COMPLETED})

# How long a new task waits for the old one of its slot to stop, at least; longer when the old one's grace is longer.
PATIENCE = timedelta(seconds=60)
DOCKER_GRACE = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Slot:
    """One place of a service and the tasks it has had, oldest first.

    `number` counts from 1 and `node_id` is empty; for global modes the number is 0 and the node is the place.
    """

    service_id: str
    number: int
    node_id: str
    tasks: tuple[Task, ...] = ()

    @property
    def place(self) -> Place:
        return self.number, self.node_id

    @property
    def is_kept(self) -> bool:
        """Whether the slot still belongs to the service: some task of it is not being removed."""
        return any(task.desired_state is not TaskState.REMOVE for task in self.tasks)

    @property
    def kept(self) -> tuple[Task, ...]:
        return tuple(task for task in self.tasks if task.desired_state is not TaskState.REMOVE)

    @property
    def wanted(self) -> tuple[Task, ...]:
        return tuple(task for task in self.tasks if task.is_wanted)

    @property
    def last(self) -> Task | None:
        """The newest task that is not being removed."""
        return next((task for task in reversed(self.tasks) if task.desired_state is not TaskState.REMOVE), None)

    def new_task(self, spec_version: int) -> NewTask:
        return NewTask(self.service_id, spec_version, slot=self.number, node_id=self.node_id)


def by_age(task: Task) -> tuple[int, datetime, str]:
    """In the order of writing; what is not written yet is the newest. The times alone would not do: the clocks of two
    leaders differ."""
    return task.birth or _STILL_TO_COME, task.created_at, task.id


def numbered_slots(service: Service, tasks: Iterable[Task]) -> dict[int, Slot]:
    """Slots by number; those with no task at all are not there."""
    groups: dict[int, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.slot, []).append(task)
    return {n: Slot(service.id, n, "", tuple(sorted(groups[n], key=by_age))) for n in sorted(groups)}


def node_slots(service: Service, tasks: Iterable[Task], nodes: Iterable[str]) -> dict[str, Slot]:
    """One slot for each node that has tasks of the service or is named."""
    groups: dict[str, list[Task]] = {node_id: [] for node_id in nodes}
    for task in tasks:
        groups.setdefault(task.node_id, []).append(task)
    return {n: Slot(service.id, 0, n, tuple(sorted(groups[n], key=by_age))) for n in sorted(groups)}


def siblings(state: State, task: Task) -> list[Task]:
    """All tasks of the same slot, this one included."""
    if task.slot:
        return list(state.tasks_of_slot(task.service_id, task.slot))
    return [other for other in state.tasks_of_node(task.node_id) if other.service_id == task.service_id]


def is_job(service: Service) -> bool:
    return service.spec.mode.replicated_job is not None or service.spec.mode.global_job is not None


def is_pinned(task: Task) -> bool:
    """It belongs to its node, as tasks of global services do: nothing takes its place elsewhere."""
    return task.slot == 0


def is_placed(task: Task) -> bool:
    """An agent may know of it. Tasks of global services name their node before they are placed there."""
    return task.state >= TaskState.ASSIGNED


def is_out_of_reach(state: State, node_id: str) -> bool:
    """Nobody there would confirm that a task has stopped."""
    node = state.nodes.get(node_id)
    return node is None or node.state is NodeState.DOWN


def may_hold_a_container(state: State, task: Task) -> bool:
    """As far as the cluster can see."""
    return task.is_live and is_placed(task) and not is_out_of_reach(state, task.node_id)


def blockers(state: State, task: Task) -> tuple[Task, ...]:
    """Older tasks of the slot that must stop before this one may start."""
    service = state.services.get(task.service_id)
    start_first = service is not None and update_order(service) is UpdateOrder.START_FIRST
    return tuple(
        other
        for other in sorted(siblings(state, task), key=by_age)
        if other.id != task.id
        and by_age(other) < by_age(task)
        and may_hold_a_container(state, other)
        and not (service is not None and start_first and other.is_wanted and not is_current(service, other))
    )


def patience_ends(state: State, task: Task, olds: Iterable[Task]) -> datetime:
    """The bound of the task's wait for these to stop. While their node was away, nobody could tell them to."""
    return max(
        max(task.created_at, state.nodes[old.node_id].since) + max(PATIENCE, _grace(state, old) + DOCKER_GRACE)
        for old in olds
    )


def _grace(state: State, task: Task) -> timedelta:
    container = state.spec_of(task).template.container_spec
    if container is None or container.stop_grace_period is None:
        return DOCKER_GRACE
    return timedelta(microseconds=container.stop_grace_period / 1000)


def update_order(service: Service) -> UpdateOrder:
    """The order that the running update (or rollback) follows."""
    rolling_back = service.update is not None and service.update.state in ROLLING_BACK
    config = service.spec.rollback_config if rolling_back else service.spec.update_config
    return (config.order if config else None) or UpdateOrder.STOP_FIRST


def is_current(service: Service, task: Task) -> bool:
    """Made from the service's present wish, host ports and whether it is on the ingress network included (they lie
    outside the task template), and for its present iteration.

    Equal templates have equal numbers: admission takes a known number again when a wish comes back.
    """
    return (
        task.spec_version == service.spec_version
        and task.job_iteration == service.job_iteration
        and fits_endpoint(task, service.spec)
    )
