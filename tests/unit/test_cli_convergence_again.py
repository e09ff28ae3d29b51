"""What looks at a cluster make of what was there before: unchanged services, updates under way, failures gone by."""

from datetime import timedelta
from typing import Any

import pytest
from support.builders import T0, a_service
from support.looks import BOTH, GAVE_UP, START, Document, Watch, node, service, task

from manager.admission import update_control
from swarmpy.cli import held
from swarmpy.cli.convergence import Phase
from swarmpy.cli.failures import MOST_FAILURES
from swarmpy.models.service import UpdateState, UpdateStatus

ONE: Document = {"Replicated": {"Replicas": 1}}


def failed(count: int, *, lived: float = 2, **fields: Any) -> list[Document]:
    """Attempts in the first place, each of which lived so long."""
    tasks = [task(1, "failed", attempt=n, desired="shutdown", err=f"exit {n}", **fields) for n in range(1, count + 1)]
    for one in tasks:
        ended = START + timedelta(seconds=lived + MOST_FAILURES)
        one["Status"]["Timestamp"] = ended.isoformat()
    return tasks


def unchanged(tasks: list[Document]) -> Watch:
    return Watch(changed=False, before=[one["ID"] for one in tasks])


WAITS_FOR_ITS_DELAY = task(1, "ready", attempt=9, desired="ready")


def test_an_unchanged_service_that_keeps_failing_fails_again_at_once() -> None:
    tasks = [*failed(MOST_FAILURES), WAITS_FOR_ITS_DELAY]
    verdict = unchanged(tasks).look(0, service(ONE), tasks)
    assert verdict.phase is Phase.FAILED
    assert verdict.text == f"web.1 keeps failing: {MOST_FAILURES} attempts, the last one: exit {MOST_FAILURES}"
    assert verdict.failing == (f"web-1-{MOST_FAILURES}",)


def test_an_unchanged_service_that_runs_now_has_not_failed() -> None:
    tasks = [*failed(MOST_FAILURES), task(1, attempt=9)]
    assert unchanged(tasks).look(0, service(ONE), tasks).phase is Phase.CONVERGED


def test_a_changed_service_is_tried_afresh() -> None:
    tasks = [*failed(MOST_FAILURES), WAITS_FOR_ITS_DELAY]
    watch = Watch(before=[one["ID"] for one in tasks])
    assert watch.look(0, service(ONE), tasks).phase is Phase.WAITING


def test_fewer_old_failures_of_an_unchanged_service_count_with_the_new_ones() -> None:
    old = failed(MOST_FAILURES - 1)
    watch = unchanged(old)
    verdict = watch.look(0, service(ONE), [*old, WAITS_FOR_ITS_DELAY])
    assert verdict.phase is Phase.WAITING
    assert verdict.reasons == (f"web.1: {len(old)} attempts failed, the last one: exit {len(old)}",)
    assert watch.look(1, service(ONE), failed(MOST_FAILURES)).phase is Phase.FAILED


@pytest.mark.parametrize("newest", ["shutdown", "complete"])
def test_failures_before_it_ran_well_are_over(newest: str) -> None:
    tasks = [*failed(MOST_FAILURES), task(1, newest, attempt=8, desired="shutdown"), WAITS_FOR_ITS_DELAY]
    assert unchanged(tasks).look(0, service(ONE), tasks).phase is Phase.WAITING


def test_crashes_after_a_long_life_are_no_crash_loop() -> None:
    tasks = [*failed(MOST_FAILURES, lived=86_400), WAITS_FOR_ITS_DELAY]
    assert unchanged(tasks).look(0, service(ONE), tasks).phase is Phase.WAITING


def test_a_long_wait_before_a_start_is_no_life() -> None:
    of = service(ONE)
    of["Spec"]["TaskTemplate"]["RestartPolicy"] = {"Delay": 86_400 * 10**9}
    tasks = [*failed(MOST_FAILURES, lived=86_400), WAITS_FOR_ITS_DELAY]
    assert unchanged(tasks).look(0, of, tasks).phase is Phase.FAILED


def test_an_unchanged_service_that_gave_up_fails_at_once() -> None:
    tasks = [task(1, "failed", err="exit 7", **GAVE_UP)]
    assert unchanged(tasks).look(0, service(ONE), tasks).phase is Phase.FAILED


