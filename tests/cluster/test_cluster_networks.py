"""Networks on a whole control plane: virtual addresses, published ports, the ingress network, room."""

from typing import Any

import pytest
from support.cluster import Cluster, cluster_of
from support.counting import counted_calls
from support.picture import a_network

from manager.allocator.ingress import ingress_network, release
from manager.objects import Network, ReasonCode
from manager.store.codec import put
from manager.store.keys import name_key
from manager.store.port import Delete, Unit
from swarmpy.models.container import ContainerSpec
from swarmpy.models.network import IPAM, IPAMConfig, NetworkCreate
from swarmpy.models.port import EndpointSpec, PortConfig, PublishMode
from swarmpy.models.task import NetworkAttachmentConfig, Placement, TaskSpec
from swarmpy.states import TaskState

HTTP = PortConfig(target_port=80, published_port=8080, publish_mode=PublishMode.INGRESS)
OPEN = PortConfig(target_port=81, publish_mode=PublishMode.INGRESS)


def publishing(*ports: PortConfig) -> EndpointSpec:
    return EndpointSpec(mode="vip", ports=ports)


def joining(*networks: str) -> TaskSpec:
    return TaskSpec(
        container_spec=ContainerSpec(image="app:1"),
        networks=tuple(NetworkAttachmentConfig(target=network) for network in networks),
    )


async def add_network(cluster: Cluster, name: str, subnet: str | None = None) -> None:
    ipam = IPAM(config=(IPAMConfig(subnet=subnet),)) if subnet else None
    network = a_network(name).model_copy(update={"spec": NetworkCreate(name=name, ipam=ipam), "vni": 0})
    await cluster._write(put(network, create=True))


def ingress_of(cluster: Cluster) -> Network:
    network = ingress_network(cluster.state)
    assert network is not None
    return network


def on_ingress(cluster: Cluster, name: str) -> list[bool]:
    return [any(joined.is_ingress for joined in task.networks) for task in cluster.running(name)]


async def test_the_first_published_port_makes_the_ingress_network_and_every_node_takes_part() -> None:
    async with cluster_of(agents=3) as cluster:
        assert ingress_network(cluster.state) is None
        await cluster.deploy("web", endpoint_spec=publishing(HTTP))
        service, network = cluster.service("web"), ingress_of(cluster)

        assert network.spec.name == "ingress"
        assert {share.node_id for share in network.node_subnets} == {"n1", "n2", "n3"}
        assert [vip.network_id for vip in service.virtual_ips] == [network.id]
        assert service.published_ports == (HTTP,)
        assert on_ingress(cluster, "web") == [True]


async def test_a_node_that_comes_later_takes_part_in_ingress_and_a_lost_one_keeps_its_share() -> None:
    async with cluster_of(agents=2) as cluster:
        await cluster.deploy("web", endpoint_spec=publishing(HTTP))
        cluster.add_agent("n9")
        await cluster.settle()
        await cluster.agents["n2"].crash()
        await cluster.advance(60)

        assert {share.node_id for share in ingress_of(cluster).node_subnets} == {"n1", "n2", "n9"}
        await cluster.remove_node("n2")
        await cluster.settle()
        assert {share.node_id for share in ingress_of(cluster).node_subnets} == {"n1", "n9"}


async def test_a_task_whose_ingress_network_was_removed_in_the_same_moment_is_replaced() -> None:
    async with cluster_of(agents=1) as cluster:
        await cluster.deploy("web", endpoint_spec=publishing(HTTP))
        former = ingress_of(cluster)
        removed = former.model_copy(
            update={"removed": True, "version": cluster.state.version_of(f"networks/{former.id}")}
        )
        name = Delete(name_key("networks", former.spec.name))
        await cluster._write(put(removed), name, *release(cluster.state, former))
        await cluster.advance(90)

        (task,) = cluster.running("web")
        assert [joined.network_id for joined in task.networks] == [ingress_of(cluster).id]
        assert former.id not in cluster.state.networks


async def test_an_update_of_ports_alone_leaves_tasks_and_address_alone() -> None:
    async with cluster_of(agents=2) as cluster:
        await cluster.deploy("web", replicas=2, endpoint_spec=publishing(HTTP))
        before, vips = {task.id for task in cluster.running("web")}, cluster.service("web").virtual_ips
        await reopen(cluster, publishing(HTTP, OPEN))

        assert {task.id for task in cluster.running("web")} == before
        assert cluster.service("web").virtual_ips == vips
        assert [port.published_port for port in cluster.service("web").published_ports or ()] == [8080, 30000]


