"""Which members should be: those of the managers, changed one at a time, and never past a majority."""

from datetime import datetime, timedelta

import pytest
from support.builders import a_cluster, a_manager, a_node, a_state, at

from manager.members.port import Member, initial_cluster
from manager.members.reconcile import MemberPlan, may_lead, reconcile_members, why_not_fewer_managers
from manager.state import State
from swarmpy.states import NodeState

LEADER = a_manager("n1")
DOWN = NodeState.DOWN


def a_member(number: int, *, started: bool = True, votes: bool = True) -> Member:
    """Of the node `nNUMBER`."""
    return Member(number, f"n{number}" if started else "", (f"https://10.0.0.{number}:2380",), votes)


def plan(state: State, *members: Member, since: dict[int, datetime] | None = None, now: float = 0) -> MemberPlan:
    return reconcile_members(state, members, "n1", since or {}, at(now), timedelta(minutes=5))


def removed(planned: MemberPlan) -> str | None:
    return planned.remove.member.name if planned.remove else None


# removing


def test_nothing_is_done_where_every_member_is_a_manager_of_the_cluster() -> None:
    state = a_state(LEADER, a_manager("n2"), a_manager("n3", state=DOWN), a_node("n4"))
    assert plan(state, a_member(1), a_member(2), a_member(3)) == MemberPlan()


@pytest.mark.parametrize(
    ("state", "because"),
    [
        (a_state(LEADER, a_node("n2"), a_manager("n3")), "its node is no manager"),
        (a_state(LEADER, a_manager("n3")), "its node is no part of the cluster"),
    ],
)
def test_a_member_whose_node_is_no_manager_goes(state: State, because: str) -> None:
    planned = plan(state, a_member(1), a_member(2), a_member(3))
    assert planned.remove is not None
    assert (planned.remove.member, planned.remove.because) == (a_member(2), because)
    assert not planned.is_settled


def test_the_dead_go_first_because_the_rest_can_then_spare_more() -> None:
    state = a_state(LEADER, a_node("n2"), a_node("n3", state=DOWN), a_manager("n4"))
    assert removed(plan(state, a_member(1), a_member(2), a_member(3), a_member(4))) == "n3"


def test_a_healthy_member_stays_while_the_rest_would_have_no_majority_and_the_plan_says_so() -> None:
    state = a_state(LEADER, a_node("n2"), a_manager("n3", state=DOWN))
    planned = plan(state, a_member(1), a_member(2), a_member(3))
    assert planned.remove is None
    assert planned.held == ("cannot be removed before a majority of the others is ready: n2 (its node is no manager)")


def test_a_dead_one_goes_when_the_rest_has_a_majority() -> None:
    state = a_state(LEADER, a_node("n2", state=DOWN), a_manager("n3"), a_manager("n4", state=DOWN))
    assert removed(plan(state, a_member(1), a_member(2), a_member(3), a_member(4))) == "n2"


def test_every_shrinking_ends_with_the_managers_alone_and_never_loses_the_majority() -> None:
    state = a_state(LEADER, a_node("n2"), a_node("n3", state=DOWN), a_manager("n4"), a_node("n5", state=DOWN))
    members = [a_member(number) for number in range(1, 6)]
    alive = {"n1", "n2", "n4"}
    while (planned := plan(state, *members)).remove:
        members.remove(planned.remove.member)
        assert 2 * len(alive & {member.name for member in members}) > len(members)
    assert [member.name for member in members] == ["n1", "n4"]
    assert planned == MemberPlan()


def test_a_list_without_the_leaders_own_member_is_not_decided_upon() -> None:
    assert plan(a_state(LEADER), a_member(2), a_member(3)) == MemberPlan(is_settled=False)


@pytest.mark.parametrize("state", [a_state(a_node("n1"), a_manager("n2")), a_state(a_manager("n2"))])
def test_a_leader_whose_own_member_must_go_leaves_that_to_another(state: State) -> None:
    assert plan(state, a_member(1), a_member(2)) == MemberPlan(resign=True)


# new ones


def test_a_member_that_has_started_is_let_vote() -> None:
    newcomer = a_member(2, votes=False)
    assert plan(a_state(LEADER, a_manager("n2")), a_member(1), newcomer) == MemberPlan(
        promote=newcomer, is_settled=False
    )


