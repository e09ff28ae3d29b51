"""The life of a task on its node: a table of (phase, event) -> (new run, instructions). Pure.

Theory of operation: the runner feeds one event at a time and performs the instructions that come back; the outcome
of an instruction is the next event. A run never goes back, except from RESTING to its next start, and to RESTING from
an end that no manager has heard of, once the managers are lost; so an event that only earlier phases know is late news
and changes nothing; one that only later phases know is a bug, told with its story. What the manager wants while an
instruction is under way is remembered and acted on with its outcome.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from agent.task import rules
from agent.task.events import (
    Assigned,
    Attended,
    BecameHealthy,
    BecameUnhealthy,
    Begin,
    CheckSaid,
    Created,
    Delayed,
    Dropped,
    Event,
    Exited,
    Forsaken,
    Found,
    GraceOver,
    ImageReady,
    NetworksReady,
    ProcessEnded,
    PullProgressed,
    Refused,
    Removed,
    RestartDue,
    Started,
    Vanished,
)
from agent.task.run import Phase, TaskRun
from swarmpy.errors import IllegalTransition
from swarmpy.models.task import TaskStatus
from swarmpy.states import TaskState
from swarmpy.wire import TaskAssignment

Rule = Callable[[TaskRun, Any, datetime], rules.Step]

STORY_LENGTH = 20


def new_run(assignment: TaskAssignment, now: datetime) -> TaskRun:
    status = TaskStatus(timestamp=now, state=TaskState.ACCEPTED, message="accepted")
    return TaskRun(assignment, status)


def step(run: TaskRun, event: Event, now: datetime) -> rules.Step:
    """The run after the event, and what to do now. Raises `IllegalTransition` for what could not have happened."""
    rule = RULES.get((run.phase, type(event)))
    if rule is None:
        if run.phase > LAST_PHASE[type(event)]:
            return run, ()
        raise IllegalTransition(
            f"task {run.id}: {type(event).__name__} cannot come in phase {run.phase.name}; story: {list(run.story)}"
        )
    after, instructions = rule(run, event, now)
    if after.phase is run.phase and not instructions:
        return after, ()
    told = ", ".join(type(instruction).__name__ for instruction in instructions) or "nothing"
    line = f"{run.phase.name} {type(event).__name__} -> {after.phase.name} {told}"
    return replace(after, story=(*run.story, line)[-STORY_LENGTH:]), instructions


_P = Phase
RULES: dict[tuple[Phase, type], Rule] = {
    (_P.ACCEPTED, Begin): rules.begin,
    (_P.ACCEPTED, Found): rules.adopt,
    (_P.ACCEPTED, Vanished): rules.vanish,  # it was here before the agent was started again
    (_P.ACCEPTED, Assigned): rules.remember,
    (_P.ACCEPTED, Dropped): rules.drop_later,
    (_P.ACCEPTED, Refused): rules.be_rejected,
    #
    (_P.PULLING, ImageReady): rules.join_networks,
    (_P.PULLING, PullProgressed): rules.note_progress,
    (_P.PULLING, Delayed): rules.note_delay,
    (_P.PULLING, Refused): rules.be_rejected,
    (_P.PULLING, Assigned): rules.obey_while_idle,
    (_P.PULLING, Dropped): rules.drop_now,
    #
    (_P.JOINING, NetworksReady): rules.create_container,
    (_P.JOINING, Delayed): rules.note_delay,
    (_P.JOINING, Refused): rules.be_rejected,
    (_P.JOINING, Assigned): rules.obey_while_idle,
    (_P.JOINING, Dropped): rules.drop_now,
    #
    (_P.CREATING, Created): rules.note_created,
    (_P.CREATING, Delayed): rules.note_delay,
    (_P.CREATING, Refused): rules.be_rejected,
    (_P.CREATING, Assigned): rules.remember,
    (_P.CREATING, Dropped): rules.drop_later,
    #
    (_P.READY, Assigned): rules.obey_when_ready,
    (_P.READY, Dropped): rules.drop_now,
    # Somebody started it by hand: it will be started again.
    (_P.READY, BecameHealthy): rules.ignore,
    (_P.READY, BecameUnhealthy): rules.ignore,
    (_P.READY, Exited): rules.ignore,
    (_P.READY, Vanished): rules.vanish,
    #
    (_P.STARTING, Started): rules.become_started,
    (_P.STARTING, Delayed): rules.note_delay,
    (_P.STARTING, Refused): rules.fail_to_start,
    (_P.STARTING, BecameHealthy): rules.remember_health,
    (_P.STARTING, BecameUnhealthy): rules.ignore,  # the inspection that follows the start shows it
    (_P.STARTING, Exited): rules.judge_exit,
    (_P.STARTING, Vanished): rules.vanish,
    (_P.STARTING, Assigned): rules.remember,
    (_P.STARTING, Dropped): rules.drop_later,
    #
    (_P.CHECKING, BecameHealthy): rules.become_running,
    (_P.CHECKING, BecameUnhealthy): rules.become_unhealthy,
    (_P.CHECKING, CheckSaid): rules.note_check,
    (_P.CHECKING, Exited): rules.judge_exit,
    (_P.CHECKING, ProcessEnded): rules.judge_unseen_exit,
    (_P.CHECKING, Vanished): rules.vanish,
    (_P.CHECKING, Assigned): rules.obey_when_running,
    (_P.CHECKING, Dropped): rules.drop_when_running,
    #
    (_P.RUNNING, BecameHealthy): rules.ignore,
    (_P.RUNNING, BecameUnhealthy): rules.become_unhealthy,
    (_P.RUNNING, Exited): rules.judge_exit,
    (_P.RUNNING, ProcessEnded): rules.judge_unseen_exit,
    (_P.RUNNING, Vanished): rules.vanish,
    (_P.RUNNING, Assigned): rules.obey_when_running,
    (_P.RUNNING, Dropped): rules.drop_when_running,
    #
    (_P.STOPPING, GraceOver): rules.kill,
    (_P.STOPPING, Delayed): rules.note_delay,
    (_P.STOPPING, Exited): rules.judge_exit,
    (_P.STOPPING, Vanished): rules.vanish,
    (_P.STOPPING, Assigned): rules.remember,
    (_P.STOPPING, Dropped): rules.drop_later,
    #
    (_P.RESTING, RestartDue): rules.restart_in_place,
    (_P.RESTING, Attended): rules.leave_to_manager,
    (_P.RESTING, Vanished): rules.forget_container,
    (_P.RESTING, Assigned): rules.obey_while_idle,
    (_P.RESTING, Dropped): rules.drop_now,
    #
    (_P.DONE, Vanished): rules.forget_container,
    (_P.DONE, Assigned): rules.remember,
    (_P.DONE, Forsaken): rules.take_up_again,
    (_P.DONE, Dropped): rules.drop_now,
    #
    (_P.REMOVING, Removed): rules.be_gone,
    (_P.REMOVING, Vanished): rules.be_gone,
    (_P.REMOVING, Delayed): rules.note_delay,
    (_P.REMOVING, Assigned): rules.ignore,
    (_P.REMOVING, Dropped): rules.ignore,
}

# An event that a later phase receives than the last which knows it is old news.
LAST_PHASE: dict[type, Phase] = {}
for _phase, _event in RULES:
    LAST_PHASE[_event] = max(_phase, LAST_PHASE.get(_event, _phase))
