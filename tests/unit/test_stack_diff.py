"""What an update would change, beside what the manager holds."""

from datetime import UTC, datetime
from typing import Any

import pytest
from support.stackfiles import planned, planned_service, service_lines

from manager.admission.defaults import with_shown_defaults, with_stored_defaults
from swarmpy.stack.diff import FieldChange, changes

NOW = datetime(2030, 1, 1, tzinfo=UTC)
FULL = """
command: a b
environment: {A: 1}
healthcheck: {test: ok, interval: 2s}
volumes: ['/a:/b', 'v:/c']
ports: [{mode: host, target: 80}]
networks: [b, a]
deploy: {replicas: 3, update_config: {delay: 1s}, resources: {limits: {memory: 64m}}}
"""
REST = "volumes: {v: }\nnetworks: {a: , b: }\n"
IDS = {"shop_a": "id-2", "shop_b": "id-1", "shop_default": "id-0"}
NAMES = {network_id: name for name, network_id in IDS.items()} | {"s-1": "key", "c-1": "file"}


def wish(lines: str = FULL) -> dict[str, Any]:
    return planned(service_lines(lines) + REST).services[0]


def stored(lines: str = FULL) -> dict[str, Any]:
    """As the manager keeps such a wish: completed, networks by id."""
    spec = with_stored_defaults(planned_service(lines, REST)).to_docker()
    for attachment in spec["TaskTemplate"]["Networks"]:
        attachment["Target"] = IDS[attachment["Target"]]
    return spec


@pytest.mark.parametrize("lines", [FULL, "user: me", "deploy: {mode: global}", "deploy: {mode: replicated-job}"])
def test_the_same_file_changes_nothing(lines: str) -> None:
    assert changes(wish(lines), stored(lines), NAMES) == ()


def test_the_order_in_which_the_manager_lists_networks_means_nothing() -> None:
    kept = stored()
    kept["TaskTemplate"]["Networks"].reverse()
    assert changes(wish(), kept, NAMES) == ()


def test_a_forced_update_is_no_wish_of_the_file() -> None:
    kept = stored()
    kept["TaskTemplate"]["ForceUpdate"] = 4
    assert changes(wish(), kept, NAMES) == ()


@pytest.mark.parametrize(
    ("before", "after", "fields"),
    [
        ("user: a", "user: b", ("TaskTemplate.ContainerSpec.User",)),
        ("user: a", "tty: true", ("TaskTemplate.ContainerSpec.TTY", "TaskTemplate.ContainerSpec.User")),
        ("environment: [A=1]", "environment: [A=2]", ("TaskTemplate.ContainerSpec.Env",)),
        ("deploy: {replicas: 1}", "deploy: {replicas: 0}", ("Mode.Replicated.Replicas",)),
        ("deploy: {replicas: 3}", "user: ''", ("Mode.Replicated.Replicas",)),
        ("deploy: {replicas: 1}", "user: ''", ()),
        ("deploy: {mode: global}", "user: ''", ("Mode.Global", "Mode.Replicated")),
        ("deploy: {endpoint_mode: dnsrr}", "user: ''", ("EndpointSpec.Mode",)),
        ("deploy: {endpoint_mode: vip}", "user: ''", ()),
        ("networks: [a]", "networks: [b]", ("TaskTemplate.Networks",)),
        ("labels: [a=1]", "labels: [a=]", ("TaskTemplate.ContainerSpec.Labels.a",)),
        ("deploy: {update_config: {parallelism: 0}}", "deploy: {update_config: {}}", ("UpdateConfig.Parallelism",)),
        ("user: ''", "deploy: {update_config: {parallelism: 0}}", ("UpdateConfig.Parallelism",)),
        ("user: ''", "deploy: {update_config: {monitor: 0s}}", ("UpdateConfig.Monitor",)),
        ("user: ''", "deploy: {rollback_config: {parallelism: 0}}", ("RollbackConfig.Parallelism",)),
        ("user: ''", "stop_grace_period: 0s", ("TaskTemplate.ContainerSpec.StopGracePeriod",)),
        ("stop_grace_period: 0s", "user: ''", ("TaskTemplate.ContainerSpec.StopGracePeriod",)),
        ("user: ''", "stop_grace_period: 10s", ()),
        ("user: ''", "init: false", ("TaskTemplate.ContainerSpec.Init",)),
        ("init: false", "user: ''", ("TaskTemplate.ContainerSpec.Init",)),
        ("user: ''", "tty: false", ()),
        ("user: ''", "labels: [a=]", ("TaskTemplate.ContainerSpec.Labels.a",)),
        ("user: ''", "deploy: {labels: {a: ''}}", ("Labels.a",)),
        (
            "logging: {driver: syslog}",
            "logging: {driver: syslog, options: {tag: ''}}",
            ("TaskTemplate.LogDriver.Options.tag",),
        ),
        ("user: ''", "deploy: {restart_policy: {condition: any}}", ()),
    ],
)
def test_a_change_is_named(before: str, after: str, fields: tuple[str, ...]) -> None:
    assert tuple(change.path for change in changes(wish(after), stored(before), NAMES)) == fields


@pytest.mark.parametrize("lines", ["user: a", "deploy: {mode: global}", "deploy: {mode: replicated-job}"])
def test_what_the_manager_fills_in_says_nothing(lines: str) -> None:
    shown = with_shown_defaults(with_stored_defaults(planned_service(lines))).to_docker()
    assert changes(wish(lines), shown, NAMES | {"shop_default": "shop_default"}) == ()


def test_a_change_tells_old_and_new() -> None:
    assert changes(wish("user: b"), stored("user: a"), NAMES) == (
        FieldChange("TaskTemplate.ContainerSpec.User", "a", "b"),
    )
    assert changes(wish("deploy: {replicas: 3}"), stored("user: ''"), NAMES) == (
        FieldChange("Mode.Replicated.Replicas", None, 3),
    )


def with_references(spec: dict[str, Any], *secrets: dict[str, Any]) -> dict[str, Any]:
    container = spec["TaskTemplate"]["ContainerSpec"] | {"Secrets": list(secrets)}
    return spec | {"TaskTemplate": spec["TaskTemplate"] | {"ContainerSpec": container}}


def test_secrets_are_compared_by_name_and_in_any_order() -> None:
    one, two = {"SecretName": "key", "File": {"Name": "a"}}, {"SecretName": "other", "File": {"Name": "b"}}
    kept = with_references(stored(), two | {"SecretID": "s-2"}, one | {"SecretID": "s-1"})
    names = NAMES | {"s-2": "other"}

    assert changes(with_references(wish(), one, two), kept, names) == ()
    (change,) = changes(with_references(wish(), one), kept, names)
    assert change.path == "TaskTemplate.ContainerSpec.Secrets"


def test_a_secret_that_took_the_place_of_another_of_its_name_is_a_change() -> None:
    kept = with_references(stored(), {"SecretName": "key", "SecretID": "s-0"})
    assert changes(with_references(wish(), {"SecretName": "key"}), kept, NAMES) != ()
