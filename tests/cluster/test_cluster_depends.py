"""The order of starts on a whole control plane: at deploy, at an update, after a full restart, across leaders."""

import json
from typing import Any

from support.cluster import Cluster, cluster_of
from support.scripted_agent import CRASH

from manager.objects import ReasonCode
from swarmpy.labels import DEPENDS_ON
from swarmpy.models.container import ContainerSpec
from swarmpy.models.service import UpdateState
from swarmpy.models.task import RestartCondition, RestartPolicy, TaskSpec
from swarmpy.states import TaskState

ON_FAILURE = RestartPolicy(condition=RestartCondition.ON_FAILURE)
HEALTHY, COMPLETED = "service_healthy", "service_completed_successfully"
IN_ORDER = ["db", "migrate", "web"]


async def deploy(cluster: Cluster, name: str, on: dict[str, str] | None = None, **fields: Any) -> None:
    await cluster.deploy(name, labels={DEPENDS_ON: json.dumps(on)} if on else {}, **fields)


async def deploy_stack(cluster: Cluster) -> None:
    """In the worst order."""
    await deploy(cluster, "web", {"migrate": COMPLETED, "db": HEALTHY}, replicas=2)
    await deploy_rest(cluster)


async def deploy_rest(cluster: Cluster) -> None:
    once = TaskSpec(container_spec=ContainerSpec(image="app:1"), restart_policy=ON_FAILURE)
    await deploy(cluster, "migrate", {"db": HEALTHY}, template=once)
    await deploy(cluster, "db")
    await cluster.advance(1)


def migrations_end(cluster: Cluster, outcome: str = "done") -> None:
    for agent in cluster.agents.values():
        agent.outcome = lambda task: outcome if task.service_name == "migrate" else None


def names_of(cluster: Cluster, starts: list[str]) -> list[str]:
    return list(dict.fromkeys(cluster.state.tasks[task_id].service_name for task_id in starts))


def finish(cluster: Cluster, name: str, state: TaskState = TaskState.COMPLETE) -> None:
    for task in cluster.running(name):
        cluster.agents[task.node_id].finish(task.id, state, exit_code=0 if state is TaskState.COMPLETE else 1)


def waiting(cluster: Cluster, name: str) -> list[str]:
    return [
        task.reason.text
        for task in cluster.tasks(name)
        if task.reason is not None and task.reason.code is ReasonCode.WAITING_DEPENDENCY
    ]


async def test_a_stack_starts_in_order_whatever_the_order_of_its_services() -> None:
    async with cluster_of(agents=1) as cluster:
        migrations_end(cluster)
        await deploy(cluster, "web", {"migrate": COMPLETED, "db": HEALTHY}, replicas=2)
        assert (
            waiting(cluster, "web")
            == [
                "waits until service db is healthy: it does not exist; "
                "and until service migrate has completed successfully: it does not exist"
            ]
            * 2
        )
        assert [task.state for task in cluster.tasks("web")] == [TaskState.READY] * 2
        await deploy_rest(cluster)

        assert names_of(cluster, cluster.agents["n1"].starts) == IN_ORDER
        assert cluster.running_slots("web") == [1, 2]
        assert all(task.reason is None for task in cluster.running("web"))


async def test_a_failed_migration_keeps_what_needs_it_waiting_and_its_error_is_told() -> None:
    async with cluster_of(agents=1) as cluster:
        migrations_end(cluster, CRASH)
        await deploy_stack(cluster)
        await cluster.advance(10)

        assert not cluster.containers("web")
        assert all(text.startswith("waits until service migrate has") for text in waiting(cluster, "web"))
        migrations_end(cluster)
        await cluster.advance(60)
        assert cluster.running_slots("web") == [1, 2]


async def test_what_runs_goes_on_when_its_dependency_is_lost() -> None:
    async with cluster_of(agents=1) as cluster:
        migrations_end(cluster)
        await deploy_stack(cluster)
        before = cluster.containers("web")
        await cluster.remove("db")
        await cluster.advance(40)

        assert len(before) == 2
        assert cluster.containers("web") == before


async def test_an_update_of_both_migrates_first_while_the_old_serve() -> None:
    async with cluster_of(agents=1) as cluster:
        migrations_end(cluster)
        await deploy_stack(cluster)
        before = cluster.containers("web")
        cluster.agents["n1"].outcome = lambda task: None
        await cluster.update("migrate", image="app:2")
        await cluster.update("web", image="app:2")
        await cluster.advance(700)

        assert cluster.containers("web") == before
        update_status = cluster.service("web").update
        assert update_status is not None
        assert update_status.state is UpdateState.UPDATING
        assert update_status.message == "update waits until service migrate has completed successfully"
        finish(cluster, "migrate")
        await cluster.advance(30)
        assert [task.spec_version for task in cluster.running("web")] == [2, 2]
        done = cluster.service("web").update
        assert done is not None
        assert done.state is UpdateState.COMPLETED


async def test_after_a_full_restart_tasks_start_in_order_again() -> None:
    async with cluster_of(agents=1) as cluster:
        migrations_end(cluster)
        await deploy_stack(cluster)
        agent = cluster.agents["n1"]
        before = len(agent.starts)
        await cluster.managers["m1"].kill()
        for run in list(agent.runs.values()):
            if not run.status.state.is_finished:
                agent.finish(run.task.id, TaskState.FAILED, "the machine went down", exit_code=137)
        agent.holds_at = TaskState.STARTING
        cluster.managers["m1"].restart()
        await cluster.advance(30)
        assert names_of(cluster, agent.starts[before:]) == ["db"]
        assert waiting(cluster, "web") == ["waits until service db runs again: 0/1 running"] * 2
        agent.release()
        await cluster.advance(30)

        assert names_of(cluster, agent.starts[before:]) == ["db", "web"]
        assert cluster.running_slots("web") == [1, 2]


async def test_a_new_leader_goes_on_where_the_last_one_stopped() -> None:
    """It begins with nothing but the store, at each step of the way."""
    async with cluster_of(managers=3, agents=2) as cluster:
        await deploy_stack(cluster)
        first = await next_leader(cluster)
        assert cluster.running("migrate")
        assert not cluster.containers("web")
        assert waiting(cluster, "web") == ["waits until service migrate has completed successfully: 0/1 complete"] * 2
        finish(cluster, "migrate")
        second = await next_leader(cluster)
        await cluster.advance(5)

        assert cluster.running_slots("web") == [1, 2]
        assert first != second
        assert all(len(cluster.tasks(name)) == count for name, count in (("db", 1), ("migrate", 1), ("web", 2)))


async def next_leader(cluster: Cluster) -> str:
    await cluster.leader.kill()
    await cluster.advance(25)
    return cluster.leader.name
