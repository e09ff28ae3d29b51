"""The control plane with the real agents: their sessions, runners and memories; only the engine is a fake."""

from pathlib import Path

from support.real_agent import RealAgent, real_cluster

from agent.engine.fake import Behaviour
from manager.objects import ReasonCode
from swarmpy.states import Availability, NodeState, TaskState
from swarmpy.wire import LogOptions


def containers(nodes: list[RealAgent]) -> int:
    return sum(len(node.engine.running()) for node in nodes)


async def test_a_deployed_service_becomes_running_containers(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, agents=3) as (cluster, nodes):
        await cluster.deploy("web", replicas=6)
        await cluster.advance(1)

        assert cluster.running_slots("web") == [1, 2, 3, 4, 5, 6]
        assert [len(node.engine.running()) for node in nodes] == [2, 2, 2]


async def test_scaling_down_and_removing_leaves_no_container(tmp_path: Path) -> None:
    async with real_cluster(tmp_path) as (cluster, nodes):
        await cluster.deploy("web", replicas=4)
        await cluster.advance(1)
        await cluster.scale("web", 1)
        await cluster.advance(2)
        assert containers(nodes) == 1
        await cluster.remove("web")
        await cluster.advance(35)

        assert containers(nodes) == 0
        assert not cluster.state.tasks


async def test_a_container_that_crashes_and_one_removed_by_hand_are_replaced(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, agents=1) as (cluster, (node,)):
        await cluster.deploy("web", replicas=2)
        await cluster.advance(1)
        first, second = (facts.id for facts in node.engine.running())
        node.engine.crash(first)
        node.engine.remove_by_hand(second)
        await cluster.advance(5)

        assert cluster.running_slots("web") == [1, 2]
        assert len(node.engine.running()) == 2


async def test_an_unhealthy_container_is_replaced_and_the_reason_says_what_the_check_said(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, agents=1) as (cluster, (node,)):
        node.engine.behaviours["app:1"] = Behaviour(has_health_check=True, healthy_after=0.5)
        await cluster.deploy("web")
        await cluster.advance(2)
        (before,) = cluster.running("web")
        node.engine.turn_unhealthy(node.engine.running()[0].id, "connection refused")
        await cluster.advance(15)

        (after,) = cluster.running("web")
        ended = cluster.state.tasks[before.id]
        assert after.id != before.id
        assert ended.state is TaskState.FAILED
        assert ended.reason is not None
        assert "connection refused" in ended.reason.text


async def test_an_image_that_is_not_there_is_a_reason_and_not_a_silence(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, agents=1) as (cluster, (node,)):
        node.engine.behaviours["app:1"] = Behaviour(missing=True)
        await cluster.deploy("web")
        await cluster.advance(3)
        rejected = [task for task in cluster.tasks("web") if task.state is TaskState.REJECTED]

        assert rejected
        assert rejected[0].reason is not None
        assert rejected[0].reason.code is ReasonCode.ENGINE
        assert "app:1" in rejected[0].reason.text


async def test_an_agent_that_restarts_adopts_its_containers(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, agents=1) as (cluster, (node,)):
        await cluster.deploy("web", replicas=3)
        await cluster.advance(1)
        await node.stop()
        await cluster.advance(2)
        node.start()
        await cluster.advance(5)

        assert node.engine.starts == 3
        assert cluster.running_slots("web") == [1, 2, 3]


async def test_a_leader_change_restarts_nothing(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, agents=2, managers=2) as (cluster, nodes):
        await cluster.deploy("web", replicas=4)
        await cluster.advance(1)
        old = cluster.leader
        await old.kill()
        del cluster.managers[old.name]
        await cluster.advance(15)
        assert sum(node.engine.starts for node in nodes) == 4
        await cluster.scale("web", 5)
        await cluster.advance(1)

        assert cluster.running_slots("web") == [1, 2, 3, 4, 5]
        assert all(node.state is NodeState.READY for node in cluster.state.nodes.values())


async def test_a_node_cut_off_is_replaced_and_stops_its_stale_tasks_on_its_return(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, agents=2) as (cluster, nodes):
        await cluster.deploy("web", replicas=2)
        await cluster.advance(1)
        nodes[1].cut_off()
        await cluster.advance(20)
        assert cluster.nodes_of("web") == {"n1"}
        assert cluster.running_slots("web") == [1, 2]
        nodes[1].reconnect()
        await cluster.advance(20)

        assert containers(nodes) == 2
        assert not nodes[1].engine.running()


async def test_a_drained_node_is_emptied(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, agents=2) as (cluster, nodes):
        await cluster.deploy("web", replicas=4)
        await cluster.advance(1)
        await cluster.set_availability("n1", Availability.DRAIN)
        await cluster.advance(5)

        assert [len(node.engine.running()) for node in nodes] == [0, 4]


async def test_an_update_of_every_replica_never_has_more_containers_than_slots(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, agents=2) as (cluster, nodes):
        await cluster.deploy("web", replicas=3)
        await cluster.advance(1)
        await cluster.update("web", image="app:2")
        for _ in range(90):
            await cluster.advance(0.5)
            assert containers(nodes) <= 3

        assert [task.spec_version for task in cluster.running("web")] == [2, 2, 2]


async def test_the_log_of_a_task_comes_from_its_node(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, agents=1) as (cluster, (node,)):
        node.engine.behaviours["app:1"] = Behaviour(output=(b"one\n", b"two\n"))
        await cluster.deploy("web")
        await cluster.advance(1)
        (task,) = cluster.running("web")
        lines = [line async for line in cluster.leader.manager.logs.open_logs(task.id, LogOptions())]

        assert lines == [(1, b"one\n"), (1, b"two\n")]


async def test_managers_that_were_away_for_long_find_every_agent_and_restart_nothing(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, agents=3, managers=3) as (cluster, nodes):
        await cluster.deploy("web", replicas=6)
        await cluster.advance(1)
        for process in cluster.managers.values():
            await process.kill()
        await cluster.advance(120)
        for process in cluster.managers.values():
            process.restart()
        await cluster.advance(30)

        assert [node.engine.starts for node in nodes] == [2, 2, 2]
        assert cluster.running_slots("web") == [1, 2, 3, 4, 5, 6]


async def test_a_leader_that_stands_still_keeps_no_agent_from_the_next_one(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, agents=3, managers=3) as (cluster, nodes):
        await cluster.deploy("web", replicas=6)
        await cluster.advance(1)
        cluster.leader.pause()
        await cluster.advance(30)

        assert cluster.leader.name != "m1"
        assert [node.engine.starts for node in nodes] == [2, 2, 2]
        assert all(cluster.leader.manager.sessions.is_connected(node.name) for node in nodes)