def test_while_an_update_goes_on_what_runs_and_what_is_new_are_two_counts() -> None:
    of = service({"Replicated": {"Replicas": 3}}, update="updating")
    new, old = [task(1, attempt=5), task(2, "starting", attempt=5)], [task(3), task(2, desired="shutdown")]
    verdict = Watch().look(1, of, new, former=[*new, *old])
    assert verdict.text == "2/3 running, 1/3 updated, starting, updating"
    assert (verdict.done, verdict.wanted) == (1, 3)


def test_what_runs_by_its_former_wish_counts_before_the_update_begins() -> None:
    assert Watch().look(1, service(), [], former=BOTH).text == "2/2 running, 0/2 updated"


def test_while_a_rollback_goes_on_it_says_how_far_it_is() -> None:
    verdict = Watch().look(1, service(update="rollback_started"), [task(1)], former=[task(2, attempt=2)])
    assert verdict.text == "2/2 running, 1/2 rolled back, rolling back"


def test_what_ran_on_a_node_that_is_down_does_not_run() -> None:
    nodes = [node("n1", "down"), node("n2")]
    of = service(update="updating")
    assert (
        Watch().look(1, of, [task(1, node="n2")], nodes, former=[task(2)]).text.startswith("1/2 running, 1/2 updated")
    )


def test_a_global_service_is_not_there_before_its_last_node_is_renewed() -> None:
    of = service({"Global": {}}, update="updating")
    verdict = Watch().look(9, of, [task(0, attempt=5)], former=[task(0, node="n2"), task(0, node="n3")])
    assert verdict.text == "3/3 running, 1/3 updated, updating"
    assert (verdict.done, verdict.wanted) == (1, 3)


def updated(message: str, state: str = "rollback_completed", began: float | None = None) -> Document:
    status: Document = {"State": state, "Message": message}
    if began is not None:
        status["StartedAt"] = (START + timedelta(seconds=began)).isoformat()
    return service() | {"UpdateStatus": status}


LATE = "task web-2-1, which does not run after 10 minutes: waiting to be healthy"


@pytest.mark.parametrize(
    "message", [f"update rolled back due to {LATE}", f"rollback completed; update rolled back due to {LATE}"]
)
def test_a_rollback_for_a_deadline_says_what_the_manager_says(message: str) -> None:
    late, tasks = task(2, "shutdown", desired="shutdown"), [task(1, attempt=3), task(2, attempt=3)]
    verdict = Watch().look(1, updated(message), tasks, former=[late])
    assert verdict.phase is Phase.FAILED
    assert verdict.text == "update rolled back: task web.2, which does not run after 10 minutes: waiting to be healthy"
    assert verdict.failing == ()


def test_a_rollback_says_no_more_than_is_known() -> None:
    assert Watch().look(1, updated("rollback completed"), BOTH).text == "update rolled back"


def test_a_rollback_that_was_asked_for_is_no_failure() -> None:
    assert Watch(is_rollback=True).look(1, updated("rollback completed"), BOTH).phase is Phase.CONVERGED


def test_a_rollback_does_not_tell_of_failures_before_the_change() -> None:
    stale = task(1, "failed", err="no licence", desired="shutdown")
    watch = Watch(before=[stale["ID"]])
    rolling = watch.look(1, updated("so it is", "rollback_started"), [task(1, "starting", attempt=3)], former=[stale])
    assert rolling.reasons == ()
    assert watch.look(2, updated("rollback completed"), BOTH, former=[stale]).text == "update rolled back"


def test_a_paused_update_does_not_tell_of_failures_before_it_began() -> None:
    stale = task(1, "failed", attempt=1, err="no licence", desired="shutdown")
    of = updated("update paused due to trouble", "paused", began=2)
    watch = Watch(changed=False, before=[stale["ID"]])
    assert watch.look(9, of, [stale, *BOTH]).text == "update paused: trouble"


def test_what_to_do_about_a_paused_update_follows_where_its_wish_came_from() -> None:
    of = service(update="paused")
    assert Watch(from_file=True).look(1, of, BOTH).advice.endswith("deploy a mended file to go on")
    advice = Watch().look(1, of, BOTH).advice
    for command in ("service update", "service rollback", "service continue"):
        assert f"`swarmpy {command}" in advice
    assert "file" not in advice
    assert "rollback" not in Watch().look(1, service(update="rollback_paused"), BOTH).advice


