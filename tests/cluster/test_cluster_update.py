"""Updates and jobs on a whole control plane, whose leader changes again and again on the way: gracefully, killed, or
paused and back as one that has been replaced."""

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from support.cluster import Cluster, cluster_of

from manager.admission.update_control import admit_continue, admit_pause
from manager.objects import Service
from manager.store.codec import put
from manager.store.port import Unit
from swarmpy.models.container import ContainerSpec
from swarmpy.models.resources import ResourceRequirements, Resources
from swarmpy.models.service import (
    FailureAction,
    GlobalJob,
    ReplicatedJob,
    ServiceMode,
    UpdateConfig,
    UpdateOrder,
    UpdateState,
)
from swarmpy.states import Availability, TaskState
from swarmpy.wire import TaskAssignment

SECOND = 10**9
Change = Callable[[Cluster], Awaitable[None]]


async def stop_leader(cluster: Cluster) -> None:
    """It gives its lease back, and is there again as another."""
    leader = cluster.leader
    await leader.stop()
    leader.restart()
    await cluster.advance(1)


async def kill_leader(cluster: Cluster) -> None:
    leader = cluster.leader
    await leader.kill()
    await cluster.advance(15)
    leader.restart()
    await cluster.advance(1)


async def freeze_leader(cluster: Cluster) -> None:
    """It wakes when another leads, and may not write a word."""
    leader = cluster.leader
    leader.pause()
    await cluster.advance(15)
    leader.resume()
    await cluster.advance(1)


CHANGES = (stop_leader, kill_leader, freeze_leader)


def state_of(cluster: Cluster) -> UpdateState | None:
    update = cluster.service("web").update
    return update.state if update is not None else None


def images(cluster: Cluster) -> list[str]:
    running = {task.id for task in cluster.running("web")}
    runs = [run for agent in cluster.agents.values() for run in agent.runs.values() if run.task.id in running]
    return sorted((run.task.spec.container_spec and run.task.spec.container_spec.image) or "" for run in runs)


async def until_over(cluster: Cluster, change: Change, check: Callable[[], None]) -> None:
    """A new leader at every step."""
    for _ in range(40):
        if state_of(cluster) not in (None, UpdateState.UPDATING, UpdateState.ROLLBACK_STARTED):
            return
        await change(cluster)
        check()
    raise AssertionError(f"the update does not end: {cluster.service('web').update}")


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("order", UpdateOrder)
async def test_an_update_goes_on_under_each_new_leader_and_renews_each_slot_once(
    change: Change, order: UpdateOrder
) -> None:
    config = UpdateConfig(parallelism=1, delay=2 * SECOND, monitor=SECOND, order=order)

    async with cluster_of(managers=3, agents=2) as cluster:
        await cluster.deploy("web", replicas=4, update_config=config)
        cluster.is_hasty = True
        await cluster.update("web", image="app:2")

        def keeps_pace() -> None:
            up = len(cluster.containers("web"))
            assert 3 <= up <= (5 if order is UpdateOrder.START_FIRST else 4)

        await until_over(cluster, change, keeps_pace)
        await cluster.advance(5)

        assert state_of(cluster) is UpdateState.COMPLETED
        assert images(cluster) == ["app:2"] * 4
        assert sum(len(agent.starts) for agent in cluster.agents.values()) == 8


@pytest.mark.parametrize("change", CHANGES)
async def test_a_failing_update_is_rolled_back_under_each_new_leader(change: Change) -> None:
    def outcome(task: TaskAssignment) -> str | None:
        container = task.spec.container_spec
        return "exit 1" if container is not None and container.image == "app:2" else None

    config = UpdateConfig(parallelism=1, failure_action=FailureAction.ROLLBACK, monitor=5 * SECOND)
    async with cluster_of(managers=3, agents=2) as cluster:
        await cluster.deploy("web", replicas=3, update_config=config)
        for agent in cluster.agents.values():
            agent.outcome = outcome
        await cluster.update("web", image="app:2")
        await until_over(cluster, change, lambda: None)
        await cluster.advance(5)

        assert state_of(cluster) is UpdateState.ROLLBACK_COMPLETED
        assert images(cluster) == ["app:1"] * 3


@pytest.mark.parametrize("change", CHANGES)
async def test_what_is_paused_by_hand_stays_so_under_each_new_leader_until_it_is_continued(change: Change) -> None:
    config = UpdateConfig(parallelism=1, delay=3 * SECOND, monitor=SECOND)
    async with cluster_of(managers=3, agents=2) as cluster:
        await cluster.deploy("web", replicas=3, update_config=config)
        await cluster.update("web", image="app:2")
        await write(cluster, admit_pause(cluster.service("web"), now=cluster.clock.now()).value)
        before = images(cluster)
        for _ in range(3):
            await change(cluster)
        assert (state_of(cluster), images(cluster)) == (UpdateState.PAUSED, before)
        assert len(set(before)) == 2

        await write(cluster, admit_continue(cluster.service("web"), now=cluster.clock.now()).value)
        await until_over(cluster, change, lambda: None)
        assert (state_of(cluster), images(cluster)) == (UpdateState.COMPLETED, ["app:2"] * 3)


