"""When a deployment is over, and how it went: a table of outcomes, each a few looks at a cluster."""

from collections.abc import Mapping

import pytest
from support.looks import BOTH, GAVE_UP, Document, Watch, node, service, task

from swarmpy.cli.convergence import STEADY, Phase
from swarmpy.cli.failures import MOST_FAILURES
from swarmpy.health_wait import health_wait

JOB_OVER: Document = {"JobStatus": {"JobIteration": {"Index": 3}}}
TWO_JOBS: Document = {"ReplicatedJob": {"TotalCompletions": 2, "MaxConcurrent": 1}}
THIS_RUN: Document = {"JobIteration": {"Index": 3}}
SCALED_DOWN: Document = {"Reason": {"Code": "scaled-down", "Text": "fewer are wished"}}

# What there is -> what it means at once, on the first look after a change.
OUTCOMES: Mapping[str, tuple[Document, list[Document], Phase]] = {
    "nothing is there yet": (service(), [], Phase.WAITING),
    "one of two runs": (service(), [task(1), task(2, "starting")], Phase.WAITING),
    "all run, for how long is not known yet": (service(), BOTH, Phase.STEADYING),
    "all run and are healthy": (service(health=True), BOTH, Phase.CONVERGED),
    "none is wished": (service({"Replicated": {"Replicas": 0}}), [], Phase.CONVERGED),
    "more run than are wished, the others were told to stop": (
        service(health=True),
        [*BOTH, task(3, "running", desired="shutdown", **SCALED_DOWN)],
        Phase.CONVERGED,
    ),
    "a waiting task has no node": (service(), [task(1), task(2, "pending")], Phase.WAITING),
    "the image is not there, first attempt": (service(), [task(1, "rejected"), task(2)], Phase.WAITING),
    "an attempt failed, the next one runs": (
        service(health=True),
        [task(1, "failed", desired="shutdown"), task(1, attempt=2), task(2)],
        Phase.CONVERGED,
    ),
    "a one-shot task ended well": (
        service({"Replicated": {"Replicas": 1}}, restart="none"),
        [task(1, "complete", desired="shutdown")],
        Phase.CONVERGED,
    ),
    "a task that is restarted on failure ended well": (
        service({"Replicated": {"Replicas": 1}}, restart="on-failure"),
        [task(1, "complete")],
        Phase.CONVERGED,
    ),
    "a task that is always restarted ended": (
        service({"Replicated": {"Replicas": 1}}, restart="any"),
        [task(1, "complete")],
        Phase.WAITING,
    ),
    "a one-shot task failed": (service(restart="none"), [task(1, "failed", err="exit 7"), task(2)], Phase.FAILED),
    "a one-shot task was rejected": (service(restart="none"), [task(1, "rejected"), task(2)], Phase.FAILED),
    "the attempts are used up": (service(), [task(1, "failed", **GAVE_UP), task(2)], Phase.FAILED),
    "a task failed that is restarted on failure": (service(restart="on-failure"), [task(1, "failed")], Phase.WAITING),
    "an update is under way": (service(update="updating", health=True), BOTH, Phase.WAITING),
    "an update is over": (service(update="completed"), BOTH, Phase.CONVERGED),
    "an update is over, a task is away": (service(update="completed"), [task(1)], Phase.WAITING),
    "an update was paused": (service(update="paused"), BOTH, Phase.FAILED),
    "an update is being rolled back": (service(update="rollback_started"), BOTH, Phase.WAITING),
    "an update was rolled back": (service(update="rollback_completed"), BOTH, Phase.FAILED),
    "a roll back was paused": (service(update="rollback_paused"), BOTH, Phase.FAILED),
    "a task runs on a node that is down": (
        service(health=True),
        [task(1), task(2, node="gone")],
        Phase.WAITING,
    ),
    "a global service runs on its nodes": (
        service({"Global": {}}, health=True),
        [task(0, node="n1"), task(0, node="n2")],
        Phase.CONVERGED,
    ),
    "a global service lacks one": (
        service({"Global": {}}),
        [task(0, node="n1"), task(0, "preparing", node="n2")],
        Phase.WAITING,
    ),
    "a global service has no tasks yet": (service({"Global": {}}), [], Phase.WAITING),
    "a job is half done": (
        service(TWO_JOBS, **JOB_OVER),
        [task(1, "complete", **THIS_RUN), task(2, **THIS_RUN)],
        Phase.WAITING,
    ),
    "a job is done": (
        service(TWO_JOBS, **JOB_OVER),
        [task(1, "complete", **THIS_RUN), task(2, "complete", **THIS_RUN)],
        Phase.CONVERGED,
    ),
    "a job was done in its former run": (
        service(TWO_JOBS, **JOB_OVER),
        [task(1, "complete", JobIteration={"Index": 2}), task(2, "complete", **THIS_RUN)],
        Phase.WAITING,
    ),
    "a job's task failed for good": (
        service(TWO_JOBS, restart="none", **JOB_OVER),
        [task(1, "failed", **THIS_RUN)],
        Phase.FAILED,
    ),
    "a global job is done": (
        service({"GlobalJob": {}}, **JOB_OVER),
        [task(0, "complete", **THIS_RUN)],
        Phase.CONVERGED,
    ),
}


