"""Networks on a whole control plane: virtual addresses, published ports, the ingress network, room."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from support.cluster import Cluster, cluster_of
from support.counting import counted_calls
from support.picture import a_network

from manager.admission.admitted import Admitted
from manager.admission.network import admit_network, admit_removal
from manager.admission.service import admit_service
from manager.allocator.ingress import ingress_network, release
from manager.objects import Network, ReasonCode, Service
from manager.store.codec import put
from manager.store.keys import name_key
from manager.store.port import Delete, Unit
from manager.writing import carry_out
from swarmpy.errors import Conflict, InUse, NotFound
from swarmpy.models.container import ContainerSpec
from swarmpy.models.network import IPAM, VNI_OPTION, IPAMConfig, NetworkCreate
from swarmpy.models.port import EndpointSpec, PortConfig, PublishMode
from swarmpy.models.service import Replicated, ServiceMode, ServiceSpec
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


def bound(node: str, *networks: str) -> TaskSpec:
    return joining(*networks).model_copy(update={"placement": Placement(constraints=(f"node.id=={node}",))})


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


@pytest.mark.parametrize("service_first", [True, False])
async def test_of_a_network_s_removal_and_a_service_on_it_in_the_same_moment_one_is_refused(
    service_first: bool,
) -> None:
    async with cluster_of(agents=1) as cluster:
        ledger, now = cluster.leader.ledger, cluster.clock.now()
        wish = NetworkCreate(name="net")
        await ledger.commit(admit_network(cluster.state, wish, network_id="net", now=now).units)
        await cluster.settle()
        spec = ServiceSpec(
            name="web", task_template=joining("net"), mode=ServiceMode(replicated=Replicated(replicas=1))
        )

        def service() -> Admitted[Service]:
            return admit_service(cluster.state, spec, service_id="web", now=now, sealed_auth=None)

        def removal() -> Admitted[Network]:
            return admit_removal(cluster.state, cluster.state.networks["net"], now=now)

        create, remove = carry_out(ledger, cluster.clock, service), carry_out(ledger, cluster.clock, removal)
        both = (create, remove) if service_first else (remove, create)
        first, second = await asyncio.gather(*both, return_exceptions=True)
        assert not isinstance(first, Exception)
        assert type(second) is (InUse if service_first else NotFound)


async def test_of_two_networks_wishing_for_one_vni_the_second_is_refused_until_it_is_given_back() -> None:
    async with cluster_of(agents=1) as cluster:
        ledger, now = cluster.leader.ledger, cluster.clock.now()

        def make(name: str) -> Awaitable[Network]:
            wish = NetworkCreate(name=name, options={VNI_OPTION: "5000"})
            return carry_out(
                ledger, cluster.clock, lambda: admit_network(cluster.state, wish, network_id=name, now=now)
            )

        first, second = await asyncio.gather(make("a"), make("b"), return_exceptions=True)
        await cluster.settle()
        assert not isinstance(first, BaseException)
        assert isinstance(second, Conflict)
        assert "5000 is the VNI of network a" in str(second)

        await ledger.commit(admit_removal(cluster.state, cluster.state.networks["a"], now=now).units)
        await cluster.advance(1)
        await make("b")
        await cluster.settle()
        assert [network.vni for network in cluster.state.networks.values()] == [5000]


async def test_a_task_whose_network_is_gone_says_so_and_is_not_written_again_and_again() -> None:
    async with cluster_of(agents=1) as cluster:
        await cluster.deploy("web", template=joining("gone"))
        await cluster.advance(60)
        written = cluster.state.revision
        await cluster.advance(300)

        (task,) = cluster.tasks("web")
        assert task.reason is not None
        assert task.reason.text == "network gone does not exist any more"
        assert cluster.state.revision == written


async def test_a_share_that_nobody_needs_any_more_is_another_node_s_within_a_second() -> None:
    async with cluster_of(agents=2) as cluster:
        await add_network(cluster, "front", "172.30.0.0/28")
        await cluster.deploy("first", template=bound("n1", "front"))
        await cluster.deploy("next", template=bound("n2", "front"))
        await cluster.advance(3)
        assert cluster.running_slots("next") == []

        await cluster.remove("first")
        while cluster.containers("first"):
            await cluster.advance(0.1)
        await cluster.advance(1)
        assert cluster.running_slots("next") == [1]


async def test_it_is_also_when_nobody_asked_as_it_was_given_up() -> None:
    async with cluster_of(agents=2) as cluster:
        await add_network(cluster, "front", "172.30.0.0/28")
        await cluster.deploy("first", template=bound("n1", "front"))
        await cluster.remove("first")
        await cluster.advance(5)
        await cluster.deploy("next", template=bound("n2", "front"))
        await cluster.advance(1)

        assert cluster.running_slots("next") == [1]


@pytest.mark.parametrize("is_killed", [False, True])
async def test_a_node_s_former_share_is_not_the_next_node_s_also_under_another_leader(is_killed: bool) -> None:
    async with cluster_of(managers=2, agents=2) as cluster:
        await add_network(cluster, "front")
        await cluster.deploy("first", template=bound("n1", "front"))
        (former,) = cluster.state.networks["front"].node_subnets
        await cluster.remove("first")
        while cluster.state.networks["front"].node_subnets:
            await cluster.advance(1)
        if is_killed:
            await cluster.leader.kill()
            while not any(process.is_leading for process in cluster.managers.values()):
                await cluster.advance(1)
        await cluster.deploy("next", template=bound("n2", "front"))
        await cluster.advance(1)

        (share,) = cluster.state.networks["front"].node_subnets
        assert (share.node_id, share.subnet != former.subnet) == ("n2", True)


async def test_what_many_services_had_of_a_small_network_is_for_nodes_again_when_they_are_gone() -> None:
    async with cluster_of(agents=15) as cluster:
        await add_network(cluster, "front", "172.30.0.0/24")
        names = [f"s{number}" for number in range(60)]
        for name in names:
            await cluster.deploy(name, replicas=0, template=joining("front"))
        assert len(cluster.state.networks["front"].service_subnets) == 5
        for name in names:
            await cluster.remove(name)
        await cluster.deploy("each", replicas=None, template=joining("front"))
        await cluster.advance(5)
        assert len(cluster.nodes_of("each")) < 15
        await cluster.advance(120)
        assert len(cluster.nodes_of("each")) == 15


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
