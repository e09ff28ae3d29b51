"""Updates and a rollback under load on a real engine: no request fails that went to a healthy replica."""

import json
from typing import Any

import pytest
from support.load import Load
from support.node import Node

REPLICAS, PARALLELISM = 3, 1
OK, FAILED = 0, 1

# A second until it serves, as real servers need; told to stop, it ends what it is at and goes.
SERVER = """
trap 'kill $server; sleep 0.3; exit 0' TERM
sleep 1
echo $VERSION > /www/index.html
httpd -f -p 8080 -h /www & server=$!
wait $server
"""
SERVES = {"test": ["CMD-SHELL", "grep -q :1F90 /proc/net/tcp6"], "interval": "500ms", "start_period": "20s"}
NEVER_SERVES = {"test": ["CMD-SHELL", "echo no licence; exit 1"], "interval": "500ms", "retries": 1}

# Order -> how many are healthy at the worst moment.
ORDERS = {"stop-first": REPLICAS - PARALLELISM, "start-first": REPLICAS}


def stack(version: str, order: str, health: dict[str, Any]) -> str:
    steps = {"parallelism": PARALLELISM, "order": order, "monitor": "500ms"}
    web = {
        "image": "lab:1",
        "command": ["sh", "-c", SERVER.replace("$", "$$")],
        "environment": {"VERSION": version},
        "healthcheck": health,
        "stop_grace_period": "10s",
        "deploy": {
            "replicas": REPLICAS,
            "update_config": {**steps, "failure_action": "rollback"},
            "rollback_config": steps,
        },
    }
    return json.dumps({"services": {"web": web}})


@pytest.mark.parametrize("order", ORDERS)
def test_no_request_to_a_healthy_replica_fails_in_an_update_and_a_rollback(node: Node, order: str) -> None:
    name = f"under-{order}"
    first = node.deploy(name, stack("one", order, SERVES))
    assert first.code == OK, first.all

    with Load(node, f"{name}_web").running() as load:
        load.wait_for_answers("one")
        updated = node.deploy(name, stack("two", order, SERVES))
        load.wait_for_answers("two")
        rolled_back = node.deploy(name, stack("three", order, NEVER_SERVES))
        load.wait_for_answers("two")

    report = load.report()
    print(f"\n{order}: {report.figures}")  # noqa: T201
    assert updated.code == OK, updated.all
    assert (rolled_back.code, "update rolled back" in rolled_back.err, "no licence" in rolled_back.err) == (
        FAILED,
        True,
        True,
    ), rolled_back.all
    assert report.failed == ()
    assert len(report.counted) > 1000
    assert report.fewest >= ORDERS[order]
    assert {one.body for one in report.counted} == {"one", "two"}
    node.must("stack", "rm", name)
