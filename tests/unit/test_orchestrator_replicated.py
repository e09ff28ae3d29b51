"""Slots of replicated services: scaling, restarting, moving."""

from collections.abc import Sequence
from typing import Any

import pytest
from support.builders import SECOND, T0, a_node, a_revision, a_service, a_state, a_task, a_template, at

from manager.objects import AnyObject, Reason, ReasonCode, Service, Task
from manager.orchestrator.decision import Decision, NewTask, SetDesired, SetReason
from manager.orchestrator.keep import View
from manager.orchestrator.replicated import reconcile_replicated
from manager.orchestrator.survey import survey
from manager.state import State
from manager.store.codec import encode
from manager.store.port import Batch, Change, Entry
from swarmpy.models.port import PortConfig, PublishMode
from swarmpy.models.service import UpdateConfig, UpdateOrder, UpdateState, UpdateStatus
from swarmpy.models.task import RestartCondition, RestartPolicy
from swarmpy.states import Availability, NodeState, TaskState

NODES = tuple(a_node(f"n{number}") for number in range(1, 4))


def in_order(tasks: Sequence[Task]) -> Sequence[Task]:
    return sorted(tasks, key=lambda task: task.id)


def decide(service: Service, *objects: AnyObject, now: float = 0, nodes: Sequence[AnyObject] = NODES) -> Decision:
    state = a_state(*nodes, service, *objects)
    return decide_on(state, service, now)


def decide_on(state: State, service: Service, now: float = 0) -> Decision:
    view = View(state, state.services[service.id], at(now))
    return reconcile_replicated(view, survey(view), in_order)


def desired(decision: Decision) -> dict[str, TaskState]:
    return {part.task_id: part.desired_state for part in decision.desire}


def why(decision: Decision, task_id: str) -> Reason:
    found = next(part.reason for part in decision.desire if part.task_id == task_id)
    assert found is not None
    return found


# scaling


def test_a_new_service_gets_one_task_in_each_slot() -> None:
    decision = decide(a_service(replicas=3))

    assert [task.slot for task in decision.create] == [1, 2, 3]
    assert all(task.desired_state is TaskState.RUNNING and task.reason for task in decision.create)


def test_replicas_default_to_one() -> None:
    service = a_service()
    mode = service.spec.mode.model_copy(update={"replicated": None})
    service = service.model_copy(update={"spec": service.spec.model_copy(update={"mode": mode})})

    assert len(decide(service).create) == 1


def test_a_service_that_has_what_it_wants_is_left_alone() -> None:
    assert not decide(a_service(replicas=2), a_task("a", slot=1), a_task("b", slot=2))


def test_scaling_up_fills_the_lowest_free_slots_first() -> None:
    decision = decide(a_service(replicas=4), a_task("a", slot=1), a_task("c", slot=3))

    assert [task.slot for task in decision.create] == [2, 4]


def test_scaling_down_removes_slots_with_their_whole_history() -> None:
    old = a_task("old", slot=1, state=TaskState.FAILED, desired=TaskState.SHUTDOWN, created=-5, finished=0)
    decision = decide(a_service(replicas=1), old, a_task("a", slot=1), a_task("b", slot=2))

    assert desired(decision) == {"a": TaskState.REMOVE}
    assert [part.task_id for part in decision.drop] == ["old"]
    assert why(decision, "a").code is ReasonCode.SCALED_DOWN


def test_scaling_down_takes_slots_first_in_which_nothing_runs() -> None:
    waiting = a_task("z", slot=1, state=TaskState.PENDING, node="")
    decision = decide(a_service(replicas=2), waiting, a_task("a", slot=2), a_task("b", slot=3))

    assert desired(decision) == {"z": TaskState.REMOVE}


def test_scaling_down_takes_a_task_that_must_leave_its_node_before_one_that_may_stay() -> None:
    nodes = [a_node("n1"), a_node("n2", availability=Availability.DRAIN)]
    decision = decide(a_service(replicas=1), a_task("a", slot=1), a_task("b", slot=2, node="n2"), nodes=nodes)

    assert desired(decision) == {"b": TaskState.REMOVE}
    assert not decision.create


def test_scaling_to_zero_removes_all() -> None:
    decision = decide(a_service(replicas=0), a_task("a", slot=1), a_task("b", slot=2))

    assert desired(decision) == {"a": TaskState.REMOVE, "b": TaskState.REMOVE}


def test_a_slot_number_comes_back_while_its_removed_task_still_stops_and_waits_for_it() -> None:
    leaving = a_task("a", slot=1, desired=TaskState.REMOVE)
    decision = decide(a_service(replicas=1), leaving)

    (new,) = decision.create
    assert (new.slot, new.desired_state) == (1, TaskState.READY)
    assert new.reason is not None and new.reason.code is ReasonCode.WAITING_OLD_TASK


