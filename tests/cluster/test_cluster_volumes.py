"""Volumes that tasks follow: real agents tell of them, the cluster remembers, the scheduler obeys."""

from collections.abc import Sequence
from pathlib import Path

from support.cluster import Cluster
from support.real_agent import RealAgent, real_cluster

from agent.engine.fake import Behaviour
from manager.objects import ReasonCode, Task
from swarmpy.labels import VOLUME_AFFINITY
from swarmpy.models.container import ContainerSpec
from swarmpy.models.mount import Mount, VolumeOptions
from swarmpy.models.task import RestartPolicy, TaskSpec
from swarmpy.states import Availability, TaskState

LABELS = {VOLUME_AFFINITY: "true"}
DATA = "shop_data"
OF_ITS_SLOT = "{{.Service.Name}}-{{.Task.Slot}}"


def template(source: str = DATA, *, image: str = "app:1", follow: bool = True) -> TaskSpec:
    options = VolumeOptions(labels=LABELS if follow else {})
    mounts = (Mount(source=source, target="/data", volume_options=options),)
    return TaskSpec(container_spec=ContainerSpec(image=image, mounts=mounts), restart_policy=RestartPolicy(delay=0))


def places(cluster: Cluster, name: str) -> dict[int, str]:
    return {task.slot: task.node_id for task in cluster.running(name)}


def waiting(cluster: Cluster, name: str) -> Task:
    (task,) = cluster.tasks(name, lambda task: task.is_wanted and task.state is TaskState.PENDING)
    return task


def node_of(nodes: Sequence[RealAgent], cluster: Cluster, name: str = "db") -> RealAgent:
    """Where the service's one task runs."""
    (task,) = cluster.running(name)
    return next(node for node in nodes if node.name == task.node_id)


async def test_a_node_tells_of_a_new_volume_within_a_second(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, agents=3) as (cluster, nodes):
        await cluster.deploy("db", template=template())
        await cluster.advance(1)

        assert cluster.node(node_of(nodes, cluster).name).volumes == (DATA,)


async def test_a_task_waits_for_the_node_that_has_its_volume_and_runs_there_again(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, agents=3) as (cluster, nodes):
        await cluster.deploy("db", template=template())
        await cluster.advance(1)
        holder = node_of(nodes, cluster)
        holder.cut_off()
        await cluster.advance(40)

        assert cluster.running("db") == []
        why = waiting(cluster, "db").reason
        assert why is not None
        assert why.code is ReasonCode.NO_NODE
        away = f"volume {DATA} is on node {holder.name}, which is down; nothing else may take it"
        elsewhere = f"does not have volume {DATA}, which is on node {holder.name}"
        assert away in why.text
        assert why.nodes == {node.name: away if node is holder else elsewhere for node in nodes}

        holder.reconnect()
        await cluster.advance(20)
        assert places(cluster, "db") == {1: holder.name}


async def test_another_leader_knows_where_the_volume_of_an_absent_node_is(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, agents=3, managers=2) as (cluster, nodes):
        await cluster.deploy("db", template=template())
        await cluster.advance(1)
        holder = node_of(nodes, cluster)
        holder.cut_off()
        await cluster.advance(40)
        old = cluster.leader
        await old.kill()
        del cluster.managers[old.name]
        await cluster.advance(60)

        assert cluster.running("db") == []
        why = waiting(cluster, "db").reason
        assert why is not None
        assert f"volume {DATA} is on node {holder.name}, which is down" in why.text


async def test_draining_the_node_stops_the_task_which_waits_for_it(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, agents=3) as (cluster, nodes):
        await cluster.deploy("db", template=template())
        await cluster.advance(1)
        holder = node_of(nodes, cluster)
        await cluster.set_availability(holder.name, Availability.DRAIN)
        await cluster.advance(20)

        assert not holder.engine.running()
        why = waiting(cluster, "db").reason
        assert why is not None
        assert f"volume {DATA} is on node {holder.name}, which is drained" in why.text
        await cluster.set_availability(holder.name, Availability.ACTIVE)
        await cluster.advance(10)
        assert places(cluster, "db") == {1: holder.name}


async def test_removing_the_node_frees_the_task(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, agents=3) as (cluster, nodes):
        await cluster.deploy("db", template=template())
        await cluster.advance(1)
        holder = node_of(nodes, cluster)
        holder.cut_off()
        await cluster.advance(40)
        await cluster.remove_node(holder.name)
        await cluster.advance(10)

        assert set(places(cluster, "db")) == {1}
        assert node_of(nodes, cluster) is not holder


async def test_slots_with_volumes_of_their_own_find_them_again_after_scaling(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, agents=3) as (cluster, _):
        await cluster.deploy("db", replicas=6, template=template(OF_ITS_SLOT))
        await cluster.advance(2)
        before = places(cluster, "db")
        assert sorted(before.values()) == ["n1", "n1", "n2", "n2", "n3", "n3"]
        await cluster.scale("db", 1)
        await cluster.advance(15)
        await cluster.deploy("other", replicas=5)
        await cluster.advance(2)
        await cluster.scale("db", 6)
        await cluster.advance(15)

        assert places(cluster, "db") == before