def test_a_manager_without_a_member_is_waited_for() -> None:
    assert plan(a_state(LEADER, a_manager("n2")), a_member(1)) == MemberPlan(is_settled=False)


def test_a_member_that_never_started_is_waited_for() -> None:
    newcomer = a_member(2, started=False, votes=False)
    planned = plan(a_state(LEADER), a_member(1), newcomer, since={2: at(0)}, now=299)
    assert planned == MemberPlan(is_settled=False)


def test_a_member_that_never_started_goes_after_five_minutes() -> None:
    newcomer = a_member(2, started=False, votes=False)
    planned = plan(a_state(LEADER), a_member(1), newcomer, since={2: at(0)}, now=300)
    assert planned.remove is not None
    assert planned.remove.because == "its node never started it"


@pytest.mark.parametrize(("state", "gone"), [(DOWN, "n2"), (NodeState.READY, None)])
def test_a_member_lost_before_it_votes_goes_and_a_slow_one_is_waited_for(state: NodeState, gone: str | None) -> None:
    newcomer = a_member(2, votes=False)
    planned = plan(a_state(LEADER, a_manager("n2", state=state)), a_member(1), newcomer, since={2: at(0)}, now=300)
    assert removed(planned) == gone


def test_one_that_learns_counts_for_no_majority() -> None:
    state = a_state(LEADER, a_node("n2"))
    assert plan(state, a_member(1), a_member(2)).remove is not None
    state = a_state(LEADER, a_node("n2"), a_manager("n3", state=DOWN))
    assert removed(plan(state, a_member(1), a_member(2), a_member(3, votes=False))) == "n2"


def test_a_new_member_is_told_itself_by_name_and_others_that_wait_by_any_name() -> None:
    members = (a_member(1), a_member(2, started=False), a_member(255, started=False))
    assert initial_cluster(members, "https://10.0.0.2:2380", "n2") == (
        ("n1", "https://10.0.0.1:2380"),
        ("n2", "https://10.0.0.2:2380"),
        ("ff", "https://10.0.0.255:2380"),
    )


# leading


@pytest.mark.parametrize(
    ("state", "may"),
    [
        (a_state(), True),
        (a_state(a_cluster()), True),
        (a_state(a_cluster(), a_node("n7")), True),
        (a_state(a_cluster(), a_manager("n1")), True),
        (a_state(a_cluster(), a_node("n1")), False),
        (a_state(a_cluster(), a_node("n1"), a_manager("n2")), False),
        (a_state(a_cluster(), a_manager("n2")), False),
    ],
    ids=["nothing", "no-node-yet", "only-workers", "manager", "worker", "demoted", "removed"],
)
def test_only_managers_lead_and_the_first_before_it_has_a_record(state: State, may: bool) -> None:
    assert may_lead(state, "n1") is may


# refusing


def test_the_last_manager_cannot_be_missed() -> None:
    assert why_not_fewer_managers(a_state(LEADER, a_node("n2")), "n1") == (
        "n1 is the last manager: promote another node first, then repeat"
    )


def test_a_healthy_manager_cannot_be_missed_while_another_is_down() -> None:
    state = a_state(LEADER, a_manager("n2"), a_manager("n3", state=DOWN))
    assert why_not_fewer_managers(state, "n2") == (
        "without n2 only 1 of 2 managers would be ready, no majority: bring back or demote n3 first, then repeat"
    )
    assert why_not_fewer_managers(state, "n3") is None


@pytest.mark.parametrize("leaving", ["n4", "n5"])
def test_a_worker_and_a_stranger_can_be_missed(leaving: str) -> None:
    assert why_not_fewer_managers(a_state(LEADER, a_node("n4")), leaving) is None


def test_of_two_ready_managers_either_can_be_missed() -> None:
    state = a_state(LEADER, a_manager("n2"))
    assert [why_not_fewer_managers(state, leaving) for leaving in ("n1", "n2")] == [None, None]


def test_a_manager_that_does_not_vote_yet_cannot_carry_on_alone() -> None:
    state = a_state(LEADER, a_manager("n2"))
    refusal = why_not_fewer_managers(state, "n1", (a_member(1), a_member(2, votes=False)))
    assert refusal is not None
    assert "bring back or demote n2 first" in refusal
    assert why_not_fewer_managers(state, "n1", (a_member(1), a_member(2))) is None
