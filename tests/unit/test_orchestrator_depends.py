"""What a start waits for when its service depends on others, and what is refused as a dependency."""

import json
from datetime import timedelta
from typing import Any

import pytest
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
from support.dependents import (
    COMPLETE,
    COMPLETED,
    CRASHED,
    HEALTHY,
    ONCE,
    STARTED,
    UPDATING,
    a_picture,
    decide,
    held,
    web,
    with_label,
)

from manager.admission.depends import check_depends_on
from manager.admission.service import admit_rollback, admit_service, admit_update
from manager.control.dirty import DirtySet
from manager.objects import AnyObject, Reason, ReasonCode, Service, Task
from manager.orchestrator.decision import SetDesired
from manager.orchestrator.depends import unmet, waiting_text
from manager.orchestrator.reasons import waiting_reason
from manager.state import Changed, State
from swarmpy.errors import BadRequest
from swarmpy.labels import DEPENDS_ON
from swarmpy.models.task import ContainerStatus, TaskStatus
from swarmpy.states import NodeState, TaskState


def waits(condition: str, *objects: AnyObject) -> str:
    """What a first start of `web` waits for, when it depends on `db` so."""
    service = web({"db": condition})
    found = unmet(a_picture(service, *objects), service, 1)
    return waiting_text(found) if found else ""


def checking(**fields: Any) -> Task:
    """A task whose container runs and is not healthy yet."""
    task = a_task("d1", "db", state=TaskState.STARTING, **fields)
    status = TaskStatus(state=TaskState.STARTING, container_status=ContainerStatus(container_id="c", pid=7))
    return task.model_copy(update={"status": status})


# conditions


def test_a_service_that_does_not_exist_is_waited_for_by_name() -> None:
    assert waits(HEALTHY) == "waits until service db is healthy: it does not exist"


def test_a_service_that_is_being_removed_does_not_exist() -> None:
    gone = a_service("db").model_copy(update={"removed": True})

    assert waits(STARTED, gone, a_task("d1", "db")) == "waits until service db has started: it does not exist"


def test_healthy_is_when_all_wished_replicas_run() -> None:
    db = a_service("db", replicas=2)
    first, second = a_task("d1", db, slot=1), a_task("d2", db, slot=2)

    assert waits(HEALTHY, db) == "waits until service db is healthy: 0/2 running"
    assert waits(HEALTHY, db, first) == "waits until service db is healthy: 1/2 running"
    assert waits(HEALTHY, db, first, second) == ""


def test_the_cause_of_the_delay_is_told() -> None:
    lack = Reason(code=ReasonCode.NO_NODE, text="no node fits: 2 lack memory", since=T0)
    db = a_task("d1", "db", state=TaskState.PENDING, reason=lack, node="")

    expected = "waits until service db is healthy: 0/1 running: no node fits: 2 lack memory"
    assert waits(HEALTHY, a_service("db"), db) == expected


def test_of_a_dependency_that_waits_itself_it_is_told_for_what_and_no_more() -> None:
    text = "waits until service one is healthy: 0/1 running: no node; and until service two has started: 0/1 started"
    wait = Reason(code=ReasonCode.WAITING_DEPENDENCY, text=text, since=T0)
    db = a_task("d1", "db", state=TaskState.READY, reason=wait)

    told = waits(HEALTHY, a_service("db"), db)
    assert told == "waits until service db is healthy: 0/1 running: waits until service one is healthy"


def test_a_container_that_runs_and_is_not_healthy_yet_has_started() -> None:
    assert waits(STARTED, a_service("db"), checking()) == ""
    assert waits(HEALTHY, a_service("db"), checking()) != ""
    assert waits(STARTED, a_service("db"), a_task("d1", "db", state=TaskState.STARTING)) != ""


def test_a_run_that_ended_well_has_started() -> None:
    done = a_task("d1", "db", state=TaskState.COMPLETE, desired=TaskState.SHUTDOWN, started=0)

    assert waits(STARTED, a_service("db", restart=ONCE), done) == ""


