"""What goes from the store, and what must not."""

import pytest
from support.builders import (
    SECOND,
    T0,
    a_cluster,
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

from manager.objects import AnyObject, Config, ReasonCode, Secret, Service, StackRevision, Task
from manager.orchestrator.decision import Decision
from manager.orchestrator.keep import View
from manager.orchestrator.reaper import (
    STACK_KEPT,
    history_limit,
    reap_networks,
    reap_removed_service,
    reap_specs,
    reap_stacks,
    reap_tasks,
)
from swarmpy.models.config import ConfigSpec
from swarmpy.models.secret import SecretSpec
from swarmpy.models.service import FailureAction, UpdateConfig, UpdateState, UpdateStatus
from swarmpy.models.stack import StackWish
from swarmpy.models.task import RestartPolicy
from swarmpy.stack.names import STACK_LABEL
from swarmpy.states import NodeState, TaskState


def dropped(service: Service, *objects: AnyObject, limit: int | None = 1, now: float = 1000) -> list[str]:
    state = a_state(a_cluster(history_limit=limit), a_node("n1"), service, *objects)
    decision = reap_tasks(View(state, service, at(now)), state.tasks_of_service(service.id))
    return sorted(part.task_id for part in decision.drop)


def ended(number: int, *, slot: int = 1, state: TaskState = TaskState.SHUTDOWN, **fields: object) -> Task:
    return a_task(
        f"t{number}", slot=slot, state=state, desired=TaskState.SHUTDOWN, created=number, finished=number + 1, **fields  # type: ignore[arg-type]
    )  # fmt: skip


def test_the_limit_is_five_unless_the_cluster_says_otherwise_and_negative_is_none() -> None:
    assert history_limit(None) == 5
    assert history_limit(a_cluster()) == 5
    assert history_limit(a_cluster(history_limit=0)) == 0
    assert history_limit(a_cluster(history_limit=-1)) is None


def test_the_oldest_finished_tasks_of_a_slot_go_beyond_the_limit() -> None:
    tasks = [ended(n) for n in range(4)] + [a_task("now", created=9)]

    assert dropped(a_service(), *tasks, limit=2) == ["t0", "t1"]
    assert dropped(a_service(), *tasks, limit=0) == ["t0", "t1", "t2", "t3"]
    assert dropped(a_service(), *tasks, limit=-1) == []


def test_a_long_history_goes_in_writes_that_the_store_can_take() -> None:
    history = [ended(n) for n in range(300)]

    assert len(dropped(a_service(), *history, a_task("now", created=999), limit=5)) == 100
    assert len(removal(*history, *(ended(n, slot=2) for n in range(300, 310))).drop) == 110


def test_live_tasks_are_no_history() -> None:
    assert dropped(a_service(), ended(0), a_task("a", created=1), limit=1) == []


def test_slots_have_their_own_history() -> None:
    assert dropped(a_service(), ended(0, slot=1), ended(1, slot=2), limit=1) == []


def test_nodes_have_their_own_history_under_a_global_service() -> None:
    service = a_global_service("web")
    tasks = [ended(0, slot=0, node="n1"), ended(1, slot=0, node="n2"), ended(2, slot=0, node="n2")]

    assert dropped(service, *tasks, limit=1) == ["t1"]


def test_the_newest_task_stays_for_the_next_attempt_follows_it() -> None:
    assert dropped(a_service(), ended(0), ended(1), limit=0) == ["t0"]


def test_crashes_that_count_against_the_attempts_stay() -> None:
    crashes = [ended(n, state=TaskState.FAILED) for n in range(4)]
    service = a_service(replicas=1, restart=RestartPolicy(max_attempts=9))
    windowed = a_service(replicas=1, restart=RestartPolicy(max_attempts=9, window=10 * SECOND))

    # The tasks' own wish is what counts.
    own = [a_revision(s, 1) for s in (service, windowed)]
    assert dropped(service, own[0], *crashes, limit=1) == []
    assert dropped(windowed, own[1], *crashes, limit=1) == ["t0", "t1", "t2"]


def test_failures_that_a_running_update_counts_stay() -> None:
    status = UpdateStatus(state=UpdateState.UPDATING, started_at=at(2))
    tasks = [ended(n, state=TaskState.FAILED) for n in range(5)]

    assert dropped(a_service(status=status), *tasks, limit=1) == ["t0", "t1"]
    carried_on = UpdateConfig(failure_action=FailureAction.CONTINUE)
    assert dropped(a_service(status=status, update=carried_on), *tasks, limit=1) == ["t0", "t1", "t3"]
    over = status.model_copy(update={"state": UpdateState.COMPLETED})
    assert dropped(a_service(status=over), *tasks, limit=1) == ["t0", "t1", "t2", "t3"]


def test_a_jobs_completed_run_stays_or_it_would_run_twice() -> None:
    job = a_job("web", iteration=1)
    done = ended(0, state=TaskState.COMPLETE, job_iteration=1)
    later = ended(1, state=TaskState.SHUTDOWN, job_iteration=1)
    former = ended(-1, state=TaskState.COMPLETE, job_iteration=0)

    assert dropped(job, former, done, later, limit=0) == ["t-1"]


def test_a_removed_task_goes_when_it_has_stopped() -> None:
    service = a_service()
    stopping = a_task("a", desired=TaskState.REMOVE)
    stopped = a_task("b", state=TaskState.SHUTDOWN, desired=TaskState.REMOVE, finished=1)
    unplaced = a_task("c", state=TaskState.PENDING, desired=TaskState.REMOVE, node="")

    assert dropped(service, stopping, stopped, unplaced) == ["b", "c"]


@pytest.mark.parametrize("node", [a_node("n2", state=NodeState.DOWN), a_node("elsewhere")])
def test_a_removed_task_of_a_node_out_of_reach_goes_at_once(node: AnyObject) -> None:
    assert dropped(a_service(), node, a_task("a", desired=TaskState.REMOVE, node="n2")) == ["a"]


def removal(*objects: AnyObject, service: Service | None = None) -> Decision:
    service = service or a_service(removed=True)
    return reap_removed_service(a_state(a_node("n1"), service, *objects), service, T0)


def test_a_removed_services_tasks_are_to_go_with_their_history() -> None:
    decision = removal(a_task("a"), ended(0, slot=2))

    assert {part.task_id: part.desired_state for part in decision.desire} == {"a": TaskState.REMOVE}
    assert [part.task_id for part in decision.drop] == ["t0"]
    assert decision.desire[0].reason is not None
    assert decision.desire[0].reason.code is ReasonCode.SERVICE_REMOVED
    assert not decision.drop_services


def test_a_removed_service_waits_for_tasks_that_stop() -> None:
    assert not removal(a_task("a", desired=TaskState.REMOVE))


def test_a_removed_service_goes_with_its_wishes_when_its_tasks_are_gone() -> None:
    decision = removal(a_revision(a_service(), 7), a_service("other"))

    assert decision.drop_services == ("web",)
    assert sorted(decision.drop_specs) == ["web/1", "web/7"]


def test_wishes_go_that_nobody_runs_or_would_go_back_to() -> None:
    service = a_service(spec_version=5, previous_spec_version=4)
    state = a_state(service, *(a_revision(service, n) for n in range(1, 6)), a_task("a", version=2))

    assert reap_specs(state).drop_specs == ("web/1", "web/3")


def test_a_removed_network_goes_when_no_task_is_on_it() -> None:
    task = a_task("a", networks=("busy",))
    state = a_state(
        a_service(), task, a_network("busy", removed=True), a_network("free", removed=True), a_network("kept")
    )

    assert reap_networks(state, state.networks).drop_networks == ("free",)
    assert not reap_networks(state, ["kept", "unknown"])


# stacks

TIMES = {"created_at": T0, "updated_at": T0}
OF_SHOP = {STACK_LABEL: "shop"}


def a_stack(stack: str, number: int = 1, created: float = 0) -> StackRevision:
    return StackRevision(
        id=f"{stack}.{number}", created_at=at(created), updated_at=at(created), stack=stack, number=number,
        wish=StackWish(),
    )  # fmt: skip


def labelled(value: AnyObject) -> AnyObject:
    spec = value.spec.model_copy(update={"labels": OF_SHOP})  # type: ignore[union-attr]
    return value.model_copy(update={"spec": spec})


@pytest.mark.parametrize(
    "value",
    [
        a_service(),
        a_network(),
        Secret(id="s1", spec=SecretSpec(name="key"), sealed="", **TIMES),
        Config(id="c1", spec=ConfigSpec(name="conf"), sealed="", **TIMES),
    ],
)
def test_revisions_of_a_stack_go_a_day_after_the_last_when_nothing_of_it_is_there(value: AnyObject) -> None:
    revisions = [a_stack("shop", 1), a_stack("shop", 2), a_stack("blog")]

    assert reap_stacks(a_state(*revisions, value), T0 + STACK_KEPT).drop_stacks == ("shop.1", "shop.2", "blog.1")
    assert reap_stacks(a_state(*revisions, labelled(value)), T0 + STACK_KEPT).drop_stacks == ("blog.1",)


def test_revisions_of_a_stack_that_was_deployed_not_long_ago_stay() -> None:
    state = a_state(a_stack("shop", 1), a_stack("shop", 2, created=60))

    assert reap_stacks(state, T0 + STACK_KEPT).drop_stacks == ()
