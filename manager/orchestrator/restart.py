"""When a task that ended by itself is tried again, and when no more. History is what the store still shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from manager.objects import ReasonCode, Task
from manager.orchestrator.reasons import outcome
from swarmpy.models.task import RestartCondition, RestartPolicy
from swarmpy.states import TaskState

# Waits of a crash loop, in seconds; the last one repeats.
LADDER = (1, 2, 4, 8, 16, 32, 60)
# A task that ran this long has left the crash loop.
STABLE = timedelta(seconds=60)

_OWN_ENDS = frozenset({TaskState.COMPLETE, TaskState.FAILED, TaskState.REJECTED})
_STOPPED_BY_US = frozenset(
    {
        ReasonCode.REPLACED,
        ReasonCode.SCALED_DOWN,
        ReasonCode.SERVICE_REMOVED,
        ReasonCode.NODE_DRAINED,
        ReasonCode.NODE_DOWN,
    }
)


@dataclass(frozen=True, slots=True)
class TryAgain:
    """`start_after` None: the slot moves on for another reason than a crash."""

    start_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing new before then: the newest task failed ahead of its own start (its image could not be had, say), and
    a further one would fail at once again."""

    until: datetime


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No new task until the service changes; `why` is for people."""

    why: str


class Done:
    """It ended well, and its policy asks for no more."""


Verdict = TryAgain | Wait | GiveUp | Done


def ended_by_itself(task: Task) -> bool:
    """Finished, and not because the manager asked."""
    asked = task.reason is not None and task.reason.code in _STOPPED_BY_US
    return task.state in _OWN_ENDS and not asked


def gave_up(task: Task) -> bool:
    return task.reason is not None and task.reason.code is ReasonCode.GAVE_UP


def next_attempt(history: Sequence[Task], policy: RestartPolicy, now: datetime) -> Verdict:
    """What follows the newest task of `history` (oldest first, one slot, one job run), which is finished or asked
    to stop."""
    last = history[-1]
    condition = policy.condition or RestartCondition.ANY
    if gave_up(last):
        return GiveUp(last.reason.text if last.reason else "")
    if not ended_by_itself(last):
        if condition is RestartCondition.NONE and last.started_at is not None:
            return GiveUp("it ran once and was stopped; its restart condition is none")
        return TryAgain()
    if last.state is TaskState.COMPLETE and condition is not RestartCondition.ANY:
        return Done()
    if condition is RestartCondition.NONE:
        return GiveUp(f"{outcome(last)}; its restart condition is none")
    attempts = len(crashes(history, policy, now)) + sum(task.local_restarts for task in _same_wish(history))
    if policy.max_attempts and attempts > policy.max_attempts:
        return GiveUp(f"{outcome(last)}; gave up after {attempts} attempts")
    due = _due_at(last, now)
    if due > now:
        return Wait(due)
    return TryAgain(start_after=due + wait_after(last, policy, now))


def crashes(history: Sequence[Task], policy: RestartPolicy, now: datetime) -> tuple[Task, ...]:
    """The ends that count against `max_attempts`: of the newest task's wish, inside the window."""
    window = _duration(policy.window)
    return tuple(
        task
        for task in _same_wish(history)
        if ended_by_itself(task) and (not window or ended_at(task, now) > now - window)
    )


def wait_after(last: Task, policy: RestartPolicy, now: datetime) -> timedelta:
    """None for a first crash, then longer and longer; never less than the delay that the policy sets.

    The wait before this one is read off the task: `start_after` is set on restarts only.
    """
    least = _duration(policy.delay)
    if last.start_after is None or _ran_for(last, now) >= STABLE:
        return least
    before = (last.start_after - last.created_at).total_seconds()
    # Half a second: `created_at` is the moment of writing, a little after the decision.
    rung = next((rung for rung in LADDER if rung > before + 0.5), LADDER[-1])
    return max(least, timedelta(seconds=rung))


def _same_wish(history: Sequence[Task]) -> tuple[Task, ...]:
    """The newest tasks back to the last change of the wish: a version that comes back starts afresh."""
    run: list[Task] = []
    for task in reversed(history):
        if task.spec_version != history[-1].spec_version:
            break
        run.append(task)
    return tuple(reversed(run))


def ended_at(task: Task, now: datetime) -> datetime:
    """By the agent's clock, unless that is plainly wrong: no task ends before it was made, or after we heard of it."""
    heard = min(task.updated_at, now)
    if task.finished_at is None:
        return now
    return task.finished_at if task.created_at <= task.finished_at <= heard else heard


def _due_at(task: Task, now: datetime) -> datetime:
    """When its attempt was over: its end, or the start it was made for when it did not live to see that."""
    ended = ended_at(task, now)
    return ended if task.started_at or task.start_after is None else max(ended, task.start_after)


def _ran_for(task: Task, now: datetime) -> timedelta:
    """Both ends by the agent's clock, whatever that shows."""
    return (task.finished_at or now) - task.started_at if task.started_at else timedelta(0)


def _duration(nanoseconds: int | None) -> timedelta:
    return timedelta(microseconds=(nanoseconds or 0) / 1000)
