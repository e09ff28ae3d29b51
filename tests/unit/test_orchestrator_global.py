"""Global services: a task on each eligible node, and what happens when nodes change."""

import pytest
from support.builders import a_global_service, a_node, a_state, a_task, at

from manager.objects import AnyObject, Node, ReasonCode, Service
from manager.orchestrator.decision import Decision
from manager.orchestrator.global_mode import reconcile_global
from manager.orchestrator.keep import View
from manager.orchestrator.survey import survey
from swarmpy.models.service import UpdateConfig, UpdateState, UpdateStatus
from swarmpy.states import Availability, NodeState, TaskState


def decide(*objects: AnyObject, service: Service | None = None, now: float = 0) -> Decision:
    """Every node that is ready and active is eligible, but for those labelled otherwise."""
    service = service or a_global_service()
    state = a_state(service, *objects)
    eligible = frozenset(
        node.id
        for node in objects
        if isinstance(node, Node)
        and node.state is NodeState.READY
        and node.spec.availability is Availability.ACTIVE
        and not node.spec.labels
    )
    view = View(state, service, at(now))
    return reconcile_global(view, survey(view, eligible), eligible)


def desired(decision: Decision) -> dict[str, TaskState]:
    return {part.task_id: part.desired_state for part in decision.desire}


def test_each_eligible_node_gets_one_task_of_its_own() -> None:
    decision = decide(a_node("n1"), a_node("n2"))

    assert [(task.node_id, task.slot) for task in decision.create] == [("n1", 0), ("n2", 0)]


def test_a_node_that_joins_gets_its_task() -> None:
    decision = decide(a_node("n1"), a_node("n2"), a_task("a", "agent", slot=0))

    assert [task.node_id for task in decision.create] == ["n2"]


def test_a_crashed_task_is_replaced_on_its_node() -> None:
    decision = decide(a_node("n1"), a_task("a", "agent", slot=0, state=TaskState.FAILED, finished=1), now=1)

    assert [task.node_id for task in decision.create] == ["n1"]


def test_a_drained_nodes_task_stops_and_nothing_takes_its_place() -> None:
    decision = decide(a_node("n1", availability=Availability.DRAIN), a_task("a", "agent", slot=0))

    assert desired(decision) == {"a": TaskState.SHUTDOWN}
    assert not decision.create


def test_a_paused_node_keeps_its_task_but_gets_no_new_one() -> None:
    paused = a_node("n1", availability=Availability.PAUSE)

    assert not decide(paused, a_task("a", "agent", slot=0))
    crashed = a_task("a", "agent", slot=0, state=TaskState.FAILED, finished=1, desired=TaskState.SHUTDOWN)
    assert not decide(paused, crashed)
    assert not decide(paused)


def test_a_node_not_heard_of_yet_keeps_its_task() -> None:
    assert not decide(a_node("n1", state=NodeState.UNKNOWN), a_task("a", "agent", slot=0))


@pytest.mark.parametrize("state", [TaskState.PENDING, TaskState.PREPARING, TaskState.RUNNING])
def test_the_task_of_a_node_that_is_down_stays_wanted_for_the_node_may_come_back(state: TaskState) -> None:
    down = a_node("n1", state=NodeState.DOWN)

    assert decide(down, a_task("a", "agent", slot=0, state=state), now=48 * 3600) == Decision()


def test_a_down_node_that_is_drained_gives_its_task_up() -> None:
    decision = decide(a_node("n1", state=NodeState.DOWN, availability=Availability.DRAIN), a_task("a", "agent", slot=0))

    assert desired(decision) == {"a": TaskState.SHUTDOWN}
    assert not decision.create


def test_a_task_that_waits_for_an_old_one_does_not_start_before_its_node_is_back() -> None:
    down, old = a_node("n1", state=NodeState.DOWN), a_task("a", "agent", slot=0, desired=TaskState.SHUTDOWN)
    new = a_task("b", "agent", slot=0, state=TaskState.READY, desired=TaskState.READY, created=1)

    assert not decide(down, old, new, now=600)
    back = a_node("n1", since=at(600))
    assert decide(back, old, new, now=601) == Decision(again_at=at(660))


def test_an_update_catches_up_on_a_node_that_is_back() -> None:
    over = UpdateStatus(state=UpdateState.COMPLETED, started_at=at(0))
    service = a_global_service(spec_version=2, status=over)
    decision = decide(a_node("n1"), a_task("a", "agent", slot=0, version=1), service=service, now=60)

    assert desired(decision) == {"a": TaskState.SHUTDOWN}
    assert [task.spec_version for task in decision.create] == [2]


def test_a_node_that_is_back_gets_a_new_task_which_waits_for_the_old_one() -> None:
    decision = decide(a_node("n1"), a_task("a", "agent", slot=0, desired=TaskState.SHUTDOWN))

    assert [(task.node_id, task.desired_state) for task in decision.create] == [("n1", TaskState.READY)]


def test_a_node_that_no_longer_fits_loses_its_task() -> None:
    decision = decide(a_node("n1", labels={"not": "eligible"}), a_task("a", "agent", slot=0))

    assert desired(decision) == {"a": TaskState.SHUTDOWN}
    assert [part.reason.code for part in decision.desire if part.reason] == [ReasonCode.REPLACED]


def test_all_tasks_of_a_removed_node_go_history_too() -> None:
    old = a_task("old", "agent", slot=0, state=TaskState.FAILED, desired=TaskState.SHUTDOWN, created=-2, finished=-1)
    decision = decide(a_task("a", "agent", slot=0), old)

    assert desired(decision) == {"a": TaskState.REMOVE}
    assert [part.task_id for part in decision.drop] == ["old"]
    assert [(part.task_id, part.state) for part in decision.states] == [("a", TaskState.ORPHANED)]


def test_an_update_goes_node_by_node_and_leaves_out_those_that_are_down() -> None:
    service = a_global_service(spec_version=2, update=UpdateConfig(parallelism=1))
    nodes = [a_node("n1"), a_node("n2"), a_node("n3", state=NodeState.DOWN)]
    tasks = [a_task(f"t{n}", "agent", slot=0, node=f"n{n}", version=1) for n in (1, 2)]
    decision = decide(*nodes, *tasks, service=service)

    assert desired(decision) == {"t1": TaskState.SHUTDOWN}
    assert [task.node_id for task in decision.create] == ["n1"]


def test_an_update_is_complete_when_all_nodes_in_reach_are() -> None:
    status = UpdateStatus(state=UpdateState.UPDATING, started_at=at(0))
    service = a_global_service(spec_version=2, status=status)
    nodes = [a_node("n1"), a_node("n2", state=NodeState.DOWN)]
    lost = a_task("b", "agent", slot=0, node="n2", version=1, desired=TaskState.SHUTDOWN)
    decision = decide(*nodes, a_task("a", "agent", slot=0, version=2, created=1), lost, service=service, now=10)

    (after,) = decision.replace
    assert isinstance(after, Service) and after.update is not None
    assert after.update.state is UpdateState.COMPLETED
