"""What the runner must do next for a run. The outcome of each is an event. Pure values."""

from dataclasses import dataclass

from agent.task.events import GraceOver, RestartDue


@dataclass(frozen=True, slots=True)
class PullImage:
    """Outcome: `ImageReady`, or `Refused`; `PullProgressed` on the way."""


@dataclass(frozen=True, slots=True)
class JoinNetworks:
    """Make sure that the task's networks are on the engine. Outcome: `NetworksReady` or `Refused`."""


@dataclass(frozen=True, slots=True)
class CreateContainer:
    """Outcome: `Created` or `Refused`."""


@dataclass(frozen=True, slots=True)
class StartContainer:
    """Outcome: `Started`, `Vanished` or `Refused`."""

    container_id: str


@dataclass(frozen=True, slots=True)
class WatchCheck:
    """Until the phase ends. `CheckSaid` on the way; what comes of the check the engine tells."""

    container_id: str


@dataclass(frozen=True, slots=True)
class SignalContainer:
    """No outcome of its own: the engine tells when the container has exited; `Vanished` when it is not there."""

    container_id: str
    signal: str


@dataclass(frozen=True, slots=True)
class RemoveContainer:
    """By force. Outcome: `Removed`."""

    container_id: str


@dataclass(frozen=True, slots=True)
class WakeAfter:
    """Outcome: the event, this many seconds later."""

    seconds: float
    event: GraceOver | RestartDue


Instruction = (
    PullImage
    | JoinNetworks
    | CreateContainer
    | StartContainer
    | WatchCheck
    | SignalContainer
    | RemoveContainer
    | WakeAfter
)
