"""No update hangs: whatever does not come to run is given up after the progress deadline, and what was paused by hand
goes on where it stood."""

from typing import Any

import pytest
from support.builders import (
    SECOND,
    T0,
    a_global_service,
    a_network,
    a_node,
    a_revision,
    a_service,
    a_state,
    a_task,
    a_template,
    at,
)

from manager.admission.update_control import admit_continue, admit_pause
from manager.deadline import deadline_of, deadline_text, parse_deadline
from manager.objects import AnyObject, Reason, ReasonCode, Service, Task
from manager.orchestrator.decision import Decision
from manager.orchestrator.global_mode import reconcile_global
from manager.orchestrator.keep import View
from manager.orchestrator.replicated import reconcile_replicated
from manager.orchestrator.survey import survey
from swarmpy.labels import PROGRESS_DEADLINE
from swarmpy.models.service import FailureAction, UpdateConfig, UpdateState, UpdateStatus
from swarmpy.models.task import NetworkAttachmentConfig, TaskStatus
from swarmpy.states import Availability, NodeState, TaskState

UPDATING = UpdateStatus(state=UpdateState.UPDATING, started_at=T0, message="update in progress")
OLD = a_template(image="web:1")


def web(replicas: int = 2, *, deadline: str | None = None, resumed: float | None = None, **config: Any) -> Service:
    """Version 2 of a service that was version 1 before, being updated."""
    template = a_template(image="web:2")
    service = a_service(
        replicas=replicas, spec_version=2, template=template, update=UpdateConfig(**config), status=UPDATING
    )
    spec = service.spec.model_copy(update={"labels": {PROGRESS_DEADLINE: deadline} if deadline else {}})
    before = spec.model_copy(update={"task_template": OLD})
    return service.model_copy(
        update={
            "spec": spec,
            "previous_spec": before,
            "previous_spec_version": 1,
            "update_resumed_at": None if resumed is None else at(resumed),
        }
    )


def old(slot: int, **fields: Any) -> Task:
    return a_task(f"old{slot}", slot=slot, version=1, created=-100, **fields)


def new(slot: int, *, name: str = "new", created: float = 0, **fields: Any) -> Task:
    return a_task(f"{name}{slot}", slot=slot, version=2, created=created, **fields)


def failed(slot: int, *, name: str = "failed", finished: float = 2, **fields: Any) -> Task:
    return new(slot, name=name, state=TaskState.FAILED, finished=finished, error="exit code 1", **fields)


def decide(service: Service, *objects: AnyObject, now: float = 0) -> Decision:
    nodes = [] if any(o.id.startswith("n1") for o in objects) else [a_node("n1")]
    state = a_state(*nodes, a_revision(service, 1, OLD), service, *objects)
    view = View(state, service, at(now))
    return reconcile_replicated(view, survey(view), tuple)


def decide_global(service: Service, *objects: AnyObject, eligible: set[str], now: float = 0) -> Decision:
    view = View(a_state(a_revision(service, 1, OLD), service, *objects), service, at(now))
    return reconcile_global(view, survey(view, frozenset(eligible)), frozenset(eligible))


def test_a_rollback_tells_why_it_was_begun_also_when_it_is_over_or_was_paused() -> None:
    lack = Reason(code=ReasonCode.NO_NODE, text="no suitable node (2 nodes lack 1 GiB)", since=T0)
    service = web(1, deadline="90s", failure_action=FailureAction.ROLLBACK)
    waits = new(1, state=TaskState.PENDING, node="", reason=lack)
    (begun,) = decide(service, old(1, desired=TaskState.SHUTDOWN), waits, now=91).replace
    assert isinstance(begun, Service)
    assert begun.update is not None
    cause = "update rolled back due to task new1, which does not run after 1m30s: " + lack.text
    assert (begun.update.state, begun.update.message) == (UpdateState.ROLLBACK_STARTED, cause)

    held = admit_continue(admit_pause(begun, now=at(92)).value, now=at(93)).value
    back = a_task("back1", slot=1, version=1, created=95, started=96)
    (over,) = decide(held, back, now=200).replace
    assert isinstance(over, Service)
    assert over.update is not None
    assert (over.update.state, over.update.message) == (
        UpdateState.ROLLBACK_COMPLETED, f"rollback completed; {cause}"
    )  # fmt: skip


@pytest.mark.parametrize("network", [a_network("old-net", removed=True), a_network("other")], ids=["removed", "gone"])
def test_nothing_leads_back_by_itself_to_a_network_that_is_gone(network: AnyObject) -> None:
    service = web(1, deadline="90s", failure_action=FailureAction.ROLLBACK)
    former = OLD.model_copy(update={"networks": (NetworkAttachmentConfig(target="old-net"),)})
    before = service.spec.model_copy(update={"task_template": former})
    service = service.model_copy(update={"previous_spec": before})
    waits = new(1, state=TaskState.PENDING, node="")
    status = status_of(decide(service, old(1, desired=TaskState.SHUTDOWN), waits, network, now=91))

    assert status.state is UpdateState.PAUSED
    assert (status.message or "").endswith(
        "; not rolled back: network old-net, which the former spec is on, does not exist any more"
    )


