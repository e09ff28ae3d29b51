"""Updates of services that depend on others: nothing stops for a wait, and no wait in vain is long."""

from collections.abc import Mapping
from typing import Any

import pytest
from support.builders import (
    T0,
    a_job,
    a_service,
    a_task,
    a_template,
    at,
)
from support.dependents import COMPLETE, COMPLETED, CRASHED, HEALTHY, UPDATING, decide, held, web

from manager.objects import Reason, ReasonCode, Service, Task
from manager.orchestrator.decision import Decision
from swarmpy.models.service import FailureAction, UpdateConfig, UpdateOrder, UpdateState, UpdateStatus
from swarmpy.states import TaskState


def updated(status: UpdateStatus | None = UPDATING, on: Mapping[str, str] | None = None, **fields: Any) -> Service:
    template = a_template(image="web:2")
    return web(on or {"db": COMPLETED}, spec_version=2, template=template, status=status, **fields)


def old(slot: int = 1, **fields: Any) -> Task:
    return a_task(f"old{slot}", slot=slot, version=1, created=-100, **fields)


def status_of(decision: Decision) -> UpdateStatus | None:
    return next((value.update for value in decision.replace if isinstance(value, Service)), None)


def test_an_update_stops_nothing_while_the_new_wish_would_wait_and_its_status_says_so() -> None:
    decision = decide(updated(status=None), a_job("db", iteration=1), old())

    assert (decision.desire, decision.create) == ((), ())
    status = status_of(decision)
    assert status is not None
    assert status.state is UpdateState.UPDATING
    assert status.message == "update waits until service db has completed successfully"


def test_an_update_goes_on_when_what_it_waited_for_is_there() -> None:
    waiting = UPDATING.model_copy(update={"message": "update waits until service db has completed successfully"})
    job = a_job("db", iteration=1)
    decision = decide(updated(waiting), job, a_task("d1", job, job_iteration=1, **COMPLETE), old())

    assert [part.task_id for part in decision.desire] == ["old1"]
    assert [task.spec_version for task in decision.create] == [2]
    status = status_of(decision)
    assert status is not None
    assert status.message == "update in progress"


def test_the_status_of_an_update_that_waits_is_written_once() -> None:
    waiting = UPDATING.model_copy(update={"message": "update waits until service db has completed successfully"})

    assert not decide(updated(waiting), a_job("db", iteration=1), old()).replace


def test_what_crashes_while_its_update_waits_is_started_again_by_its_old_wish() -> None:
    crashed = a_task("old1", version=1, created=-50, **CRASHED)

    (again,) = decide(updated(), a_job("db", iteration=1), crashed, now=1).create
    assert (again.spec_version, again.desired_state) == (1, TaskState.RUNNING)


def test_a_slot_in_which_nothing_ever_ran_moves_on_and_waits_by_its_new_wish() -> None:
    never = old(state=TaskState.READY, desired=TaskState.READY)

    decision = decide(updated(), a_job("db", iteration=1), never)
    assert held(decision) == [(TaskState.READY, ReasonCode.WAITING_DEPENDENCY)]
    assert [part.task_id for part in decision.desire] == ["old1"]


def test_in_an_update_slots_after_the_first_ask_only_that_something_runs() -> None:
    db = a_service("db", replicas=2)
    service = updated(on={"db": HEALTHY}, replicas=2)
    renewed = a_task("new1", slot=1, version=2, created=1)

    decision = decide(service, db, a_task("d1", db), renewed, old(2), now=60)
    assert [part.task_id for part in decision.desire] == ["old2"]


def test_a_wish_that_comes_back_asks_for_everything_again() -> None:
    """It ran once, long before this update."""
    earlier = a_task("early", slot=1, version=2, created=-500, **CRASHED)
    decision = decide(updated(), a_job("db", iteration=1), earlier, old())

    assert not decision.create


def test_a_rollback_does_not_wait_for_what_the_failed_wish_would_need() -> None:
    rolling_back = UpdateStatus(state=UpdateState.ROLLBACK_STARTED, started_at=T0, message="rolled back")
    decision = decide(updated(rolling_back), a_job("db", iteration=1), old())

    assert [(task.spec_version, task.desired_state) for task in decision.create] == [(2, TaskState.READY)]
    assert [part.task_id for part in decision.desire] == ["old1"]


