"""`make bench-deploy`: replicas that swarmpy starts, beside as many `docker run` at once, on the same engine, in turn.

Timed is what a person waits for: from the command to the moment when all containers run, as the engine tells it.
"""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import machine

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.dockerd import Dockerd, dockerd, why_not
from support.images import import_image
from support.node import Node

IMAGE = "bench:1"
BAR = 1.15
ROUNDS = 7
LIMIT = 120
SIZES = (10, 30)
STACK = """
services:
  web:
    image: {image}
    command: ["sleep", "100000"]
    stop_grace_period: 0s
    deploy:
      replicas: {replicas}
"""


def main() -> int:
    reason = why_not()
    if reason is not None:
        sys.exit(f"bench-deploy: {reason}")
    # Ended from outside, it still removes its engine and its node.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(machine.describe())
    with dockerd() as engine:
        import_image(engine.host, IMAGE)
        with running_node(engine) as node:
            kept = [measure(node, engine, replicas) for replicas in SIZES]
    return 0 if all(kept) else 1


@contextmanager
def running_node(engine: Dockerd) -> Iterator[Node]:
    node = Node(engine)
    try:
        node.start()
        yield node
    finally:
        node.close()


def measure(node: Node, engine: Dockerd, replicas: int) -> bool:
    """One round of each unmeasured, then in turn, so that a busy moment of the machine meets both."""
    swarmpy, docker = [], []
    for turn in range(ROUNDS + 1):
        ours, theirs = time_swarmpy(node, replicas), time_docker_run(engine, replicas)
        if turn:
            swarmpy.append(ours)
            docker.append(theirs)
    return machine.report(f"deploy of {replicas} replicas", "s", swarmpy, "docker run in parallel", docker, BAR)


def time_swarmpy(node: Node, replicas: int) -> float:
    text = STACK.format(image=IMAGE, replicas=replicas)
    with starts_of(node, "com.docker.swarm.service.name=bench_web") as starts:
        begun = time.perf_counter()
        result = node.deploy("bench", text, "--detach")
        if result.code:
            sys.exit(f"bench-deploy: the deployment failed: {result.all}")
        if len(list(islice(starts, replicas))) < replicas:
            sys.exit(f"bench-deploy: not {replicas} starts within {LIMIT} s:\n{node.must('stack', 'ps', 'bench').out}")
        took = time.perf_counter() - begun
    node.must("stack", "rm", "bench")
    wait_until_gone(node)
    return took


def time_docker_run(engine: Dockerd, replicas: int) -> float:
    """On a network of their own, as the tasks of a service are."""
    docker = ["docker", "--host", engine.host]
    subprocess.run([*docker, "network", "create", "bench"], check=True, capture_output=True)
    run = [*docker, "run", "--detach", "--network", "bench", "--label", "bench=run", IMAGE, "sleep", "100000"]

    def start(_: int) -> str:
        return subprocess.run(run, check=True, capture_output=True, text=True).stdout.strip()

    begun = time.perf_counter()
    with ThreadPoolExecutor(replicas) as pool:
        ids = list(pool.map(start, range(replicas)))
    took = time.perf_counter() - begun
    subprocess.run([*docker, "rm", "--force", *ids], check=True, capture_output=True)
    subprocess.run([*docker, "network", "rm", "bench"], check=True, capture_output=True)
    return took


@contextmanager
def starts_of(node: Node, label: str) -> Iterator[Iterator[object]]:
    """The engine's word on each container of that label that starts; ends by itself after `LIMIT` seconds. Listening
    costs the engine nothing, where asking again and again would slow down what is measured."""
    events = node.docker.events(decode=True, filters={"type": "container", "event": "start", "label": label})
    alarm = threading.Timer(LIMIT, events.close)
    alarm.start()
    try:
        yield events
    finally:
        alarm.cancel()
        events.close()


def wait_until_gone(node: Node) -> None:
    """So that removing one deployment does not slow down what is measured next."""
    deadline = time.monotonic() + LIMIT
    while left := [
        *(container["Id"] for container in node.docker.containers(all=True)),
        *(network["Name"] for network in node.docker.networks(filters={"type": "custom"})),
        *(service["Spec"]["Name"] for service in node.get("/services")),
    ]:
        if time.monotonic() > deadline:
            sys.exit(f"bench-deploy: still there {LIMIT} s after `stack rm`: {', '.join(left)}")
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
