"""Rolling updates: pace, order, failures, rollback, and how the status tells of them."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from support.builders import SECOND, T0, a_cluster, a_node, a_revision, a_service, a_state, a_task, a_template, at

from manager.objects import AnyObject, Reason, ReasonCode, Service, Task
from manager.orchestrator.decision import Decision
from manager.orchestrator.keep import View
from manager.orchestrator.replicated import reconcile_replicated
from manager.orchestrator.survey import survey
from swarmpy.labels import ALLOW, HOST
from swarmpy.models.cluster import ClusterSpec
from swarmpy.models.container import ContainerSpec, HealthConfig
from swarmpy.models.service import FailureAction, ServiceSpec, UpdateConfig, UpdateState, UpdateStatus
from swarmpy.models.task import RestartCondition, RestartPolicy
from swarmpy.states import TaskState

UPDATING = UpdateStatus(state=UpdateState.UPDATING, started_at=T0, message="update in progress")
ROLLING_BACK = UpdateStatus(state=UpdateState.ROLLBACK_STARTED, started_at=T0, message="manually requested rollback")
OLD = a_template(image="web:1")


def web(
    replicas: int = 3, status: UpdateStatus | None = UPDATING, restart: RestartPolicy | None = None, **config: Any
) -> Service:
    """Version 2 of a service that was version 1 before."""
    update = UpdateConfig(**config)
    template = a_template(image="web:2", restart=restart)
    service = a_service(
        replicas=replicas, spec_version=2, template=template, update=update, rollback=update, status=status
    )
    before = service.spec.model_copy(update={"task_template": OLD})
    return service.model_copy(update={"previous_spec": before, "previous_spec_version": 1})


def old(slot: int, **fields: Any) -> Task:
    return a_task(f"old{slot}", slot=slot, version=1, created=-100, **fields)


def new(slot: int, *, name: str = "new", created: float = 0, **fields: Any) -> Task:
    return a_task(f"{name}{slot}", slot=slot, version=2, created=created, **fields)


def failed(slot: int, *, name: str = "failed", **fields: Any) -> Task:
    return new(slot, name=name, state=TaskState.FAILED, finished=2, error="exit code 1", **fields)


def in_order(tasks: Sequence[Task]) -> Sequence[Task]:
    return tasks


def decide(service: Service, *objects: AnyObject, now: float = 0) -> Decision:
    state = a_state(a_node("n1"), a_revision(service, 1, OLD), service, *objects)
    view = View(state, service, at(now))
    return reconcile_replicated(view, survey(view), in_order)


def renewed(decision: Decision) -> list[int]:
    """Slots that move on."""
    return [task.slot for task in decision.create]


def status_of(decision: Decision) -> tuple[UpdateState | None, str | None]:
    service = record_of(decision)
    assert service.update is not None
    return service.update.state, service.update.message


def record_of(decision: Decision) -> Service:
    (service,) = decision.replace
    assert isinstance(service, Service)
    return service


# pace


def test_an_update_begins_with_its_first_slot_and_says_so() -> None:
    decision = decide(web(status=None), old(1), old(2), old(3), now=7)

    assert renewed(decision) == [1]
    assert status_of(decision) == (UpdateState.UPDATING, "update in progress")
    assert record_of(decision).update == UPDATING.model_copy(update={"started_at": at(7)})


def test_scaling_alone_sets_no_status() -> None:
    decision = decide(web(replicas=3, status=None), new(1))

    assert len(decision.create) == 2
    assert not decision.replace


def test_an_update_after_a_completed_one_begins_anew() -> None:
    completed = UpdateStatus(state=UpdateState.COMPLETED, started_at=at(-50))

    assert status_of(decide(web(status=completed), old(1)))[0] is UpdateState.UPDATING


@pytest.mark.parametrize(("parallelism", "slots"), [(None, [1]), (2, [1, 2]), (0, [1, 2, 3])])
def test_as_many_slots_move_at_once_as_parallelism_says(parallelism: int | None, slots: list[int]) -> None:
    assert renewed(decide(web(parallelism=parallelism), old(1), old(2), old(3))) == slots


def test_slots_in_which_nothing_runs_go_first() -> None:
    down = old(3, state=TaskState.FAILED, desired=TaskState.SHUTDOWN, finished=-1)

    assert 3 in renewed(decide(web(), old(1), old(2), down))
    assert 1 not in renewed(decide(web(), old(1), old(2), down))


def test_the_next_slot_waits_until_the_one_before_runs() -> None:
    moving = new(1, state=TaskState.STARTING)

    decision = decide(web(), moving, old(2), old(3), now=5)
    assert not decision
    assert decision.again_at == at(600)
    assert renewed(decide(web(), new(1), old(2), old(3), now=5)) == [2]


def test_the_next_slot_waits_for_the_delay() -> None:
    service = web(delay=30 * SECOND)
    running = new(1, started=5)

    assert decide(service, running, old(2), old(3), now=10) == Decision(again_at=at(35))
    assert renewed(decide(service, running, old(2), old(3), now=35)) == [2]


def test_the_next_slot_waits_a_second_for_a_crash_at_the_start() -> None:
    """Without it, what crashes at once has taken the next replica along before anyone heard of it."""
    assert decide(web(), new(1, started=5), old(2), old(3), now=5.5) == Decision(again_at=at(6))
    assert renewed(decide(web(), new(1, started=5), old(2), old(3), now=6)) == [2]


@pytest.mark.parametrize(
    "config",
    [{"monitor": 0}, {"failure_action": FailureAction.CONTINUE}],
    ids=["nothing is watched", "no failure holds it up"],
)
def test_where_a_crash_would_stop_nothing_the_next_slot_does_not_wait_for_one(config: dict[str, Any]) -> None:
    assert renewed(decide(web(replicas=2, **config), new(1, started=5), old(2), now=5)) == [2]


@pytest.mark.parametrize(("test", "next_slots"), [(["CMD", "true"], [2]), (["NONE"], [])])
def test_what_runs_by_a_health_check_has_proved_itself(test: list[str], next_slots: list[int]) -> None:
    service = web(replicas=2)
    container = ContainerSpec(image="web:2", health_check=HealthConfig(test=tuple(test)))
    spec = service.spec.model_copy(
        update={"task_template": service.spec.task_template.model_copy(update={"container_spec": container})}
    )
    service = service.model_copy(update={"spec": spec})

    assert renewed(decide(service, new(1, started=5), old(2), now=5)) == next_slots


def test_a_slot_that_was_never_dirty_is_not_waited_for() -> None:
    assert renewed(decide(web(delay=30 * SECOND), new(1, created=-5), old(2), now=1)) == [2, 3]


def test_an_update_is_complete_when_every_slot_has_outlived_the_monitor() -> None:
    tasks = [new(1, started=3), new(2, started=4), new(3, started=6)]

    assert decide(web(), *tasks, now=10) == Decision(again_at=at(11))
    decision = decide(web(), *tasks, now=11)
    assert status_of(decision) == (UpdateState.COMPLETED, "update completed")
    update = record_of(decision).update
    assert update is not None and update.completed_at == at(11)


def test_the_monitor_is_as_long_as_the_wish_says() -> None:
    assert decide(web(1, monitor=60 * SECOND), new(1, started=3), now=10).again_at == at(63)
    assert status_of(decide(web(1, monitor=0), new(1, started=3), now=3))[0] is UpdateState.COMPLETED


def test_an_update_without_slots_is_complete_at_once() -> None:
    assert status_of(decide(web(0)))[0] is UpdateState.COMPLETED


def test_a_paused_update_moves_nothing() -> None:
    paused = UpdateStatus(state=UpdateState.PAUSED, started_at=T0)

    assert not decide(web(status=paused), old(1), old(2), new(3))


def test_a_new_leader_goes_on_where_the_last_one_stopped() -> None:
    """All is in the store: two halves of one update differ in nothing from the whole."""
    first = decide(web(parallelism=2), new(1, started=1), old(2), old(3), now=9)

    assert renewed(first) == [2, 3]
    assert not first.replace


# failures


def test_a_failure_pauses_the_update_by_default_and_is_named() -> None:
    decision = decide(web(), failed(1, started=1), old(2), old(3), now=2)

    assert status_of(decision) == (
        UpdateState.PAUSED,
        "update paused due to failure or early termination of task failed1",
    )


def test_a_task_that_never_ran_is_a_failure() -> None:
    rejected = new(1, state=TaskState.REJECTED, finished=90)

    assert status_of(decide(web(), rejected, old(2), old(3), now=90))[0] is UpdateState.PAUSED


def test_an_early_good_end_is_a_failure_unless_the_policy_calls_it_good() -> None:
    ended = new(1, state=TaskState.COMPLETE, started=1, finished=2)
    on_failure = RestartPolicy(condition=RestartCondition.ON_FAILURE)

    assert status_of(decide(web(), ended, old(2), old(3), now=2))[0] is UpdateState.PAUSED
    assert renewed(decide(web(restart=on_failure), a_revision(web(restart=on_failure)), ended, old(2), now=2)) == [2, 3]


def test_a_crash_after_the_monitor_is_not_the_updates_business() -> None:
    crashed = new(1, name="late", state=TaskState.FAILED, started=1, finished=60)

    assert renewed(decide(web(), crashed, old(2), old(3), now=60)) == [2, 1]


def test_a_crash_before_the_update_is_not_the_updates_business() -> None:
    crashed = new(1, name="early", created=-20, state=TaskState.FAILED, started=-19, finished=-18)

    assert not decide(web(), crashed, old(2), old(3), now=0).replace


def test_failures_up_to_the_ratio_are_borne() -> None:
    tasks = [failed(1, started=1), old(2), old(3)]

    assert renewed(decide(web(max_failure_ratio=0.4), *tasks, now=2)) == [2, 1]
    assert status_of(decide(web(max_failure_ratio=0.3), *tasks, now=2))[0] is UpdateState.PAUSED


def test_with_continue_failures_do_not_hold_the_update_up() -> None:
    service = web(2, failure_action=FailureAction.CONTINUE)
    crash_loop = [failed(1, name=f"failed{n}", created=n) for n in range(5)]

    assert 2 in renewed(decide(service, *crash_loop, old(2), now=9))
    decision = decide(service, *crash_loop, new(2, started=1), now=9)
    assert status_of(decision) == (UpdateState.COMPLETED, "update completed")


def test_a_failure_rolls_back_where_that_is_the_wish() -> None:
    service = web(failure_action=FailureAction.ROLLBACK)
    decision = decide(service, failed(1, started=1), old(2), old(3), now=2)

    after = record_of(decision)
    assert status_of(decision) == (
        UpdateState.ROLLBACK_STARTED,
        "update rolled back due to failure or early termination of task failed1",
    )
    assert (after.spec, after.spec_version) == (service.previous_spec, 1)
    assert (after.previous_spec, after.previous_spec_version) == (None, None)
    assert [task.spec_version for task in decision.create] == [1]


@pytest.mark.parametrize(("allowed", "ends"), [("", UpdateState.PAUSED), ("pid", UpdateState.ROLLBACK_STARTED)])
def test_nothing_is_rolled_back_to_what_the_cluster_allows_no_more(allowed: str, ends: UpdateState) -> None:
    service = web(failure_action=FailureAction.ROLLBACK)
    bare = OLD.model_copy(update={"container_spec": ContainerSpec(labels={HOST: json.dumps({"PidMode": "host"})})})
    service = service.model_copy(update={"previous_spec": service.spec.model_copy(update={"task_template": bare})})
    cluster = a_cluster().model_copy(update={"spec": ClusterSpec(labels={ALLOW: allowed})})

    state, message = status_of(decide(service, cluster, failed(1, started=1), old(2), now=2))
    assert state is ends
    assert (message or "").endswith(
        "task failed1"
        if allowed
        else "task failed1; not rolled back: the former spec asks for pid, which this cluster does not let services"
        " ask for"
    )


def test_without_a_spec_to_go_back_to_the_update_is_paused() -> None:
    service = web(failure_action=FailureAction.ROLLBACK)
    nothing = service.model_copy(update={"previous_spec": None, "previous_spec_version": None})
    same = service.model_copy(update={"previous_spec": service.spec, "previous_spec_version": 2})

    for service in (nothing, same):
        assert status_of(decide(service, failed(1, started=1), now=2))[0] is UpdateState.PAUSED


def test_a_task_that_does_not_run_in_ten_minutes_fails_the_update_with_its_reason() -> None:
    lacking = Reason(code=ReasonCode.NO_NODE, text="no node has 64 GiB", since=T0)
    waiting = new(1, state=TaskState.PENDING, node="", reason=lacking)

    assert decide(web(), waiting, old(2), old(3), now=599).again_at == at(600)
    decision = decide(web(), waiting, old(2), old(3), now=600)
    assert status_of(decision) == (
        UpdateState.PAUSED,
        "update paused due to task new1, which does not run after 10 minutes: no node has 64 GiB",
    )


def test_a_task_without_a_reason_is_named_with_its_state() -> None:
    decision = decide(web(1), new(1, state=TaskState.PREPARING), now=600)

    assert status_of(decision)[1] == "update paused due to task new1, which does not run after 10 minutes: preparing"


def test_with_continue_a_task_that_does_not_run_holds_nothing_up_after_ten_minutes() -> None:
    service = web(2, failure_action=FailureAction.CONTINUE)
    stuck = new(1, state=TaskState.PREPARING)

    assert not decide(service, stuck, old(2), now=599)
    assert renewed(decide(service, stuck, old(2), now=600)) == [2]
    decision = decide(service, stuck, new(2, started=1), now=600)
    assert status_of(decision)[0] is UpdateState.COMPLETED


# rollback


def rolled_back(replicas: int = 2, **config: Any) -> Service:
    """Back on version 1; version 2 is what must go."""
    service = web(replicas, ROLLING_BACK, **config)
    assert isinstance(service.previous_spec, ServiceSpec)
    spec = service.previous_spec.model_copy(update={"update_config": None})
    return service.model_copy(update={"spec": spec, "spec_version": 1, "previous_spec": None})


def test_a_rollback_moves_slots_by_its_own_pace() -> None:
    decision = decide(rolled_back(parallelism=1), new(1, created=-9), new(2, created=-9))

    assert [(task.slot, task.spec_version) for task in decision.create] == [(1, 1)]


def test_a_rollback_is_complete_when_all_run_the_former_wish() -> None:
    back = a_task("back", slot=1, version=1, created=1)

    assert status_of(decide(rolled_back(), back, old(2), now=20)) == (
        UpdateState.ROLLBACK_COMPLETED,
        "rollback completed",
    )


@pytest.mark.parametrize("action", [None, FailureAction.PAUSE, FailureAction.ROLLBACK])
def test_a_rollback_that_fails_is_paused_and_never_rolled_back(action: FailureAction | None) -> None:
    crash = a_task("back", slot=1, version=1, created=1, state=TaskState.FAILED, finished=2)

    assert status_of(decide(rolled_back(failure_action=action), crash, old(2), now=2)) == (
        UpdateState.ROLLBACK_PAUSED,
        "rollback paused due to failure or early termination of task back",
    )


def test_a_rollback_is_not_failed_by_crashes_from_before_it() -> None:
    crash = a_task("before", slot=1, version=1, created=-90, state=TaskState.FAILED, finished=-80)
    decision = decide(rolled_back(), crash, new(1, created=-50), new(2, created=-50), now=1)

    assert not decision.replace
    assert renewed(decision) == [1]


def test_a_status_without_a_beginning_is_taken_as_none() -> None:
    bare = UpdateStatus(state=UpdateState.UPDATING)

    update = record_of(decide(web(status=bare), old(1), now=3)).update
    assert update is not None
    started: datetime | None = update.started_at
    assert started == at(3)


def test_an_agents_clock_that_is_ahead_does_not_hold_an_update_up() -> None:
    ahead = [new(slot).model_copy(update={"started_at": at(3600)}) for slot in (1, 2, 3)]

    assert status_of(decide(web(monitor=5 * SECOND), *ahead, now=6))[0] is UpdateState.COMPLETED


def test_an_agents_clock_that_is_ahead_does_not_make_a_late_end_an_early_one() -> None:
    ends = {"started_at": at(3600), "finished_at": at(3690), "updated_at": at(90)}
    late = failed(1, started=0).model_copy(update=ends)

    assert not decide(web(monitor=5 * SECOND), late, new(2), old(3), now=90).replace
