"""What the engine is asked when it makes a bridge, by its version: its own packet rules are to stay out of the way."""

import pytest
from support.assignments import a_network

from agent.engine.docker_wire import bridge_options, limit_of, version_of
from agent.engine.ranges import EngineNetwork

TRUST = "com.docker.network.bridge.trusted_host_interfaces"
MODE = "com.docker.network.bridge.gateway_mode_ipv4"


@pytest.mark.parametrize(
    ("version", "extra"),
    [
        ("20.10.24+dfsg1", {}),
        ("26.1.5+dfsg1", {}),
        ("27.1.0", {MODE: "nat-unprotected"}),
        ("28.1.9-ce", {MODE: "nat-unprotected"}),
        ("28.2.0", {TRUST: "spx123456789abc"}),
        ("29.0.1", {TRUST: "spx123456789abc"}),
        ("", {}),
    ],
)
def test_an_engine_that_protects_containers_is_told_whom_to_trust(version: str, extra: dict[str, str]) -> None:
    always = {
        "com.docker.network.bridge.name": "spb123456789abc",
        "com.docker.network.bridge.enable_ip_masquerade": "false",
    }
    assert bridge_options("0123456789abc", version) == {**always, **extra}


def test_a_version_is_read_as_far_as_it_is_numbers() -> None:
    assert version_of("28.5.2+dfsg1-1") == (28, 5, 2)


NETWORK = a_network()


@pytest.mark.parametrize(
    ("made_by", "now", "lacks"),
    [
        ("20.10.24", "26.1.5", ()),
        ("20.10.24", "28.0.1", (MODE,)),
        ("26.1.5", "28.5.2", (TRUST,)),
        # What it has serves as well.
        ("27.1.0", "28.5.2", ()),
        ("28.5.2", "29.0.1", ()),
        ("28.5.2", "27.1.0", (MODE,)),
    ],
)
def test_a_network_of_another_version_says_what_it_lacks(made_by: str, now: str, lacks: tuple[str, ...]) -> None:
    existing = EngineNetwork("front", frozenset(), options=bridge_options(NETWORK.id, made_by))
    said = limit_of(existing, NETWORK, now)
    assert tuple(option for option in (MODE, TRUST) if option in said) == lacks
    assert bool(said) == bool(lacks)
