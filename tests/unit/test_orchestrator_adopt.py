"""A new wish that asks for the same container takes running tasks over as they are, where their nodes still will do."""

from collections.abc import Sequence
from typing import Any

import pytest
from support.builders import (
    SECOND,
    T0,
    a_global_service,
    a_node,
    a_revision,
    a_service,
    a_state,
    a_task,
    a_template,
    at,
)

from manager.objects import AnyObject, Service, Task
from manager.orchestrator.adopt import HaveRoom, all_have_room, same_container
from manager.orchestrator.decision import AdoptTask, Decision
from manager.orchestrator.global_mode import reconcile_global
from manager.orchestrator.keep import View
from manager.orchestrator.replicated import reconcile_replicated
from manager.orchestrator.survey import survey
from swarmpy.models.node import Platform
from swarmpy.models.resources import DiscreteResource, GenericResource, Limits, ResourceRequirements, Resources
from swarmpy.models.service import UpdateConfig, UpdateOrder, UpdateState, UpdateStatus
from swarmpy.models.task import Placement, RestartPolicy, TaskSpec
from swarmpy.states import NodeState, TaskState

OLD = a_template(image="web:1")
GPU = (GenericResource(discrete_resource_spec=DiscreteResource(kind="gpu", value=1)),)
ROLLING_BACK = UpdateStatus(state=UpdateState.ROLLBACK_STARTED, started_at=T0, message="m")


def reserved(**fields: Any) -> TaskSpec:
    return OLD.model_copy(update={"resources": ResourceRequirements(reservations=Resources(**fields))})


def limited(cpus: int) -> TaskSpec:
    return OLD.model_copy(update={"resources": ResourceRequirements(limits=Limits(nano_cpus=cpus))})


def placed(**fields: Any) -> TaskSpec:
    return OLD.model_copy(update={"placement": Placement(**fields)})


CONSTRAINED = placed(constraints=("zone==a",))


@pytest.mark.parametrize(
    "template",
    [
        OLD,
        CONSTRAINED,
        placed(max_replicas=2),
        placed(platforms=(Platform(os="linux"),)),
        reserved(nano_cpus=1, memory_bytes=1),
    ],
)
def test_where_it_may_run_and_what_is_set_aside_are_not_the_containers(template: TaskSpec) -> None:
    assert same_container(OLD, template)
    assert same_container(template, OLD)


@pytest.mark.parametrize(
    "template",
    [
        a_template(image="web:2"),
        limited(1),
        reserved(generic_resources=GPU),
        OLD.model_copy(update={"force_update": 1}),
        OLD.model_copy(update={"restart_policy": RestartPolicy(max_attempts=3)}),
        CONSTRAINED.model_copy(update={"force_update": 1}),
    ],
)
def test_everything_else_is(template: TaskSpec) -> None:
    assert not same_container(OLD, template)


def web(template: TaskSpec = CONSTRAINED, *, replicas: int = 2, **fields: Any) -> Service:
    """Version 2 of a service that was version 1 before."""
    return a_service(replicas=replicas, spec_version=2, template=template, **fields)


def old(slot: int, **fields: Any) -> Task:
    return a_task(f"old{slot}", slot=slot, version=1, created=-100, **fields)


def in_zone_a(task: Task) -> str | None:
    return None if task.node_id == "n1" or task.spec_version == 1 else "a constraint does not hold"


def decide(service: Service, *objects: AnyObject, room: HaveRoom = all_have_room, now: float = 0) -> Decision:
    state = a_state(a_node("n1"), a_node("n2"), a_revision(service, 1, OLD), service, *objects)
    view = View(state, service, at(now), in_zone_a, room)
    return reconcile_replicated(view, survey(view), tuple)


def test_tasks_that_still_fit_are_adopted_and_nothing_else_happens() -> None:
    decision = decide(web(), old(1), old(2))

    assert decision == Decision(adopt=(AdoptTask("old1", 2), AdoptTask("old2", 2)))


def test_only_those_that_no_longer_fit_are_renewed_by_the_updates_rules() -> None:
    decision = decide(web(replicas=3), old(1), old(2, node="n2"), old(3, node="n2"))

    assert decision.adopt == (AdoptTask("old1", 2),)
    assert [task.slot for task in decision.create] == [2]
    (service,) = decision.replace
    assert isinstance(service, Service)
    assert service.update is not None
    assert service.update.state is UpdateState.UPDATING


def test_what_the_node_has_no_room_for_moves() -> None:
    def room(tasks: Sequence[Task]) -> frozenset[str]:
        assert {task.spec_version for task in tasks} == {2}
        return frozenset({"old2"})

    decision = decide(web(reserved(nano_cpus=9)), old(1), old(2), room=room)
    assert (decision.adopt, [task.slot for task in decision.create]) == ((AdoptTask("old2", 2),), [1])


def test_another_image_adopts_nothing() -> None:
    assert not decide(web(a_template(image="web:2")), old(1), old(2)).adopt


@pytest.mark.parametrize("state", [TaskState.STARTING, TaskState.PENDING, TaskState.FAILED])
def test_what_does_not_run_is_not_adopted(state: TaskState) -> None:
    assert not decide(web(replicas=1), old(1, state=state)).adopt


def test_what_is_to_stop_is_not_adopted() -> None:
    assert not decide(web(replicas=1), old(1, desired=TaskState.SHUTDOWN)).adopt


def test_what_another_is_about_to_replace_is_not_adopted() -> None:
    service = web(replicas=1, update=UpdateConfig(order=UpdateOrder.START_FIRST))
    begun = a_task("new", slot=1, version=2, state=TaskState.STARTING)

    assert not decide(service, old(1), begun).adopt


def test_a_task_of_the_wish_in_between_stops_when_the_older_one_is_adopted() -> None:
    service = a_service(
        spec_version=3, template=CONSTRAINED, update=UpdateConfig(order=UpdateOrder.START_FIRST, delay=SECOND)
    )
    between = a_task("between", slot=1, version=2, state=TaskState.STARTING)
    decision = decide(service, old(1), between)

    assert decision.adopt == (AdoptTask("old1", 3),)
    assert [part.task_id for part in decision.desire] == ["between"]
    assert not decision.create


def test_on_a_node_that_is_down_nothing_is_adopted() -> None:
    assert not decide(web(replicas=1), a_node("n2", state=NodeState.DOWN), old(1, node="n2")).adopt


def test_a_rollback_that_moves_nothing_is_complete_at_once() -> None:
    decision = decide(web(status=ROLLING_BACK), old(1), old(2), now=1)
    (service,) = decision.replace

    assert len(decision.adopt) == 2
    assert not decision.create
    assert isinstance(service, Service)
    assert service.update is not None
    assert service.update.state is UpdateState.ROLLBACK_COMPLETED


def test_a_global_service_leaves_nodes_that_no_longer_fit_and_adopts_on_the_others() -> None:
    service = a_global_service("web", spec_version=2, template=CONSTRAINED)
    tasks = [a_task(node, slot=0, node=node, version=1) for node in ("n1", "n2")]
    state = a_state(a_node("n1"), a_node("n2"), a_revision(service, 1, OLD), service, *tasks)
    view = View(state, service, at(0), in_zone_a)
    decision = reconcile_global(view, survey(view, frozenset({"n1"})), frozenset({"n1"}))

    assert decision.adopt == (AdoptTask("n1", 2),)
    assert [part.task_id for part in decision.desire] == ["n2"]
    assert not decision.create
