"""When a slot tries again, how long it waits, and when it gives up."""

from datetime import timedelta
from typing import Any

import pytest
from support.builders import SECOND, T0, a_task, at

from manager.objects import Reason, ReasonCode, Task
from manager.orchestrator.restart import LADDER, Done, GiveUp, TryAgain, Wait, next_attempt, wait_after
from swarmpy.models.task import RestartCondition, RestartPolicy
from swarmpy.states import TaskState

ANY = RestartPolicy()
ON_FAILURE = RestartPolicy(condition=RestartCondition.ON_FAILURE)
NONE = RestartPolicy(condition=RestartCondition.NONE)


def a_crash(task_id: str = "t", *, finished: float = 10, **fields: Any) -> Task:
    return a_task(task_id, state=TaskState.FAILED, finished=finished, error="exit code 1", **fields)


def a_crash_loop(crashes: int, policy: RestartPolicy) -> list[float]:
    """The waits of a slot whose every task crashes a second after it starts."""
    waits = []
    task, now = a_crash(started=0, finished=1), 1.0
    for number in range(crashes):
        verdict = next_attempt([task], policy, at(now))
        assert isinstance(verdict, TryAgain) and verdict.start_after is not None
        start = (verdict.start_after - T0).total_seconds()
        waits.append(start - now)
        task = a_crash(str(number), created=now + 0.01, start_after=start, started=start, finished=start + 1)
        now = start + 1
    return waits


def test_a_first_crash_is_tried_again_at_once() -> None:
    assert next_attempt([a_crash(finished=10)], ANY, at(10)) == TryAgain(start_after=at(10))


def test_a_set_delay_holds_for_the_first_crash_too() -> None:
    policy = RestartPolicy(delay=5 * SECOND)

    assert next_attempt([a_crash(finished=10)], policy, at(11)) == TryAgain(start_after=at(15))


