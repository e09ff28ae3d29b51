"""/networks, /swarm, /info, and the things that are one engine's and not the cluster's."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.api import NODE_ID, Api, running_api
from support.builders import a_cluster, a_network, a_node, a_service, a_task, a_template

from swarmpy.models.node import EngineDescription, NodeDescription, NodeSpec, Platform, Plugin
from swarmpy.models.resources import Resources
from swarmpy.models.task import NetworkAttachmentConfig
from swarmpy.states import Role


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running_api() as running:
        yield running


async def network_names(api: Api, **filters: Any) -> list[str]:
    return sorted(network["Name"] for network in (await api.get("/networks", filters=filters)).json)


async def test_a_network_is_created_as_docker_py_asks(api: Api) -> None:
    made = await api.post(
        "/networks/create",
        {"Name": "front", "Driver": "overlay", "Options": None, "IPAM": {"Driver": "default"}, "CheckDuplicate": None},
    )
    assert made.status == 201
    shown = (await api.get("/networks/front", scope="swarm")).json
    assert made.json == {"Id": shown["Id"], "Warning": ""}
    assert (shown["Scope"], shown["Driver"], shown["Labels"], shown["Containers"]) == ("swarm", "overlay", None, None)
    assert shown["IPAM"] == {"Driver": "default", "Options": None, "Config": []}


async def test_no_address_is_shown_before_there_is_one(api: Api) -> None:
    """Clients parse every address: an empty text would break them."""
    await api.keep(a_network("new"), a_network("asked", wished_subnet="10.2.0.0/16"))
    assert (await api.get("/networks/asked")).json["IPAM"]["Config"] == [{"Subnet": "10.2.0.0/16"}]
    await api.keep(a_network("old", subnet="10.1.0.0/16", gateway="10.1.0.1", vni=4097))
    assert (await api.get("/networks/new")).json["IPAM"]["Config"] == []
    assert (await api.get("/networks/old")).json["IPAM"]["Config"] == [{"Subnet": "10.1.0.0/16", "Gateway": "10.1.0.1"}]


async def test_networks_are_filtered(api: Api) -> None:
    web = a_service("web")
    await api.keep(a_network("front"), a_network("back"), web, a_task("t", web, networks=("front",)))
    assert await network_names(api, name=["ron"]) == ["front"]
    assert await network_names(api, dangling=["true"]) == ["back"]
    assert await network_names(api, driver=["bridge"]) == []
    assert await network_names(api, scope=["swarm"], type=["custom"]) == ["back", "front"]


async def test_a_network_in_use_is_kept_and_one_out_of_use_goes_at_once(api: Api) -> None:
    web = a_service("web", template=a_template(networks=(NetworkAttachmentConfig(target="front"),)))
    await api.keep(a_network("front"), web)
    refused = await api.delete("/networks/front")
    assert (refused.status, refused.message) == (400, "network front is in use by service web")

    await api.delete("/services/web")
    assert (await api.delete("/networks/front")).status == 204
    assert await network_names(api) == []
    assert (await api.post("/networks/create", {"Name": "front", "Driver": "overlay"})).status == 201


async def test_info_tells_of_a_manager_and_its_machine(api: Api) -> None:
    machine = NodeDescription(
        hostname="manager-1",
        platform=Platform(architecture="x86_64", os="linux"),
        resources=Resources(nano_cpus=2_000_000_000, memory_bytes=1 << 30),
        engine=EngineDescription(plugins=(Plugin(type="Log", name="gelf"), Plugin(type="Runtime", name="runsc"))),
    )
    node = a_node(NODE_ID).model_copy(update={"spec": NodeSpec(role=Role.MANAGER), "description": machine})
    await api.keep(a_cluster(history_limit=5), node, a_node("n2"))
    info = (await api.get("/info")).json
    assert (info["Name"], info["NCPU"], info["MemTotal"]) == ("manager-1", 2, 1 << 30)
    assert info["Plugins"] == {"Log": ["gelf"]}
    swarm = info["Swarm"]
    assert (swarm["NodeID"], swarm["LocalNodeState"], swarm["ControlAvailable"]) == (NODE_ID, "active", True)
    assert (swarm["Nodes"], swarm["Managers"]) == (2, 1)
    assert swarm["Cluster"]["Spec"]["Orchestration"] == {"TaskHistoryRetentionLimit": 5}


async def test_the_size_of_networks_is_shown_as_they_get_it(api: Api) -> None:
    await api.keep(a_cluster())
    assert (await api.get("/info")).json["Swarm"]["Cluster"]["SubnetSize"] == 16
    await api.keep(a_cluster().model_copy(update={"subnet_size": 22}))
    assert (await api.get("/info")).json["Swarm"]["Cluster"]["SubnetSize"] == 22


async def test_the_history_limit_is_set_with_the_clusters_version(api: Api) -> None:
    await api.keep(a_cluster(history_limit=5))
    cluster = (await api.get("/info")).json["Swarm"]["Cluster"]
    spec = {**cluster["Spec"], "Orchestration": {"TaskHistoryRetentionLimit": 2}}
    assert (await api.post("/swarm/update", spec, version=cluster["Version"]["Index"])).status == 200
    assert (await api.post("/swarm/update", spec, version=cluster["Version"]["Index"])).status == 500
    changed = (await api.get("/info")).json["Swarm"]["Cluster"]
    assert changed["Spec"]["Orchestration"]["TaskHistoryRetentionLimit"] == 2


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/swarm", 503, "the cluster is being set up"),
        ("POST", "/swarm/init", 503, "This node is already part of a swarm."),
        ("POST", "/swarm/join", 503, "This node is already part of a swarm."),
        ("POST", "/swarm/leave", 503, "run `swarmpy leave` on it"),
        ("DELETE", "/secrets/x", 404, "secret x not found"),
        ("GET", "/containers/web/json", 404, "No such container: web"),
        ("GET", "/images/shop/web:1/json", 404, "No such image: shop/web:1"),
        ("GET", "/volumes/web", 404, "no such volume"),
        ("GET", "/plugins/a/b/json", 404, "not found"),
        ("GET", "/distribution/r.io/shop/web:1/json", 404, "no digest of r.io/shop/web:1"),
    ],
)
async def test_what_there_is_not_is_said_plainly(api: Api, method: str, path: str, status: int, words: str) -> None:
    path, _, query = path.partition("?")
    pairs = dict(pair.split("=") for pair in query.split("&") if pair)
    ask = {"GET": api.get, "POST": api.post, "DELETE": api.delete}[method]
    answer = await ask(path, **pairs)
    assert answer.status == status
    assert words in answer.message


async def test_stacks_are_counted_by_their_label(api: Api) -> None:
    web = a_service("shop_web", replicas=2)
    labels = {"com.docker.stack.namespace": "shop"}
    web = web.model_copy(update={"spec": web.spec.model_copy(update={"labels": labels})})
    net = a_network("shop_default")
    net = net.model_copy(update={"spec": net.spec.model_copy(update={"labels": labels})})
    await api.keep(web, net, a_service("lonely"), a_task("t", web))
    assert (await api.get("/stacks")).json == [
        {"Name": "shop", "Services": 1, "Networks": 1, "RunningTasks": 1, "DesiredTasks": 2}
    ]