async def test_slots_that_share_a_volume_are_on_one_node(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, agents=3) as (cluster, _):
        await cluster.deploy("db", replicas=4, template=template())
        await cluster.advance(2)

        assert len(cluster.nodes_of("db")) == 1
        assert len(cluster.running("db")) == 4


async def test_a_task_that_crashes_at_once_finds_its_volume_before_the_node_has_told(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, agents=3) as (cluster, nodes):
        for node in nodes:
            node.engine.behaviours["app:1"] = Behaviour(exits_after=0.001, exit_code=1)
        await cluster.deploy("db", template=template())
        await cluster.advance(3)
        tried = {task.node_id for task in cluster.tasks("db") if task.node_id}

        assert len(cluster.tasks("db")) > 1
        assert len(tried) == 1


async def test_a_task_that_never_made_its_volume_is_tried_elsewhere(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, agents=3) as (cluster, nodes):
        nodes[0].engine.behaviours["app:1"] = Behaviour(missing=True)
        await cluster.deploy("db", template=template())
        for _ in range(10):
            await cluster.advance(5)

        assert node_of(nodes, cluster) is not nodes[0]


async def test_a_volume_made_by_hand_draws_the_first_task(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, agents=3) as (cluster, nodes):
        nodes[2].engine.make_volume(DATA, LABELS)
        await cluster.advance(25)
        await cluster.deploy("db", template=template())
        await cluster.advance(2)

        assert places(cluster, "db") == {1: "n3"}


async def test_a_global_service_has_a_volume_on_every_node(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, agents=3) as (cluster, _):
        await cluster.deploy("log", replicas=None, template=template())
        await cluster.advance(2)

        assert cluster.nodes_of("log") == {"n1", "n2", "n3"}
        assert all(node.volumes == (DATA,) for node in cluster.state.nodes.values())


async def test_without_the_label_the_rule_is_gone(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, agents=3) as (cluster, nodes):
        await cluster.deploy("db", template=template())
        await cluster.advance(1)
        holder = node_of(nodes, cluster)
        await cluster.set_availability(holder.name, Availability.DRAIN)
        await cluster.advance(10)
        assert cluster.running("db") == []
        await cluster.update("db", image="app:2")
        await cluster.advance(30)

        assert node_of(nodes, cluster) is not holder


async def test_the_volume_outlives_its_service(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, agents=3) as (cluster, nodes):
        await cluster.deploy("db", template=template())
        await cluster.advance(1)
        holder = node_of(nodes, cluster)
        await cluster.remove("db")
        await cluster.advance(40)
        await cluster.deploy("other", template=template(image="app:2"))
        await cluster.advance(2)

        assert node_of(nodes, cluster, "other") is holder


async def test_a_volume_from_before_the_label_is_followed_too_and_after_restarts_of_the_agent(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, agents=3) as (cluster, nodes):
        nodes[1].engine.make_volume(DATA, {})
        for name in ("n1", "n3"):
            await cluster.set_availability(name, Availability.PAUSE)
        await cluster.deploy("db", template=template())
        await cluster.advance(2)
        for name in ("n1", "n3"):
            await cluster.set_availability(name, Availability.ACTIVE)
        assert cluster.node("n2").volumes == (DATA,)
        await cluster.scale("db", 0)
        await cluster.advance(90)
        await nodes[1].stop()
        nodes[1].start()
        await cluster.advance(30)
        await cluster.deploy("other", replicas=1)
        await cluster.scale("db", 1)
        await cluster.advance(10)

        assert places(cluster, "db") == {1: "n2"}
        nodes[1].engine.remove_volume(DATA)
        await cluster.advance(30)
        assert cluster.node("n2").volumes == ()


async def test_of_two_nodes_with_the_volume_the_task_stays_with_its_own_and_may_move_to_the_other(
    tmp_path: Path,
) -> None:
    async with real_cluster(tmp_path, agents=3) as (cluster, nodes):
        for node in nodes[1:]:
            node.engine.make_volume(DATA, LABELS)
        await cluster.advance(25)
        await cluster.deploy("db", template=template())
        await cluster.advance(2)
        first = node_of(nodes, cluster)
        await cluster.deploy("weight", template=template(image="app:2"), replicas=2)
        for _ in range(3):
            first.engine.crash(next(f.id for f in first.engine.running() if f.task_id == cluster.running("db")[0].id))
            await cluster.advance(3)
            assert node_of(nodes, cluster) is first
        await cluster.set_availability(first.name, Availability.DRAIN)
        await cluster.advance(15)

        assert {first.name, node_of(nodes, cluster).name} == {"n2", "n3"}
