"""What deciders return: values, with no fresh ids and no times of writing. The control loop mints and commits."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from manager.objects import Network, Node, Reason, Service
from swarmpy.states import TaskState


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task to create. `node_id` is set only for global services. `start_after` delays the start (desired READY)."""

    service_id: str
    spec_version: int
    slot: int = 0
    node_id: str = ""
    desired_state: TaskState = TaskState.RUNNING
    start_after: datetime | None = None
    job_iteration: int | None = None
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class SetDesired:
    """Desired state only grows; the reason tells users why the task is to stop (or may start)."""

    task_id: str
    desired_state: TaskState
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class SetState:
    """The manager's own word on a task that no agent will report on: orphaned, or stopped before it was placed."""

    task_id: str
    state: TaskState
    message: str
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class SetReason:
    """Why a task waits, changed."""

    task_id: str
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class AdoptTask:
    """The task goes on as it is, by another wish."""

    task_id: str
    spec_version: int


@dataclass(frozen=True, slots=True)
class DropTask:
    """Delete the record of a finished task."""

    task_id: str


@dataclass(frozen=True, slots=True)
class Decision:
    """`replace` holds changed services, networks and nodes whole (same id and version as read).

    `drop_services`, `drop_networks`, `drop_specs`, `drop_revisions` and `drop_stacks` (revisions of stacks) are ids
    whose records go. `again_at`: look once more then, at the latest.
    """

    create: tuple[NewTask, ...] = ()
    desire: tuple[SetDesired, ...] = ()
    states: tuple[SetState, ...] = ()
    reasons: tuple[SetReason, ...] = ()
    adopt: tuple[AdoptTask, ...] = ()
    drop: tuple[DropTask, ...] = ()
    replace: tuple[Service | Network | Node, ...] = ()
    drop_services: tuple[str, ...] = ()
    drop_networks: tuple[str, ...] = ()
    drop_specs: tuple[str, ...] = ()
    drop_revisions: tuple[str, ...] = ()
    drop_stacks: tuple[str, ...] = ()
    again_at: datetime | None = field(default=None)

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return bool(
            self.create or self.desire or self.states or self.reasons or self.adopt or self.drop or self.replace
            or self.drop_services or self.drop_networks or self.drop_specs or self.drop_revisions
            or self.drop_stacks
        )  # fmt: skip

    def tasks_told(self) -> frozenset[str]:
        """Ids of the tasks that something is decided about."""
        ids = [part.task_id for part in self.desire] + [part.task_id for part in self.states]
        ids += [part.task_id for part in self.reasons] + [part.task_id for part in self.drop]
        return frozenset(ids)


def earliest(*times: datetime | None) -> datetime | None:
    return min((time for time in times if time is not None), default=None)


def combined(decisions: Iterable[Decision]) -> Decision:
    """The sum of decisions about different objects."""
    parts = [decision for decision in decisions if decision or decision.again_at]
    if len(parts) < 2:
        return parts[0] if parts else Decision()
    return Decision(
        create=tuple(x for d in parts for x in d.create),
        desire=tuple(x for d in parts for x in d.desire),
        states=tuple(x for d in parts for x in d.states),
        reasons=tuple(x for d in parts for x in d.reasons),
        adopt=tuple(x for d in parts for x in d.adopt),
        drop=tuple(x for d in parts for x in d.drop),
        replace=tuple(x for d in parts for x in d.replace),
        drop_services=tuple(x for d in parts for x in d.drop_services),
        drop_networks=tuple(x for d in parts for x in d.drop_networks),
        drop_specs=tuple(x for d in parts for x in d.drop_specs),
        drop_revisions=tuple(x for d in parts for x in d.drop_revisions),
        drop_stacks=tuple(x for d in parts for x in d.drop_stacks),
        again_at=earliest(*(d.again_at for d in parts)),
    )
