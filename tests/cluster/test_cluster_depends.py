"""The order of starts on a whole control plane: at deploy, at an update, after a full restart, across leaders."""

import json
import random
from typing import Any

import pytest
from support.cluster import Cluster, cluster_of
from support.scripted_agent import CRASH

from manager.objects import ReasonCode
from manager.orchestrator.depends import unmet_of_task, waiting_text
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
        agent = cluster.agents[task.node_id]
        if task.id in agent.running:
            agent.finish(task.id, state, exit_code=0 if state is TaskState.COMPLETE else 1)


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


async def test_after_a_full_restart_a_node_that_was_not_heard_yet_is_not_taken_to_run_what_it_ran() -> None:
    async with cluster_of(agents=2) as cluster:
        await deploy(cluster, "db")
        await deploy(cluster, "web", {"db": HEALTHY})
        (db,), (web,) = cluster.running("db"), cluster.running("web")
        assert db.node_id != web.node_id
        await cluster.managers["m1"].kill()
        late, early = cluster.agents[db.node_id], cluster.agents[web.node_id]
        late.cut_off()
        for agent, task in ((late, db), (early, web)):
            agent.finish(task.id, TaskState.FAILED, "the machine went down", exit_code=137)
        starts = len(early.starts)
        cluster.managers["m1"].restart()
        while not cluster.managers["m1"].is_leading:
            await cluster.advance(0.5)
        await cluster.advance(2)
        assert len(early.starts) == starts
        assert waiting(cluster, "web") == [
            f"waits until service db is heard of: node {db.node_id} has told nothing since a manager took over"
        ]
        late.reconnect()
        late.holds_at = TaskState.STARTING
        await cluster.advance(4)
        assert waiting(cluster, "web") == ["waits until service db runs again: 0/1 running"]
        late.release()
        await cluster.advance(5)

        assert cluster.running_slots("web") == [1]


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


# whoever waits knows of each change at once


def check_waits(cluster: Cluster) -> None:
    """At rest, who waits for others does so for what lacks now, and nobody waits for what is there."""
    state = cluster.state
    for task in state.tasks.values():
        if task.is_wanted and task.desired_state is TaskState.READY:
            lacking = unmet_of_task(state, task)
            code = task.reason.code if task.reason else None
            assert lacking or code is not ReasonCode.WAITING_DEPENDENCY, f"{task.service_name} waits for nothing"
            if lacking and code is ReasonCode.WAITING_DEPENDENCY:
                assert task.reason is not None
                assert task.reason.text == waiting_text(lacking)


async def something_happens(cluster: Cluster, chance: random.Random) -> str:
    name = chance.choice(["db", "migrate", "web"])
    match chance.choice(["end", "fail", "update", "scale", "cut", "leader", "time"]):
        case "end":
            finish(cluster, "migrate")
        case "fail":
            finish(cluster, name, TaskState.FAILED)
        case "update":
            await cluster.update(name, image=f"app:{chance.randint(2, 99)}")
        case "scale" if name != "migrate":
            await cluster.scale(name, chance.randint(0, 3))
        case "cut":
            agent = cluster.agents[chance.choice(["n1", "n2"])]
            agent.reconnect() if agent.is_cut else agent.cut_off()
        case "leader":
            process = cluster.leader
            await process.kill()
            process.restart()
            await cluster.advance(25)
    return name


@pytest.mark.parametrize("seed", range(8))
async def test_every_change_of_a_dependency_reaches_who_waits_for_it(seed: int) -> None:
    chance = random.Random(seed)
    async with cluster_of(managers=2, agents=2) as cluster:
        await deploy_stack(cluster)
        for _ in range(30):
            await something_happens(cluster, chance)
            await cluster.advance(chance.choice([0.1, 1.0, 6.0]))
            check_waits(cluster)
        for agent in cluster.agents.values():
            agent.reconnect()
        migrations_end(cluster)
        finish(cluster, "migrate")
        await cluster.scale("db", 1)
        await cluster.scale("web", 2)
        await cluster.advance(200)
        check_waits(cluster)
        assert len(cluster.running("web")) == 2
        assert waiting(cluster, "web") == []