def test_a_crash_loop_waits_longer_and_longer_up_to_a_minute() -> None:
    assert a_crash_loop(10, ANY) == [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_set_delay_is_the_least_wait_of_a_crash_loop() -> None:
    assert a_crash_loop(5, RestartPolicy(delay=5 * SECOND)) == [5, 8, 16, 32, 60]
    assert a_crash_loop(3, RestartPolicy(delay=120 * SECOND)) == [120, 120, 120]


def test_a_task_that_ran_stably_has_left_the_crash_loop() -> None:
    crash = a_crash(created=0, start_after=32, started=32, finished=93)

    assert wait_after(crash, ANY, at(93)) == timedelta(0)


def test_a_task_that_never_ran_waits_as_one_that_crashed() -> None:
    rejected = a_task("t", state=TaskState.REJECTED, created=0, start_after=4, finished=5)

    assert wait_after(rejected, ANY, at(5)) == timedelta(seconds=8)


def test_tasks_that_fail_before_their_start_do_not_follow_each_other_at_once() -> None:
    task, now, created = a_task("t", state=TaskState.REJECTED, created=0, finished=0), 0.0, [0.0]
    while len(created) < 6:
        match next_attempt([task], ANY, at(now)):
            case Wait(until):
                now = (until - T0).total_seconds()
            case TryAgain(start_after) if start_after is not None:
                start = (start_after - T0).total_seconds()
                task = a_task("t", state=TaskState.REJECTED, created=now, start_after=start, finished=now)
                created.append(now)

    assert created == [0, 0, 0, 1, 3, 7]


def test_an_agents_clock_that_is_ahead_does_not_put_off_the_next_attempt() -> None:
    assert next_attempt([a_crash(finished=9999)], ANY, at(10)) == TryAgain(start_after=at(10))


def test_an_agents_clock_that_is_behind_does_not_undo_the_waits_of_a_crash_loop() -> None:
    behind = timedelta(hours=-1)
    crash = a_crash(created=100, start_after=104, started=104, finished=105)
    crash = crash.model_copy(
        update={"started_at": at(104) + behind, "finished_at": at(105) + behind, "updated_at": at(105)}
    )

    assert next_attempt([crash], ANY, at(105)) == TryAgain(start_after=at(113))


def test_crashes_that_a_slow_clock_dates_back_count_inside_the_window() -> None:
    policy = RestartPolicy(max_attempts=1, window=60 * SECOND)
    crashes = [a_crash(str(n), created=n, finished=n + 1) for n in (0, 10)]
    dated_back = [crash.model_copy(update={"finished_at": at(-9999)}) for crash in crashes]

    assert isinstance(next_attempt(dated_back, policy, at(11)), GiveUp)


def test_crashes_that_a_fast_clock_dates_ahead_leave_the_window_all_the_same() -> None:
    policy = RestartPolicy(max_attempts=1, window=60 * SECOND)
    crashes = [a_crash(str(n), created=n, finished=n + 1) for n in (0, 500)]
    dated_ahead = [crash.model_copy(update={"finished_at": at(9999)}) for crash in crashes]

    assert isinstance(next_attempt(dated_ahead, policy, at(501)), TryAgain)


def test_a_fast_clock_does_not_make_a_stable_task_one_that_crashes_at_once() -> None:
    crash = a_crash(created=0, start_after=32).model_copy(
        update={"started_at": at(9000), "finished_at": at(9500), "updated_at": at(532)}
    )

    assert wait_after(crash, ANY, at(532)) == timedelta(0)


def test_a_task_without_a_time_of_its_end_ended_now() -> None:
    crash = a_task("t", state=TaskState.FAILED, started=0)

    assert next_attempt([crash], ANY, at(10)) == TryAgain(start_after=at(10))


@pytest.mark.parametrize("state", [TaskState.COMPLETE, TaskState.FAILED, TaskState.REJECTED])
def test_any_end_is_tried_again_by_default(state: TaskState) -> None:
    assert isinstance(next_attempt([a_task("t", state=state, finished=1)], ANY, at(1)), TryAgain)


def test_on_failure_leaves_a_good_end_alone() -> None:
    assert isinstance(next_attempt([a_task("t", state=TaskState.COMPLETE, finished=1)], ON_FAILURE, at(1)), Done)
    assert isinstance(next_attempt([a_crash()], ON_FAILURE, at(10)), TryAgain)


def test_with_condition_none_a_crash_is_the_end_and_a_good_end_is_good() -> None:
    assert next_attempt([a_crash()], NONE, at(10)) == GiveUp("exit code 1; its restart condition is none")
    assert isinstance(next_attempt([a_task("t", state=TaskState.COMPLETE)], NONE, at(1)), Done)


def test_with_condition_none_a_task_that_had_started_is_not_run_a_second_time_elsewhere() -> None:
    stopped = a_task("t", desired=TaskState.SHUTDOWN)
    never_began = a_task("t", state=TaskState.SHUTDOWN, desired=TaskState.SHUTDOWN)

    assert isinstance(next_attempt([stopped], NONE, at(1)), GiveUp)
    assert next_attempt([never_began], NONE, at(1)) == TryAgain()


def test_a_task_that_the_manager_stopped_is_followed_at_once_and_counts_for_nothing() -> None:
    moved = Reason(code=ReasonCode.NODE_DRAINED, text="drained", since=T0)
    history = [a_crash("a"), a_crash("b", desired=TaskState.SHUTDOWN, reason=moved, created=20, finished=30)]
    policy = RestartPolicy(max_attempts=1)

    assert next_attempt(history, policy, at(30)) == TryAgain()


def test_after_the_last_attempt_allowed_the_slot_gives_up_and_says_after_how_many() -> None:
    policy = RestartPolicy(max_attempts=2)
    crashes = [a_crash(str(n), created=n, finished=n + 1) for n in range(3)]

    assert isinstance(next_attempt(crashes[:2], policy, at(9)), TryAgain)
    assert next_attempt(crashes, policy, at(9)) == GiveUp("exit code 1; gave up after 3 attempts")


def test_restarts_that_the_agent_made_alone_count() -> None:
    crash = a_crash(local_restarts=2)

    assert isinstance(next_attempt([crash], RestartPolicy(max_attempts=2), at(10)), GiveUp)


def test_only_crashes_inside_the_window_count() -> None:
    policy = RestartPolicy(max_attempts=1, window=60 * SECOND)
    old, new = a_crash("a", finished=10), a_crash("b", created=60, finished=65)

    assert isinstance(next_attempt([old, new], policy, at(65)), GiveUp)
    assert isinstance(next_attempt([old, new], policy, at(71)), TryAgain)


def test_a_slot_that_gave_up_stays_so_when_the_window_has_passed() -> None:
    over = Reason(code=ReasonCode.GAVE_UP, text="gave up after 2 attempts", since=T0)

    assert next_attempt([a_crash(reason=over)], RestartPolicy(window=SECOND), at(500)) == GiveUp(over.text)


def test_crashes_of_another_wish_do_not_count_even_when_the_wish_comes_back() -> None:
    policy = RestartPolicy(max_attempts=1)
    history = [a_crash(str(n), created=n, version=version) for n, version in enumerate([1, 1, 2, 1])]

    assert isinstance(next_attempt(history, policy, at(10)), TryAgain)


def test_the_ladder_only_goes_up() -> None:
    assert list(LADDER) == sorted(set(LADDER))
