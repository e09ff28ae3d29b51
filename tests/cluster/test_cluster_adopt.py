"""A change of constraints or reservations alone, on a whole control plane: only what must move moves."""

from support.cluster import Cluster, cluster_of

from swarmpy.models.resources import ResourceRequirements, Resources
from swarmpy.models.service import UpdateConfig, UpdateState
from swarmpy.models.task import Placement
from swarmpy.states import TaskState

SECOND = 10**9


def by_task(cluster: Cluster) -> set[tuple[str, str]]:
    return set(cluster.containers("web"))


def cpus(count: int) -> ResourceRequirements:
    return ResourceRequirements(reservations=Resources(nano_cpus=count * SECOND))


def at_most_on(node: str) -> Placement:
    return Placement(constraints=(f"node.id != {node}",))


async def test_a_constraint_moves_only_the_tasks_on_nodes_that_it_excludes() -> None:
    async with cluster_of(agents=3) as cluster:
        await cluster.deploy("web", replicas=6, update_config=UpdateConfig(parallelism=1, monitor=SECOND))
        before = by_task(cluster)
        starts = {name: len(agent.starts) for name, agent in cluster.agents.items()}
        await cluster.reshape("web", placement=at_most_on("n3"))
        await cluster.advance(30)
        staying = {(node, task) for node, task in before if node != "n3"}

        assert len(staying) == 4
        assert staying <= by_task(cluster)
        assert cluster.nodes_of("web") == {"n1", "n2"}
        assert sum(len(agent.starts) for agent in cluster.agents.values()) == sum(starts.values()) + 2
        assert {task.spec_version for task in cluster.running("web")} == {2}
        update = cluster.service("web").update
        assert update is not None
        assert update.state is UpdateState.COMPLETED


async def test_a_reservation_that_fits_touches_no_container_and_the_sums_follow() -> None:
    async with cluster_of(agents=2) as cluster:
        await cluster.deploy("web", replicas=4)
        before = by_task(cluster)
        await cluster.reshape("web", resources=cpus(4))
        assert by_task(cluster) == before
        assert {task.spec_version for task in cluster.running("web")} == {2}
        assert all(run.task.spec_version == 2 for agent in cluster.agents.values() for run in agent.runs.values())

        # Two times four of eight CPUs on each node: there is no room for one more.
        await cluster.scale("web", 5)
        (waiting,) = cluster.tasks("web", lambda task: task.state is TaskState.PENDING)
        assert waiting.reason is not None
        assert "insufficient resources on 2 nodes" in waiting.reason.text
        await cluster.reshape("web", resources=cpus(1))
        await cluster.advance(2)
        assert before <= by_task(cluster)
        assert len(cluster.running("web")) == 5


async def test_a_reservation_for_which_a_node_lacks_room_moves_what_does_not_fit() -> None:
    async with cluster_of(agents=["n1"]) as cluster:
        await cluster.deploy("web", replicas=2, update_config=UpdateConfig(monitor=SECOND))
        before = by_task(cluster)
        cluster.add_agent("n2")
        await cluster.settle()
        await cluster.reshape("web", resources=cpus(5))
        await cluster.advance(30)

        assert len(before & by_task(cluster)) == 1
        assert cluster.nodes_of("web") == {"n1", "n2"}


async def test_a_new_leader_adopts_nothing_twice_and_nothing_anew() -> None:
    async with cluster_of(managers=2, agents=2) as cluster:
        await cluster.deploy("web", replicas=4)
        before = by_task(cluster)
        cluster.is_hasty = True
        await cluster.reshape("web", placement=Placement(constraints=("node.id != n9",)))
        await cluster.leader.kill()
        await cluster.advance(40)

        assert by_task(cluster) == before
        assert {task.spec_version for task in cluster.running("web")} == {2}
