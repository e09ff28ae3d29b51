"""Jobs: once to the end in every iteration, whatever happens on the way."""

from support.builders import SECOND, a_global_job, a_job, a_node, a_state, a_task, at

from manager.objects import AnyObject, Service
from manager.orchestrator.decision import Decision
from manager.orchestrator.jobs import reconcile_global_job, reconcile_replicated_job
from manager.orchestrator.keep import View
from manager.orchestrator.survey import survey
from swarmpy.models.task import RestartCondition, RestartPolicy
from swarmpy.states import Availability, NodeState, TaskState

DONE = TaskState.COMPLETE


def decide(service: Service, *objects: AnyObject, now: float = 0) -> Decision:
    nodes = [a_node("n1"), a_node("n2")] if not any(o.id.startswith("n") for o in objects) else []
    view = View(a_state(*nodes, service, *objects), service, at(now))
    return reconcile_replicated_job(view, survey(view))


def decide_global(service: Service, *objects: AnyObject, eligible: set[str], now: float = 0) -> Decision:
    view = View(a_state(service, *objects), service, at(now))
    return reconcile_global_job(view, survey(view, frozenset(eligible)), frozenset(eligible))


def desired(decision: Decision) -> dict[str, TaskState]:
    return {part.task_id: part.desired_state for part in decision.desire}


def test_a_job_begins_as_many_runs_as_may_go_side_by_side() -> None:
    decision = decide(a_job(total=5, at_once=2))

    assert [(task.slot, task.job_iteration) for task in decision.create] == [(1, 0), (2, 0)]


def test_one_run_at_a_time_and_as_many_as_at_once_are_the_defaults() -> None:
    assert len(decide(a_job()).create) == 1
    assert len(decide(a_job(at_once=3)).create) == 3
    assert len(decide(a_job(total=3)).create) == 1


def test_zero_at_once_is_all_at_once() -> None:
    assert len(decide(a_job(total=4, at_once=0)).create) == 4


def test_a_run_that_ends_makes_room_for_the_next_and_is_not_repeated() -> None:
    done = a_task("a", "job", slot=1, state=DONE, finished=1, job_iteration=0)
    under_way = a_task("b", "job", slot=2, job_iteration=0)
    decision = decide(a_job(total=3, at_once=2), done, under_way, now=1)

    assert [task.slot for task in decision.create] == [3]
    assert desired(decision) == {"a": DONE}


def test_a_job_whose_runs_are_complete_is_left_alone() -> None:
    tasks = [a_task(str(n), "job", slot=n, state=DONE, desired=DONE, finished=1, job_iteration=0) for n in (1, 2)]

    assert not decide(a_job(total=2), *tasks)


def test_a_failed_run_is_tried_again_in_its_slot() -> None:
    failed = a_task("a", "job", slot=1, state=TaskState.FAILED, finished=1, job_iteration=0)
    decision = decide(a_job(total=2, at_once=1), failed, now=1)

    assert [(task.slot, task.start_after) for task in decision.create] == [(1, at(1))]


def test_a_run_that_waits_to_be_tried_again_takes_its_place_among_those_at_once() -> None:
    waiting = a_task("a", "job", slot=1, state=TaskState.READY, desired=TaskState.READY, start_after=9, job_iteration=0)

    assert not decide(a_job(total=2, at_once=1), waiting).create


def test_condition_any_means_on_failure_for_a_job() -> None:
    service = a_job(total=1, restart=RestartPolicy(condition=RestartCondition.ANY))

    assert not decide(service, a_task("a", "job", state=DONE, desired=DONE, finished=1, job_iteration=0))


def test_a_run_that_gave_up_does_not_stop_the_others() -> None:
    service = a_job(total=2, at_once=1, restart=RestartPolicy(condition=RestartCondition.NONE, delay=SECOND))
    failed = a_task("a", "job", slot=1, state=TaskState.FAILED, finished=1, job_iteration=0)
    decision = decide(service, failed, now=1)

    assert [task.slot for task in decision.create] == [2]
    assert [part.task_id for part in decision.reasons] == ["a"]


def test_a_new_iteration_stops_what_is_left_of_the_last_one_and_runs_all_again() -> None:
    service = a_job(total=2, at_once=1, iteration=1, spec_version=2)
    left = a_task("a", "job", slot=1, version=1, job_iteration=0)
    done = a_task("b", "job", slot=2, version=1, state=DONE, desired=DONE, finished=1, job_iteration=0)
    decision = decide(service, left, done)

    assert desired(decision) == {"a": TaskState.SHUTDOWN}
    (new,) = decision.create
    assert (new.slot, new.spec_version, new.job_iteration, new.desired_state) == (1, 2, 1, TaskState.READY)


def test_a_new_iteration_stops_the_last_one_also_where_it_may_not_begin_yet() -> None:
    service = a_job(total=2, at_once=1, iteration=1, spec_version=2)
    begun = a_task("a", "job", slot=1, version=2, job_iteration=1)
    left = a_task("b", "job", slot=2, version=1, job_iteration=0)

    assert desired(decide(service, begun, left)) == {"b": TaskState.SHUTDOWN}


def test_a_wish_that_comes_back_is_run_again_for_its_own_iteration() -> None:
    service = a_job(total=1, iteration=2, spec_version=1)
    old = a_task("a", "job", slot=1, version=1, state=DONE, desired=DONE, finished=1, job_iteration=0)

    assert [task.job_iteration for task in decide(service, old).create] == [2]


def test_a_run_on_a_lost_node_is_tried_again_elsewhere() -> None:
    down = a_node("n1", state=NodeState.DOWN)
    decision = decide(a_job(total=1), down, a_task("a", "job", slot=1, job_iteration=0))

    assert [(task.slot, task.desired_state) for task in decision.create] == [(1, TaskState.RUNNING)]


def test_a_run_that_turns_out_complete_stops_its_second_attempt() -> None:
    done = a_task("a", "job", slot=1, state=DONE, desired=TaskState.SHUTDOWN, finished=3, job_iteration=0)
    second = a_task("b", "job", slot=1, created=1, job_iteration=0)

    assert desired(decide(a_job(total=1), done, second)) == {"b": TaskState.SHUTDOWN}


def test_slots_beyond_a_smaller_total_go() -> None:
    tasks = [a_task(str(n), "job", slot=n, job_iteration=0) for n in (1, 2)]

    assert desired(decide(a_job(total=1), *tasks)) == {"2": TaskState.REMOVE}


def test_a_global_job_runs_once_on_each_eligible_node() -> None:
    done = a_task("a", "job", slot=0, state=DONE, desired=DONE, finished=1, job_iteration=0)
    decision = decide_global(a_global_job(), a_node("n1"), a_node("n2"), done, eligible={"n1", "n2"})

    assert [task.node_id for task in decision.create] == ["n2"]


def test_a_global_job_is_not_begun_on_nodes_that_are_not_eligible_but_what_runs_may_end() -> None:
    paused = a_node("n2", availability=Availability.PAUSE)
    running = a_task("b", "job", slot=0, node="n2", job_iteration=0)

    assert not decide_global(a_global_job(), paused, running, eligible=set())


def test_a_global_jobs_tasks_go_with_their_node() -> None:
    lost = a_task("a", "job", slot=0, node="gone", job_iteration=0)
    decision = decide_global(a_global_job(), a_node("n1"), lost, eligible=set())

    assert desired(decision) == {"a": TaskState.REMOVE}
