"""Who fills a container's own lists of addresses keeps no other container of the node waiting."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest
from support.netlab import Joined, Namespace, NetLab, NetNode, netlab, why_not
from support.pictures import a_network, a_picture

from agent.network.links import BridgePort
from agent.network.netlink import Kernel
from agent.network.picture import LocalTask
from agent.network.turns import ALL

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

NETWORK = a_network("ours", "10.0.1.0/24")
NETWORKS = {NETWORK.id: NETWORK}
FULL, CONTAINERS = 60_000, 8
# A busy machine takes its time, and threads wait for each other; before, each of the containers had a second or more.
PATIENCE = 4 * ALL


@pytest.fixture
def node() -> Iterator[tuple[NetLab, NetNode]]:
    with netlab() as lab:
        node = lab.node("node-1")
        node.bridge(NETWORK.bridge, f"{NETWORK.gateway}/24")
        yield lab, node


@pytest.fixture
def full(node: tuple[NetLab, NetNode]) -> Iterator[tuple[LocalTask, ...]]:
    """Tasks whose containers have an address of the node's share, behind thousands of others."""
    lab, machine = node
    made = Namespace("full")
    lab.own(made)
    made.ip(*(line for number in range(FULL // 1000) for line in crowd(number)))
    lab.attach(made, machine, NETWORK.bridge, f"{NETWORK.subnet[9]}/24", "eth0")
    with ExitStack() as ending:
        inside = [ending.enter_context(beside(made)) for _ in range(CONTAINERS)]
        yield tuple(a_task(9, Joined(str(number), each.pid)) for number, each in enumerate(inside))
        for each in inside:
            each.kill()


def crowd(number: int) -> Iterator[str]:
    yield f"link add d{number} type bridge"
    for each in range(1000):
        yield f"addr add 100.{64 + number}.{each // 250}.{each % 250 + 1}/32 dev d{number}"


def beside(made: Namespace) -> subprocess.Popen[bytes]:
    """One more process in that namespace, once it is there."""
    command = ("nsenter", f"--net=/proc/{made.pid}/ns/net", "cat")
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"\n")
    assert process.stdout.read(1) == b"\n"
    return process


def a_task(number: int, made: Namespace) -> LocalTask:
    return LocalTask(made.name, "s", {NETWORK.id: NETWORK.subnet[number]}, pid=made.pid)


async def test_a_container_among_full_ones_is_found_and_none_takes_long(
    node: tuple[NetLab, NetNode], full: tuple[LocalTask, ...]
) -> None:
    lab, machine = node
    plain = Namespace("plain")
    lab.own(plain)
    device = lab.attach(plain, machine, NETWORK.bridge, f"{NETWORK.subnet[10]}/24", "eth0")
    tasks = (*full, a_task(10, plain))
    picture = replace(a_picture(NETWORK), tasks={task.task_id: task for task in tasks})
    kernel = Kernel(machine.enter)
    try:
        for _ in range(2):
            began = time.monotonic()
            found = await kernel.ports_of(tasks, NETWORKS)
            assert time.monotonic() - began < PATIENCE
            assert found[plain.pid] == {BridgePort(device, NETWORK.bridge)}
        began = time.monotonic()
        read = await kernel.read(picture)
        assert time.monotonic() - began < PATIENCE
        assert plain.pid in {container.pid for container in read.containers}
    finally:
        await kernel.close()