def test_what_runs_by_an_older_wish_does_not_count() -> None:
    db = a_service("db", spec_version=2)

    assert waits(HEALTHY, db, a_task("d1", db, version=1)) == "waits until service db is healthy: 0/1 running"
    assert waits(STARTED, db, a_task("d1", db, version=1)) == "waits until service db has started: 0/1 started"


def test_an_update_that_is_under_way_is_waited_for() -> None:
    db = a_service("db", spec_version=2, status=UPDATING)

    text = waits(HEALTHY, db, a_task("d1", db, version=2))
    assert text == "waits until service db is healthy: its update is under way"
    assert waits(STARTED, db, a_task("d1", db, version=2)) == ""


def test_what_a_lost_node_runs_is_not_known() -> None:
    state = a_picture(web(), a_service("db"), a_task("d1", "db", node="n3"), a_node("n3", state=NodeState.DOWN))

    assert unmet(state, web(), 1)


def test_a_service_without_replicas_is_waited_for_by_nobody() -> None:
    assert waits(HEALTHY, a_service("db", replicas=0)) == ""


def test_a_global_service_is_healthy_where_nodes_are_there() -> None:
    db = a_global_service("db")
    here, there = a_task("d1", db, slot=0, node="n1"), a_task("d2", db, slot=0, node="n2", state=TaskState.STARTING)
    away = a_task("d3", db, slot=0, node="n3")

    assert waits(HEALTHY, db) == "waits until service db is healthy: 0/1 running"
    assert waits(HEALTHY, db, here, there) == "waits until service db is healthy: 1/2 running"
    assert waits(HEALTHY, db, here, away, a_node("n3", state=NodeState.DOWN)) == ""


def test_a_job_is_complete_when_each_run_of_the_present_iteration_is() -> None:
    job = a_job("db", total=2, at_once=1, iteration=3)
    now, before = {"job_iteration": 3, **COMPLETE}, {"job_iteration": 2, **COMPLETE}

    text = waits(COMPLETED, job, a_task("d1", job, slot=1, **now), a_task("d2", job, slot=2, **before))
    assert text == "waits until service db has completed successfully: 1/2 complete"
    assert waits(COMPLETED, job, a_task("d1", job, slot=1, **now), a_task("d2", job, slot=2, **now)) == ""


def test_a_global_job_is_complete_when_it_is_on_each_node() -> None:
    job = a_global_job("db", iteration=0)
    first = a_task("d1", job, slot=0, node="n1", job_iteration=0, **COMPLETE)
    second = a_task("d2", job, slot=0, node="n2", job_iteration=0)

    assert waits(COMPLETED, job, first, second).endswith("1/2 complete")
    assert waits(COMPLETED, job, first) == ""


def test_a_one_shot_service_is_complete_when_the_newest_task_of_each_slot_is() -> None:
    db = a_service("db", restart=ONCE)
    failed = a_task("d1", db, state=TaskState.FAILED, started=0, finished=1, error="task: non-zero exit (1)")
    done = a_task("d2", db, created=2, **COMPLETE)

    text = waits(COMPLETED, db, failed)
    assert text == "waits until service db has completed successfully: 0/1 complete: task: non-zero exit (1)"
    assert waits(COMPLETED, db, failed, done) == ""


def test_a_service_that_is_always_restarted_never_completes_and_the_wait_says_so() -> None:
    assert "its restart condition must be none or on-failure" in waits(COMPLETED, a_service("db"))


def test_what_has_ended_is_not_healthy_and_the_wait_says_so() -> None:
    job = a_job("db", total=1, at_once=1)

    text = waits(HEALTHY, job, a_task("d1", job, job_iteration=0, **COMPLETE))
    assert text == "waits until service db is healthy: 0/1 running: it has ended"


def test_all_that_is_waited_for_is_told() -> None:
    service = web({"db": HEALTHY, "cache": STARTED})

    assert waiting_text(unmet(a_picture(service), service, 1)) == (
        "waits until service cache has started: it does not exist; and until service db is healthy: it does not exist"
    )


# starts


def test_a_first_start_is_made_ready_and_not_started() -> None:
    decision = decide(web(replicas=2))

    assert held(decision) == [(TaskState.READY, ReasonCode.WAITING_DEPENDENCY)] * 2


