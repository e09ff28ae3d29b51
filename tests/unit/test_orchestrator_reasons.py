"""Every task that waits says why, and since when."""

from support.builders import T0, a_global_service, a_network, a_node, a_service, a_state, a_task, at

from manager.objects import AnyObject, Reason, ReasonCode, Task
from manager.orchestrator.reasons import ended, explain, no_node, outcome, waiting_reason
from swarmpy.states import NodeState, TaskState


def why(task: Task, *objects: AnyObject, now: float = 5) -> Reason | None:
    return waiting_reason(a_state(a_node("n1"), a_service(), task, *objects), task, at(now))


def a_reason(code: ReasonCode, text: str = "before", since: float = 0) -> Reason:
    return Reason(code=code, text=text, since=at(since))


def test_a_running_task_waits_for_nothing() -> None:
    assert why(a_task("a", reason=a_reason(ReasonCode.WAITING_AGENT))) is None


def test_a_task_without_a_node_says_so_until_the_scheduler_says_more() -> None:
    assert why(a_task("a", state=TaskState.NEW, node="")) == Reason(
        code=ReasonCode.NO_NODE, text="no node is chosen yet", since=at(5)
    )


def test_the_schedulers_words_on_each_node_stay() -> None:
    refused = no_node("1 node lacks memory", {"n1": "lacks 512 MiB"}, at(1))

    assert why(a_task("a", state=TaskState.PENDING, node="", reason=refused)) == refused


def test_since_stays_while_the_code_does() -> None:
    before = no_node("1 node lacks memory", {}, at(1))

    assert no_node("2 nodes lack memory", {}, at(9), before).since == at(1)
    assert no_node("2 nodes lack memory", {}, at(9), a_reason(ReasonCode.WAITING_AGENT)).since == at(9)


def test_a_placed_task_waits_for_its_agent_by_name() -> None:
    reason = why(a_task("a", state=TaskState.ASSIGNED))
    assert reason is not None
    assert (reason.code, reason.text) == (ReasonCode.WAITING_AGENT, "waits for the agent of node n1 to start it")


def test_what_troubles_the_node_is_why_its_tasks_wait() -> None:
    troubled = a_node("n1").model_copy(update={"message": "the Docker engine is not reachable"})
    reason = why(a_task("a", state=TaskState.PREPARING), troubled)

    assert reason is not None and reason.code is ReasonCode.WAITING_ENGINE
    assert reason.text == "waits for the engine of node n1: the Docker engine is not reachable"


def test_a_task_whose_node_is_unknown_waits_for_its_agent_all_the_same() -> None:
    reason = why(a_task("a", state=TaskState.STARTING, node="n9"))
    assert reason is not None and reason.text == "waits for its agent to start it"


def test_a_task_of_a_global_service_is_not_placed_because_its_node_is_known() -> None:
    reason = why(a_task("a", "agent", slot=0, state=TaskState.NEW), a_global_service())
    assert reason is not None and reason.code is ReasonCode.NO_NODE


def test_a_restart_delay_tells_the_time() -> None:
    reason = why(a_task("a", state=TaskState.READY, desired=TaskState.READY, start_after=90))
    assert reason is not None
    assert (reason.code, reason.text) == (
        ReasonCode.WAITING_RESTART_DELAY,
        "starts at 00:01:30 UTC, by its restart policy",
    )


def test_a_task_that_waits_for_an_old_one_names_it() -> None:
    old = a_task("old", created=-5, desired=TaskState.SHUTDOWN)
    reason = why(a_task("a", state=TaskState.READY, desired=TaskState.READY, start_after=3), old)
    assert reason is not None
    assert (reason.code, reason.text) == (
        ReasonCode.WAITING_OLD_TASK,
        "waits until task old of the same slot has stopped",
    )


def test_on_a_node_of_a_global_service_the_old_task_is_the_one_of_that_node() -> None:
    old = a_task("old", "agent", slot=0, created=-5, desired=TaskState.SHUTDOWN)
    other = a_task("other", "web", slot=0, created=-5, desired=TaskState.SHUTDOWN)
    new = a_task("a", "agent", slot=0, state=TaskState.READY, desired=TaskState.READY)

    reason = why(new, a_global_service(), old, other)
    assert reason is not None and "task old " in reason.text