def renewed(decision: Decision) -> list[int]:
    return [task.slot for task in decision.create]


def status_of(decision: Decision) -> UpdateStatus:
    (service,) = decision.replace
    assert isinstance(service, Service)
    assert service.update is not None
    return service.update


# the deadline


def test_the_deadline_is_the_services_own() -> None:
    stuck = new(1, state=TaskState.PREPARING)
    service = web(deadline="1m30s")

    assert decide(service, stuck, old(2), now=89).again_at == at(90)
    assert status_of(decide(service, stuck, old(2), now=90)).message == (
        "update paused due to task new1, which does not run after 1m30s: preparing"
    )


@pytest.mark.parametrize(
    ("text", "words"), [("10m", "10 minutes"), ("1m", "1 minute"), ("90s", "1m30s"), ("2h", "2h0m0s"), ("20s", "20s")]
)
def test_the_deadline_is_told_in_words(text: str, words: str) -> None:
    assert deadline_text(parse_deadline(text)) == words


def test_a_stored_deadline_that_makes_no_sense_counts_as_none() -> None:
    assert deadline_of(web(deadline="never").spec) == deadline_of(web().spec) == parse_deadline("10m")


STUCK: dict[str, dict[str, Any]] = {
    "a pull that never ends": {"state": TaskState.PREPARING},
    "no node fits": {
        "state": TaskState.PENDING,
        "node": "",
        "reason": Reason(code=ReasonCode.NO_NODE, text="no node has 64 GiB", since=T0),
    },
    "health that is never good": {"state": TaskState.STARTING},
    "a wait for what never comes": {"state": TaskState.READY, "desired": TaskState.READY, "start_after": 10**6},
}


@pytest.mark.parametrize("kind", STUCK)
@pytest.mark.parametrize("action", [None, *FailureAction])
def test_no_kind_of_stuck_task_outlives_the_deadline(kind: str, action: FailureAction | None) -> None:
    """Each look says when to look next, until the update is over or given up."""
    service = web(1, failure_action=action)
    stuck = new(1, **STUCK[kind])
    before = decide(service, stuck, now=599)
    assert not before.replace
    assert before.again_at is not None
    assert before.again_at <= at(600)
    after = status_of(decide(service, stuck, now=600))

    assert (
        after.state
        in {
            None: {UpdateState.PAUSED},
            FailureAction.PAUSE: {UpdateState.PAUSED},
            FailureAction.CONTINUE: {UpdateState.COMPLETED},
            FailureAction.ROLLBACK: {UpdateState.ROLLBACK_STARTED},
        }[action]
    )
    assert "task new1, which does not run after 10 minutes: " in (after.message or "")


def test_what_the_agent_is_at_tells_more_than_that_it_is_its_turn() -> None:
    why = Reason(code=ReasonCode.WAITING_AGENT, text="waits for the agent of node n1 to start it", since=T0)
    status = TaskStatus(state=TaskState.STARTING, message="starting: waiting to be healthy")
    stuck = new(1, state=TaskState.STARTING, reason=why).model_copy(update={"status": status})

    assert (status_of(decide(web(), stuck, old(2), now=600)).message or "").endswith(
        "does not run after 10 minutes: starting: waiting to be healthy"
    )


def test_with_continue_the_end_names_what_does_not_run() -> None:
    service = web(failure_action=FailureAction.CONTINUE)
    decision = decide(service, new(1, state=TaskState.PREPARING), new(2, started=1), now=600)

    assert status_of(decision) == UpdateStatus(
        state=UpdateState.COMPLETED,
        started_at=T0,
        completed_at=at(600),
        message="update completed, but for task new1, which does not run after 10 minutes: preparing",
    )


def test_a_slot_whose_task_is_replaced_on_the_way_gets_no_second_deadline() -> None:
    lost = new(1, name="lost", state=TaskState.ORPHANED, desired=TaskState.SHUTDOWN)
    second = new(1, created=400, state=TaskState.PREPARING)

    assert status_of(decide(web(), lost, second, old(2), now=600)).state is UpdateState.PAUSED


def test_a_slot_that_has_run_and_moves_for_another_reason_has_the_whole_deadline() -> None:
    drained = new(1, name="drained", state=TaskState.SHUTDOWN, desired=TaskState.SHUTDOWN, started=5, finished=500)
    second = new(1, created=500, state=TaskState.PREPARING)

    assert not decide(web(), drained, second, old(2), now=1000).replace
    assert status_of(decide(web(), drained, second, old(2), now=1100)).state is UpdateState.PAUSED