def test_a_start_whose_dependencies_are_met_waits_for_nothing() -> None:
    decision = decide(web(), a_service("db"), a_task("d1", "db"))

    assert held(decision) == [(TaskState.RUNNING, ReasonCode.NO_NODE)]


def test_a_task_that_waits_starts_when_the_condition_is_met() -> None:
    ready = a_task("w1", state=TaskState.READY, desired=TaskState.READY)

    assert not decide(web(), a_service("db"), ready).desire
    (told,) = decide(web(), a_service("db"), ready, a_task("d1", "db")).desire
    assert isinstance(told, SetDesired)
    assert (told.task_id, told.desired_state) == ("w1", TaskState.RUNNING)


def test_the_wait_is_told_with_its_beginning() -> None:
    early = Reason(code=ReasonCode.WAITING_DEPENDENCY, text="waits until service db is healthy: 0/2 running", since=T0)
    ready = a_task("w1", state=TaskState.READY, desired=TaskState.READY, reason=early)
    state = a_picture(web(), a_service("db", replicas=2), a_task("d1", "db"), ready)

    why = waiting_reason(state, ready, at(60))
    assert why is not None
    assert (why.code, why.since) == (ReasonCode.WAITING_DEPENDENCY, T0)
    assert why.text == "waits until service db is healthy: 1/2 running"


def test_what_runs_is_not_stopped_when_a_dependency_fails() -> None:
    failed = a_task("d1", "db", state=TaskState.FAILED, started=0, finished=1)

    assert not decide(web(), a_service("db"), failed, a_task("w1"))


def test_after_a_full_restart_a_service_waits_until_something_of_its_dependency_runs() -> None:
    crashed = a_task("w1", created=-50, **CRASHED)
    db_crashed = a_task("d1", "db", created=-50, **CRASHED)
    starting = a_task("d2", "db", created=0, state=TaskState.STARTING)

    waiting = decide(web(), a_service("db"), crashed, db_crashed, starting, now=1)
    assert held(waiting) == [(TaskState.READY, ReasonCode.WAITING_DEPENDENCY)]
    (task,) = waiting.create
    assert task.reason is not None
    assert task.reason.text == "waits until service db runs again: 0/1 running"
    running = a_task("d2", "db", created=0)
    assert held(decide(web(), a_service("db"), crashed, db_crashed, running, now=1)) == [
        (TaskState.RUNNING, ReasonCode.NO_NODE)
    ]


def test_a_crashed_replica_does_not_wait_for_a_dependency_that_is_not_whole() -> None:
    crashed = a_task("w1", created=-50, **CRASHED)

    decision = decide(web(), a_service("db", replicas=3), a_task("d1", "db"), crashed, now=1)
    assert [task.desired_state for task in decision.create] == [TaskState.RUNNING]


def test_a_crashed_replica_does_not_wait_for_a_migration_that_runs_anew() -> None:
    crashed = a_task("w1", created=-50, **CRASHED)

    decision = decide(web({"db": COMPLETED}), a_job("db", iteration=4), crashed, now=1)
    assert [task.desired_state for task in decision.create] == [TaskState.RUNNING]


def test_waiting_for_others_is_no_crash() -> None:
    """The delay before the next attempt is read off two times, neither of which a wait for others moves."""
    waited = a_task(
        "w1", created=0, start_after=1, started=500, state=TaskState.FAILED, finished=501, error="exit code 1"
    )

    (again,) = decide(web(), a_service("db"), a_task("d1", "db"), waited, now=501).create
    assert again.start_after == at(501) + timedelta(seconds=2)


# admission


def admitted(name: str, on: object, *others: Service) -> None:
    label = on if isinstance(on, str) else json.dumps(on)
    check_depends_on(a_picture(*others), name, {DEPENDS_ON: label})


def test_a_service_that_does_not_exist_yet_may_be_named() -> None:
    admitted("web", {"db": HEALTHY})