@pytest.mark.parametrize("story", OUTCOMES)
def test_what_there_is_means_one_thing(story: str) -> None:
    of, tasks, phase = OUTCOMES[story]
    nodes = [node("n1"), node("n2"), node("gone", "down")]
    assert Watch().look(1, of, tasks, nodes).phase is phase


def test_a_service_that_was_removed_meanwhile_has_failed() -> None:
    verdict = Watch().look(1, None, [])
    assert (verdict.phase, verdict.text) == (Phase.FAILED, "it was removed meanwhile")


def test_running_counts_once_it_has_lasted() -> None:
    watch = Watch()
    assert watch.look(1, service(), BOTH).phase is Phase.STEADYING
    assert watch.look(1 + STEADY.total_seconds() - 0.1, service(), BOTH).phase is Phase.STEADYING
    assert watch.look(1 + STEADY.total_seconds(), service(), BOTH).phase is Phase.CONVERGED


def test_a_crash_while_it_is_watched_starts_the_watch_again() -> None:
    watch = Watch()
    watch.look(1, service(), BOTH)
    assert watch.look(3, service(), [task(1), task(2, "failed")]).phase is Phase.WAITING
    assert watch.look(6.5, service(), [task(1), task(2, attempt=2)]).phase is Phase.STEADYING
    assert watch.look(11.5, service(), [task(1), task(2, attempt=2)]).phase is Phase.CONVERGED


def test_a_replacement_between_two_looks_starts_the_watch_again() -> None:
    watch = Watch()
    watch.look(1, service(), BOTH)
    assert watch.look(6.5, service(), [task(1), task(2, attempt=2)]).phase is Phase.STEADYING


def test_how_long_to_watch_is_the_services_wish() -> None:
    slow = service(health=True)
    slow["Spec"]["UpdateConfig"] = {"Monitor": 20_000_000_000}
    watch = Watch()
    assert watch.look(1, slow, BOTH).phase is Phase.STEADYING
    assert watch.look(20, slow, BOTH).phase is Phase.STEADYING
    assert watch.look(21, slow, BOTH).phase is Phase.CONVERGED


def test_what_was_not_changed_is_not_watched() -> None:
    assert Watch(changed=False).look(0, service(), BOTH).phase is Phase.CONVERGED


def test_a_former_roll_back_says_nothing_about_an_unchanged_service() -> None:
    assert Watch(changed=False).look(0, service(update="rollback_completed"), BOTH).phase is Phase.CONVERGED


def test_a_service_that_keeps_crashing_has_failed_even_though_old_attempts_are_forgotten() -> None:
    watch, of = Watch(), service({"Replicated": {"Replicas": 1}})
    for attempt in range(1, MOST_FAILURES):
        verdict = watch.look(attempt, of, [task(1, "failed", attempt=attempt, desired="shutdown")])
        assert verdict.phase is Phase.WAITING
    verdict = watch.look(60, of, [task(1, "failed", attempt=MOST_FAILURES, err="exit 3"), task(1, "ready", attempt=9)])
    assert verdict.phase is Phase.FAILED
    assert verdict.text == f"web.1 keeps failing: {MOST_FAILURES} attempts, the last one: exit 3"
    assert verdict.failing == (f"web-1-{MOST_FAILURES}",)


