"""What each event does to a run in a phase where it may come: (run, event, now) -> (new run, instructions). Pure.

Which event may come when is the table in `machine`.
"""

from dataclasses import replace
from datetime import datetime

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
from agent.task.facts import ContainerFacts, Health, Life
from agent.task.instructions import (
    CreateContainer,
    Instruction,
    JoinNetworks,
    PullImage,
    RemoveContainer,
    SignalContainer,
    StartContainer,
    WakeAfter,
    WatchCheck,
)
from agent.task.restart import rest_before_restart, restarts_whatever_the_code
from agent.task.run import Phase, TaskRun
from swarmpy.errors import IllegalTransition
from swarmpy.health_wait import health_wait
from swarmpy.models.task import ContainerStatus, PortStatus
from swarmpy.states import TaskState

Step = tuple[TaskRun, tuple[Instruction, ...]]

# What engines themselves say where they have not seen it.
UNKNOWN_CODE = 255
ENGINE_AWAY = "it ended while the engine did not answer"
REMOVED_BY_HAND = "container was removed by hand"


# Steps that several rules share.


def _say(run: TaskRun, now: datetime, state: TaskState, message: str, err: str | None = None) -> TaskRun:
    # A restart in place goes through earlier phases again; what is reported never goes back.
    state = max(state, run.status.state)
    status = run.status.model_copy(update={"timestamp": now, "state": state, "message": message, "err": err})
    return replace(run, status=status)


def _finish(run: TaskRun, now: datetime, state: TaskState, message: str, err: str | None = None) -> Step:
    """The attempt is over. Its container stays, for its logs, until the task is dropped."""
    return _leave_if_dropped(replace(_say(run, now, state, message, err), phase=Phase.DONE))


def _leave_if_dropped(run: TaskRun) -> Step:
    if not run.dropped:
        return run, ()
    if run.container_id is None:
        return replace(run, phase=Phase.GONE), ()
    return replace(run, phase=Phase.REMOVING), (RemoveContainer(run.container_id),)


def _shut_down(run: TaskRun, now: datetime) -> Step:
    return _finish(run, now, TaskState.SHUTDOWN, "shutdown")


def _stop(run: TaskRun, now: datetime, message: str = "stopping") -> Step:
    """The reported state stays what it is until the container has ended."""
    run = replace(_say(run, now, run.status.state, message), phase=Phase.STOPPING)
    return run, (SignalContainer(_container(run), run.stop_signal), WakeAfter(run.grace, GraceOver()))


def _container(run: TaskRun) -> str:
    if run.container_id is None:
        raise IllegalTransition(f"task {run.id} has no container in phase {run.phase.name}; story: {list(run.story)}")
    return run.container_id


def _start(run: TaskRun, now: datetime) -> Step:
    run = replace(_say(run, now, TaskState.STARTING, "starting"), phase=Phase.STARTING, healthy=False, verdict="")
    return run, (StartContainer(_container(run)),)


def _with_exit(run: TaskRun, exit_code: int) -> TaskRun:
    known = run.status.container_status or ContainerStatus(container_id=run.container_id)
    status = known.model_copy(update={"exit_code": exit_code, "pid": None})
    return replace(run, status=run.status.model_copy(update={"container_status": status}))


def _with_facts(run: TaskRun, facts: ContainerFacts) -> TaskRun:
    status = run.status.model_copy(
        update={
            "container_status": ContainerStatus(container_id=facts.id, pid=facts.pid or None),
            "port_status": PortStatus(ports=facts.ports) if facts.ports else None,
        }
    )
    return replace(
        run,
        status=status,
        container_id=facts.id,
        stop_signal=facts.stop_signal,
        addresses=dict(facts.addresses),
    )


def failure_text(exit_code: int, detail: str = "") -> str:
    """Docker's words first: tools look for them."""
    return f"task: non-zero exit ({exit_code})" + (f": {detail}" if detail else "")


# The manager's words.


def begin(run: TaskRun, event: Begin, now: datetime) -> Step:
    if run.must_stop:
        return _shut_down(run, now)
    return replace(_say(run, now, TaskState.PREPARING, "preparing"), phase=Phase.PULLING), (PullImage(),)