@pytest.mark.parametrize(
    ("on", "sentence"),
    [
        ("db", "it must be a JSON object from service names to conditions"),
        (["db"], "it must be a JSON object from service names to conditions"),
        ({"db": "healthy"}, "'healthy' is no condition for service 'db'; use service_started, service_healthy, "),
        ({"db": {}}, "{} is no condition for service 'db'"),
        ({"": HEALTHY}, "'service_healthy' is no condition for service ''"),
        ({"web": HEALTHY}, "service web cannot depend on itself"),
    ],
)
def test_a_label_that_makes_no_sense_is_refused_in_one_sentence(on: object, sentence: str) -> None:
    with pytest.raises(BadRequest) as refused:
        admitted("web", on)
    assert str(refused.value).startswith("label swarmpy.depends-on: ")
    assert sentence in str(refused.value)


def test_a_circle_is_refused_by_the_names_in_it() -> None:
    db = with_label(a_service("db"), {"cache": STARTED})
    cache = with_label(a_service("cache"), {"other": STARTED, "web": HEALTHY})

    with pytest.raises(BadRequest, match="in a circle: web -> db -> cache -> web"):
        admitted("web", {"db": HEALTHY}, db, cache)


def test_the_label_is_looked_at_when_a_service_is_created_updated_and_rolled_back() -> None:
    wish = web({"web": HEALTHY}).spec
    known = a_service("web").model_copy(update={"previous_spec": wish, "previous_spec_version": 1})
    state = a_picture(known)
    known = state.services["web"]

    with pytest.raises(BadRequest, match="cannot depend on itself"):
        admit_service(a_state(), wish, service_id="web", now=T0, sealed_auth=None)
    with pytest.raises(BadRequest, match="cannot depend on itself"):
        admit_update(state, known, wish, version=known.version, now=T0, sealed_auth=None)
    with pytest.raises(BadRequest, match="cannot depend on itself"):
        admit_rollback(state, known, version=known.version, now=T0)


def test_two_ways_to_one_service_are_no_circle() -> None:
    db = with_label(a_service("db"), {"disk": STARTED})
    cache = with_label(a_service("cache"), {"disk": STARTED})

    admitted("web", {"db": HEALTHY, "cache": HEALTHY}, db, cache, a_service("disk"))


def test_a_broken_label_of_an_older_time_holds_nothing_up() -> None:
    service = with_label(a_service("web"), "{")

    assert [task.desired_state for task in decide(service).create] == [TaskState.RUNNING]


# who is looked at


def marked(*changes: Changed, state: State) -> set[str]:
    dirty = DirtySet()
    dirty.mark(changes, state)
    return set(dirty.take(state, 100))


def ended() -> Task:
    return a_task("d1", "db", state=TaskState.FAILED, started=0, finished=1)


def test_what_happens_to_a_dependency_is_its_dependents_concern() -> None:
    state = a_picture(web(), a_service("other"), a_service("db"))

    assert marked(Changed("", a_task("d1", "db"), ended()), state=state) == {"db", "web"}
    assert marked(Changed("", None, a_service("db")), state=state) == {"db", "web"}
    assert marked(Changed("", None, a_service("other")), state=state) == {"other"}


def test_a_node_that_is_back_concerns_those_that_depend_on_what_it_runs() -> None:
    state = a_picture(web(), a_service("other"), a_service("db"), a_task("d1", "db", node="n1"))
    back = Changed("", a_node("n1", state=NodeState.DOWN), a_node("n1"))

    assert marked(back, state=state) == {"db", "web"}


def test_a_container_that_has_started_is_its_dependents_concern_only() -> None:
    state = a_picture(web(), a_service("db"))
    before = a_task("d1", "db", state=TaskState.STARTING)

    assert marked(Changed("", before, checking()), state=state) == {"web"}


def test_who_depends_on_whom_follows_the_changes_of_services() -> None:
    state = a_picture(web(), a_service("db"), a_service("cache"))
    dirty = DirtySet()
    dirty.mark([Changed("", web(), web({"cache": STARTED}))], state)
    dirty.take(state, 100)
    dirty.mark([Changed("", a_task("d1", "db"), ended())], state)
    assert set(dirty.take(state, 100)) == {"db"}
    dirty.mark([Changed("", None, a_task("c1", "cache"))], state)
    assert set(dirty.take(state, 100)) == {"cache", "web"}