async def test_a_service_that_gains_or_loses_its_only_port_is_updated_in_steps() -> None:
    async with cluster_of(agents=2) as cluster:
        await cluster.deploy("web", replicas=2)
        before = {task.id for task in cluster.running("web")}
        await reopen(cluster, publishing(HTTP))
        await cluster.advance(60)

        assert on_ingress(cluster, "web") == [True, True]
        assert before.isdisjoint(task.id for task in cluster.running("web"))
        await reopen(cluster, publishing())
        await cluster.advance(60)
        assert on_ingress(cluster, "web") == [False, False]
        await cluster.advance(60)
        assert cluster.service("web").virtual_ips == ()


async def test_a_task_waits_for_an_address_and_gets_it_as_soon_as_one_is_free() -> None:
    async with cluster_of(agents=1) as cluster:
        # One half is for services: five addresses are left for tasks.
        await add_network(cluster, "front", "172.30.0.0/28")
        await cluster.deploy("db", replicas=2, template=joining("front"))
        await cluster.deploy("web", replicas=4, template=joining("front"))
        (waiting,) = [task for task in cluster.tasks("web") if not task.node_id]

        assert waiting.reason is not None
        assert waiting.reason.code is ReasonCode.NO_NODE
        assert waiting.reason.nodes == {"n1": "network front has no address left on n1: 5 of 5 are used"}
        await cluster.scale("db", 1)
        await cluster.advance(1)
        assert cluster.running_slots("web") == [1, 2, 3, 4]


async def test_networks_made_one_after_the_other_do_not_have_waiting_tasks_tried_again_each_time() -> None:
    async with cluster_of(agents=1) as cluster:
        nowhere = joining().model_copy(update={"placement": Placement(constraints=("node.id==nowhere",))})
        await cluster.deploy("web", replicas=3, template=nowhere)
        await cluster.advance(1)
        with counted_calls() as calls:
            for number in range(10):
                await add_network(cluster, f"net-{number}")
                await cluster.advance(0.02)

        assert 1 <= calls["ViewKeeper.take_waiting"] <= 2
        assert all(network.subnet for network in cluster.state.networks.values())


async def test_a_network_with_room_on_some_nodes_still_takes_tasks_when_others_get_no_share() -> None:
    async with cluster_of(agents=3) as cluster:
        await add_network(cluster, "front", "172.30.0.0/28")
        await cluster.deploy("web", replicas=5, template=joining("front"))

        assert cluster.running_slots("web") == [1, 2, 3, 4, 5]
        assert len(cluster.nodes_of("web")) == 1


@pytest.mark.parametrize("replicas", [None, 20])
async def test_nobody_tries_again_and_again_when_the_pools_have_run_out(replicas: int | None) -> None:
    async with cluster_of(agents=3) as cluster:
        known = cluster.state.cluster
        assert known is not None
        pools = {"address_pools": ("10.99.0.0/28",), "subnet_size": 28}
        await cluster.leader.ledger.commit([Unit((put(known.model_copy(update=pools)),))])
        await add_network(cluster, "front")
        await cluster.deploy("web", replicas=replicas, template=joining("front"))
        await cluster.advance(1)
        written = cluster.state.revision
        await cluster.advance(3)

        assert cluster.state.revision - written < 5
        assert len(cluster.nodes_of("web")) == 1
        assert cluster.state.networks["front"].reason is not None
        for task in cluster.tasks("web"):
            assert task.state is TaskState.RUNNING or task.reason is not None


async def test_an_address_of_a_service_that_is_gone_is_not_the_next_ones() -> None:
    async with cluster_of(agents=1) as cluster:
        await add_network(cluster, "front")
        await cluster.deploy("web", template=joining("front"))
        (former,) = cluster.service("web").virtual_ips
        await cluster.remove("web")
        await cluster.advance(30)
        await cluster.deploy("api", template=joining("front"))

        assert "service-web" not in cluster.state.services
        assert cluster.service("api").virtual_ips[0].address not in ("", former.address)


async def test_nor_is_it_when_the_leader_has_changed_meanwhile() -> None:
    async with cluster_of(managers=2, agents=1) as cluster:
        await add_network(cluster, "front")
        await cluster.deploy("web", template=joining("front"))
        (former,) = cluster.service("web").virtual_ips
        await cluster.remove("web")
        await cluster.advance(2)
        await cluster.leader.kill()
        while not any(process.is_leading for process in cluster.managers.values()):
            await cluster.advance(1)
        await cluster.deploy("next", template=joining("front"))
        await cluster.advance(1)

        (given,) = cluster.service("next").virtual_ips
        assert given.network_id == former.network_id
        assert given.address != former.address


async def reopen(cluster: Cluster, endpoint: EndpointSpec) -> None:
    service: Any = cluster.service("web")
    spec = service.spec.model_copy(update={"endpoint_spec": endpoint})
    await cluster._write(cluster._put(service, spec=spec))
