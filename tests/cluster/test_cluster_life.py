"""Services on a whole control plane: deployed, scaled, updated, removed."""

from itertools import pairwise

from support.cluster import cluster_of

from manager.objects import ReasonCode
from swarmpy.states import TaskState


async def test_a_deployed_service_runs_with_its_replicas_spread() -> None:
    async with cluster_of(agents=3) as cluster:
        await cluster.deploy("web", replicas=3)

        assert cluster.running_slots("web") == [1, 2, 3]
        assert cluster.nodes_of("web") == {"n1", "n2", "n3"}
        assert len(cluster.containers("web")) == 3


async def test_a_new_task_is_placed_in_the_write_that_creates_it() -> None:
    async with cluster_of(agents=1) as cluster:
        await cluster.deploy("web")
        (task,) = cluster.tasks("web")
        first = next(
            entry for batch in cluster.database.since(0) for entry in batch.changes if entry.key == f"tasks/{task.id}"
        )

        assert first.entry is not None
        assert b'"n1"' in first.entry.value


async def test_scaling_up_and_down_keeps_the_low_slots() -> None:
    async with cluster_of(agents=2) as cluster:
        await cluster.deploy("web", replicas=2)
        await cluster.scale("web", 5)
        assert cluster.running_slots("web") == [1, 2, 3, 4, 5]
        await cluster.scale("web", 1)

        assert len(cluster.running("web")) == 1
        assert len(cluster.containers("web")) == 1


async def test_a_global_service_runs_once_on_every_node_also_on_those_that_come_later() -> None:
    async with cluster_of(agents=2) as cluster:
        await cluster.deploy("agentd", replicas=None)
        assert cluster.nodes_of("agentd") == {"n1", "n2"}
        cluster.add_agent("n9")
        await cluster.settle()

        assert cluster.nodes_of("agentd") == {"n1", "n2", "n9"}


async def test_an_update_replaces_every_task_and_never_runs_two_in_a_slot() -> None:
    async with cluster_of(agents=2) as cluster:
        await cluster.deploy("web", replicas=2)
        await cluster.update("web", image="app:2")
        for _ in range(60):
            await cluster.advance(1)
            assert len(cluster.containers("web")) <= 2

        assert [task.spec_version for task in cluster.running("web")] == [2, 2]


async def test_a_removed_service_leaves_nothing_behind() -> None:
    async with cluster_of(agents=2) as cluster:
        await cluster.deploy("web", replicas=3)
        await cluster.remove("web")
        await cluster.advance(40)

        assert cluster.containers("web") == []
        assert not cluster.state.tasks
        assert not cluster.state.services
        assert not cluster.state.specs
        assert cluster.state.named("services", "web") is None
        assert all(not agent.runs for agent in cluster.agents.values())


async def test_a_task_that_no_node_can_take_says_why_for_each_and_runs_once_one_can() -> None:
    async with cluster_of(agents=0) as cluster:
        await cluster.deploy("web")
        (waiting,) = cluster.tasks("web")
        assert waiting.reason is not None
        assert (waiting.state, waiting.reason.code) == (TaskState.PENDING, ReasonCode.NO_NODE)
        cluster.add_agent("n1")
        await cluster.advance(1)

        assert cluster.nodes_of("web") == {"n1"}


async def test_a_crashing_task_is_tried_again_at_once_then_more_and_more_rarely() -> None:
    async with cluster_of(agents=1) as cluster:
        cluster.agents["n1"].outcome = lambda task: "exit 1"
        await cluster.deploy("web")
        attempts = []
        for _ in range(8):
            await cluster.advance(4)
            attempts.append(len(cluster.agents["n1"].starts))

        assert attempts[0] >= 2
        gained = [later - earlier for earlier, later in pairwise(attempts)]
        assert gained[-1] < attempts[0]
        last = cluster.tasks("web")[-1]
        assert last.reason is not None
        assert last.reason.code in (ReasonCode.WAITING_RESTART_DELAY, ReasonCode.EXITED)