@pytest.mark.parametrize(
    ("tasks", "former", "says"),
    [
        ([task(1, "failed"), task(2)], [], "the other tasks run as before"),
        ([task(1, "failed")], [task(2)], "the other tasks run as before"),
        ([task(1, "failed")], [task(2, "failed")], "no task of it runs"),
    ],
    ids=["a new one runs", "an old one runs", "none runs"],
)
@pytest.mark.parametrize("from_file", [True, False])
def test_a_paused_update_says_whether_anything_runs(
    tasks: list[Document], former: list[Document], says: str, from_file: bool
) -> None:
    verdict = Watch(from_file=from_file).look(1, service(update="paused"), tasks, former=[*tasks, *former])
    assert verdict.advice.startswith(f"{says}; ")


def waiting(text: str) -> Document:
    return task(1, "ready", desired="ready", Reason={"Code": "waiting-dependency", "Text": text})


PAUSED_BEFORE: Document = {"State": "paused", "Message": "paused by hand", "StartedAt": "2029-12-31T00:00:00Z"}
HELD = service(health=True, UpdateStatus=PAUSED_BEFORE)


def test_what_this_command_takes_for_a_pause_by_hand_is_what_the_manager_calls_one() -> None:
    moving = a_service("web").model_copy(update={"update": UpdateStatus(state=UpdateState.UPDATING, started_at=T0)})
    paused = update_control.admit_pause(moving, now=T0).value.update
    assert paused is not None
    assert held.held_updates([service(UpdateStatus=paused.to_docker())]) != {}
    other = paused.model_copy(update={"message": "update paused due to failure"})
    assert held.held_updates([service(UpdateStatus=other.to_docker())]) == {}


def test_an_update_that_a_hand_had_paused_is_no_failure_and_tasks_of_every_wish_count() -> None:
    watch = Watch(held=held.held_updates([HELD]))
    waiting = watch.look(0, HELD, [task(1)])
    assert (waiting.phase, waiting.text) == (Phase.WAITING, "1/2 running, paused by hand")
    there = watch.look(1, HELD, [task(1)], former=[task(2)])
    assert (there.phase, there.text) == (Phase.CONVERGED, "2/2 running")
    assert there.note == "its update is still paused by hand; `swarmpy service continue web` takes it up again"


@pytest.mark.parametrize(
    "now",
    [
        {**PAUSED_BEFORE, "StartedAt": "2030-01-01T00:00:00Z"},
        {**PAUSED_BEFORE, "Message": "update paused due to failure"},
    ],
)
def test_an_update_that_is_paused_while_it_is_waited_for_has_failed(now: Document) -> None:
    watch = Watch(held=held.held_updates([HELD]))
    assert watch.look(0, service(UpdateStatus=now), BOTH).phase is Phase.FAILED


def test_a_service_whose_update_is_held_may_fail_for_other_reasons() -> None:
    watch = Watch(held=held.held_updates([HELD]))
    verdict = watch.look(0, HELD, [task(1), task(2, "failed", **GAVE_UP)])
    assert (verdict.phase, verdict.text) == (Phase.FAILED, "web.2 failed on host-n1: no attempts left")


def test_what_failures_have_paused_is_not_held_by_a_hand() -> None:
    assert held.held_updates([service(update="paused"), service(update="updating"), service()]) == {}


def test_a_dependent_names_what_it_waits_for_and_leaves_its_reasons_to_that_one() -> None:
    """Services that nobody tells of here are told of with their reason."""
    text = (
        "waits until service db runs again: 0/1 running: volume data is on node n2, which is down; "
        "and until service web is healthy: 0/1 running: waits until service db runs again"
    )
    watch = Watch()
    assert watch.look(1, service(ONE), [waiting(text)]).reasons == (
        "web.1 ready on host-n1: waits until service db runs again: 0/1 running: volume data is on node n2, which is "
        "down; and until service web is healthy: 0/1 running",
    )


def test_a_wait_for_what_does_not_exist_stays_as_it_is() -> None:
    text = "waits until service web has started: it does not exist"
    assert Watch().look(1, service(ONE), [waiting(text)]).reasons == (f"web.1 ready on host-n1: {text}",)
