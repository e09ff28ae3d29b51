"""Global services while nodes come and go."""

from support.cluster import Cluster, cluster_of

from manager.api.views.services import service_status
from manager.objects import ReasonCode
from swarmpy.models.service import UpdateState
from swarmpy.states import Availability, NodeState, TaskState


def counts(cluster: Cluster, name: str) -> tuple[int | None, int | None]:
    """Running, and desired."""
    service = cluster.service(name)
    status = service_status(service, cluster.state.tasks_of_service(service.id))
    return status.running_tasks, status.desired_tasks


async def test_a_long_partition_restarts_no_task_of_a_global_service() -> None:
    async with cluster_of(agents=2) as cluster:
        await cluster.deploy("log", replicas=None)
        before = sorted(cluster.containers("log"))
        cluster.agents["n2"].cut_off()
        await cluster.advance(600)

        (lost,) = [task for task in cluster.tasks("log") if task.node_id == "n2"]
        assert lost.is_wanted and lost.reason is not None and lost.reason.code is ReasonCode.NODE_DOWN
        assert counts(cluster, "log") == (1, 2)

        cluster.agents["n2"].reconnect()
        await cluster.advance(5)
        assert sorted(cluster.containers("log")) == before
        assert counts(cluster, "log") == (2, 2)
        assert all(task.reason is None for task in cluster.tasks("log"))


async def test_a_container_that_died_during_the_partition_is_replaced_on_its_nodes_return() -> None:
    async with cluster_of(agents=1) as cluster:
        await cluster.deploy("log", replicas=None)
        agent = cluster.agents["n1"]
        agent.cut_off()
        await cluster.advance(20)
        (died,) = agent.running
        agent.finish(died, TaskState.FAILED)
        agent.reconnect()
        await cluster.advance(5)

        (after,) = cluster.running("log")
        assert after.id != died
        (failed,) = [task for task in cluster.tasks("log") if task.id == died]
        assert failed.reason is not None and failed.reason.code is ReasonCode.EXITED


async def test_an_update_leaves_out_a_node_that_is_down_and_catches_up_when_it_is_back() -> None:
    async with cluster_of(agents=2) as cluster:
        await cluster.deploy("log", replicas=None)
        cluster.agents["n2"].cut_off()
        await cluster.advance(20)
        await cluster.update("log", image="app:2")
        await cluster.advance(30)

        update = cluster.service("log").update
        assert update is not None and update.state is UpdateState.COMPLETED
        cluster.agents["n2"].reconnect()
        await cluster.advance(30)
        assert {task.spec_version for task in cluster.running("log")} == {2}
        assert len(cluster.containers("log")) == 2


async def test_a_down_node_that_is_drained_or_removed_ends_its_task() -> None:
    async with cluster_of(agents=3) as cluster:
        await cluster.deploy("log", replicas=None)
        for node in ("n2", "n3"):
            cluster.agents[node].cut_off()
        await cluster.advance(20)
        await cluster.set_availability("n2", Availability.DRAIN)
        await cluster.remove_node("n3")
        await cluster.advance(5)

        assert cluster.node("n2").state is NodeState.DOWN
        assert [task.node_id for task in cluster.tasks("log") if task.is_wanted] == ["n1"]