async def write(cluster: Cluster, service: Service) -> None:
    await cluster.leader.ledger.commit([Unit((put(service),))])
    await cluster.settle()


@pytest.mark.parametrize("change", CHANGES)
async def test_each_run_of_a_job_is_started_and_completed_once_whoever_leads(change: Change) -> None:
    job = ServiceMode(replicated_job=ReplicatedJob(max_concurrent=2, total_completions=6))
    async with cluster_of(managers=3, agents=3) as cluster:
        await cluster.deploy("job", mode=job)
        for _ in range(12):
            for agent in cluster.agents.values():
                for task_id in sorted(agent.running)[:1]:
                    agent.finish(task_id, TaskState.COMPLETE, exit_code=0)
            await change(cluster)
        tasks = cluster.tasks("job")

        assert Counter(task.slot for task in tasks if task.state is TaskState.COMPLETE) == dict.fromkeys(range(1, 7), 1)
        assert not cluster.running("job")
        started = [task_id for agent in cluster.agents.values() for task_id in agent.starts]
        assert len(started) == 6


@pytest.mark.parametrize("change", CHANGES)
async def test_a_global_job_runs_once_on_each_node_and_once_more_in_each_iteration(change: Change) -> None:
    async with cluster_of(managers=3, agents=3) as cluster:
        for agent in cluster.agents.values():
            agent.outcome = lambda task: "done"
        await cluster.deploy("job", mode=ServiceMode(global_job=GlobalJob()))
        await change(cluster)
        await cluster.update("job", image="app:2")
        await change(cluster)

        assert [len(agent.starts) for agent in cluster.agents.values()] == [2, 2, 2]
        done = Counter((task.node_id, task.job_iteration) for task in cluster.tasks("job"))
        assert done == dict.fromkeys([(f"n{n}", iteration) for n in (1, 2, 3) for iteration in (0, 1)], 1)


STUCK: dict[str, Change] = {}


@pytest.mark.parametrize("order", list(UpdateOrder))
async def test_updates_spread_replicas_over_the_nodes_however_slowly_the_old_ones_stop(order: UpdateOrder) -> None:
    """What is being stopped is not one of the service's any more, wherever it still is, and from the same pass on."""
    config = UpdateConfig(parallelism=1, monitor=SECOND, order=order)

    async with cluster_of(agents=2) as cluster:
        await cluster.set_availability("n2", Availability.PAUSE)
        await cluster.deploy("web", replicas=3, update_config=config)
        await cluster.set_availability("n2", Availability.ACTIVE)
        for agent in cluster.agents.values():
            agent.is_stubborn = True
        for number in range(4):
            await cluster.update("web", image=f"app:{number}")
            for _ in range(60):
                if state_of(cluster) is UpdateState.COMPLETED:
                    break
                await cluster.advance(5)
                if order is UpdateOrder.STOP_FIRST:
                    stop_slowly(cluster)

            assert state_of(cluster) is UpdateState.COMPLETED
            counts = Counter(task.node_id for task in cluster.running("web"))
            assert sorted(counts.values()) == [1, 2], (number, counts)


def stop_slowly(cluster: Cluster) -> None:
    for agent in cluster.agents.values():
        agent.release()
        agent.is_stubborn = True


def stuck(test: Change) -> Change:
    STUCK[test.__name__] = test
    return test


@stuck
async def a_pull_that_never_ends(cluster: Cluster) -> None:
    for agent in cluster.agents.values():
        agent.holds_at = TaskState.PREPARING
    await cluster.update("web", image="app:2")


@stuck
async def health_that_is_never_good(cluster: Cluster) -> None:
    for agent in cluster.agents.values():
        agent.holds_at = TaskState.STARTING
    await cluster.update("web", image="app:2")


@stuck
async def no_node_that_fits(cluster: Cluster) -> None:
    huge = ResourceRequirements(reservations=Resources(nano_cpus=99 * SECOND))
    await cluster.reshape("web", container_spec=ContainerSpec(image="app:2"), resources=huge)


@pytest.mark.parametrize("kind", STUCK)
@pytest.mark.parametrize(
    ("action", "end"),
    [
        (FailureAction.PAUSE, UpdateState.PAUSED),
        (FailureAction.CONTINUE, UpdateState.COMPLETED),
        (FailureAction.ROLLBACK, UpdateState.ROLLBACK_COMPLETED),
    ],
)
async def test_an_update_whose_tasks_never_run_ends_by_the_deadline(
    kind: str, action: FailureAction, end: UpdateState
) -> None:
    config = UpdateConfig(parallelism=0, failure_action=action, monitor=SECOND)
    async with cluster_of(agents=2) as cluster:
        await cluster.deploy("web", replicas=2, update_config=config, labels={"swarmpy.progress-deadline": "1m"})
        await STUCK[kind](cluster)
        await cluster.advance(50)
        assert state_of(cluster) is UpdateState.UPDATING
        await cluster.advance(15)
        for agent in cluster.agents.values():
            agent.release()
        await cluster.advance(timedelta(minutes=1).total_seconds())

        assert state_of(cluster) is end
        if action is not FailureAction.ROLLBACK:
            update = cluster.service("web").update
            assert update is not None
            assert ", which does not run after 1 minute: " in (update.message or "")
