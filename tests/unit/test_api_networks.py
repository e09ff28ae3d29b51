"""Networks and endpoints as Docker's clients read them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.api import NODE_ID, Api, running_api
from support.picture import a_network, a_node, a_service, a_task, a_template

from manager.objects import NodeSubnet, TaskNetwork, VirtualIP
from swarmpy.models.network import NetworkCreate
from swarmpy.models.port import EndpointSpec, PortConfig, PublishMode
from swarmpy.models.task import ContainerStatus, NetworkAttachmentConfig, TaskStatus
from swarmpy.states import TaskState

HTTP = PortConfig(target_port=80, publish_mode=PublishMode.INGRESS)
RUNNING = TaskStatus(state=TaskState.RUNNING, container_status=ContainerStatus(container_id="c1"))


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    """A service with one task on the network `front`, and on the ingress network."""
    front = a_network("front").model_copy(
        update={
            "subnet": "10.0.0.0/16",
            "gateway": "10.0.0.1",
            "service_subnets": ("10.0.0.0/24",),
            "node_subnets": (NodeSubnet(node_id=NODE_ID, subnet="10.0.1.0/28", gateway="10.0.1.1"),),
        }
    )
    ingress = a_network("ingress").model_copy(update={"spec": NetworkCreate(name="ingress", ingress=True)})
    template = a_template(networks=(NetworkAttachmentConfig(target="front"),))
    web = a_service(template=template, endpoint_spec=EndpointSpec(mode="vip", ports=(HTTP,))).model_copy(
        update={
            "virtual_ips": (VirtualIP(network_id="front", address="10.0.0.5"),),
            "published_ports": (HTTP.model_copy(update={"published_port": 30000}),),
        }
    )
    task = a_task(node=NODE_ID, status=RUNNING).model_copy(
        update={"networks": (TaskNetwork(network_id="front", address="10.0.1.2/28"),)}
    )
    async with running_api() as api:
        node = a_node(NODE_ID).model_copy(update={"address": "192.0.2.7:2377"})
        await api.keep(node, front, ingress, web, task)
        yield api


async def test_a_service_shows_its_addresses_with_their_prefix_and_its_ports_with_their_numbers(api: Api) -> None:
    endpoint = (await api.get("/services/web")).json["Endpoint"]

    assert endpoint["Spec"]["Mode"] == "vip"
    assert endpoint["VirtualIPs"] == [{"NetworkID": "front", "Addr": "10.0.0.5/16"}]
    assert endpoint["Ports"] == [{"TargetPort": 80, "PublishedPort": 30000, "PublishMode": "ingress"}]


async def test_a_network_shows_its_nodes_and_the_containers_of_the_node_that_answers(api: Api) -> None:
    shown = (await api.get("/networks/front")).json

    assert shown["Peers"] == [{"Name": NODE_ID, "IP": "192.0.2.7"}]
    assert shown["Containers"]["c1"]["IPv4Address"] == "10.0.1.2/28"
    assert shown["Containers"]["c1"]["Name"] == "web.1.t1"
    assert shown["IPAM"]["Config"] == [{"Subnet": "10.0.0.0/16", "Gateway": "10.0.0.1"}]
    assert "Services" not in shown


async def test_a_network_asked_for_in_full_shows_services_with_their_tasks(api: Api) -> None:
    services = (await api.get("/networks/front", verbose="true", scope="swarm")).json["Services"]

    assert services["web"]["VIP"] == "10.0.0.5"
    assert services["web"]["Tasks"] == [
        {"Name": "web.1.t1", "EndpointID": "t1", "EndpointIP": "10.0.1.2", "Info": {"Host IP": "192.0.2.7"}}
    ]


async def test_a_network_tells_how_many_addresses_are_used_and_where(api: Api) -> None:
    usage = (await api.get("/networks/front")).json["Usage"]
    listed: list[dict[str, Any]] = (await api.get("/networks", usage="true")).json

    assert (usage["Used"], usage["Total"], usage["Services"]) == (1, 13, {"Used": 1, "Total": 253, "Lacking": 0})
    assert usage["Nodes"] == [{"ID": NODE_ID, "Hostname": NODE_ID, "Subnet": "10.0.1.0/28", "Used": 1, "Total": 13}]
    assert next(item for item in listed if item["Name"] == "front")["Usage"] == {
        key: value for key, value in usage.items() if key != "Nodes"
    }
    assert all("Usage" not in item for item in (await api.get("/networks")).json)


async def test_the_status_tells_it_too(api: Api) -> None:
    (line,) = [line for line in (await api.get("/status")).json["networks"] if line["name"] == "front"]

    assert (line["used"], line["total"], line["full"]) == (1, 13, [])
    front = api.state.networks["front"]
    share = front.node_subnets[0].model_copy(update={"subnet": "10.0.1.0/30"})
    await api.keep(front.model_copy(update={"node_subnets": (share,)}))
    (line,) = [line for line in (await api.get("/status")).json["networks"] if line["name"] == "front"]
    assert (line["used"], line["total"], line["full"]) == (1, 1, [NODE_ID])


async def test_pruning_removes_what_nothing_uses_and_never_the_ingress_network(api: Api) -> None:
    for name, label in (("idle", "a"), ("kept", "b")):
        await api.post("/networks/create", {"Name": name, "Driver": "overlay", "Labels": {"which": label}})
    pruned = await api.post("/networks/prune", None, filters='{"label!": {"which=b": true}}')

    assert pruned.json == {"NetworksDeleted": ["idle"]}
    assert sorted(item["Name"] for item in (await api.get("/networks")).json) == ["front", "ingress", "kept"]


async def test_the_ingress_network_stays_while_a_service_publishes_ports(api: Api) -> None:
    refused = await api.delete("/networks/ingress")

    assert (refused.status, refused.message) == (
        400,
        "ingress network ingress cannot be removed: service web publishes ports on it",
    )


async def test_a_network_without_an_address_for_a_service_says_so(api: Api) -> None:
    front, web = api.state.networks["front"], api.state.services["web"]
    others = [
        web.model_copy(
            update={
                "id": f"other{number}",
                "spec": web.spec.model_copy(update={"name": f"other{number}"}),
                "virtual_ips": (VirtualIP(network_id="front", address=f"10.0.0.{number}"),),
            }
        )
        for number in (5, 6)
    ]
    small = front.model_copy(update={"service_subnets": ("10.0.0.4/30",)})
    await api.keep(small, web.model_copy(update={"virtual_ips": ()}), *others)
    (line,) = [line for line in (await api.get("/status")).json["networks"] if line["name"] == "front"]

    assert line["reason"] == "1 service has no virtual address: all 2 are given; choose a wider subnet"


async def test_an_encrypted_network_is_refused_with_the_names_of_the_nodes_that_cannot(api: Api) -> None:
    answer = await api.post("/networks/create", {"Name": "sealed", "Driver": "overlay", "Options": {"encrypted": ""}})

    assert answer.status == 501
    assert f"the kernels of {NODE_ID} have no WireGuard" in answer.json["message"]


async def test_a_node_tells_what_of_networks_does_not_work_there_unless_worse_is_known(api: Api) -> None:
    lacking = api.state.nodes[NODE_ID].model_copy(update={"limits": ("nft is not installed", "no VXLAN")})
    await api.keep(lacking)
    assert (await api.get(f"/nodes/{NODE_ID}")).json["Status"]["Message"] == "nft is not installed; no VXLAN"
    await api.keep(lacking.model_copy(update={"message": "heartbeat failure"}))
    assert (await api.get(f"/nodes/{NODE_ID}")).json["Status"]["Message"] == "heartbeat failure"
