"""What becomes of reports: a state never goes back, a finished one is final, news is kept."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.picture import NOW, a_task

from manager.dispatcher.reports import merged, merged_status, newer
from manager.objects import Reason, ReasonCode, Task
from swarmpy.models.port import PortConfig
from swarmpy.models.task import PortStatus, TaskStatus
from swarmpy.states import TaskState
from swarmpy.wire import LARGEST_TO_MANAGER, Reports, TaskReport, frames_of

LATER = NOW + timedelta(seconds=5)


def report(state: TaskState, *, after: int = 1, **fields: object) -> TaskReport:
    addresses = fields.pop("addresses", {})
    restarts = fields.pop("restarts", 0)
    status = TaskStatus.model_validate({"state": state, "timestamp": NOW + timedelta(seconds=after), **fields})
    return TaskReport.model_validate({"task_id": "t1", "status": status, "addresses": addresses, "restarts": restarts})


def after(task: Task, said: TaskReport) -> Task:
    result = merged(task, said, LATER)
    assert result is not None
    return result


def test_a_greater_state_is_taken() -> None:
    task = after(a_task(state=TaskState.ASSIGNED), report(TaskState.PREPARING, message="pulling"))

    assert (task.state, task.status.message, task.updated_at) == (TaskState.PREPARING, "pulling", LATER)


def test_an_older_state_is_not() -> None:
    assert merged(a_task(state=TaskState.RUNNING), report(TaskState.STARTING), LATER) is None


def test_in_the_same_state_the_newer_words_are_taken() -> None:
    task = a_task(state=TaskState.PREPARING)

    assert after(task, report(TaskState.PREPARING, message="50 %")).status.message == "50 %"
    assert merged(task, report(TaskState.PREPARING, after=-1, message="old"), LATER) is None


def test_what_is_known_already_needs_no_writing() -> None:
    task = after(a_task(state=TaskState.STARTING), report(TaskState.RUNNING))

    assert merged(task, report(TaskState.RUNNING), LATER) is None


def test_an_agent_that_starts_again_does_not_change_since_when_a_task_runs() -> None:
    task = after(a_task(state=TaskState.STARTING), report(TaskState.RUNNING, after=1))
    adopted = after(task, report(TaskState.RUNNING, after=3, message="adopted"))
    restarted = after(task, report(TaskState.RUNNING, after=4, restarts=1))

    assert adopted.status.timestamp == NOW + timedelta(seconds=1)
    assert restarted.status.timestamp == NOW + timedelta(seconds=4)


@pytest.mark.parametrize("state", [TaskState.COMPLETE, TaskState.FAILED, TaskState.ORPHANED])
def test_a_finished_task_is_not_finished_again_in_another_way(state: TaskState) -> None:
    assert merged(a_task(state=state, finished_at=NOW), report(TaskState.REJECTED), LATER) is None


@pytest.mark.parametrize("state", [TaskState.ORPHANED, TaskState.REMOVE, TaskState.NEW])
def test_an_agent_cannot_say_what_only_the_manager_decides(state: TaskState) -> None:
    assert merged(a_task(state=TaskState.ASSIGNED), report(state), LATER) is None


def test_the_first_running_and_the_first_end_are_remembered_with_the_agents_own_times() -> None:
    running = after(a_task(state=TaskState.STARTING), report(TaskState.RUNNING, after=1))
    healthy = after(running, report(TaskState.RUNNING, after=2, message="healthy"))
    ended = after(healthy, report(TaskState.FAILED, after=3))

    assert healthy.started_at == NOW + timedelta(seconds=1)
    assert ended.started_at == NOW + timedelta(seconds=1)
    assert ended.finished_at == NOW + timedelta(seconds=3)


def test_an_agent_whose_clock_goes_ahead_reports_nothing_from_the_future() -> None:
    running = after(a_task(state=TaskState.STARTING), report(TaskState.RUNNING, after=3600))
    ended = after(running, report(TaskState.FAILED, after=3601))

    assert (running.started_at, ended.finished_at) == (LATER, LATER)
    assert ended.reason is not None
    assert ended.reason.since == LATER


def test_texts_are_kept_as_far_as_people_read_them() -> None:
    task = after(a_task(), report(TaskState.FAILED, message="é" * 5000, err="x" * 5000))

    assert (task.status.message, task.status.err) == ("é" * 1024, "x" * 2048)


def test_reports_are_parted_so_that_each_frame_is_small_enough_and_none_is_lost() -> None:
    many = [report(TaskState.FAILED, message="x" * 5000).model_copy(update={"task_id": str(n)}) for n in range(600)]
    frames = frames_of(many)

    assert [said.task_id for frame in frames for said in frame] == [said.task_id for said in many]
    assert len(frames) > 1
    for frame in frames:
        assert len(Reports(session_id="s", reports=frame).model_dump_json()) < LARGEST_TO_MANAGER
    assert frames_of([]) == [()]


def test_addresses_ports_and_restarts_are_kept() -> None:
    port = PortConfig(target_port=80, published_port=32768)
    said = report(
        TaskState.RUNNING, addresses={"net": "10.0.1.2/24"}, restarts=2, port_status=PortStatus(ports=(port,))
    )
    task = after(a_task(state=TaskState.STARTING, networks=("net", "other")), said)

    assert [network.address for network in task.networks] == ["10.0.1.2/24", ""]
    assert (task.ports, task.local_restarts) == ((port,), 2)


def test_a_later_report_without_addresses_does_not_take_them_away() -> None:
    task = after(a_task(state=TaskState.STARTING, networks=("net",)), report(TaskState.RUNNING, addresses={"net": "x"}))

    assert after(task, report(TaskState.RUNNING, after=2, message="still")).networks[0].address == "x"


def test_a_wait_is_over_once_the_task_runs() -> None:
    waiting = Reason(code=ReasonCode.WAITING_AGENT, text="waits", since=NOW)
    task = a_task(state=TaskState.ASSIGNED, reason=waiting)

    assert after(task, report(TaskState.STARTING)).reason == waiting
    assert after(task, report(TaskState.RUNNING)).reason is None


def test_an_end_nobody_asked_for_says_why() -> None:
    failed = after(a_task(), report(TaskState.FAILED, err="exit code 3"))
    rejected = after(a_task(state=TaskState.PREPARING), report(TaskState.REJECTED, err="no such image"))

    assert failed.reason is not None and rejected.reason is not None
    assert (failed.reason.code, failed.reason.text) == (ReasonCode.EXITED, "exit code 3")
    assert (rejected.reason.code, rejected.reason.text) == (ReasonCode.ENGINE, "no such image")


def test_why_the_manager_stopped_a_task_is_not_overwritten_by_how_it_ended() -> None:
    why = Reason(code=ReasonCode.SCALED_DOWN, text="scaled down", since=NOW)
    task = a_task(desired_state=TaskState.SHUTDOWN, reason=why)

    assert after(task, report(TaskState.FAILED, err="exit code 137")).reason == why


def test_of_two_waiting_reports_the_one_that_tells_more_is_kept() -> None:
    first, second = report(TaskState.RUNNING, after=1), report(TaskState.STARTING, after=9)

    assert newer(first, second) == first
    assert newer(second, first) == first
    assert newer(None, second) == second


_REPORTS = st.lists(
    st.builds(
        lambda state, seconds: report(state, after=seconds),
        st.sampled_from([state for state in TaskState if state is not TaskState.NEW]),
        st.integers(-5, 5),
    ),
    max_size=8,
)


@given(_REPORTS)
def test_whatever_is_reported_a_state_never_goes_back(reports: list[TaskReport]) -> None:
    task = a_task(state=TaskState.ASSIGNED)
    states = [task.state]
    for said in reports:
        task = merged(task, said, LATER) or task
        states.append(task.state)

    assert all(earlier <= later for earlier, later in pairwise(states))
    assert not any(earlier.is_finished and earlier != later for earlier, later in pairwise(states))


@given(_REPORTS)
def test_merging_all_at_once_ends_where_merging_one_by_one_does(reports: list[TaskReport]) -> None:
    live = [said for said in reports if said.status.state.is_live]
    one_by_one = a_task(state=TaskState.ASSIGNED)
    best: TaskReport | None = None
    for said in live:
        one_by_one = merged(one_by_one, said, LATER) or one_by_one
        best = newer(best, said)
    start = a_task(state=TaskState.ASSIGNED)
    at_once = (merged(start, best, LATER) or start) if best else start

    assert at_once.state == one_by_one.state


def test_a_status_without_a_time_does_not_replace_one_that_has_it() -> None:
    known = TaskStatus(state=TaskState.RUNNING, timestamp=NOW, message="healthy")

    assert merged_status(known, TaskStatus(state=TaskState.RUNNING, message="?")) == known
