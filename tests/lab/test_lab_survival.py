"""kill -9 of every part in turn: all replicas run afterwards, and none was restarted that need not be."""

import subprocess

import pytest
from support.node import Container, Node, wait_until

STACK = """
services:
  web:
    image: lab:1
    command: ["httpd", "-f", "-p", "8080", "-h", "/www"]
    healthcheck:
      test: ["CMD", "true"]
      interval: 1s
    deploy:
      replicas: 3
  everywhere:
    image: lab:1
    command: ["sleep", "1000"]
    deploy:
      mode: global
  probe:
    image: lab:1
    command: ["sleep", "1000"]
    stop_grace_period: 0s
"""


@pytest.fixture(scope="module")
def web(node: Node) -> Node:
    """The stack runs; `probe` is there to be scaled."""
    result = node.deploy("app", STACK)
    assert result.code == 0, result.all
    return node


def untouched(node: Node) -> frozenset[Container]:
    """The containers that no test here has a reason to touch."""
    return node.containers("app_web") | node.containers("app_everywhere")


def wait_until_commands_are_carried_out(node: Node) -> None:
    """The whole way, from the command line through every process to the engine, and back to one probe."""
    for replicas in (2, 1):
        node.wait_until_done("service", "scale", "--detach", f"app_probe={replicas}")
        node.wait_until_running("app_probe", replicas)


@pytest.mark.parametrize("child", ["manager", "agent", "etcd"])
def test_a_killed_process_of_the_node_comes_back_and_no_container_notices(web: Node, child: str) -> None:
    before = untouched(web)
    assert len(before) == 4

    web.kill_child(child)

    assert untouched(web) == before
    wait_until_commands_are_carried_out(web)
    assert untouched(web) == before


def test_a_killed_supervisor_takes_its_processes_along_and_the_next_one_takes_over(web: Node) -> None:
    before = untouched(web)

    web.kill()
    assert untouched(web) == before

    web.start()
    wait_until_commands_are_carried_out(web)
    assert untouched(web) == before


def test_an_orderly_end_leaves_the_containers_running(web: Node) -> None:
    before = untouched(web)

    assert web.stop() == 0
    assert untouched(web) == before
    assert "containers keep running" in web.log

    web.start()
    wait_until_commands_are_carried_out(web)
    assert untouched(web) == before


def test_a_killed_container_is_replaced_and_its_neighbours_are_not(web: Node) -> None:
    before = web.containers("app_web")
    victim = min(before, key=lambda container: container.id)

    web.docker.kill(victim.id)

    after = wait_until("another takes its place", lambda: settled(web, without=victim), limit=15)
    assert after > before - {victim}


def test_a_container_removed_by_hand_is_replaced_within_seconds(web: Node) -> None:
    before = web.containers("app_web")
    victim = min(before, key=lambda container: container.id)

    web.docker.remove_container(victim.id, force=True)

    after = wait_until("another takes its place", lambda: settled(web, without=victim), limit=5)
    assert after > before - {victim}


def settled(node: Node, without: Container) -> frozenset[Container]:
    """Three replicas that run, the victim not among them; else nothing."""
    seen = node.containers("app_web")
    return seen if len(seen) == 3 and without not in seen else frozenset()


def test_the_same_data_directory_cannot_be_used_twice(web: Node) -> None:
    second = subprocess.run(web.command(), capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 5
    assert f"already runs as pid {web.pid} in {web.data_dir}" in second.stderr


def test_deploying_the_same_file_again_changes_nothing(web: Node) -> None:
    before = untouched(web) | web.containers("app_probe")
    assert web.deploy("app", STACK).code == 0
    assert untouched(web) | web.containers("app_probe") == before