def test_a_slot_number_comes_back_without_the_restart_history_it_had() -> None:
    service = a_service(replicas=1, restart=RestartPolicy(condition=RestartCondition.NONE))
    gone = a_task("a", slot=1, state=TaskState.FAILED, desired=TaskState.REMOVE, finished=1)

    assert [task.slot for task in decide(service, gone).create] == [1]


# restarting


def test_a_crashed_task_is_replaced_at_once_and_no_longer_desired_to_run() -> None:
    decision = decide(a_service(), a_task("a", state=TaskState.FAILED, finished=10, error="exit code 1"), now=10)

    (new,) = decision.create
    assert (new.slot, new.desired_state, new.start_after) == (1, TaskState.RUNNING, at(10))
    assert desired(decision) == {"a": TaskState.SHUTDOWN}
    assert why(decision, "a") == Reason(code=ReasonCode.EXITED, text="exit code 1", since=at(10))


def test_a_restart_with_a_delay_is_made_ready_and_says_when_it_starts() -> None:
    service = a_service(restart=RestartPolicy(delay=5 * SECOND))
    (new,) = decide(service, a_task("a", state=TaskState.FAILED, finished=10), now=10).create

    assert (new.desired_state, new.start_after) == (TaskState.READY, at(15))
    assert new.reason is not None and new.reason.code is ReasonCode.WAITING_RESTART_DELAY


def test_a_task_that_was_rejected_ahead_of_its_delay_is_replaced_when_the_delay_is_over_and_says_so() -> None:
    rejected = a_task("a", state=TaskState.REJECTED, created=10, start_after=15, finished=11, error="No such image")
    decision = decide(a_service(), rejected, now=11)

    assert (decision.create, decision.again_at) == ((), at(15))
    text = "No such image; tried again at 00:00:15 UTC"
    assert SetReason("a", Reason(code=ReasonCode.ENGINE, text=text, since=at(11))) in decision.reasons
    assert [task.start_after for task in decide(a_service(), rejected, now=15).create] == [at(23)]


def test_a_ready_task_is_looked_at_again_when_its_delay_is_over_and_then_runs() -> None:
    service = a_service()
    ready = a_task("b", state=TaskState.READY, desired=TaskState.READY, created=10, start_after=15)

    assert decide(service, ready, now=12) == Decision(again_at=at(15))
    decision = decide(service, ready, now=15)
    assert desired(decision) == {"b": TaskState.RUNNING}
    assert why(decision, "b").code is ReasonCode.WAITING_AGENT


def test_a_slot_that_gives_up_gets_no_task_and_its_last_one_says_so_once() -> None:
    service = a_service(restart=RestartPolicy(condition=RestartCondition.NONE))
    failed = a_task("a", state=TaskState.FAILED, finished=1, desired=TaskState.SHUTDOWN, error="exit code 3")
    decision = decide(service, failed)

    assert not decision.create
    (said,) = decision.reasons
    assert said.reason is not None
    assert (said.reason.code, said.reason.text) == (ReasonCode.GAVE_UP, "exit code 3; its restart condition is none")
    assert not decide(service, failed.model_copy(update={"reason": said.reason}))


def test_a_service_task_that_ended_well_under_on_failure_is_left_alone() -> None:
    service = a_service(restart=RestartPolicy(condition=RestartCondition.ON_FAILURE))
    done = a_task("a", state=TaskState.COMPLETE, finished=1, desired=TaskState.SHUTDOWN)

    assert not decide(service, done)


def test_of_two_tasks_wanted_in_one_slot_the_one_further_on_stays() -> None:
    decision = decide(a_service(), a_task("a", state=TaskState.STARTING), a_task("b", created=1), now=1)

    assert desired(decision) == {"a": TaskState.SHUTDOWN}


# leaving nodes


def test_a_drained_node_hands_its_tasks_over_and_the_new_one_waits_for_the_old() -> None:
    drained = a_node("n1", availability=Availability.DRAIN)
    decision = decide(a_service(), a_task("a"), nodes=[drained, a_node("n2")])

    assert desired(decision) == {"a": TaskState.SHUTDOWN}
    assert why(decision, "a").code is ReasonCode.NODE_DRAINED
    assert [task.desired_state for task in decision.create] == [TaskState.READY]


def test_the_new_task_runs_when_the_old_one_has_stopped() -> None:
    old = a_task("a", state=TaskState.SHUTDOWN, desired=TaskState.SHUTDOWN, finished=2)
    new = a_task("b", state=TaskState.READY, desired=TaskState.READY, node="n2", created=1)

    assert desired(decide(a_service(), old, new, now=3)) == {"b": TaskState.RUNNING}