def adopt(run: TaskRun, event: Found, now: datetime) -> Step:
    facts = event.container
    run = replace(run, container_id=facts.id, stop_signal=facts.stop_signal)
    match facts.life:
        case Life.CREATED:
            return become_ready(run, now)
        case Life.RUNNING:
            return become_started(replace(run, phase=Phase.STARTING), Started(facts), now)
        case Life.REMOVING:
            return vanish(_with_exit(run, facts.exit_code), Vanished(), now)
    run = _with_exit(run, facts.exit_code)
    if run.must_stop and facts.exit_code == 0:
        return _finish(run, now, TaskState.COMPLETE, "finished")
    return judge_exit(run, Exited(facts.exit_code, facts.oom_killed, facts.error, alone=event.alone), now)


def obey_while_idle(run: TaskRun, event: Assigned, now: datetime) -> Step:
    run = replace(run, assignment=event.assignment)
    return _shut_down(run, now) if run.must_stop else (run, ())


def obey_when_ready(run: TaskRun, event: Assigned, now: datetime) -> Step:
    return _go_on_from_ready(replace(run, assignment=event.assignment), now)


def obey_when_running(run: TaskRun, event: Assigned, now: datetime) -> Step:
    run = replace(run, assignment=event.assignment)
    return _stop(run, now) if run.must_stop else (run, ())


def remember(run: TaskRun, event: Assigned, now: datetime) -> Step:
    return replace(run, assignment=event.assignment), ()


def drop_now(run: TaskRun, event: Dropped, now: datetime) -> Step:
    return _leave_if_dropped(replace(run, dropped=True, phase=Phase.DONE))


def drop_later(run: TaskRun, event: Dropped, now: datetime) -> Step:
    return replace(run, dropped=True), ()


def drop_when_running(run: TaskRun, event: Dropped, now: datetime) -> Step:
    return _stop(replace(run, dropped=True), now)


# Outcomes.


def note_progress(run: TaskRun, event: PullProgressed, now: datetime) -> Step:
    return _say(run, now, run.status.state, event.text), ()


def note_delay(run: TaskRun, event: Delayed, now: datetime) -> Step:
    message = f"{run.phase.name.lower()}: {event.reason}"
    return (run, ()) if run.status.message == message else (_say(run, now, run.status.state, message), ())


def join_networks(run: TaskRun, event: ImageReady, now: datetime) -> Step:
    return replace(_say(run, now, TaskState.PREPARING, "preparing"), phase=Phase.JOINING), (JoinNetworks(),)


def create_container(run: TaskRun, event: NetworksReady, now: datetime) -> Step:
    return replace(run, phase=Phase.CREATING), (CreateContainer(),)


def note_created(run: TaskRun, event: Created, now: datetime) -> Step:
    status = run.status.model_copy(update={"container_status": ContainerStatus(container_id=event.container_id)})
    return become_ready(replace(run, status=status, container_id=event.container_id), now)


def become_ready(run: TaskRun, now: datetime) -> Step:
    return _go_on_from_ready(replace(_say(run, now, TaskState.READY, "prepared"), phase=Phase.READY), now)


def _go_on_from_ready(run: TaskRun, now: datetime) -> Step:
    if run.must_stop:
        return _shut_down(run, now)
    return _start(run, now) if run.may_start else (run, ())


def become_started(run: TaskRun, event: Started, now: datetime) -> Step:
    facts = event.container
    run = _with_facts(run, facts)
    if facts.life is Life.EXITED:
        return judge_exit(run, Exited(facts.exit_code, facts.oom_killed, facts.error), now)
    if facts.life is Life.REMOVING:
        return vanish(run, Vanished(), now)
    if run.must_stop:
        return _stop(run, now)
    if facts.health is Health.UNHEALTHY:
        return become_unhealthy(run, BecameUnhealthy(facts.health_output), now)
    if facts.health is Health.STARTING and not run.healthy:
        run = replace(_say(run, now, TaskState.STARTING, health_wait()), phase=Phase.CHECKING)
        return run, (WatchCheck(facts.id),)
    return become_running(run, BecameHealthy(), now)


def become_running(run: TaskRun, event: BecameHealthy, now: datetime) -> Step:
    return replace(_say(run, now, TaskState.RUNNING, "started"), phase=Phase.RUNNING), ()


def remember_health(run: TaskRun, event: BecameHealthy, now: datetime) -> Step:
    return replace(run, healthy=True), ()


def note_check(run: TaskRun, event: CheckSaid, now: datetime) -> Step:
    message = health_wait(event.output)
    return (run, ()) if run.status.message == message else (_say(run, now, run.status.state, message), ())


def become_unhealthy(run: TaskRun, event: BecameUnhealthy, now: datetime) -> Step:
    said = event.output.strip()
    verdict = "dockerexec: unhealthy container" + (f": {said}" if said else "")
    return _stop(replace(run, verdict=verdict), now, "stopping: unhealthy")


