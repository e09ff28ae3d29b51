"""Which places of a service need no closer look. That nothing is overlooked is a law of the control model."""

from support.builders import (
    T0,
    a_cluster,
    a_global_service,
    a_job,
    a_node,
    a_revision,
    a_service,
    a_state,
    a_task,
)

from manager.objects import AnyObject, Service, Task
from manager.orchestrator.keep import View
from manager.orchestrator.survey import PlaceKey, survey
from swarmpy.models.service import UpdateState, UpdateStatus
from swarmpy.states import NodeState, TaskState


def resting(service: Service, *objects: AnyObject, nodes: frozenset[str] | None = None) -> set[PlaceKey]:
    state = a_state(a_cluster(history_limit=1), a_node("n1"), service, a_revision(service, 1), *objects)
    return set(survey(View(state, service, T0), nodes).resting)


def crashed(task_id: str, *, slot: int) -> Task:
    return a_task(task_id, slot=slot, state=TaskState.FAILED, desired=TaskState.SHUTDOWN, created=-9, finished=-8)


def test_a_slot_whose_one_task_runs_by_the_present_wish_is_at_rest() -> None:
    service = a_service(spec_version=2)
    tasks = [a_task("a", slot=1, version=2), a_task("b", slot=2, version=1), a_task("c", slot=3, version=2)]
    second = a_task("d", slot=3, version=2)

    assert resting(service, *tasks, second) == {1}


def test_history_within_the_limit_disturbs_no_rest() -> None:
    tasks = [a_task("a", slot=1), crashed("b", slot=1), a_task("c", slot=2), crashed("d", slot=2), crashed("e", slot=2)]

    assert resting(a_service(), *tasks) == {1}


def test_nothing_rests_while_an_update_is_under_way() -> None:
    status = UpdateStatus(state=UpdateState.UPDATING, started_at=T0)

    assert resting(a_service(), a_task("a")) == {1}
    assert resting(a_service(status=status), a_task("a")) == set()


def test_a_global_services_task_rests_where_it_belongs_and_its_node_is_heard() -> None:
    tasks = [a_task(f"t{n}", "agent", slot=0, node=f"n{n}") for n in (1, 2, 3)]
    nodes = [a_node("n2", state=NodeState.DOWN), a_node("n3")]

    assert resting(a_global_service(), *tasks, *nodes, nodes=frozenset({"n1", "n2"})) == {"n1"}


def test_a_complete_run_rests_until_the_next_iteration() -> None:
    done = a_task("a", "job", state=TaskState.COMPLETE, desired=TaskState.COMPLETE, finished=1, job_iteration=0)

    assert resting(a_job(), done) == {1}
    assert resting(a_job(iteration=1), done) == set()


def test_a_complete_run_beside_a_second_attempt_is_no_rest_whichever_is_looked_at_first() -> None:
    done = a_task("a", "job", state=TaskState.COMPLETE, desired=TaskState.SHUTDOWN, finished=1, job_iteration=0)
    second = a_task("b", "job", job_iteration=0)

    assert resting(a_job(), done, second) == set()
    assert resting(a_job(), second, done) == set()


def test_each_node_is_judged_once_however_many_tasks_it_has() -> None:
    asked: list[str] = []

    def unfit(task: Task) -> str | None:
        asked.append(task.node_id)
        return None

    service = a_service(replicas=50)
    state = a_state(
        a_node("n1"), a_node("n2"), service, *(a_task(f"t{n}", slot=n, node=f"n{n % 2 + 1}") for n in range(1, 51))
    )
    assert len(survey(View(state, service, T0, unfit)).resting) == 50
    assert sorted(asked) == ["n1", "n2"]
