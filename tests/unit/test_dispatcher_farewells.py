"""When a task that left the maps may be told to stop."""

import pytest
from support.picture import NOW, a_node, a_task

from manager.dispatcher.farewells import LONGEST_WAIT, Farewell, Verdict, is_leaving, judged
from manager.objects import Reason, ReasonCode, TaskNetwork
from swarmpy.states import NodeState, TaskState


def a_farewell(
    task: str = "t1", *, networks: tuple[str, ...] = ("net",), revision: int = 10, since: float = 0
) -> Farewell:
    return Farewell(task, "n1", networks, revision, since)


def test_a_task_waits_for_the_last_agent_of_its_networks() -> None:
    connected = {"net": {"n1", "n2"}}

    assert judged([a_farewell()], {"n1": 10}, connected, 0.5) == Verdict((), LONGEST_WAIT)
    assert judged([a_farewell()], {"n1": 10, "n2": 9}, connected, 0.5) == Verdict((), LONGEST_WAIT)
    assert judged([a_farewell()], {"n1": 10, "n2": 14}, connected, 0.5) == Verdict(("t1",))


def test_nobody_waits_for_agents_that_are_not_there() -> None:
    assert judged([a_farewell()], {"n1": 10, "n2": 3}, {"net": {"n1"}}, 0) == Verdict(("t1",))
    assert judged([a_farewell()], {}, {"net": set()}, 0) == Verdict(("t1",))


def test_every_network_of_the_task_counts() -> None:
    connected = {"net": {"n1"}, "mesh": {"n1", "n2"}}
    both = a_farewell(networks=("net", "mesh"))

    assert not judged([both], {"n1": 10}, connected, 0).released
    assert judged([a_farewell()], {"n1": 10}, connected, 0).released


def test_a_silent_agent_holds_nothing_up_for_long() -> None:
    waiting = [a_farewell("t1", since=1.0), a_farewell("t2", since=2.5)]

    assert judged(waiting, {}, {"net": {"n2"}}, 1.0 + LONGEST_WAIT) == Verdict(("t1",), 2.5 + LONGEST_WAIT)


@pytest.mark.parametrize("desired", [TaskState.SHUTDOWN, TaskState.REMOVE, TaskState.ORPHANED])
def test_a_running_task_with_an_address_that_is_to_stop_is_leaving(desired: TaskState) -> None:
    network = TaskNetwork(network_id="net", address="10.0.1.5/24")
    task = a_task(desired_state=desired).model_copy(update={"networks": (network,)})

    assert is_leaving(task, a_node())
    assert not is_leaving(task.model_copy(update={"desired_state": TaskState.RUNNING}), a_node())


def test_a_task_that_nobody_can_reach_stops_at_once() -> None:
    assert not is_leaving(a_task(desired_state=TaskState.SHUTDOWN), a_node())
    assert not is_leaving(a_task(desired_state=TaskState.SHUTDOWN, networks=("net",)), a_node())


def test_a_task_that_does_not_run_yet_is_not_sent_to() -> None:
    network = TaskNetwork(network_id="net", address="10.0.1.5/24")
    task = a_task(state=TaskState.STARTING, desired_state=TaskState.SHUTDOWN)

    assert not is_leaving(task.model_copy(update={"networks": (network,)}), a_node())


def test_a_task_whose_node_was_lost_has_left_long_ago() -> None:
    network = TaskNetwork(network_id="net", address="10.0.1.5/24")
    task = a_task(desired_state=TaskState.SHUTDOWN).model_copy(update={"networks": (network,)})
    lost = Reason(code=ReasonCode.NODE_DOWN, text="no heartbeat", since=NOW)

    assert not is_leaving(task, None)
    assert not is_leaving(task, a_node(state=NodeState.DOWN))
    assert not is_leaving(task.model_copy(update={"reason": lost}), a_node())
