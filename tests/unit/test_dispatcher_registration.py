"""A node's record as its agent's words change it."""

import pytest
from pydantic import ValidationError
from support.picture import NOW, a_node
from support.scripted_agent import description

from manager.dispatcher.registration import described, registered
from swarmpy.wire import Described, Hello

KEYS = ("b3duIGtleSBvZiB0aGlzIG5vZGUgaXMgMzIgYnl0ZXM=", "dGhlIG5leHQga2V5IHRoYXQgaXMgMzIgYnl0ZXMgdG8=")
MACHINE = description("n1")


def test_a_nodes_key_is_on_record_and_changes_when_it_tells_another() -> None:
    node = registered(a_node(), Hello(description=MACHINE, wireguard_key=KEYS[0]), NOW)
    assert node is not None
    assert node.wireguard_key == KEYS[0]
    assert described(node, Described(session_id="s", description=MACHINE), NOW) is None

    for key in (KEYS[1], ""):
        after = described(node, Described(session_id="s", description=MACHINE, wireguard_key=key), NOW)
        assert after is not None
        assert after.wireguard_key == key


@pytest.mark.parametrize("key", ["x", KEYS[0][:-1], f"{KEYS[0]}\n", "allowed-ips=0.0.0.0/0"])
def test_what_is_no_key_is_not_told_as_one(key: str) -> None:
    with pytest.raises(ValidationError):
        Hello(description=MACHINE, wireguard_key=key)
