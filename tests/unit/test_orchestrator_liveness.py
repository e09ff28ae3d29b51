"""Which nodes are taken for dead, and when."""

from datetime import datetime, timedelta

from support.builders import T0, a_network, a_node, a_service, a_state, a_task, at

from manager.objects import Node, ReasonCode, TaskNetwork
from manager.orchestrator.decision import Decision
from manager.orchestrator.liveness import fits, must_leave, orphaned, orphaned_at, reconcile_nodes
from swarmpy.states import Availability, NodeState, TaskState

GRACE = timedelta(seconds=5)


def judge(*nodes: Node, heard: dict[str, float] | None = None, leading: float = 0, now: float) -> Decision:
    last: dict[str, datetime] = {node_id: at(seconds) for node_id, seconds in (heard or {}).items()}
    return reconcile_nodes(a_state(*nodes), last, at(leading), at(now), GRACE)


def states(decision: Decision) -> dict[str, tuple[NodeState, str, datetime]]:
    return {node.id: (node.state, node.message, node.since) for node in decision.replace if isinstance(node, Node)}


def test_a_node_that_is_heard_becomes_ready() -> None:
    for before in (NodeState.UNKNOWN, NodeState.DOWN):
        decision = judge(a_node("n1", state=before, message="no heartbeat"), heard={"n1": 9}, now=10)
        assert states(decision) == {"n1": (NodeState.READY, "", at(10))}


def test_a_node_that_beats_stays_ready_and_is_looked_at_when_its_grace_ends() -> None:
    assert judge(a_node("n1"), heard={"n1": 8}, now=10) == Decision(again_at=at(13))


def test_a_silent_node_is_down_when_its_grace_has_passed() -> None:
    assert states(judge(a_node("n1"), heard={"n1": 8}, now=13)) == {
        "n1": (NodeState.DOWN, "no heartbeat for 5 s", at(13))
    }


def test_a_node_that_is_down_is_not_written_again() -> None:
    assert not judge(a_node("n1", state=NodeState.DOWN), heard={"n1": 8}, now=50)


def test_a_new_leader_gives_every_node_a_full_grace() -> None:
    assert judge(a_node("n1"), leading=100, now=104) == Decision(again_at=at(105))
    assert states(judge(a_node("n1"), leading=100, now=105))["n1"][0] is NodeState.DOWN


def test_a_new_leader_does_not_take_a_dead_node_for_alive() -> None:
    assert judge(a_node("n1", state=NodeState.DOWN), leading=100, now=101) == Decision()


def test_what_was_heard_under_a_former_term_does_not_shorten_the_grace() -> None:
    assert judge(a_node("n1"), heard={"n1": 90}, leading=100, now=104) == Decision(again_at=at(105))


def test_a_finished_task_or_one_of_no_node_is_never_orphaned() -> None:
    state = a_state(a_service())

    assert orphaned(state, a_task("a", state=TaskState.FAILED), T0) is None
    assert orphaned(state, a_task("a", node=""), T0) is None
    assert orphaned(a_state(a_node("n1")), a_task("a"), T0) is None
    assert orphaned_at(a_state(a_node("n1", state=NodeState.DOWN)), a_task("a", state=TaskState.FAILED)) is None


def test_a_task_of_no_node_need_not_leave_any() -> None:
    assert must_leave(a_state(), a_task("a", node=""), T0) is None


def test_a_task_leaves_with_the_ingress_network_that_it_was_made_for() -> None:
    joined = (TaskNetwork(network_id="mesh", is_ingress=True),)
    on_it = a_task("a").model_copy(update={"networks": joined})
    removed = a_network("mesh", removed=True)

    assert must_leave(a_state(a_node("n1"), a_network("mesh")), on_it, T0) is None
    for state in (a_state(a_node("n1"), removed), a_state(a_node("n1"))):
        why = must_leave(state, on_it, T0)
        assert why is not None and why.code is ReasonCode.REPLACED
    for plain in (a_task("a", networks=("mesh",)), a_task("a")):
        assert must_leave(a_state(a_node("n1"), removed), plain, T0) is None


def test_on_a_paused_node_nothing_is_asked_to_fit() -> None:
    paused = a_state(a_node("n1", availability=Availability.PAUSE))

    assert must_leave(paused, a_task("a"), T0, lambda task: "does not fit") is None
    assert fits(a_task("a")) is None