def test_a_crash_loop_under_continue_does_not_hold_the_others_up_by_its_delay() -> None:
    service = web(failure_action=FailureAction.CONTINUE, delay=60 * SECOND)
    again = new(1, created=50, started=50)

    assert renewed(decide(service, failed(1, started=1), again, old(2), now=51)) == [2]


def test_late_crashes_do_not_hold_the_others_up_for_ever() -> None:
    service = web(delay=60 * SECOND)
    late = failed(1, started=0, finished=30)
    again = new(1, created=50, started=50)

    assert renewed(decide(service, late, again, old(2), now=51)) == [2]


def test_a_delay_ends_also_where_it_is_longer_than_the_deadline() -> None:
    service = web(delay=3600 * SECOND)

    assert decide(service, new(1), old(2), now=700) == Decision(again_at=at(3600))
    assert renewed(decide(service, new(1), old(2), now=3600)) == [2]


# global services


def test_a_global_update_skips_nodes_that_are_down_or_paused_and_catches_up_later() -> None:
    service = a_global_service("web", spec_version=2, template=a_template(image="web:2"), status=UPDATING)
    down, paused = a_node("n2", state=NodeState.DOWN), a_node("n3", availability=Availability.PAUSE)
    tasks = [
        a_task("a", slot=0, node="n1", version=2, created=1),
        a_task("b", slot=0, node="n2", version=1, created=-9),
        a_task("c", slot=0, node="n3", version=1, created=-9),
    ]
    done = decide_global(service, a_node("n1"), down, paused, *tasks, eligible={"n1"}, now=10)
    assert status_of(done).state is UpdateState.COMPLETED

    (after,) = done.replace
    assert isinstance(after, Service)
    back = decide_global(after, a_node("n1"), a_node("n2"), paused, *tasks, eligible={"n1", "n2"}, now=50)
    assert [task.node_id for task in back.create] == ["n2"]
    assert status_of(back).state is UpdateState.UPDATING


def test_a_global_update_does_not_wait_for_a_node_that_goes_down_on_the_way() -> None:
    service = a_global_service("web", spec_version=2, template=a_template(image="web:2"), status=UPDATING)
    moving = a_task("b", slot=0, node="n2", version=2, created=1, state=TaskState.PREPARING)
    runs = a_task("a", slot=0, node="n1", version=2, created=1)
    decision = decide_global(
        service, a_node("n1"), a_node("n2", state=NodeState.DOWN), runs, moving, eligible={"n1"}, now=20
    )

    assert status_of(decision).state is UpdateState.COMPLETED


# by hand


def test_while_paused_by_hand_what_moves_goes_on_and_nothing_is_begun() -> None:
    paused = UPDATING.model_copy(update={"state": UpdateState.PAUSED, "message": "paused by hand"})
    service = web().model_copy(update={"update": paused})

    assert not decide(service, new(1, state=TaskState.STARTING), old(2), now=700)


def test_after_a_continue_what_moves_still_counts_and_has_a_new_deadline() -> None:
    service = web(resumed=500)
    moving = new(1, state=TaskState.PREPARING)

    assert decide(service, moving, old(2), now=900) == Decision(again_at=at(1100))
    assert status_of(decide(service, moving, old(2), now=1100)).state is UpdateState.PAUSED


def test_failures_before_a_continue_no_longer_count_and_later_ones_do() -> None:
    forgiven = failed(1, finished=2)
    again = new(1, created=5, state=TaskState.STARTING)

    decision = decide(web(resumed=5), forgiven, again, old(2), now=6)
    assert (renewed(decision), decision.again_at) == ([], at(605))
    once_more = failed(1, name="more", created=5, finished=7)
    assert status_of(decide(web(resumed=5), forgiven, once_more, old(2), now=8)).state is UpdateState.PAUSED


def test_a_slot_whose_failure_is_forgiven_moves_again_before_the_next_does() -> None:
    decision = decide(web(resumed=5), failed(1, finished=2), old(2), now=5)

    assert renewed(decision) == [1]
    gave_up = Reason(code=ReasonCode.GAVE_UP, text="gave up after 3 attempts", since=T0)
    over = failed(1, finished=2, reason=gave_up, desired=TaskState.SHUTDOWN)
    assert renewed(decide(web(resumed=5), over, old(2), now=5)) == [2]


def test_an_update_that_was_continued_ends() -> None:
    tasks = [failed(1, finished=2), new(1, created=6, started=7), new(2, created=8, started=9)]

    assert status_of(decide(web(resumed=5), *tasks, now=20)).state is UpdateState.COMPLETED


def test_a_continue_of_an_earlier_update_forgives_nothing() -> None:
    assert status_of(decide(web(resumed=-50), failed(1, finished=2), old(2), now=3)).state is UpdateState.PAUSED
