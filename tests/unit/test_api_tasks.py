"""/tasks and /nodes: what `service ps`, `node ps` and the waiting of `service update` ask for."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.api import NODE_ID, Api, running_api
from support.builders import (
    T0,
    a_global_job,
    a_global_service,
    a_job,
    a_network,
    a_node,
    a_revision,
    a_service,
    a_task,
)

from manager.objects import Reason, ReasonCode, TaskNetwork
from swarmpy.models.node import NodeSpec
from swarmpy.states import Role, TaskState


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running_api() as running:
        yield running


async def listed(api: Api, **filters: Any) -> list[str]:
    answer = await api.get("/tasks", filters=filters)
    assert answer.status == 200, answer.body
    return sorted(task["ID"] for task in answer.json)


async def test_tasks_are_filtered_as_clients_ask(api: Api) -> None:
    web = a_service("web", spec_version=2).model_copy(update={"id": "web-id"})
    web = web.model_copy(
        update={"spec": web.spec.model_copy(update={"labels": {"com.docker.stack.namespace": "shop"}})}
    )
    agent = a_global_service("agent")
    named = {"service_name": "web"}
    await api.keep(
        web, agent, a_node("n1"), a_node("n2").model_copy(update={"description": a_node("second").description}),
        a_task("w1", web, slot=1, node="n1", version=2).model_copy(update=named),
        a_task("w2", web, slot=2, node="n2", version=1, desired=TaskState.SHUTDOWN).model_copy(update=named),
        a_task("a1", agent, slot=0, node="n1"),
    )  # fmt: skip
    assert await listed(api) == ["a1", "w1", "w2"]
    assert await listed(api, service=["web"]) == ["w1", "w2"]
    assert await listed(api, service=["web-id"]) == ["w1", "w2"]
    assert await listed(api, node=["second"]) == ["w2"]
    assert await listed(api, node=["n1"]) == ["a1", "w1"]
    assert await listed(api, name=["web.1"]) == ["w1"]
    assert await listed(api, name=["agent.n1.a1"]) == ["a1"]
    assert await listed(api, label=["com.docker.stack.namespace=shop"]) == ["w1", "w2"]
    assert await listed(api, **{"desired-state": ["running"]}) == ["a1", "w1"]
    assert await listed(api, service=["web"], **{"_up-to-date": ["true"]}) == ["w1"]
    assert await listed(api, service=["web"], **{"_up-to-date": {"false": True}}) == ["w2"]
    assert await listed(api, id=["w"]) == ["w1", "w2"]
    assert await listed(api, service=["unknown"]) == []


async def test_a_task_is_shown_with_its_own_wish_and_where_it_stands(api: Api) -> None:
    web, net = a_service("web"), a_network("net", subnet="10.1.0.0/16", gateway="10.1.0.1", vni=4097)
    task = a_task("w1", web, node="n1", networks=("net",)).model_copy(
        update={"networks": (TaskNetwork(network_id="net", address="10.1.1.7/24"), TaskNetwork(network_id="gone"))}
    )
    await api.keep(web, a_revision(web), net, task)
    shown = (await api.get("/tasks/w1")).json
    assert shown["Spec"] == web.spec.task_template.to_docker()
    assert (shown["Slot"], shown["NodeID"], shown["ServiceID"]) == (1, "n1", "web")
    assert shown["Status"]["State"] == "running"
    assert shown["Status"]["Timestamp"] == "2030-01-01T00:00:00.000000Z"
    joined, gone = shown["NetworksAttachments"]
    assert joined["Addresses"] == ["10.1.1.7/24"]
    assert joined["Network"]["Spec"]["Name"] == "net"
    assert joined["Network"]["IPAMOptions"]["Configs"] == [{"Subnet": "10.1.0.0/16", "Gateway": "10.1.0.1"}]
    assert joined["Network"]["DriverState"]["Options"] == {"com.docker.network.driver.overlay.vxlanid_list": "4097"}
    assert "Addresses" not in gone


async def test_a_global_task_has_no_slot_and_an_unplaced_one_no_node(api: Api) -> None:
    agent = a_global_service("agent")
    await api.keep(agent, a_task("a1", agent, slot=0, node="", state=TaskState.PENDING))
    shown = (await api.get("/tasks/a1")).json
    assert "Slot" not in shown
    assert "NodeID" not in shown


async def test_slots_of_jobs_are_counted_from_0_as_in_a_swarm(api: Api) -> None:
    job, everywhere = a_job("job", total=2), a_global_job("everywhere")
    runs = [a_task(f"j{slot}", job, slot=slot, job_iteration=0) for slot in (1, 2)]
    await api.keep(job, everywhere, *runs, a_task("e1", everywhere, slot=0, job_iteration=0))
    shown = {task["ID"]: task.get("Slot") for task in (await api.get("/tasks")).json}
    assert shown == {"j1": 0, "j2": 1, "e1": None}


@pytest.mark.parametrize(
    ("code", "error"), [(ReasonCode.NO_NODE, "no suitable node"), (ReasonCode.WAITING_OLD_TASK, None)]
)
async def test_the_reason_is_told_in_dockers_words_and_in_ours(api: Api, code: ReasonCode, error: str | None) -> None:
    reason = Reason(code=code, text="no suitable node", since=T0, nodes={"n1": "it is drained"})
    await api.keep(a_task("t", node="", state=TaskState.PENDING, reason=reason))
    shown = (await api.get("/tasks/t")).json
    assert shown["Status"].get("Err") == error
    assert shown["Status"]["Message"] == "no suitable node"
    assert shown["Reason"] == {
        "Code": code.value, "Text": "no suitable node", "Since": "2030-01-01T00:00:00.000000Z",
        "Nodes": {"n1": "it is drained"},
    }  # fmt: skip


async def test_the_agents_own_words_are_not_written_over(api: Api) -> None:
    reason = Reason(code=ReasonCode.EXITED, text="ours", since=T0)
    await api.keep(a_task("t", state=TaskState.FAILED, reason=reason, error="task: non-zero exit (7)"))
    assert (await api.get("/tasks/t")).json["Status"]["Err"] == "task: non-zero exit (7)"


async def test_what_a_ready_container_waits_for_is_told_as_its_message_and_is_no_error(api: Api) -> None:
    reason = Reason(code=ReasonCode.WAITING_DEPENDENCY, text="waits until service db is healthy: 0/1 running", since=T0)
    task = a_task("t", state=TaskState.READY, desired=TaskState.READY, reason=reason)
    await api.keep(task.model_copy(update={"status": task.status.model_copy(update={"message": "ready"})}))
    status = (await api.get("/tasks/t")).json["Status"]
    assert status["Message"] == "waits until service db is healthy: 0/1 running"
    assert "Err" not in status


async def test_a_long_list_comes_whole(api: Api) -> None:
    web = a_service("web")
    for start in range(0, 500, 100):
        await api.keep(*(a_task(f"t{n:03}", web, slot=n + 1) for n in range(start, start + 100)))
    assert await listed(api) == [f"t{n:03}" for n in range(500)]


async def test_an_unknown_task_or_node_is_not_found(api: Api) -> None:
    for kind in ("task", "node", "network", "secret", "config"):
        answer = await api.get(f"/{kind}s/nothing")
        assert (answer.status, answer.message) == (404, f"{kind} nothing not found")


async def test_nodes_are_found_by_hostname_and_two_of_one_name_are_ambiguous(api: Api) -> None:
    twin = a_node("twin").description
    await api.keep(
        a_node("n1"),
        a_node("n2").model_copy(update={"description": twin}),
        a_node("n3").model_copy(update={"description": twin}),
    )
    assert (await api.get("/nodes/n1")).json["ID"] == "n1"
    answer = await api.get("/nodes/twin")
    assert (answer.status, answer.message) == (400, "node twin is ambiguous (2 matches found)")


async def test_only_managers_have_a_managers_status_and_one_leads(api: Api) -> None:
    manager = NodeSpec(role=Role.MANAGER)
    await api.keep(
        a_node(NODE_ID).model_copy(update={"spec": manager}),
        a_node("n2").model_copy(update={"spec": manager}),
        a_node("n3"),
    )
    nodes = {node["ID"]: node for node in (await api.get("/nodes")).json}
    assert nodes[NODE_ID]["ManagerStatus"] == {"Leader": True, "Reachability": "reachable"}
    assert nodes["n2"]["ManagerStatus"] == {"Reachability": "reachable"}
    assert "ManagerStatus" not in nodes["n3"]
    assert nodes["n3"]["Spec"]["Labels"] == {}


async def test_nodes_are_filtered(api: Api) -> None:
    await api.keep(
        a_node("alpha", labels={"rack": "1"}), a_node("beta").model_copy(update={"spec": NodeSpec(role=Role.MANAGER)})
    )

    async def ids(**filters: Any) -> list[str]:
        return sorted(node["ID"] for node in (await api.get("/nodes", filters=filters)).json)

    assert await ids(role=["manager"]) == ["beta"]
    assert await ids(name=["al"]) == ["alpha"]
    assert await ids(**{"node.label": ["rack=1"]}) == ["alpha"]
    assert await ids(membership=["pending"]) == []


async def test_a_node_is_updated_with_its_version(api: Api) -> None:
    await api.keep(a_node("n1"))
    index = (await api.get("/nodes/n1")).json["Version"]["Index"]
    spec = {"Role": "worker", "Availability": "drain", "Labels": {"rack": "2"}}
    assert (await api.post("/nodes/n1/update", spec, version=index - 1)).status == 500
    assert (await api.post("/nodes/n1/update", spec, version=index)).status == 200
    assert (await api.get("/nodes/n1")).json["Spec"] == spec
    wrong = await api.post("/nodes/n1/update", {"Availability": "asleep"}, version=index)
    assert wrong.message == "Availability must be 'active', 'pause' or 'drain'"
