"""etcd does not answer: what is known is told and marked, changes are refused with a reason, and all comes back."""

import signal
from collections.abc import Iterator

import pytest
from support.node import Node, wait_until

STACK = """
services:
  web:
    image: lab:1
    command: ["sleep", "1000"]
    deploy:
      replicas: 2
"""


@pytest.fixture
def without_etcd(node: Node) -> Iterator[Node]:
    """etcd stands still, as on a machine whose disk hangs: killed, it would be back at once."""
    node.deploy("app", STACK, "--detach")
    node.wait_until_running("app_web", 2)
    node.signal_child("etcd", signal.SIGSTOP)
    try:
        wait_until("the manager has noticed", lambda: not node.get("/status")["etcd"]["reachable"], limit=15)
        yield node
    finally:
        node.signal_child("etcd", signal.SIGCONT)


def test_reads_are_answered_from_memory_and_marked_stale(without_etcd: Node) -> None:
    etcd = without_etcd.get("/status")["etcd"]
    assert etcd["stale_since"]
    assert etcd["reason"]
    listed = without_etcd.must("service", "ls", "--format", "json")
    assert "app_web" in listed.out


def test_changes_are_refused_with_a_reason(without_etcd: Node) -> None:
    wish = {"Name": "more", "TaskTemplate": {"ContainerSpec": {"Image": "lab:1"}}}
    status, body = without_etcd.request("/services/create", "POST", wish)
    assert (status, "etcd is away since" in body["message"]) == (503, True), body

    scaled = without_etcd.swarmpy("service", "scale", "app_web=3")
    assert scaled.code == 6
    assert "etcd is away since" in scaled.err


def test_containers_run_on_and_everything_recovers_by_itself(node: Node, without_etcd: Node) -> None:
    before = node.containers("app_web")
    assert len(before) == 2

    node.signal_child("etcd", signal.SIGCONT)

    wait_until("the manager is back", lambda: node.get("/status")["etcd"]["reachable"], limit=20)
    node.wait_until_done("service", "scale", "--detach", "app_web=3")
    assert node.wait_until_running("app_web", 3) > before
