"""The life of a task, event by event."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.assignments import an_assignment, desired

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
from agent.task.machine import LAST_PHASE, RULES, new_run, step
from agent.task.run import Phase, TaskRun
from swarmpy.errors import IllegalTransition
from swarmpy.models.task import Placement, RestartCondition, RestartPolicy
from swarmpy.states import TaskState
from swarmpy.wire import TaskAssignment

NOW = datetime(2030, 1, 1, tzinfo=UTC)
RUNNING = ContainerFacts(id="c1", task_id="t", life=Life.RUNNING, pid=7)
CHECKED = replace(RUNNING, health=Health.STARTING)
TO_RUNNING: tuple[Event, ...] = (Begin(), ImageReady(), NetworksReady(), Created("c1"), Started(RUNNING))
STOP = (SignalContainer("c1", "SIGTERM"), WakeAfter(10.0, GraceOver()))


def fed(run: TaskRun, *events: Event) -> TaskRun:
    for event in events:
        run, _ = step(run, event, NOW)
    return run


def a_run(*events: Event, task: TaskAssignment | None = None) -> TaskRun:
    return fed(new_run(task or an_assignment(), NOW), *events)


def instructions(run: TaskRun, event: Event) -> tuple[Instruction, ...]:
    return step(run, event, NOW)[1]


def shut_down(run: TaskRun) -> Assigned:
    return Assigned(desired(run.assignment, TaskState.SHUTDOWN))


def outcome(run: TaskRun) -> tuple[TaskState, str | None]:
    return run.status.state, run.status.err


def test_a_task_is_pulled_joined_created_and_started_in_that_order() -> None:
    run = a_run()
    asked: list[Instruction] = []
    states = []
    for event in TO_RUNNING:
        run, now = step(run, event, NOW)
        asked += now
        states.append(run.status.state)

    assert asked == [PullImage(), JoinNetworks(), CreateContainer(), StartContainer("c1")]
    assert states == [
        TaskState.PREPARING, TaskState.PREPARING, TaskState.PREPARING, TaskState.STARTING, TaskState.RUNNING
    ]  # fmt: skip
    assert run.status.container_status is not None
    assert run.status.container_status.pid == 7


def test_a_task_desired_ready_is_prepared_and_waits() -> None:
    run = a_run(*TO_RUNNING[:4], task=an_assignment(desired=TaskState.READY))
    assert run.status.state is TaskState.READY

    assert instructions(run, Assigned(desired(run.assignment, TaskState.RUNNING))) == (StartContainer("c1"),)


def test_an_assignment_by_another_wish_leaves_what_runs_alone() -> None:
    """What must be different for it the manager renews; the same task, assigned anew, is the same container."""
    run = a_run(*TO_RUNNING)
    placement = Placement(constraints=("node.labels.zone == a",))
    spec = run.assignment.spec.model_copy(update={"placement": placement})
    adopted = run.assignment.model_copy(update={"spec_version": run.assignment.spec_version + 1, "spec": spec})

    assert instructions(run, Assigned(adopted)) == ()
    assert fed(run, Assigned(adopted)).status == run.status


def test_a_task_with_a_health_check_is_starting_until_it_is_healthy() -> None:
    run = a_run(*TO_RUNNING[:4], Started(CHECKED))
    assert run.status.state is TaskState.STARTING

    assert fed(run, BecameHealthy()).status.state is TaskState.RUNNING


def test_while_a_health_check_is_not_good_its_last_words_are_told() -> None:
    run, asked = step(a_run(*TO_RUNNING[:4]), Started(CHECKED), NOW)
    assert asked == (WatchCheck("c1"),)
    assert fed(run, CheckSaid("")).status.message == "starting: waiting to be healthy"

    run = fed(run, CheckSaid("curl: (7)\n  refused\n"))
    assert run.status.message == "starting: waiting to be healthy; its check said last: curl: (7) refused"
    assert step(run, CheckSaid("curl: (7)\n  refused\n"), NOW) == (run, ())
    assert len(fed(run, CheckSaid("x" * 4096)).status.message or "") < 400


def test_health_that_is_heard_of_before_the_start_is_known_counts() -> None:
    run = a_run(*TO_RUNNING[:4], BecameHealthy(), Started(CHECKED))

    assert run.status.state is TaskState.RUNNING


def test_an_unhealthy_task_is_stopped_and_fails_with_the_last_words_of_its_check() -> None:
    run, asked = step(a_run(*TO_RUNNING), BecameUnhealthy("connection refused\n"), NOW)
    assert asked == STOP
    assert run.status.state is TaskState.RUNNING

    run = fed(run, Exited(143))
    assert outcome(run) == (
        TaskState.FAILED, "task: non-zero exit (143): dockerexec: unhealthy container: connection refused"
    )  # fmt: skip


def test_exit_0_is_complete_and_other_exits_fail_with_their_code() -> None:
    assert outcome(a_run(*TO_RUNNING, Exited(0))) == (TaskState.COMPLETE, None)
    assert outcome(a_run(*TO_RUNNING, Exited(7))) == (TaskState.FAILED, "task: non-zero exit (7)")


def test_a_task_that_was_killed_for_its_memory_says_so() -> None:
    run = a_run(*TO_RUNNING, Exited(137, oom_killed=True))

    assert run.status.err == "task: non-zero exit (137): out of memory"


@pytest.mark.parametrize("events", [TO_RUNNING[:n] for n in (1, 2, 3)])
def test_what_is_refused_before_the_start_is_rejected(events: tuple[Event, ...]) -> None:
    run = a_run(*events, Refused("No such image: app:1"))

    assert outcome(run) == (TaskState.REJECTED, "No such image: app:1")


def test_what_is_refused_at_the_start_has_failed() -> None:
    run = a_run(*TO_RUNNING[:4], Refused("port is already allocated"))

    assert outcome(run) == (TaskState.FAILED, "starting container failed: port is already allocated")


def test_a_task_that_must_stop_gets_its_signal_then_its_grace_then_the_kill() -> None:
    run = a_run(*TO_RUNNING, task=an_assignment(stop_grace_period=3_000_000_000))
    run, asked = step(run, shut_down(run), NOW)
    assert asked == (SignalContainer("c1", "SIGTERM"), WakeAfter(3.0, GraceOver()))

    assert instructions(run, GraceOver()) == (SignalContainer("c1", "SIGKILL"),)
    assert outcome(fed(run, Exited(137))) == (TaskState.SHUTDOWN, None)


def test_the_images_own_stop_signal_is_used() -> None:
    run = a_run(*TO_RUNNING[:4], Started(replace(RUNNING, stop_signal="SIGQUIT")))

    assert instructions(run, shut_down(run))[0] == SignalContainer("c1", "SIGQUIT")


@pytest.mark.parametrize("events", [TO_RUNNING[:n] for n in (1, 2)])
def test_a_task_that_must_stop_before_it_has_a_container_is_shut_down_at_once(events: tuple[Event, ...]) -> None:
    run = a_run(*events)

    assert outcome(fed(run, shut_down(run))) == (TaskState.SHUTDOWN, None)


def test_a_container_that_was_being_created_when_the_task_had_to_stop_is_not_started() -> None:
    run = a_run(*TO_RUNNING[:3])
    run = fed(run, shut_down(run))

    run, asked = step(run, Created("c1"), NOW)

    assert asked == ()
    assert run.status.state is TaskState.SHUTDOWN


def test_a_container_that_was_being_started_when_the_task_had_to_stop_is_stopped() -> None:
    run = a_run(*TO_RUNNING[:4])
    run = fed(run, shut_down(run))

    assert instructions(run, Started(RUNNING)) == STOP


def test_a_dropped_task_is_stopped_removed_and_forgotten() -> None:
    run, asked = step(a_run(*TO_RUNNING), Dropped(), NOW)
    assert asked == STOP

    run, asked = step(run, Exited(143), NOW)
    assert asked == (RemoveContainer("c1"),)
    assert fed(run, Removed()).phase is Phase.GONE


def test_a_finished_task_keeps_its_container_until_it_is_dropped() -> None:
    run = a_run(*TO_RUNNING, Exited(1))
    assert run.container_id == "c1"

    assert instructions(run, Dropped()) == (RemoveContainer("c1"),)


def test_a_container_removed_by_hand_fails_the_task_and_says_so() -> None:
    assert outcome(a_run(*TO_RUNNING, Vanished())) == (TaskState.FAILED, "container was removed by hand")
    assert outcome(a_run(*TO_RUNNING, Exited(137, removed=True))) == (
        TaskState.FAILED, "task: non-zero exit (137): container was removed by hand"
    )  # fmt: skip


@pytest.mark.parametrize(
    "news", [BecameHealthy(), BecameUnhealthy("sick"), Exited(1)], ids=lambda news: type(news).__name__
)
def test_a_container_that_a_hand_starts_too_early_is_no_news(news: Event) -> None:
    ready = a_run(Begin(), ImageReady(), NetworksReady(), Created("c1"), task=an_assignment(desired=TaskState.READY))

    assert step(ready, news, NOW)[0] == ready
    assert ready.phase is Phase.READY


def test_late_news_changes_nothing() -> None:
    run = a_run(*TO_RUNNING, Exited(1))

    for late in (ImageReady(), Created("c2"), Started(RUNNING), BecameHealthy(), Exited(2), GraceOver(), Refused("x")):
        assert step(run, late, NOW) == (run, ())


def test_what_could_not_have_happened_is_told_with_the_story() -> None:
    run = a_run(Begin(), ImageReady())

    with pytest.raises(IllegalTransition, match=r"Started cannot come in phase JOINING; story: .*PULLING ImageReady"):
        step(run, Started(RUNNING), NOW)


def test_a_delay_is_told_and_changes_no_state() -> None:
    run = a_run(Begin(), Delayed("the Docker engine is not reachable"))

    assert run.status.state is TaskState.PREPARING
    assert run.status.message == "pulling: the Docker engine is not reachable"
    assert fed(run, PullProgressed("pulling app:1: 1 of 2 layers")).status.message == "pulling app:1: 1 of 2 layers"


def test_a_running_container_is_adopted_and_not_touched() -> None:
    run, asked = step(a_run(), Found(RUNNING), NOW)

    assert asked == ()
    assert (run.status.state, run.container_id) == (TaskState.RUNNING, "c1")


def test_a_created_container_is_adopted_and_started() -> None:
    assert instructions(a_run(), Found(replace(RUNNING, life=Life.CREATED))) == (StartContainer("c1"),)


def test_a_container_that_ended_while_nobody_looked_is_told_with_its_exit() -> None:
    run = a_run(Found(replace(RUNNING, life=Life.EXITED, exit_code=3)))

    assert outcome(run) == (TaskState.FAILED, "task: non-zero exit (3)")


def test_an_adopted_container_of_a_task_that_must_stop_is_stopped() -> None:
    run = a_run(task=an_assignment(desired=TaskState.SHUTDOWN))

    assert instructions(run, Found(RUNNING)) == STOP


def test_a_container_that_ended_unseen_has_failed() -> None:
    told = "task: non-zero exit (255): it ended while the engine did not answer"
    assert outcome(a_run(*TO_RUNNING, ProcessEnded())) == (TaskState.FAILED, told)
    assert outcome(a_run(*TO_RUNNING, ProcessEnded(), Exited(0))) == (TaskState.FAILED, told)


@pytest.mark.parametrize(
    "task",
    [
        an_assignment(is_job=True),
        an_assignment(task_spec={"restart_policy": RestartPolicy(condition=RestartCondition.ON_FAILURE)}),
        an_assignment(task_spec={"restart_policy": RestartPolicy(condition=RestartCondition.NONE)}),
    ],
    ids=["a job", "restarted on failure", "never restarted"],
)
def test_where_something_hangs_on_the_exit_code_the_engine_is_waited_for(task: TaskAssignment) -> None:
    run = a_run(*TO_RUNNING, ProcessEnded(), task=task)
    assert run.phase is Phase.RUNNING
    assert outcome(fed(run, Exited(0)))[0] is TaskState.COMPLETE


def test_with_no_manager_a_container_that_ended_unseen_is_started_again() -> None:
    run, asked = step(a_run(*TO_RUNNING), ProcessEnded(alone=True), NOW)
    assert (run.phase, asked) == (Phase.RESTING, (WakeAfter(0.0, RestartDue()),))


def test_with_no_manager_a_crashed_task_is_started_again_and_counted() -> None:
    run, asked = step(a_run(*TO_RUNNING), Exited(1, alone=True), NOW)
    assert asked == (WakeAfter(0.0, RestartDue()),)

    run, asked = step(run, RestartDue(), NOW)
    assert asked == (StartContainer("c1"),)
    run = fed(run, Started(RUNNING))
    assert (run.restarts, run.status.state) == (1, TaskState.RUNNING)


def test_a_manager_that_comes_back_takes_resting_tasks_over() -> None:
    run = a_run(*TO_RUNNING, Exited(4, alone=True))

    assert outcome(fed(run, Attended())) == (TaskState.FAILED, "task: non-zero exit (4)")


def test_an_end_that_no_manager_has_heard_of_is_taken_back_when_the_managers_are_lost() -> None:
    run = fed(a_run(*TO_RUNNING, Exited(4)), Forsaken())

    assert run.phase is Phase.RESTING
    assert outcome(run)[0] is TaskState.RUNNING
    assert instructions(run, RestartDue()) == (StartContainer("c1"),)


def test_an_end_that_a_manager_knows_of_stands_and_so_does_a_job_s() -> None:
    known = fed(a_run(*TO_RUNNING, Exited(4)), Assigned(an_assignment(desired=TaskState.SHUTDOWN)))
    job = a_run(*TO_RUNNING, Exited(0), task=an_assignment(is_job=True))

    for run in (known, job):
        assert fed(run, Forsaken()) is run


def test_a_removed_container_is_created_anew_when_no_manager_is_there() -> None:
    run = a_run(*TO_RUNNING, Exited(137, removed=True, alone=True))

    assert instructions(run, RestartDue()) == (CreateContainer(),)


@pytest.mark.parametrize(
    ("policy", "crashes"),
    [({"condition": "none"}, 0), ({"max_attempts": 2}, 2), ({"condition": "on-failure", "max_attempts": 1}, 1)],
)
def test_restarts_with_no_manager_follow_the_policy(policy: dict[str, object], crashes: int) -> None:
    task = an_assignment(task_spec={"restart_policy": RestartPolicy.model_validate(policy)})
    run = a_run(*TO_RUNNING, task=task)
    for _ in range(crashes):
        run = fed(run, Exited(1, alone=True), RestartDue(), Started(RUNNING))

    assert run.restarts == crashes
    assert outcome(fed(run, Exited(1, alone=True))) == (TaskState.FAILED, "task: non-zero exit (1)")


def test_a_crash_loop_with_no_manager_slows_down() -> None:
    run = a_run(*TO_RUNNING)
    waits = []
    for _ in range(8):
        run, (wait,) = step(run, Exited(1, alone=True), NOW)
        assert isinstance(wait, WakeAfter)
        waits.append(wait.seconds)
        run = fed(run, RestartDue(), Started(RUNNING))

    assert waits == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


EVENTS: tuple[Event, ...] = (
    ImageReady(), PullProgressed("half"), NetworksReady(), Created("c1"), Started(RUNNING), Started(CHECKED), Removed(),
    Refused("no"), Delayed("later"), GraceOver(), RestartDue(), BecameHealthy(), BecameUnhealthy("sick"), Exited(0),
    CheckSaid("not yet"),
    Exited(1), Exited(1, alone=True), Exited(1, removed=True, alone=True), Vanished(), Dropped(), Attended(),
    ProcessEnded(), ProcessEnded(alone=True),
    Assigned(an_assignment()), Assigned(an_assignment(desired=TaskState.SHUTDOWN)),
)  # fmt: skip


@given(st.lists(st.sampled_from(EVENTS), max_size=40), st.sampled_from([TaskState.READY, TaskState.RUNNING]))
def test_whatever_happens_a_reported_state_never_goes_back(events: list[Event], first: TaskState) -> None:
    run = a_run(Begin(), task=an_assignment(desired=first))
    for number, event in enumerate(events):
        if (run.phase, type(event)) not in RULES and run.phase <= LAST_PHASE[type(event)]:
            continue  # no engine would say so now
        if event == Attended() and run.phase is not Phase.RESTING:
            continue
        after, asked = step(run, event, NOW + timedelta(seconds=number))
        assert after.status.state >= run.status.state
        assert (after.phase is Phase.DONE) <= after.status.state.is_finished
        assert not after.status.state.is_finished or not any(isinstance(i, StartContainer) for i in asked)
        run = after
