"""What breaks: nodes fall silent, agents crash, leaders are paused, the store goes away. What runs keeps running."""

import asyncio

import pytest
from support.cluster import Cluster, cluster_of

from manager.objects import ReasonCode
from manager.store.port import Put, Unit
from swarmpy.errors import LeadershipLost, Unavailable
from swarmpy.states import Availability, NodeState, TaskState


async def test_a_lost_node_gives_its_slots_to_others_under_the_same_numbers() -> None:
    async with cluster_of(agents=3) as cluster:
        await cluster.deploy("web", replicas=3)
        cluster.agents["n2"].cut_off()
        await cluster.advance(20)

        assert cluster.node("n2").state is NodeState.DOWN
        assert cluster.running_slots("web") == [1, 2, 3]
        assert cluster.nodes_of("web") == {"n1", "n3"}


async def test_the_tasks_of_a_lost_node_say_that_it_is_down() -> None:
    async with cluster_of(agents=2) as cluster:
        await cluster.deploy("web", replicas=2)
        cluster.agents["n2"].cut_off()
        await cluster.advance(20)
        lost = [task for task in cluster.tasks("web") if task.node_id == "n2"]

        assert lost
        assert all(task.reason is not None and task.reason.code is ReasonCode.NODE_DOWN for task in lost)


async def test_a_node_that_comes_back_stops_what_was_replaced_meanwhile() -> None:
    async with cluster_of(agents=3) as cluster:
        await cluster.deploy("web", replicas=3)
        cluster.agents["n2"].cut_off()
        await cluster.advance(20)
        assert any(node == "n2" for node, _ in cluster.containers("web"))
        cluster.agents["n2"].reconnect()
        await cluster.advance(5)

        assert cluster.node("n2").state is NodeState.READY
        assert not cluster.agents["n2"].running
        assert len(cluster.containers("web")) == 3


async def test_a_node_silent_for_less_than_the_grace_keeps_its_tasks() -> None:
    async with cluster_of(agents=2) as cluster:
        await cluster.deploy("web", replicas=2)
        before = [task.id for task in cluster.running("web")]
        cluster.agents["n2"].cut_off()
        await cluster.advance(3)
        cluster.agents["n2"].reconnect()
        await cluster.advance(10)

        assert [task.id for task in cluster.running("web")] == before


async def test_an_agent_that_crashes_and_starts_again_restarts_nothing() -> None:
    async with cluster_of(agents=1) as cluster:
        await cluster.deploy("web", replicas=2)
        await cluster.agents["n1"].crash()
        await cluster.advance(2)
        cluster.agents["n1"].start()
        await cluster.advance(2)

        assert len(cluster.agents["n1"].starts) == 2
        assert cluster.running_slots("web") == [1, 2]


async def test_what_ended_while_the_agent_was_away_is_told_on_its_return_and_replaced() -> None:
    async with cluster_of(agents=1) as cluster:
        await cluster.deploy("web")
        (task,) = cluster.running("web")
        await cluster.agents["n1"].crash()
        cluster.agents["n1"].finish(task.id, TaskState.FAILED, "exit code 1")
        cluster.agents["n1"].start()
        await cluster.advance(3)

        assert cluster.state.tasks[task.id].state is TaskState.FAILED
        assert cluster.running_slots("web") == [1]


async def test_a_drained_node_is_emptied_and_takes_nothing_until_it_is_active_again() -> None:
    async with cluster_of(agents=2) as cluster:
        await cluster.deploy("web", replicas=4)
        await cluster.set_availability("n1", Availability.DRAIN)
        await cluster.advance(3)
        assert cluster.nodes_of("web") == {"n2"}
        assert len(cluster.running("web")) == 4
        await cluster.set_availability("n1", Availability.ACTIVE)
        await cluster.scale("web", 6)

        assert cluster.nodes_of("web") == {"n1", "n2"}


async def test_a_paused_node_keeps_what_it_has_and_takes_nothing_new() -> None:
    async with cluster_of(agents=2) as cluster:
        await cluster.deploy("web", replicas=2)
        await cluster.set_availability("n1", Availability.PAUSE)
        await cluster.scale("web", 5)

        by_node = [task.node_id for task in cluster.running("web")]
        assert (by_node.count("n1"), by_node.count("n2")) == (1, 4)


async def test_a_task_that_crashed_is_replaced_in_its_slot_and_its_end_is_remembered() -> None:
    async with cluster_of(agents=1) as cluster:
        await cluster.deploy("web", replicas=2)
        victim = cluster.running("web")[0]
        cluster.agents["n1"].finish(victim.id, TaskState.FAILED, "exit code 137")
        await cluster.advance(3)

        known = cluster.state.tasks[victim.id]
        assert known.finished_at is not None
        assert known.reason is not None
        assert (known.reason.code, known.reason.text) == (ReasonCode.EXITED, "exit code 137")
        assert cluster.running_slots("web") == [1, 2]


async def test_when_the_leader_stops_another_goes_on_and_no_task_is_restarted() -> None:
    async with cluster_of(managers=3, agents=3) as cluster:
        await cluster.deploy("web", replicas=3)
        before = [task.id for task in cluster.running("web")]
        old = cluster.leader
        await old.stop()
        del cluster.managers[old.name]
        await cluster.advance(3)
        assert [task.id for task in cluster.running("web")] == before
        await cluster.scale("web", 5)

        assert cluster.running_slots("web") == [1, 2, 3, 4, 5]
        assert all(len(agent.starts) == len(set(agent.starts)) for agent in cluster.agents.values())