def test_failures_from_before_the_change_do_not_count() -> None:
    old = [task(1, "failed", attempt=attempt, desired="shutdown") for attempt in range(1, MOST_FAILURES + 1)]
    watch = Watch(before=[attempt["ID"] for attempt in old])
    assert watch.look(1, service(), [*old, task(1, attempt=9), task(2)]).phase is Phase.STEADYING


def test_failures_in_different_slots_are_not_added_up() -> None:
    many = service({"Replicated": {"Replicas": 10}})
    tasks = [task(slot, "failed") for slot in range(1, 10)]
    assert Watch().look(1, many, tasks).phase is Phase.WAITING


def test_a_global_service_that_no_node_takes_is_content_after_a_while() -> None:
    watch, of = Watch(), service({"Global": {}})
    assert watch.look(4.9, of, []).phase is Phase.WAITING
    verdict = watch.look(5, of, [])
    assert (verdict.phase, verdict.text) == (Phase.CONVERGED, "no node takes it")


def test_a_waiting_task_says_why_per_node() -> None:
    reason = {"Code": "no-node", "Text": "no node fits", "Nodes": {"n1": "lacks 512 MiB", "n2": "is drained"}}
    verdict = Watch().look(1, service(), [task(1), task(2, "pending", Reason=reason)], [node("n1"), node("n2")])
    assert verdict.reasons == (
        "web.2 pending: no node fits",
        "  1 node (host-n1): lacks 512 MiB",
        "  1 node (host-n2): is drained",
    )
    assert verdict.text == "1/2 running, pending"


def test_a_task_that_waits_for_its_nodes_engine_says_so_whatever_its_state() -> None:
    reason = {"Code": "waiting-engine", "Text": "waits for the engine of node a: it is away"}
    verdict = Watch().look(1, service(), [task(1), task(2, "preparing", Reason=reason)])
    assert verdict.reasons == ("web.2 preparing on host-n1: waits for the engine of node a: it is away",)


def test_a_task_that_waits_for_another_service_says_so_whatever_its_state() -> None:
    reason = {"Code": "waiting-dependency", "Text": "waits until service db is healthy: 0/1 running"}
    verdict = Watch().look(1, service(), [task(1), task(2, "ready", desired="ready", Reason=reason)])
    assert verdict.reasons == ("web.2 ready on host-n1: waits until service db is healthy: 0/1 running",)


def test_the_failed_task_is_named_with_its_reason() -> None:
    verdict = Watch().look(1, service(restart="none"), [task(1, "failed", err="exited with code 7"), task(2)])
    assert verdict.text == "web.1 failed on host-n1: exited with code 7"
    assert verdict.failing == ("web-1-1",)


def test_a_paused_update_names_the_task_that_failed_last() -> None:
    watch = Watch()
    watch.look(
        1, service(update="updating"), [task(2, "failed", attempt=1), task(1, "failed", attempt=2, err="no disk")]
    )
    verdict = watch.look(2, service(update="paused"), BOTH)
    assert verdict.failing == ("web-1-2",)
    assert verdict.text == "update paused: web.1 failed on host-n1: no disk"


def test_an_update_that_was_paused_before_this_deployment_still_tells_its_reason() -> None:
    stopped = task(1, "failed", desired="shutdown", err="no such command")
    verdict = Watch(changed=False, before=[stopped["ID"]]).look(1, service(update="paused"), [stopped, task(2)])
    assert verdict.text == "update paused: web.1 failed on host-n1: no such command"
    assert verdict.failing == (stopped["ID"],)


def test_a_paused_update_names_the_task_that_its_message_blames() -> None:
    """Not one that failed after it was paused."""
    of = service(update="paused")
    of["UpdateStatus"]["Message"] = "update paused due to failure or early termination of task web-1-1"
    verdict = Watch().look(1, of, [task(1, "failed", err="no disk"), task(2, "failed", attempt=2, err="no memory")])
    assert verdict.text == "update paused: web.1 failed on host-n1: no disk"
    assert verdict.failing == ("web-1-1",)
    assert verdict.advice != ""


def test_a_paused_update_whose_task_never_ran_says_what_the_manager_says() -> None:
    of = service(update="paused")
    of["UpdateStatus"]["Message"] = "update paused due to task web-1-1, which does not run after 10 minutes: no node"
    earlier = task(2, "failed", err="no disk")
    verdict = Watch(before=[earlier["ID"]]).look(1, of, [task(1, "pending"), task(2, attempt=2), earlier])
    assert verdict.text == "update paused: task web.1, which does not run after 10 minutes: no node"
    assert verdict.failing == ()


