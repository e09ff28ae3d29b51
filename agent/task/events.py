"""What may happen to a run: words of the manager, outcomes of instructions, news of the engine. Pure values."""

from dataclasses import dataclass
from datetime import timedelta

from agent.task.facts import ContainerFacts
from swarmpy.wire import TaskAssignment

# From the manager.


@dataclass(frozen=True, slots=True)
class Begin:
    """A new task, and nothing of it on the engine."""


@dataclass(frozen=True, slots=True)
class Found:
    """A task whose container is on the engine already: it is adopted. `alone`: no manager is there."""

    container: ContainerFacts
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Assigned:
    """The task's assignment as it is now; only the desired state ever changes."""

    assignment: TaskAssignment


@dataclass(frozen=True, slots=True)
class Dropped:
    """The task is forgotten: nothing of it may stay."""


@dataclass(frozen=True, slots=True)
class Attended:
    """A manager is there again: restarts are its business."""


@dataclass(frozen=True, slots=True)
class Forsaken:
    """The manager was lost before it said that it knows how the task ended: nobody may be there to replace it."""


# Outcomes of instructions.


@dataclass(frozen=True, slots=True)
class ImageReady:
    pass


@dataclass(frozen=True, slots=True)
class PullProgressed:
    text: str


@dataclass(frozen=True, slots=True)
class NetworksReady:
    pass


@dataclass(frozen=True, slots=True)
class Created:
    container_id: str


@dataclass(frozen=True, slots=True)
class Started:
    container: ContainerFacts


@dataclass(frozen=True, slots=True)
class Removed:
    pass


@dataclass(frozen=True, slots=True)
class Refused:
    """The instruction cannot be carried out, now or later."""

    reason: str


@dataclass(frozen=True, slots=True)
class Delayed:
    """The instruction cannot be carried out now; it is being tried again, and after `again_in` where that is known to
    help."""

    reason: str
    again_in: timedelta | None = None


@dataclass(frozen=True, slots=True)
class GraceOver:
    """The container had its time to stop."""


@dataclass(frozen=True, slots=True)
class RestartDue:
    """The rest before a restart in place is over."""


# News of the engine.


@dataclass(frozen=True, slots=True)
class BecameHealthy:
    pass


@dataclass(frozen=True, slots=True)
class BecameUnhealthy:
    output: str


@dataclass(frozen=True, slots=True)
class CheckSaid:
    """What the health check printed last, while its word is waited for."""

    output: str


@dataclass(frozen=True, slots=True)
class Exited:
    """The container ended. `alone`: no manager is there to replace the task."""

    exit_code: int
    oom_killed: bool = False
    error: str = ""
    removed: bool = False
    alone: bool = False


@dataclass(frozen=True, slots=True)
class ProcessEnded:
    """The container ended, and the engine is not there to say how. `alone`: as in `Exited`."""

    alone: bool = False


@dataclass(frozen=True, slots=True)
class Vanished:
    """The engine no longer knows the container, and we did not remove it."""


Event = (
    Begin | Found | Assigned | Dropped | Attended | Forsaken | ImageReady | PullProgressed | NetworksReady | Created
    | Started | Removed | Refused | Delayed | GraceOver | RestartDue | BecameHealthy | BecameUnhealthy
    | CheckSaid | Exited | ProcessEnded | Vanished
)  # fmt: skip
