"""The real docker client against a manager's socket: it takes swarmpy for a Swarm."""

import shutil

import pytest
from support.node import Node, wait_until

pytestmark = pytest.mark.skipif(shutil.which("docker") is None, reason="the docker client is not installed")

STACK = """
version: "3.8"
services:
  web:
    image: lab:1
    command: ["sleep", "1000"]
    stop_grace_period: 0s
    deploy:
      replicas: 2
"""


@pytest.fixture(scope="module")
def deployed(node: Node) -> Node:
    result = node.docker_cli("stack", "deploy", "--resolve-image", "never", "-c", str(node.stack_file(STACK)), "shop")
    assert result.code == 0, result.all
    node.wait_until_running("shop_web", 2)
    return node


def test_stack_deploy_makes_running_containers(deployed: Node) -> None:
    assert len(deployed.containers("shop_web")) == 2


def test_nodes_are_listed(deployed: Node) -> None:
    listed = deployed.docker_cli("node", "ls")
    assert listed.code == 0, listed.all
    assert "node-1" in listed.out
    assert "Ready" in listed.out
    assert "Active" in listed.out


def test_services_are_listed_with_their_replicas(deployed: Node) -> None:
    def listed() -> bool:
        seen = deployed.docker_cli("service", "ls", "--format", "{{.Name}} {{.Replicas}}")
        return "shop_web 2/2" in seen.out

    wait_until("both replicas are counted", listed)


@pytest.mark.parametrize("words", [("service", "ps", "shop_web"), ("stack", "ps", "shop")])
def test_tasks_are_listed(deployed: Node, words: tuple[str, ...]) -> None:
    listed = deployed.docker_cli(*words)
    assert listed.code == 0, listed.all
    assert "shop_web.1" in listed.out
    assert "Running" in listed.out


def test_a_service_is_inspected(deployed: Node) -> None:
    told = deployed.docker_cli("service", "inspect", "--pretty", "shop_web")
    assert told.code == 0, told.all
    assert "lab:1" in told.out


def test_its_logs_are_read(deployed: Node) -> None:
    told = deployed.docker_cli("service", "logs", "shop_web")
    assert told.code == 0, told.all


def test_a_service_is_scaled_and_removed(deployed: Node) -> None:
    scaled = deployed.docker_cli("service", "scale", "shop_web=3")
    assert scaled.code == 0, scaled.all
    deployed.wait_until_running("shop_web", 3)
    removed = deployed.docker_cli("stack", "rm", "shop")
    assert removed.code == 0, removed.all
    wait_until("its containers are gone", lambda: not deployed.containers("shop_web"))
