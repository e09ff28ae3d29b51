"""The stack that network tests share: on each node a service of networks `a` and `b`, and a published one on all."""

from typing import Any

from support.images import PROBE

STACK, WEB, EMPTY = "n", 8000, 8001
# The server listens; 1F90 is its port.
SERVES = {"test": ["CMD-SHELL", "grep -q :1F90 /proc/net/tcp"], "interval": "300ms", "retries": 50}
_STEPS = {"parallelism": 1, "order": "start-first", "monitor": "100ms"}


def a_service(*networks: str, **more: Any) -> dict[str, Any]:
    return {"image": PROBE, "networks": list(networks), "stop_grace_period": "5s", **more}


def on(node: str, *networks: str) -> dict[str, Any]:
    where = {"placement": {"constraints": [f"node.hostname=={node}"]}}
    return a_service(*networks, hostname=f"{networks[0]}-{node}", deploy=where)


def the_stack() -> dict[str, Any]:
    pinned = {f"{network}{number}": on(f"node-{number}", network) for network in "ab" for number in (1, 2, 3)}
    return {
        "services": {
            **pinned,
            "c1": on("node-1", "c"),
            "c2": on("node-2", "c"),
            "both": on("node-2", "a", "b"),
            "web": a_service(
                "a",
                hostname="web-{{.Task.Slot}}",
                ports=[f"{WEB}:8080", "9000:9000/udp"],
                healthcheck=SERVES,
                deploy={"replicas": 3, "update_config": _STEPS},
            ),
            "empty": a_service("a", ports=[f"{EMPTY}:8080"], deploy={"replicas": 0}),
        },
        "networks": {"a": {}, "b": {}, "c": {"internal": True}},
    }
