"""Which services a pass looks at, and that all parts of deciding come together in it."""

from support.builders import (
    T0,
    a_global_job,
    a_global_service,
    a_job,
    a_node,
    a_service,
    a_state,
    a_task,
    at,
)

from manager.objects import Reason, ReasonCode, Service
from manager.orchestrator.decision import Decision, DropTask, SetDesired, SetReason, SetState, combined
from manager.orchestrator.plan import Surroundings, reconcile_service, services_to_look_at
from swarmpy.states import TaskState


def everywhere(service: Service) -> frozenset[str]:
    return frozenset({"n1"})


AROUND = Surroundings(eligible=everywhere)


def test_every_mode_is_decided_for_by_its_own_rules() -> None:
    services = [a_global_service(), a_job("once"), a_global_job("sweep"), a_service(replicas=2)]
    state = a_state(a_node("n1"), *services)
    decision = combined(reconcile_service(state, service, T0, AROUND) for service in services)

    assert [(task.service_id, task.slot, task.node_id) for task in decision.create] == [
        ("agent", 0, "n1"),
        ("once", 1, ""),
        ("sweep", 0, "n1"),
        ("web", 1, ""),
        ("web", 2, ""),
    ]


def test_a_dirty_node_concerns_its_services_and_those_that_are_on_every_node() -> None:
    state = a_state(
        a_node("n1"), a_service("web"), a_service("db"), a_global_service(), a_global_job("sweep"), a_task("a", "db")
    )

    assert services_to_look_at(state, {"n1"}) == {"db", "agent", "sweep"}


def test_tasks_that_nothing_else_is_said_about_are_explained() -> None:
    service = a_service(replicas=2)
    stale = Reason(code=ReasonCode.WAITING_AGENT, text="waits", since=T0)
    crashed = a_task("a", slot=1, state=TaskState.FAILED, finished=1)
    decision = reconcile_service(
        a_state(a_node("n1"), service, crashed, a_task("b", slot=2, reason=stale)), service, at(1), AROUND
    )

    assert [(part.task_id, part.reason) for part in decision.reasons] == [("b", None)]
    assert [part.task_id for part in decision.desire] == ["a"]


def test_a_removed_service_is_only_cleared_away() -> None:
    service = a_service(removed=True)

    assert reconcile_service(a_state(service), service, T0, AROUND).drop_services == ("web",)


def test_a_decision_knows_the_tasks_it_speaks_of() -> None:
    decision = Decision(
        desire=(SetDesired("a", TaskState.SHUTDOWN),),
        states=(SetState("b", TaskState.ORPHANED, "lost"),),
        reasons=(SetReason("c", None),),
        drop=(DropTask("d"),),
    )

    assert decision.tasks_told() == {"a", "b", "c", "d"}