def test_a_new_leader_whose_clock_is_behind_does_not_take_the_new_task_for_the_older_one() -> None:
    old = a_task("a", desired=TaskState.SHUTDOWN, created=20)
    new = a_task("b", state=TaskState.READY, desired=TaskState.READY, node="n2", created=1)
    state = a_state(*NODES, a_service(), old)
    state.apply(Batch(2, (Change("tasks/b", Entry("tasks/b", encode(new), 2, 2)),)))

    assert decide_on(state, a_service(), now=2) == Decision(again_at=at(61))


def test_the_wait_for_an_old_task_is_bounded_by_a_minute() -> None:
    old = a_task("a", desired=TaskState.SHUTDOWN)
    new = a_task("b", state=TaskState.READY, desired=TaskState.READY, node="n2", created=1)

    assert decide(a_service(), old, new, now=30) == Decision(again_at=at(61))
    assert desired(decide(a_service(), old, new, now=61)) == {"b": TaskState.RUNNING}


def test_the_wait_for_an_old_task_respects_its_grace_period() -> None:
    service = a_service(template=a_template(grace=300 * SECOND))
    old = a_task("a", desired=TaskState.SHUTDOWN)
    new = a_task("b", state=TaskState.READY, desired=TaskState.READY, node="n2", created=1)

    assert decide(service, old, new, now=61) == Decision(again_at=at(311))


def test_tasks_of_a_node_that_is_down_are_replaced_without_waiting_for_them() -> None:
    down = a_node("n1", state=NodeState.DOWN, message="no heartbeat for 5 s")
    decision = decide(a_service(), a_task("a"), nodes=[down, a_node("n2")])

    assert desired(decision) == {"a": TaskState.SHUTDOWN}
    assert why(decision, "a").text == "node n1 is down: no heartbeat for 5 s"
    assert [task.desired_state for task in decision.create] == [TaskState.RUNNING]


def test_tasks_of_a_removed_node_are_orphaned_and_replaced() -> None:
    decision = decide(a_service(), a_task("a", node="gone"))

    assert [(part.task_id, part.state) for part in decision.states] == [("a", TaskState.ORPHANED)]
    assert desired(decision) == {"a": TaskState.SHUTDOWN}
    assert len(decision.create) == 1


def test_tasks_of_a_node_that_is_down_for_a_day_are_orphaned() -> None:
    down = a_node("n1", state=NodeState.DOWN)
    old = a_task("a", desired=TaskState.SHUTDOWN)
    new = a_task("b", node="n2", created=1)
    day = 24 * 3600

    assert decide(a_service(), old, new, nodes=[down, a_node("n2")], now=day - 1) == Decision(again_at=at(day))
    (lost,) = decide(a_service(), old, new, nodes=[down, a_node("n2")], now=day).states
    assert (lost.task_id, lost.state) == ("a", TaskState.ORPHANED)


def test_a_paused_node_keeps_its_tasks() -> None:
    assert not decide(a_service(), a_task("a"), nodes=[a_node("n1", availability=Availability.PAUSE)])


def test_a_task_that_no_longer_fits_its_node_moves_and_says_why() -> None:
    service = a_service()
    state = a_state(*NODES, service, a_task("a"))
    view = View(state, service, T0, lambda task: "node.labels.disk is hdd")
    decision = reconcile_replicated(view, survey(view), in_order)

    assert why(decision, "a").text == "node n1 no longer fits: node.labels.disk is hdd"
    assert len(decision.create) == 1


def test_a_task_stopped_before_it_was_placed_is_the_managers_to_end() -> None:
    unplaced = a_task("a", state=TaskState.PENDING, desired=TaskState.SHUTDOWN, node="")
    decision = decide(a_service(), unplaced, a_task("b", created=1))

    assert [(part.task_id, part.state) for part in decision.states] == [("a", TaskState.SHUTDOWN)]


# updates, as far as a slot is concerned


def updating(order: UpdateOrder, state: UpdateState = UpdateState.UPDATING, **fields: Any) -> Service:
    status = UpdateStatus(state=state, started_at=T0)
    return a_service(spec_version=2, update=UpdateConfig(order=order, **fields), status=status)


def test_stop_first_stops_the_old_task_and_the_new_one_waits() -> None:
    decision = decide(updating(UpdateOrder.STOP_FIRST), a_task("a", version=1))

    assert desired(decision) == {"a": TaskState.SHUTDOWN}
    assert why(decision, "a").code is ReasonCode.REPLACED
    assert [(task.spec_version, task.desired_state) for task in decision.create] == [(2, TaskState.READY)]


