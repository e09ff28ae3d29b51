"""Options of the host on a real node: kept out by the cluster's policy, and carried out once it lets them in."""

import json
from typing import Any

from support.node import Node

BAD_REQUEST, FORBIDDEN = 400, 403
HOST = {"PidMode": "host", "ShmSize": 8 << 20, "OomScoreAdj": 10}


def created(node: Node, name: str, **options: Any) -> tuple[int, Any]:
    container = {
        "Image": "lab:1",
        "Command": ["sleep", "1000"],
        "StopGracePeriod": 0,
        "Labels": {"swarmpy.host": json.dumps(options, sort_keys=True)},
    }
    return node.request("/services/create", "POST", {"Name": name, "TaskTemplate": {"ContainerSpec": container}})


def test_a_service_gets_what_the_cluster_lets_it_ask_for(node: Node) -> None:
    status, answer = created(node, "near", **HOST)
    assert status == FORBIDDEN
    assert "`swarmpy cluster update --allow pid` would allow it" in answer["message"]

    node.must("cluster", "update", "--allow", "pid")

    status, answer = created(node, "near", **HOST)
    assert status == 201, answer
    (container,) = node.wait_until_running("near", 1)
    host = node.docker.inspect_container(container.id)["HostConfig"]
    assert {name: host[name] for name in HOST} == HOST

    taken = node.must("cluster", "update", "--allow", "none")
    assert taken.err == "warning: service near uses pid: it runs on, but updates that start tasks of it are refused\n"
    assert node.containers("near") == {container}
    refused = node.swarmpy("service", "scale", "--detach", "near=2")
    assert (refused.code, "pid: touches the machine" in refused.err) == (7, True), refused.all
    node.must("service", "rm", "near")


def test_a_service_waits_for_a_node_that_has_its_runtime(node: Node) -> None:
    node.must("cluster", "update", "--allow", "runtime")
    assert created(node, "apart", Runtime="runsc")[0] == 201
    assert created(node, "plain", Runtime="runc")[0] == 201

    node.wait_until_running("plain", 1)
    (waiting,) = node.tasks("apart")
    assert "runtime runsc is not on this node" in node.must("task", "inspect", waiting["ID"]).out
    for name in ("apart", "plain"):
        node.must("service", "rm", name)


def test_a_label_that_cannot_be_read_is_refused_and_the_field_named(node: Node) -> None:
    status, answer = created(node, "odd", Privilegd=True)
    assert (status, answer["message"]) == (
        BAD_REQUEST,
        "service odd: ContainerSpec.Labels[swarmpy.host]: Privilegd is not a known option of the host",
    )


def test_docker_sends_the_policy_back_as_it_read_it(node: Node) -> None:
    node.must("cluster", "update", "--allow", "pid,devices")
    changed = node.docker_cli("swarm", "update", "--task-history-limit", "4")
    assert changed.code == 0, changed.all
    said = node.must("cluster", "inspect").out
    assert ("devices, pid" in said, "Task history limit: 4" in said) == (True, True), said