def test_a_lost_old_task_is_not_waited_for() -> None:
    old = a_task("old", created=-5, desired=TaskState.SHUTDOWN, node="n2")
    ready = a_task("a", state=TaskState.READY, desired=TaskState.READY)

    reason = why(ready, old, a_node("n2", state=NodeState.DOWN))
    assert reason is not None and reason.code is ReasonCode.WAITING_AGENT


def test_a_network_that_has_no_room_is_the_reason_of_its_tasks() -> None:
    full = a_network("net", reason=a_reason(ReasonCode.NO_ADDRESS, "10.0.0.0/24 has no room for 16 nodes"))
    reason = why(a_task("a", state=TaskState.ASSIGNED, networks=("net",)), full)
    assert reason is not None
    assert (reason.code, reason.text) == (ReasonCode.NO_ADDRESS, "network net: 10.0.0.0/24 has no room for 16 nodes")


def test_a_task_on_a_network_that_is_gone_says_so_for_as_long_as_it_waits() -> None:
    removed = a_network("net", removed=True)
    waiting = a_task("a", state=TaskState.PENDING, node="", networks=("net",))
    reason = why(waiting, removed)
    assert reason is not None
    assert (reason.code, reason.text) == (ReasonCode.NO_ADDRESS, "network net does not exist any more")

    lost = a_task("a", state=TaskState.PENDING, node="", networks=("old-id",), reason=reason)
    later = why(lost, now=9)
    assert later is not None
    assert (later.text, later.since) == ("network old-id does not exist any more", reason.since)


def test_a_network_in_order_stands_in_nobodys_way() -> None:
    reason = why(a_task("a", state=TaskState.ASSIGNED, networks=("net",)), a_network("net"))
    assert reason is not None and reason.code is ReasonCode.WAITING_AGENT


def test_only_wanted_tasks_whose_reason_changed_are_explained() -> None:
    service = a_service(replicas=4)
    said = a_reason(ReasonCode.WAITING_AGENT, "waits for the agent of node n1 to start it")
    tasks = [
        a_task("fine", slot=1, state=TaskState.STARTING, reason=said),
        a_task("runs", slot=2, reason=said),
        a_task("mute", slot=3, state=TaskState.STARTING),
        a_task("stopping", slot=4, desired=TaskState.SHUTDOWN),
    ]
    state = a_state(a_node("n1"), service, *tasks)

    changes = {part.task_id: part.reason for part in explain(state, tasks, T0)}
    assert changes == {"runs": None, "mute": said}


def test_an_end_in_the_middle_of_a_wait_is_told_by_the_status() -> None:
    waiting = a_reason(ReasonCode.WAITING_OLD_TASK)
    rejected = a_task("a", state=TaskState.REJECTED, reason=waiting, finished=3, error="no such image")

    assert ended(rejected, at(9)) == Reason(code=ReasonCode.ENGINE, text="no such image", since=at(3))
    assert ended(a_task("a", state=TaskState.COMPLETE, finished=3), at(9)) is None


def test_why_a_task_was_stopped_stays_its_reason() -> None:
    drained = a_reason(ReasonCode.NODE_DRAINED)

    assert ended(a_task("a", state=TaskState.FAILED, reason=drained), at(9)) == drained


def test_an_outcome_is_told_as_well_as_it_is_known() -> None:
    assert outcome(a_task("a", state=TaskState.FAILED, error="exit code 1")) == "exit code 1"
    assert outcome(a_task("a", state=TaskState.FAILED)) == "failed"


def test_a_task_of_a_node_that_is_down_says_so_and_forgets_it_when_it_ends_by_itself() -> None:
    service, down = a_service(), a_node("n1", state=NodeState.DOWN, message="no heartbeat for 5 s")
    task = a_task("a", slot=0)
    away = waiting_reason(a_state(service, down, task), task, at(9))

    assert away == Reason(code=ReasonCode.NODE_DOWN, text="node n1 is down: no heartbeat for 5 s", since=at(9))
    crashed = a_task("a", slot=0, state=TaskState.FAILED, error="exit code 1", finished=3, reason=away)
    assert ended(crashed, at(9)) == Reason(code=ReasonCode.EXITED, text="exit code 1", since=at(3))
    stopped = crashed.model_copy(update={"desired_state": TaskState.SHUTDOWN})
    assert ended(stopped, at(9)) == away
