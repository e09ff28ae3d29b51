"""A volume on a machine that loses power, with real engines: the task waits for it, and finds what it had written."""

from collections.abc import Iterator

import pytest
from support.fleet import Fleet
from support.images import BUSYBOX
from support.lab import lab

pytestmark = [pytest.mark.lab, pytest.mark.docker, pytest.mark.etcd, pytest.mark.timeout(180)]

STACK = f"""
services:
  db:
    image: {BUSYBOX}
    command: ["sh", "-c", "echo started >> /data/births; trap 'exit 0' TERM; while :; do sleep 0.2; done"]
    stop_grace_period: 1s
    volumes: ["data:/data"]
volumes:
  data:
    labels:
      swarmpy.volume-affinity: "true"
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with lab(nodes=2) as made:
        made.load()
        yield Fleet(made, tmp_path_factory.mktemp("fleet"))


def deploy(fleet: Fleet) -> None:
    """So that the volume is made on the worker: the manager takes no tasks just then."""
    file = fleet.folder / "shop.yaml"
    file.write_text(STACK)
    for words in (
        ("node", "update", "--availability", "pause", "node-1"),
        ("stack", "deploy", "-c", str(file), "shop"),
        ("node", "update", "--availability", "active", "node-1"),
    ):
        done = fleet.lab.swarmpy("node-1", *words, limit=60)
        assert done.code == 0, done.all


def births(fleet: Fleet) -> int:
    """How often a task has begun with this volume, as the volume has it."""
    (container,) = fleet.lab.docker("node-2", "ps", "-q").out.split()
    return fleet.lab.docker("node-2", "exec", container, "cat", "/data/births").out.split().count("started")


def why_it_waits(fleet: Fleet) -> str:
    tasks = fleet.ask("/tasks", of=["node-1"], filters={"service": ["shop_db"], "desired-state": ["running"]})
    return " ".join(str(task["Status"].get("Err") or task["Status"].get("Message")) for task in tasks)


def test_a_task_waits_for_the_machine_with_its_volume_and_finds_its_data_there(fleet: Fleet) -> None:
    deploy(fleet)
    assert births(fleet) == 1

    fleet.lab.kill("node-2")
    sentence = "volume shop_data is on node node-2, which is down; nothing else may take it"
    fleet.until("the task waits and says for what", lambda: sentence in why_it_waits(fleet))
    assert fleet.tasks("shop_db") == []

    fleet.lab.start("node-2")
    fleet.until("it runs again", lambda: len(fleet.tasks("shop_db")) == 1)
    assert births(fleet) == 2
    kept = fleet.lab.docker("node-2", "volume", "ls", "--quiet", "--filter", "label=swarmpy.volume-affinity=true")
    assert kept.out.split() == ["shop_data"]
