"""Services that depend on each other, on a real engine: each container starts when what it needs is there."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from support.node import Node, wait_until

from swarmpy.labels import DEPENDS_ON

SECOND = 1_000_000_000
UNHEALTHY_FOR = timedelta(seconds=3)
HEALTH = {"Test": ["CMD", "test", "-e", "/tmp/ready"], "Interval": SECOND // 2, "Retries": 60}
CREATED: dict[str, tuple[list[str], dict[str, Any], Mapping[str, str]]] = {
    "web": (["sleep", "1000"], {}, {"db": "service_started", "migrate": "service_completed_successfully"}),
    "migrate": (["sleep", "2"], {}, {"db": "service_healthy"}),
    "db": (["sh", "-c", f"sleep {UNHEALTHY_FOR.seconds}; touch /tmp/ready; sleep 1000"], {"Healthcheck": HEALTH}, {}),
}


def create(node: Node, name: str, command: list[str], container: dict[str, Any], on: Mapping[str, str]) -> None:
    spec = {
        "Name": name,
        "Labels": {DEPENDS_ON: json.dumps(on)},
        "TaskTemplate": {
            "ContainerSpec": {"Image": "lab:1", "Command": command, "StopGracePeriod": 0, **container},
            "RestartPolicy": {"Condition": "on-failure" if name == "migrate" else "any"},
        },
    }
    status, body = node.request("/services/create", "POST", spec)
    assert status == 201, body


def container_state(node: Node, service: str) -> dict[str, Any]:
    """Of the service's one container."""
    (row,) = node.docker.containers(all=True, filters={"label": f"com.docker.swarm.service.name={service}"})
    state = node.docker.inspect_container(row["Id"])["State"]
    assert isinstance(state, dict)
    return state


def moment(text: str) -> datetime:
    """The engine's nanoseconds are more than Python reads."""
    return datetime.fromisoformat(f"{text[:26].rstrip('Z')}+00:00")


@pytest.mark.timeout(120)
def test_containers_start_in_the_order_of_their_dependencies(node: Node) -> None:
    for name, (command, container, on) in CREATED.items():
        create(node, name, command, container, on)

    (waiting,) = wait_until("web waits", lambda: [task for task in node.tasks("web") if task.get("Reason")])
    assert waiting["DesiredState"] == "ready"
    assert waiting["Reason"]["Code"] == "waiting-dependency"
    wait_until("web's container is made", lambda: node.tasks("web")[0]["Status"]["State"] == "ready")
    assert container_state(node, "web")["Status"] == "created"
    assert "waits until service" in node.must("service", "ps", "web").out
    node.wait_until_running("web", 1)

    db, migrate, web = (container_state(node, name) for name in ("db", "migrate", "web"))
    assert (db["Health"]["Status"], migrate["Status"], migrate["ExitCode"]) == ("healthy", "exited", 0)
    assert moment(migrate["StartedAt"]) - moment(db["StartedAt"]) >= UNHEALTHY_FOR
    assert moment(web["StartedAt"]) >= moment(migrate["FinishedAt"])
