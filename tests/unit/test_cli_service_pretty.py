"""A service as people read it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from swarmpy.cli.service_pretty import pretty_lines
from swarmpy.models.service import Service

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SECOND = 10**9
Document = dict[str, Any]

SMALL: Document = {
    "ID": "abc",
    "Spec": {
        "Name": "web",
        "Mode": {"Replicated": {"Replicas": 3}},
        "TaskTemplate": {"ContainerSpec": {"Image": "web:1"}},
    },
}
CONFIG = {
    "Parallelism": 2, "Delay": 10 * SECOND, "FailureAction": "pause", "Monitor": 90 * SECOND, "MaxFailureRatio": 0,
    "Order": "start-first",
}  # fmt: skip
FULL: Document = {
    "ID": "abc",
    "Endpoint": {"Ports": [{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "ingress"}]},
    "UpdateStatus": {
        "State": "paused",
        "StartedAt": (NOW - timedelta(minutes=2)).isoformat(),
        "Message": "update paused due to trouble",
    },
    "Spec": {
        "Name": "shop_web",
        "Labels": {"team": "shop"},
        "Mode": {"Replicated": {"Replicas": 1}},
        "UpdateConfig": CONFIG,
        "RollbackConfig": CONFIG | {"Parallelism": 0},
        "EndpointSpec": {"Mode": "vip"},
        "TaskTemplate": {
            "Networks": [{"Target": "n-1"}, {"Target": "n-2"}],
            "Placement": {
                "Constraints": ["node.role==worker"],
                "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.rack"}}],
                "MaxReplicas": 2,
            },
            "RestartPolicy": {"Condition": "any", "Delay": 5 * SECOND, "MaxAttempts": 3, "Window": 0},
            "Resources": {
                "Limits": {"NanoCPUs": 500_000_000, "MemoryBytes": 256 << 20, "Pids": 10},
                "Reservations": {"GenericResources": [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 2}}]},
            },
            "LogDriver": {"Name": "json-file", "Options": {"max-size": "10m"}},
            "ContainerSpec": {
                "Image": "web:1",
                "Args": ["sh", "-c", "sleep 5"],
                "Env": ["A=1"],
                "ReadOnly": True,
                "StopGracePeriod": 10 * SECOND,
                "Privileges": {"NoNewPrivileges": True, "SELinuxContext": None},
                "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}],
                "Mounts": [
                    {"Type": "volume", "Source": "data", "Target": "/data"},
                    {"Type": "tmpfs", "Target": "/tmp", "ReadOnly": True},
                ],
                "Secrets": [{"SecretName": "key", "SecretID": "s-1", "File": {"Name": "/run/key"}}],
                "Configs": [{"ConfigName": "conf", "ConfigID": "c-1"}],
                "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 30 * SECOND, "Retries": 3},
            },
        },
    },
}

TOLD = """\
ID: abc
Name: shop_web
Labels:
  team=shop
Service Mode: replicated, 1 replica
UpdateStatus:
  State: paused
  Started: 2 minutes ago
  Message: update paused due to trouble
Placement:
  Constraints:
    node.role==worker
  Spread over: node.labels.rack
  Max replicas per node: 2
UpdateConfig:
  Parallelism: 2
  Delay: 10s
  On failure: pause
  Monitoring period: 1m30s
  Max failure ratio: 0
  Order: start-first
RollbackConfig:
  Parallelism: all at once
  Delay: 10s
  On failure: pause
  Monitoring period: 1m30s
  Max failure ratio: 0
  Order: start-first
ContainerSpec:
  Image: web:1
  Args: sh -c 'sleep 5'
  Read only: true
  Stop grace period: 10s
  Ulimits: nofile=1:2
  Privileges: NoNewPrivileges
  Env:
    A=1
  Mounts:
    volume data -> /data
    tmpfs -> /tmp (read only)
  Secrets:
    key -> /run/key
  Configs:
    conf
  Healthcheck:
    Test: CMD-SHELL true
    Interval: 30s
    Retries: 3
Log Driver:
  Name: json-file
  Options:
    max-size=10m
RestartPolicy:
  Condition: any
  Delay: 5s
  Max attempts: 3
Resources:
  Reservations:
    Generic: gpu=2
  Limits:
    CPU: 0.5
    Memory: 256MiB
    Processes: 10
Networks: shop_default, n-2
Endpoint Mode: vip
Ports:
  8080 -> 80/tcp (ingress)"""


def test_a_small_service_is_told_in_a_few_lines() -> None:
    assert pretty_lines(SMALL, {}, NOW) == [
        "ID: abc",
        "Name: web",
        "Service Mode: replicated, 3 replicas",
        "ContainerSpec:",
        "  Image: web:1",
        "Endpoint Mode: vip",
    ]


def test_everything_that_was_said_is_told() -> None:
    Service.model_validate(FULL)
    assert "\n".join(pretty_lines(FULL, {"n-1": "shop_default"}, NOW)) == TOLD


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        ({"Global": {}}, "global"),
        ({"GlobalJob": {}}, "global job"),
        ({"ReplicatedJob": {"TotalCompletions": 4, "MaxConcurrent": 2}}, "replicated job, 4 completions, 2 at once"),
        ({"ReplicatedJob": {}}, "replicated job, 1 completion, 1 at once"),
        ({"Replicated": {}}, "replicated, 1 replica"),
    ],
)
def test_a_mode_is_told_in_words(mode: Document, told: str) -> None:
    service = SMALL | {"Spec": SMALL["Spec"] | {"Mode": mode}}
    assert f"Service Mode: {told}" in pretty_lines(service, {}, NOW)


def test_a_port_that_is_chosen_for_it_is_told_without_one() -> None:
    service = SMALL | {"Spec": SMALL["Spec"] | {"EndpointSpec": {"Ports": [{"TargetPort": 53, "Protocol": "udp"}]}}}
    assert pretty_lines(service, {}, NOW)[-2:] == ["Ports:", "  53/udp (ingress)"]