def test_a_one_shot_that_was_stopped_and_is_not_tried_again_has_failed_and_is_not_waited_for() -> None:
    why = {"Code": "gave-up", "Text": "it ran once and was stopped; its restart condition is none"}
    stopped = task(1, "shutdown", desired="shutdown", Reason=why)
    verdict = Watch().look(1, service({"Replicated": {"Replicas": 1}}, restart="none"), [stopped])
    assert verdict.phase is Phase.FAILED
    assert verdict.text == f"web.1 shutdown on host-n1: {why['Text']}"


def test_a_task_that_used_up_its_attempts_says_how_many() -> None:
    why = {"Code": "gave-up", "Text": "exited with code 7; gave up after 3 attempts"}
    verdict = Watch().look(1, service(), [task(1, "failed", err="exited with code 7", Reason=why), task(2)])
    assert verdict.text == f"web.1 failed on host-n1: {why['Text']}"
    assert verdict.reasons == (), "nothing is said twice"


def test_earlier_attempts_are_a_reason_while_the_next_one_is_under_way() -> None:
    earlier = [task(1, "failed", attempt=n, desired="shutdown", err=f"exit {n}") for n in (1, 2)]
    verdict = Watch().look(1, service(), [*earlier, task(1, "ready", attempt=3), task(2)])
    assert verdict.reasons == ("web.1: 2 attempts failed, the last one: exit 2",)
    assert verdict.under_way == ("web.1 ready on host-n1",)


def test_a_task_under_way_says_where_and_what_it_does() -> None:
    doing = task(1, "starting")
    doing["Status"]["Message"] = "starting: waiting to be healthy"
    assert Watch().look(1, service(), [doing, task(2)]).under_way == (
        "web.1 starting on host-n1: waiting to be healthy",
    )


def test_what_a_health_check_printed_is_told_in_one_short_line() -> None:
    err = "unhealthy container: " + "no answer\n" * 300
    tasks = [task(1, "failed", err=err, desired="shutdown"), task(1, "starting", attempt=2), task(2)]
    (attempts,) = Watch().look(1, service(), tasks).reasons
    assert "\n" not in attempts
    assert attempts.startswith("web.1: 1 attempt failed, the last one: unhealthy container: no answer no answer")
    assert len(attempts) < 400
    over = Watch().look(1, service(restart="none"), [task(1, "failed", err=err), task(2)])
    assert "\n" not in over.text
    assert len(over.text) < 400


def test_a_task_that_is_not_healthy_yet_says_so_and_what_its_check_said() -> None:
    def starting(message: str) -> list[Document]:
        one = task(1, "starting")
        one["Status"]["Message"] = message
        return [one, task(2)]

    early = Watch().look(1, service(), starting(health_wait()))
    assert (early.text, early.reasons) == ("1/2 running, waiting to be healthy", ())
    assert early.under_way == ("web.1 starting on host-n1: waiting to be healthy",)

    told = Watch().look(1, service(), starting(health_wait("refused\n")))
    assert told.text == "1/2 running, waiting to be healthy"
    assert told.reasons == ("web.1 starting on host-n1: waiting to be healthy; its check said last: refused",)
    assert told.under_way == ()


def test_runs_that_a_smaller_job_leaves_are_not_counted_beyond_it() -> None:
    over = [task(n, "complete", **THIS_RUN) for n in range(1, 4)]
    assert Watch().look(1, service(TWO_JOBS, **JOB_OVER), over).text == "2/2 complete"


def test_one_shots_that_have_ended_are_not_said_to_run() -> None:
    of = service(restart="none")
    assert Watch().look(1, of, [task(1, "complete"), task(2, "complete")]).text == "2/2 complete"
    assert Watch().look(1, of, [task(1, "complete"), task(2)]).text.startswith("2/2 running")


def test_a_roll_back_names_the_task_that_failed_though_its_wish_is_gone() -> None:
    """It failed and was replaced between two looks."""
    failed = task(1, "failed", desired="shutdown", err="no licence")
    verdict = Watch().look(1, service(update="rollback_completed"), [task(1, attempt=2), task(2)], former=[failed])
    assert verdict.text == "update rolled back: web.1 failed on host-n1: no licence"
    assert verdict.failing == (failed["ID"],)
