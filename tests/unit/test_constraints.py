"""Constraints as Docker writes them."""

import pytest
from support.scheduling import node

from scheduler.constraints import parse_constraints
from scheduler.node import NodeInfo, node_info
from swarmpy.errors import BadRequest
from swarmpy.models.node import EngineDescription, NodeDescription, NodeSpec, Platform
from swarmpy.states import Role

NODE = node_info(
    "abc123",
    NodeSpec(labels={"zone": "eu-1", "Tier": "Gold"}, role=Role.MANAGER),
    NodeDescription(
        hostname="alpha",
        platform=Platform(os="linux", architecture="x86_64"),
        engine=EngineDescription(labels={"storage": "ssd"}),
    ),
    ready=True,
    addr="10.1.2.3",
    message="",
)


def holds(text: str, info: NodeInfo = NODE) -> bool:
    (constraint,) = parse_constraints([text])
    return constraint.matches(info)


@pytest.mark.parametrize(
    "text",
    [
        "node.id == abc123",
        "node.id==abc123",
        "  node.hostname==ALPHA ",
        "NODE.HOSTNAME == alpha",
        "node.hostname != beta",
        "node.role == manager",
        "node.role != worker",
        "node.ip == 10.1.2.3",
        "node.ip == 10.1.0.0/16",
        "node.ip == 10.1.9.9/16",
        "node.ip != 10.2.0.0/16",
        "node.ip != fd00::/8",
        "node.platform.os == Linux",
        "node.platform.arch == x86_64",
        "node.platform.arch == amd64",
        "node.platform.arch != aarch64",
        "node.labels.zone == EU-1",
        "node.labels.zone != eu-2",
        "node.labels.Tier == gold",
        "node.labels.absent != anything",
        "engine.labels.storage == ssd",
        "Engine.Labels.storage != hdd",
    ],
)
def test_a_constraint_that_holds(text: str) -> None:
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "node.id == abc12",
        "node.hostname == alp*",
        "node.role == worker",
        "node.role != MANAGER",
        "node.ip == 10.1.2.4",
        "node.ip != 10.1.0.0/16",
        "node.ip == fd00::/8",
        "node.platform.arch != amd64",
        "node.labels.zone == eu-2",
        "node.labels.tier == gold",
        "node.labels.absent == anything",
        "engine.labels.storage != SSD",
        "node.labels.storage == ssd",
    ],
)
def test_a_constraint_that_does_not_hold(text: str) -> None:
    assert not holds(text)


def test_a_node_without_an_address_satisfies_no_rule_about_addresses() -> None:
    assert not holds("node.ip == 10.0.0.0/8", node("n1"))
    assert not holds("node.ip != 10.0.0.0/8", node("n1"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("node.role=manager", "constraint expected one operator from ==, !=: 'node.role=manager'"),
        ("node.role", "constraint expected one operator from ==, !="),
        ("", "constraint expected one operator from ==, !="),
        ("node.role == a == b", "constraint expected one operator from ==, !="),
        ("node.role ==", "no value after =="),
        ("node.role != ", "no value after !="),
        ("node.color == red", "unknown key 'node.color'; known are node.id, node.hostname"),
        ("node.labels. == red", "unknown key 'node.labels.'"),
        ("== red", "unknown key ''"),
        ("node.ip == somewhere", "'somewhere' is neither an IP address nor a range"),
        ("node.ip == 10.0.0.0/40", "'10.0.0.0/40' is neither an IP address nor a range"),
    ],
)
def test_a_constraint_that_makes_no_sense_is_refused_in_clear_words(text: str, words: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_constraints(["node.role == worker", text])
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("node.labels.zone==eu-2", "constraint node.labels.zone == eu-2 does not hold: zone is eu-1"),
        ("node.labels.rack != ", "rack is not set"),
        ("engine.labels.storage != ssd", "constraint engine.labels.storage != ssd does not hold: storage is ssd"),
        ("node.role == worker", "constraint node.role == worker does not hold: role is manager"),
        ("node.platform.arch == arm64", "constraint node.platform.arch == arm64 does not hold: arch is amd64"),
        ("node.ip == 10.9.0.0/16", "constraint node.ip == 10.9.0.0/16 does not hold: ip is 10.1.2.3"),
    ],
)
def test_a_breach_says_what_the_node_has_instead(text: str, words: str) -> None:
    (constraint,) = parse_constraints([text if "rack" not in text else "node.labels.rack == r1"])
    assert words in constraint.breach(NODE)
