"""`TaskRun`: the agent's own record of a task it holds. A value; `machine` says how it changes. Pure."""

from dataclasses import dataclass, field
from enum import IntEnum

from swarmpy.models.task import TaskStatus
from swarmpy.states import TaskState
from swarmpy.wire import TaskAssignment

DEFAULT_GRACE = 10.0


class Phase(IntEnum):
    """Where a run stands; finer than the state that is reported. Only RESTING leads back, to a start;
    an end leads back to RESTING while no manager has heard of it."""

    ACCEPTED = 0
    PULLING = 1
    JOINING = 2
    CREATING = 3
    READY = 4
    STARTING = 5
    CHECKING = 6  # started, its health not yet known
    RUNNING = 7
    STOPPING = 8
    RESTING = 9  # crashed with no manager there; waits for its restart
    DONE = 10
    REMOVING = 11
    GONE = 12


# A container in none of these may be sent traffic, whatever a manager says that has not heard yet.
DOWN = frozenset({Phase.STOPPING, Phase.RESTING, Phase.DONE, Phase.REMOVING, Phase.GONE})


@dataclass(frozen=True, slots=True)
class TaskRun:
    """One task here. `verdict` is why we stop it, when that is a failure; `healthy` is health heard of too early;
    `story` are the last events and where they led."""

    assignment: TaskAssignment
    status: TaskStatus
    phase: Phase = Phase.ACCEPTED
    container_id: str | None = None
    stop_signal: str = "SIGTERM"
    addresses: dict[str, str] = field(default_factory=dict)
    dropped: bool = False
    verdict: str = ""
    healthy: bool = False
    restarts: int = 0
    story: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return self.assignment.id

    @property
    def desired(self) -> TaskState:
        return self.assignment.desired_state

    @property
    def may_start(self) -> bool:
        """Desired READY means: prepare, and wait. A job's task is desired COMPLETE."""
        return self.desired >= TaskState.RUNNING

    @property
    def must_stop(self) -> bool:
        return self.dropped or self.desired > TaskState.COMPLETE

    @property
    def needs_files(self) -> bool:
        """Its container may run, now or again: secrets and configs are to be where it finds them."""
        if self.phase is Phase.GONE or (self.phase is Phase.DONE and self.must_stop):
            return False
        container = self.assignment.spec.container_spec
        return container is not None and bool(container.secrets or container.configs)

    @property
    def grace(self) -> float:
        """Seconds between the stop signal and the kill."""
        container = self.assignment.spec.container_spec
        nanoseconds = container.stop_grace_period if container else None
        return DEFAULT_GRACE if nanoseconds is None else nanoseconds / 1e9
