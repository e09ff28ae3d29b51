"""Which services a pass looks at, and that all parts of deciding come together in it."""

from dataclasses import replace

from support.builders import (
    T0,
    a_global_job,
    a_global_service,
    a_job,
    a_network,
    a_node,
    a_revision,
    a_service,
    a_state,
    a_task,
    at,
)

from manager.objects import Node, Reason, ReasonCode, Service
from manager.orchestrator.decision import Decision, DropTask, SetDesired, SetReason, SetState
from manager.orchestrator.plan import Dirty, Surroundings, reconcile, reconcile_service, services_to_look_at
from swarmpy.states import NodeState, TaskState


def everywhere(service: Service) -> frozenset[str]:
    return frozenset({"n1"})


AROUND = Surroundings(eligible=everywhere)
ALL = Dirty(everything=True)


def test_every_mode_is_decided_for_by_its_own_rules() -> None:
    services = [a_service(replicas=2), a_global_service(), a_job("once"), a_global_job("sweep")]
    decision = reconcile(a_state(a_node("n1"), *services), ALL, T0, AROUND)

    assert [(task.service_id, task.slot, task.node_id) for task in decision.create] == [
        ("agent", 0, "n1"),
        ("once", 1, ""),
        ("sweep", 0, "n1"),
        ("web", 1, ""),
        ("web", 2, ""),
    ]


def test_only_what_is_dirty_is_looked_at() -> None:
    state = a_state(a_service("web"), a_service("db"))

    decision = reconcile(state, Dirty(services=frozenset({"db", "gone"})), T0, AROUND)
    assert [task.service_id for task in decision.create] == ["db"]


def test_a_dirty_node_concerns_its_services_and_those_that_are_on_every_node() -> None:
    state = a_state(
        a_node("n1"), a_service("web"), a_service("db"), a_global_service(), a_global_job("sweep"), a_task("a", "db")
    )

    assert services_to_look_at(state, Dirty(nodes=frozenset({"n1"}))) == {"db", "agent", "sweep"}


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


def test_a_pass_judges_nodes_once_the_leader_listens() -> None:
    silent = a_state(a_node("n1"))

    assert not reconcile(silent, ALL, at(60), AROUND)
    (node,) = reconcile(silent, ALL, at(60), replace(AROUND, leading_since=T0)).replace
    assert isinstance(node, Node) and node.state is NodeState.DOWN


def test_a_look_at_everything_finds_what_nobody_needs_any_more() -> None:
    service = a_service(spec_version=2)
    state = a_state(service, a_revision(service, 1), a_network(removed=True), a_task("a", version=2))
    decision = reconcile(state, ALL, T0, AROUND)

    assert decision.drop_specs == ("web/1",)
    assert decision.drop_networks == ("net",)
    assert not reconcile(state, Dirty(), T0, AROUND)


def test_a_decision_knows_the_tasks_it_speaks_of() -> None:
    decision = Decision(
        desire=(SetDesired("a", TaskState.SHUTDOWN),),
        states=(SetState("b", TaskState.ORPHANED, "lost"),),
        reasons=(SetReason("c", None),),
        drop=(DropTask("d"),),
    )

    assert decision.tasks_told() == {"a", "b", "c", "d"}