WAIT = Reason(code=ReasonCode.WAITING_DEPENDENCY, text="waits until service db is healthy", since=T0)


def held_back(**fields: Any) -> Task:
    """The new task of a start-first update, which is ready and waits."""
    return a_task("new1", version=2, created=1, state=TaskState.READY, desired=TaskState.READY, reason=WAIT, **fields)


def test_the_time_that_a_renewed_task_waits_for_others_is_no_lack_of_progress() -> None:
    service = updated(update=UpdateConfig(order=UpdateOrder.START_FIRST))
    job = a_job("db", iteration=1)
    at_work = a_task("d1", job, job_iteration=1, started=2)

    assert status_of(decide(service, job, at_work, old(), held_back(), now=3600)) is None
    released = a_task("new1", version=2, created=1, state=TaskState.STARTING, held_until=at(3500))
    assert status_of(decide(service, job, old(), released, now=3600)) is None
    failed = status_of(decide(service, job, old(), released, now=4200))
    assert failed is not None
    assert failed.state is UpdateState.PAUSED


IN_VAIN = "a wait of more than 10 minutes until service db is healthy: it does not exist"


@pytest.mark.parametrize(
    ("action", "ends", "message"),
    [
        (None, UpdateState.PAUSED, "update paused due to " + IN_VAIN),
        (FailureAction.CONTINUE, UpdateState.PAUSED, "update paused due to " + IN_VAIN),
        (FailureAction.ROLLBACK, UpdateState.ROLLBACK_STARTED, "update rolled back due to " + IN_VAIN),
    ],
)
def test_an_update_that_waits_for_what_never_comes_fails_after_the_deadline(
    action: FailureAction | None, ends: UpdateState, message: str
) -> None:
    before = a_service("web", template=a_template(image="old:1")).spec
    service = updated(on={"db": HEALTHY}, update=UpdateConfig(failure_action=action)).model_copy(
        update={"previous_spec": before, "previous_spec_version": 1}
    )

    assert decide(service, old(), now=599).again_at == at(600)
    status = status_of(decide(service, old(), now=600))
    assert status is not None
    assert (status.state, status.message) == (ends, message)


def test_a_renewed_task_that_waits_for_what_never_comes_is_late_after_the_deadline() -> None:
    status = status_of(decide(updated(), old(state=TaskState.FAILED, finished=-1), held_back(), now=601))

    assert status is not None
    assert status.state is UpdateState.PAUSED


def test_a_wait_that_gets_on_has_a_new_deadline() -> None:
    db = a_service("db", replicas=3)
    service = updated(on={"db": HEALTHY})
    first, second = a_task("d1", db, slot=1, started=100), a_task("d2", db, slot=2, started=500)

    assert decide(service, db, first, second, old(), now=900).again_at == at(1100)
    assert status_of(decide(service, db, first, second, old(), now=1100)) is not None


def test_an_update_that_was_continued_waits_anew() -> None:
    service = updated(on={"db": HEALTHY}).model_copy(update={"update_resumed_at": at(500)})

    assert decide(service, old(), now=900).again_at == at(1100)


def test_an_update_waits_as_long_as_a_migration_or_an_update_of_its_dependency_goes_on() -> None:
    job = a_job("db", iteration=1)
    waiting = UPDATING.model_copy(update={"message": "update waits until service db has completed successfully"})
    moving = a_service("db", spec_version=2, status=UPDATING)
    healthy = UPDATING.model_copy(update={"message": "update waits until service db is healthy"})

    assert not decide(updated(waiting), job, a_task("d1", job, job_iteration=1, started=2), old(), now=9999)
    assert not decide(updated(healthy, on={"db": HEALTHY}), moving, a_task("d1", moving, version=1), old(), now=9999)


def test_an_update_fails_at_once_when_its_dependency_gave_up() -> None:
    job = a_job("db", iteration=1)
    why = Reason(code=ReasonCode.GAVE_UP, text="exit code 1; gave up after 3 attempts", since=T0)
    over = a_task("d1", job, job_iteration=1, state=TaskState.FAILED, desired=TaskState.SHUTDOWN, reason=why)
    status = status_of(decide(updated(), job, over, old(), now=5))

    assert status is not None
    assert (status.state, status.message) == (
        UpdateState.PAUSED,
        "update paused due to a wait that has no end, until service db has completed successfully: 0/1 complete:"
        " exit code 1; gave up after 3 attempts",
    )
