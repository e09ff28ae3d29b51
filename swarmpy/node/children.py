"""Life of one child process of the node, as a table: what happened to it -> what to do next. Starts nothing itself.

Each instruction has exactly one outcome, and the outcome is the next event:

    Start      -> Exited | StopAsked         Terminate  -> Exited | Overdue
    Wait       -> Due    | StopAsked         Kill       -> Exited
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum, auto

from swarmpy.errors import BadRequest, IllegalTransition

# Before the first restart in a row, the second, ...; the last one counts for all that follow.
BACK_OFF = tuple(timedelta(seconds=seconds) for seconds in (0, 1, 2, 4, 8, 16, 30))
# A child that ran this long has recovered: its next crash is the first of a new row.
RECOVERED_AFTER = timedelta(seconds=60)
STOP_GRACE = timedelta(seconds=10)


class Phase(Enum):
    WAITING = auto()
    RUNNING = auto()
    STOPPING = auto()
    ENDED = auto()


class Ending(Enum):
    """Why a process is gone."""

    REFUSED = "refused to start"
    CRASHED = "crashed"
    KILLED = "was killed"


@dataclass(frozen=True, slots=True)
class ChildRun:
    """`crashes` counts them in a row. `refused` is set when the child will not be started again: its settings are
    wrong, and a restart would only repeat it. `can_refuse`: its exit code 2 means just that."""

    can_refuse: bool = True
    phase: Phase = Phase.WAITING
    crashes: int = 0
    served: bool = False
    refused: bool = False


# events


@dataclass(frozen=True, slots=True)
class Due:
    pass


@dataclass(frozen=True, slots=True)
class Exited:
    """`code` is negative for a signal. `served`: it had become ready. `lived`: since its start."""

    code: int
    served: bool
    lived: timedelta


@dataclass(frozen=True, slots=True)
class StopAsked:
    pass


@dataclass(frozen=True, slots=True)
class Overdue:
    pass


Event = Due | Exited | StopAsked | Overdue

# instructions


@dataclass(frozen=True, slots=True)
class Start:
    pass


@dataclass(frozen=True, slots=True)
class Wait:
    delay: timedelta


@dataclass(frozen=True, slots=True)
class Terminate:
    grace: timedelta = STOP_GRACE


@dataclass(frozen=True, slots=True)
class Kill:
    pass


Instruction = Start | Wait | Terminate | Kill
Step = tuple[ChildRun, Instruction | None]


def classify(run: ChildRun, exited: Exited) -> Ending:
    """What an end that nobody asked for means."""
    if exited.code < 0:
        return Ending.KILLED
    if exited.code == BadRequest.exit_code and run.can_refuse and not (run.served or exited.served):
        return Ending.REFUSED
    return Ending.CRASHED


def restart_delay(crashes: int) -> timedelta:
    """Before the restart that follows the n-th crash in a row."""
    return BACK_OFF[min(crashes, len(BACK_OFF)) - 1]


def step(run: ChildRun, event: Event) -> Step:
    """The child's new state and what to do now; None when there is nothing left to do."""
    rule = RULES.get((run.phase, type(event)))
    if rule is None:
        raise IllegalTransition(f"a child in {run.phase.name} got {event}")
    return rule(run, event)


def _start(run: ChildRun, _: Event) -> Step:
    return replace(run, phase=Phase.RUNNING), Start()


def _end(run: ChildRun, _: Event) -> Step:
    return replace(run, phase=Phase.ENDED), None


def _stop(run: ChildRun, _: Event) -> Step:
    return replace(run, phase=Phase.STOPPING), Terminate()


def _kill(run: ChildRun, _: Event) -> Step:
    return run, Kill()


def _mourn(run: ChildRun, event: Event) -> Step:
    assert isinstance(event, Exited)
    if classify(run, event) is Ending.REFUSED:
        return replace(run, phase=Phase.ENDED, refused=True), None
    crashes = 1 if event.lived >= RECOVERED_AFTER else run.crashes + 1
    again = replace(run, phase=Phase.WAITING, crashes=crashes, served=run.served or event.served)
    return again, Wait(restart_delay(crashes))


RULES: dict[tuple[Phase, type[Event]], Callable[[ChildRun, Event], Step]] = {
    (Phase.WAITING, Due): _start,
    (Phase.WAITING, StopAsked): _end,
    (Phase.RUNNING, Exited): _mourn,
    (Phase.RUNNING, StopAsked): _stop,
    (Phase.STOPPING, Exited): _end,
    (Phase.STOPPING, Overdue): _kill,
}