def test_start_first_starts_the_new_task_beside_the_old_one() -> None:
    decision = decide(updating(UpdateOrder.START_FIRST), a_task("a", version=1))

    assert not decision.desire
    assert [(task.spec_version, task.desired_state) for task in decision.create] == [(2, TaskState.RUNNING)]


def test_start_first_stops_the_old_task_once_the_new_one_runs() -> None:
    service = updating(UpdateOrder.START_FIRST)
    old, new = a_task("a", version=1), a_task("b", version=2, state=TaskState.STARTING, created=1)

    assert not decide(service, old, new, now=2)
    ran = new.model_copy(update={"status": new.status.model_copy(update={"state": TaskState.RUNNING})})
    assert desired(decide(service, old, ran, now=2)) == {"a": TaskState.SHUTDOWN}


def test_start_first_with_nothing_running_has_nothing_to_wait_for() -> None:
    waiting = a_task("a", version=1, state=TaskState.PENDING, node="")
    decision = decide(updating(UpdateOrder.START_FIRST), waiting)

    assert desired(decision) == {"a": TaskState.SHUTDOWN}
    assert [task.desired_state for task in decision.create] == [TaskState.RUNNING]


def test_start_first_tries_again_beside_the_old_task_when_the_new_one_failed() -> None:
    service = updating(UpdateOrder.START_FIRST, max_failure_ratio=1.0)
    old = a_task("a", version=1)
    failed = a_task("b", version=2, state=TaskState.FAILED, created=1, finished=2)
    decision = decide(service, old, failed, now=2)

    assert desired(decision) == {"b": TaskState.SHUTDOWN}
    assert [(task.spec_version, task.desired_state) for task in decision.create] == [(2, TaskState.RUNNING)]


@pytest.mark.parametrize("state", [UpdateState.PAUSED, UpdateState.ROLLBACK_PAUSED])
def test_a_paused_start_first_update_does_not_try_again(state: UpdateState) -> None:
    service = updating(UpdateOrder.START_FIRST, state)
    failed = a_task("b", version=2, state=TaskState.FAILED, desired=TaskState.SHUTDOWN, created=1, finished=2)

    assert not decide(service, a_task("a", version=1), failed, now=2)


def test_a_crash_in_a_paused_update_is_restarted_from_the_wish_the_slot_had() -> None:
    service = updating(UpdateOrder.STOP_FIRST, UpdateState.PAUSED)
    decision = decide(service, a_task("a", version=1, state=TaskState.FAILED, finished=1), now=1)

    assert [task.spec_version for task in decision.create] == [1]


def test_a_crash_under_a_rollback_comes_back_with_the_rolled_back_wish() -> None:
    status = UpdateStatus(state=UpdateState.ROLLBACK_STARTED, started_at=T0)
    service = a_service(replicas=2, spec_version=1, status=status, rollback=UpdateConfig(parallelism=1))
    moving = a_task("a", slot=1, version=1, state=TaskState.STARTING, created=1)
    crashed = a_task("b", slot=2, version=2, state=TaskState.FAILED, finished=1)
    decision = decide(service, moving, crashed, now=1)

    assert [(task.slot, task.spec_version) for task in decision.create] == [(2, 1)]


def test_host_ports_that_change_replace_tasks_though_the_template_is_the_same() -> None:
    def port(number: int) -> PortConfig:
        return PortConfig(target_port=80, published_port=number, publish_mode=PublishMode.HOST)

    service = a_service(ports=(port(8081),))
    assert desired(decide(service, a_task("a", ports=(port(8080),)))) == {"a": TaskState.SHUTDOWN}
    assert not decide(service, a_task("a", ports=(port(8081),)))


def test_tasks_carry_no_job_iteration_and_name_their_service() -> None:
    service = a_service("db")

    (new,) = decide(service).create
    assert isinstance(new, NewTask)
    assert (new.service_id, new.spec_version, new.node_id, new.job_iteration) == ("db", 1, "", None)


def test_a_wish_without_a_container_waits_for_its_old_tasks_too() -> None:
    service = a_service(template=a_template().model_copy(update={"container_spec": None}))
    old = a_task("a", desired=TaskState.SHUTDOWN)
    new = a_task("b", state=TaskState.READY, desired=TaskState.READY, node="n2", created=1)

    assert decide_on(a_state(*NODES, service, a_revision(service), old, new), service, 30).again_at == at(61)


def test_every_part_of_a_decision_about_a_task_says_something_new() -> None:
    decision = decide(a_service(), a_task("a", state=TaskState.SHUTDOWN, desired=TaskState.SHUTDOWN, finished=1))

    assert not any(isinstance(part, SetDesired) for part in decision.desire)
    assert len(decision.create) == 1