def judge_exit(run: TaskRun, event: Exited, now: datetime) -> Step:
    run = _with_exit(run, event.exit_code)
    if event.removed:
        run = replace(run, container_id=None)
    if run.must_stop:
        return _shut_down(run, now)
    rest = rest_before_restart(run.assignment, run.restarts, event.exit_code) if event.alone else None
    if rest is None:
        return _judge_exit(run, event, now)
    message = f"exited ({event.exit_code}); no manager is reachable, restarting here"
    run = replace(_say(run, now, run.status.state, message), phase=Phase.RESTING)
    return run, (WakeAfter(rest, RestartDue()),)


def _judge_exit(run: TaskRun, event: Exited, now: datetime) -> Step:
    if run.verdict:
        return _finish(run, now, TaskState.FAILED, "unhealthy", failure_text(event.exit_code, run.verdict))
    if event.removed:
        return _finish(run, now, TaskState.FAILED, "removed", failure_text(event.exit_code, REMOVED_BY_HAND))
    if event.exit_code == 0:
        return _finish(run, now, TaskState.COMPLETE, "finished")
    detail = "out of memory" if event.oom_killed else event.error
    return _finish(run, now, TaskState.FAILED, "failed", failure_text(event.exit_code, detail))


def judge_unseen_exit(run: TaskRun, event: ProcessEnded, now: datetime) -> Step:
    """Only the engine knows its exit code: where something hangs on that, the engine is waited for."""
    if not restarts_whatever_the_code(run.assignment):
        return run, ()
    return judge_exit(run, Exited(UNKNOWN_CODE, error=ENGINE_AWAY, alone=event.alone), now)


def restart_in_place(run: TaskRun, event: RestartDue, now: datetime) -> Step:
    run = replace(run, restarts=run.restarts + 1)
    if run.container_id is None:
        return replace(run, phase=Phase.CREATING), (CreateContainer(),)
    return _start(run, now)


def leave_to_manager(run: TaskRun, event: Attended, now: datetime) -> Step:
    known = run.status.container_status
    return _judge_exit(run, Exited((known and known.exit_code) or 0, removed=run.container_id is None), now)


def take_up_again(run: TaskRun, event: Forsaken, now: datetime) -> Step:
    """As if it had ended just now. A manager that did hear of the end has made another task of it: then this one is
    told to stop when that manager is back, and what is reported of it meanwhile is not believed."""
    known = run.status.container_status
    exit_code = (known and known.exit_code) or 0
    is_over = (
        run.must_stop or run.container_id is None or run.status.state not in (TaskState.COMPLETE, TaskState.FAILED)
    )
    rest = None if is_over else rest_before_restart(run.assignment, run.restarts, exit_code)
    if rest is None:
        return run, ()
    message = f"exited ({exit_code}); no manager is reachable, restarting here"
    status = run.status.model_copy(
        update={"timestamp": now, "state": TaskState.RUNNING, "message": message, "err": None}
    )
    return replace(run, status=status, verdict="", phase=Phase.RESTING), (WakeAfter(rest, RestartDue()),)


def vanish(run: TaskRun, event: Vanished, now: datetime) -> Step:
    run = replace(run, container_id=None)
    if run.must_stop:
        return _shut_down(run, now)
    state = TaskState.REJECTED if run.status.state < TaskState.STARTING else TaskState.FAILED
    return _finish(run, now, state, "removed", REMOVED_BY_HAND)


def forget_container(run: TaskRun, event: Vanished, now: datetime) -> Step:
    return replace(run, container_id=None), ()


def be_rejected(run: TaskRun, event: Refused, now: datetime) -> Step:
    if run.must_stop:
        return _shut_down(run, now)
    return _finish(run, now, TaskState.REJECTED, "preparing", event.reason)


def fail_to_start(run: TaskRun, event: Refused, now: datetime) -> Step:
    if run.must_stop:
        return _shut_down(run, now)
    return _finish(run, now, TaskState.FAILED, "starting", f"starting container failed: {event.reason}")


def kill(run: TaskRun, event: GraceOver, now: datetime) -> Step:
    return run, (SignalContainer(_container(run), "SIGKILL"),)


def be_gone(run: TaskRun, event: Removed, now: datetime) -> Step:
    return replace(run, container_id=None, phase=Phase.GONE), ()


def ignore(run: TaskRun, event: Event, now: datetime) -> Step:
    return run, ()