async def test_a_leader_killed_in_the_middle_of_a_deploy_leaves_no_slot_twice() -> None:
    async with cluster_of(managers=2, agents=3) as cluster:
        for agent in cluster.agents.values():
            agent.holds_at = TaskState.PREPARING
        await cluster.deploy("web", replicas=6)
        await _kill_leader(cluster)
        await cluster.advance(8)
        for agent in cluster.agents.values():
            agent.release()
        await cluster.advance(8)

        assert cluster.running_slots("web") == [1, 2, 3, 4, 5, 6]
        assert len(cluster.containers("web")) == 6


async def test_a_new_leader_gives_every_node_its_full_grace() -> None:
    async with cluster_of(managers=2, agents=3) as cluster:
        await cluster.deploy("web", replicas=3)
        before = [task.id for task in cluster.running("web")]
        await _kill_leader(cluster)
        await cluster.advance(15)

        assert [task.id for task in cluster.running("web")] == before
        assert all(node.state is NodeState.READY for node in cluster.state.nodes.values())


async def test_a_paused_leader_that_wakes_writes_nothing_and_follows() -> None:
    async with cluster_of(managers=2, agents=2) as cluster:
        await cluster.deploy("web", replicas=2)
        old = cluster.leader
        late = asyncio.create_task(old.ledger.commit([Unit((Put("names/test/late", b"x"),))]))
        old.pause()
        await cluster.advance(12)
        new = cluster.managers["m2"]
        assert new.is_leading
        revision = cluster.database.revision
        old.resume()
        await cluster.settle()

        with pytest.raises((LeadershipLost, Unavailable)):
            await late
        assert cluster.database.revision == revision
        assert not old.is_leading
        assert new.ledger.state.named("test", "late") is None
        await cluster.advance(3)
        assert old.ledger.state.leader == "m2"


async def test_a_manager_that_was_stopped_for_a_while_does_not_take_that_for_the_nodes_silence() -> None:
    async with cluster_of(managers=1, agents=2) as cluster:
        await cluster.deploy("web", replicas=2)
        before = [task.id for task in cluster.running("web")]
        cluster.leader.pause()
        await cluster.advance(20)
        cluster.managers["m1"].resume()
        await cluster.advance(15)

        assert [task.id for task in cluster.running("web")] == before


async def test_with_the_store_away_containers_run_on_and_all_recovers_by_itself() -> None:
    async with cluster_of(managers=1, agents=2) as cluster:
        await cluster.deploy("web", replicas=2)
        manager = cluster.managers["m1"]
        manager.store.cut()
        await cluster.advance(30)
        assert manager.ledger.stale_since is not None
        assert len(cluster.containers("web")) == 2
        manager.store.mend()
        await cluster.advance(10)
        await cluster.scale("web", 3)

        assert manager.ledger.stale_since is None
        assert cluster.running_slots("web") == [1, 2, 3]
        assert len(cluster.containers("web")) == 3


async def test_a_write_whose_answer_was_lost_makes_no_task_twice() -> None:
    async with cluster_of(managers=1, agents=2) as cluster:
        manager = cluster.managers["m1"]
        await cluster.deploy("web", replicas=1)
        manager.store.deafen()
        with pytest.raises(Unavailable):
            await cluster.scale("web", 4)
        await cluster.advance(1)
        manager.store.mend()
        await cluster.advance(10)

        assert cluster.running_slots("web") == [1, 2, 3, 4]
        assert len(cluster.tasks("web")) == 4


async def test_a_lost_watch_misses_nothing() -> None:
    async with cluster_of(managers=2, agents=2) as cluster:
        follower = next(process for process in cluster.managers.values() if not process.is_leading)
        follower.store.cut()
        await cluster.deploy("web", replicas=3)
        cluster.database.compact(cluster.database.revision)
        follower.store.mend()
        await cluster.advance(2)

        seen = follower.ledger.state
        assert {task.id for task in seen.tasks.values()} == {task.id for task in cluster.tasks("web")}


async def test_a_node_removed_from_the_cluster_is_told_to_leave() -> None:
    async with cluster_of(agents=2) as cluster:
        await cluster.remove_node("n2")
        await cluster.advance(2)

        assert "removed from the cluster" in cluster.agents["n2"].ended
        assert set(cluster.state.nodes) == {"n1"}


async def _kill_leader(cluster: Cluster) -> None:
    old = cluster.leader
    await old.kill()
    del cluster.managers[old.name]


async def test_a_former_leader_that_wakes_tells_no_agent_to_forget_what_its_successor_began() -> None:
    async with cluster_of(managers=2, agents=1) as cluster:
        agent = cluster.agents["n1"]
        cluster.managers["m1"].pause()
        await cluster.advance(10)
        await cluster.deploy("web", replicas=2)
        assert agent.channel is not None
        agent.channel.drop()
        # Its hello waits at the manager that sleeps, and that will not hear at once what was written meanwhile.
        await cluster.advance(1)
        cluster.managers["m1"].lose_store()
        cluster.managers["m1"].resume()
        await cluster.advance(5)

        assert agent.discarded == []
        assert len(cluster.containers("web")) == 2
