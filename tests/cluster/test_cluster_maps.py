"""What agents are told of networks, and that a task leaves the map before it is told to stop."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from support.cluster import Cluster, cluster_of
from support.scripted_agent import ScriptedAgent

from manager.dispatcher.farewells import LONGEST_WAIT
from manager.objects import Network
from manager.store.codec import put
from manager.store.port import Unit
from swarmpy.models.container import ContainerSpec
from swarmpy.models.network import NetworkCreate
from swarmpy.models.service import UpdateConfig
from swarmpy.models.task import NetworkAttachmentConfig, TaskSpec
from swarmpy.states import Availability, NodeState

ALMOST = LONGEST_WAIT - 0.2
# Enough for a wait to be over, and too little for anything else to happen.
JUST_OVER = 0.4
ON_NET = TaskSpec(
    container_spec=ContainerSpec(image="app:1"), networks=(NetworkAttachmentConfig(target="net", aliases=("short",)),)
)

ON_NET_2 = ON_NET.model_copy(update={"container_spec": ContainerSpec(image="app:2")})


@asynccontextmanager
async def networked(*, managers: int = 1, agents: int = 3, replicas: int = 3) -> AsyncIterator[Cluster]:
    """A service `web` on network `net`, on every node."""
    async with cluster_of(managers=managers, agents=agents) as cluster:
        now = cluster.clock.now()
        network = Network(id="net", created_at=now, updated_at=now, spec=NetworkCreate(name="net"))
        await cluster.leader.ledger.commit([Unit((put(network, create=True),))])
        await cluster.deploy("web", replicas=replicas, template=ON_NET)
        yield cluster


def endpoints(agent: ScriptedAgent) -> set[str]:
    return {endpoint.task_id for endpoint in agent.map.endpoints.values()}


def stopped(cluster: Cluster) -> int:
    """Containers that were started and are not up any more."""
    return sum(len(agent.starts) - len(agent.running) for agent in cluster.agents.values())


async def test_every_node_of_a_network_is_told_all_who_are_there() -> None:
    async with networked() as cluster:
        running = {task.id for task in cluster.running("web")}

        for agent in cluster.agents.values():
            assert endpoints(agent) == running
            assert {peer.node_id for peer in agent.map.peers.values()} == {"n1", "n2", "n3"}
            assert [service.names for service in agent.map.services.values()] == [("web", "short")]


async def test_a_node_with_no_task_there_is_told_nothing() -> None:
    async with networked(replicas=2) as cluster:
        (idle,) = set(cluster.agents) - cluster.nodes_of("web")

        assert not cluster.agents[idle].map.peers
        assert not endpoints(cluster.agents[idle])


async def test_a_change_is_told_as_a_difference() -> None:
    async with networked() as cluster:
        told = len(cluster.agents["n1"].messages)
        await cluster.scale("web", 4)

        news = [message for message in cluster.agents["n1"].messages[told:] if message.type == "changes"]
        assert sum(len(message.map.endpoints) for message in news) == 1
        assert not any(message.map.peers or message.map.services for message in news)


async def test_a_task_stops_as_soon_as_all_agents_show_the_map_without_it() -> None:
    async with networked() as cluster:
        await cluster.scale("web", 1)

        assert stopped(cluster) == 2


async def test_an_agent_that_never_says_what_it_shows_delays_a_stop_by_two_seconds() -> None:
    async with networked() as cluster:
        mute = cluster.agents["n2"]
        mute.says_mapped = False
        await cluster.scale("web", 1)
        assert [len(endpoints(agent)) for agent in cluster.agents.values()] == [1, 1, 1]
        assert stopped(cluster) == 0
        await cluster.advance(ALMOST)
        assert stopped(cluster) == 0
        await cluster.advance(JUST_OVER)

        assert stopped(cluster) == 2


async def test_the_last_agents_word_ends_the_wait() -> None:
    async with networked() as cluster:
        mute = cluster.agents["n2"]
        mute.says_mapped = False
        await cluster.scale("web", 1)
        await cluster.advance(0.5)
        assert stopped(cluster) == 0
        mute.say_mapped()
        await cluster.settle()

        assert stopped(cluster) == 2


async def test_nobody_waits_for_an_agent_that_goes_away() -> None:
    async with networked() as cluster:
        mute = cluster.agents["n2"]
        mute.says_mapped = False
        await cluster.scale("web", 0)
        assert stopped(cluster) == 0
        await mute.crash()
        await cluster.settle()

        assert stopped(cluster) == 2


async def test_nobody_waits_for_nodes_that_are_not_on_the_network() -> None:
    async with networked(replicas=2) as cluster:
        (idle,) = set(cluster.agents) - cluster.nodes_of("web")
        cluster.agents[idle].says_mapped = False
        await cluster.scale("web", 1)

        assert stopped(cluster) == 1


async def test_a_task_that_is_on_no_network_stops_at_once() -> None:
    async with networked() as cluster:
        await cluster.deploy("lonely", replicas=3)
        for agent in cluster.agents.values():
            agent.says_mapped = False
        await cluster.scale("lonely", 0)

        assert stopped(cluster) == 3


async def test_an_agent_that_comes_back_meanwhile_is_told_that_the_task_runs_on() -> None:
    async with networked() as cluster:
        cluster.agents["n2"].says_mapped = False
        await cluster.scale("web", 0)
        await cluster.agents["n1"].crash()
        cluster.agents["n1"].start()
        await cluster.advance(0.6)
        assert stopped(cluster) == 0
        await cluster.advance(LONGEST_WAIT)

        assert stopped(cluster) == 3


async def test_draining_removing_and_updating_go_the_same_way() -> None:
    async with networked() as cluster:
        await cluster.deploy("db", replicas=3, template=ON_NET, update_config=UpdateConfig(parallelism=0))
        await cluster.deploy("old", replicas=3, template=ON_NET)
        for agent in cluster.agents.values():
            agent.says_mapped = False
        await cluster.set_availability("n1", Availability.DRAIN)
        await cluster.update("db", image="app:2", update_config=UpdateConfig(parallelism=0))
        await cluster.remove("old")
        assert stopped(cluster) == 0
        await cluster.advance(LONGEST_WAIT + JUST_OVER)

        # All of two services, and what the third one has on the drained node.
        assert stopped(cluster) == 7


async def test_a_new_leader_lets_the_tasks_that_are_to_stop_leave_first_as_well() -> None:
    async with networked(managers=2) as cluster:
        for agent in cluster.agents.values():
            agent.says_mapped = False
        await cluster.scale("web", 1)
        assert stopped(cluster) == 0
        await cluster.leader.kill()
        while not any(process.is_leading for process in cluster.managers.values()):
            await cluster.advance(0.1)
        for _ in itertools.takewhile(lambda _: not cluster.agents["n1"].session_id, range(50)):
            await cluster.advance(0.1)
        assert stopped(cluster) == 0
        await cluster.advance(LONGEST_WAIT + 1)

        assert stopped(cluster) == 2
        assert [len(endpoints(agent)) for agent in cluster.agents.values()] == [1, 1, 1]


async def test_a_new_leader_lets_them_stop_at_once_when_all_show_its_map() -> None:
    async with networked(managers=2) as cluster:
        for agent in cluster.agents.values():
            agent.says_mapped = False
        await cluster.scale("web", 1)
        for agent in cluster.agents.values():
            agent.says_mapped = True
        await cluster.leader.kill()
        while not cluster.agents["n1"].session_id or not any(p.is_leading for p in cluster.managers.values()):
            await cluster.advance(0.1)
        await cluster.advance(1)

        assert stopped(cluster) == 2


async def test_a_task_that_ended_with_its_machine_is_not_started_again_to_run_on() -> None:
    async with networked() as cluster:
        for agent in cluster.agents.values():
            agent.says_mapped = False
        await cluster.scale("web", 0)
        rebooted = cluster.agents["n1"]
        starts = list(rebooted.starts)
        await rebooted.reboot()
        rebooted.start()
        await cluster.advance(1)

        assert rebooted.session_id
        assert rebooted.starts == starts


async def test_the_forced_removal_of_a_node_hangs_nothing() -> None:
    async with networked() as cluster:
        gone = cluster.agents["n3"]
        gone.says_mapped = False
        gone.cut_off()
        await cluster.scale("web", 0)
        await cluster.advance(0.5)
        await cluster.remove_node("n3")
        await cluster.advance(LONGEST_WAIT + 1)

        assert not cluster.running("web")
        assert stopped(cluster) == 2


async def test_a_node_that_falls_silent_leaves_the_map_of_the_others() -> None:
    async with networked() as cluster:
        lost = next(task.id for task in cluster.running("web") if task.node_id == "n3")
        cluster.agents["n3"].cut_off()
        await cluster.advance(8)

        assert cluster.node("n3").state is NodeState.DOWN
        assert lost not in endpoints(cluster.agents["n1"])
        assert endpoints(cluster.agents["n1"]) == {task.id for task in cluster.running("web")}


async def test_a_node_that_was_silent_while_its_task_waited_to_stop_stops_it_when_it_is_heard_again() -> None:
    async with networked() as cluster:
        for agent in cluster.agents.values():
            agent.says_mapped = False
        silent = cluster.agents["n1"]
        channel = silent.channel
        silent.delay_words()
        await cluster.advance(4.9)
        await cluster.update("web", image="app:2", template=ON_NET_2, update_config=UpdateConfig(parallelism=0))
        assert (cluster.node("n1").state, stopped(cluster)) == (NodeState.READY, 0)
        await cluster.advance(LONGEST_WAIT + JUST_OVER)
        assert cluster.node("n1").state is NodeState.DOWN
        silent.deliver_words()
        await cluster.advance(10)

        assert silent.channel is channel
        wanted = {task.id for task in cluster.tasks("web") if task.is_wanted}
        assert silent.running <= wanted
        assert all(task.id in wanted for task in cluster.running("web"))


async def test_what_a_node_says_it_shows_is_known_and_cannot_be_more_than_it_was_told() -> None:
    async with networked() as cluster:
        agent = cluster.agents["n1"]
        shown = cluster.leader.manager.sessions.mapped_revision("n1")
        assert shown == agent.revision
        agent.revision = 1 << 40
        agent.say_mapped()
        await cluster.settle()

        assert cluster.leader.manager.sessions.mapped_revision("n1") == shown
