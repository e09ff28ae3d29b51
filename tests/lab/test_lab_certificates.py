"""Certificates that live a minute: renewed by all who have one, and nobody notices."""

from collections.abc import Iterator

import pytest
from support.dockerd import Dockerd
from support.node import Node, wait_until

from swarmpy.node.identity import IdentityFolder
from swarmpy.tokens import parse_join

pytestmark = [pytest.mark.lab, pytest.mark.docker, pytest.mark.etcd, pytest.mark.timeout(240)]

# Renewal begins when 50 to 70 % of the minute are over.
RENEWED_WITHIN = 75.0


@pytest.fixture
def first(engine: Dockerd) -> Iterator[Node]:
    node = Node(engine)
    try:
        node.start()
        yield node
    finally:
        node.close()


def state_of(first: Node, name: str) -> str:
    nodes = {node["Description"]["Hostname"]: node for node in first.get("/nodes")}
    return str(nodes[name]["Status"]["State"]) if name in nodes else ""


def test_a_manager_s_certificates_are_renewed_and_taken_up_while_it_runs(first: Node, engine: Dockerd) -> None:
    changed = first.docker_cli("swarm", "update", "--cert-expiry", "1m0s")
    assert changed.code == 0, changed.all
    wish = first.must("token", "manager", "-q").out.strip()
    second = Node(engine, "node-2", ("--join", wish))
    try:
        second.start()
        identity = IdentityFolder(second.data_dir / "identity")
        known, agent = identity.validity(), second.children()["agent"]
        assert (known.ends - known.issued).total_seconds() == 60
        etcd_known = identity.etcd_cert_file.read_bytes()

        wait_until("it is renewed", lambda: identity.validity().ends > known.ends, RENEWED_WITHIN)
        wait_until("its door shows the new one", lambda: "tls.certificate_renewed" in second.log)
        assert identity.etcd_cert_file.read_bytes() != etcd_known
        assert second.children()["agent"] == agent
        assert state_of(first, "node-2") == "ready"
        # It still asks the leader, and the leader it, by the new certificate.
        assert second.must("service", "ls").code == 0
    finally:
        second.close()


def test_a_token_that_was_rotated_joins_nobody(first: Node, engine: Dockerd) -> None:
    old = first.must("token", "worker", "-q").out.strip()
    new = first.must("token", "worker", "--rotate", "-q").out.strip()
    assert parse_join(old).token.secret != parse_join(new).token.secret
    late = Node(engine, "node-2", ("--join", old))
    try:
        with pytest.raises(AssertionError, match="the join token is not valid"):
            late.start()
    finally:
        late.close()


def test_options_are_remembered_and_a_member_needs_no_token(first: Node, engine: Dockerd) -> None:
    second = Node(engine, "node-2", ("--join", first.must("token", "worker", "-q").out.strip()))
    try:
        second.start()
        second.stop()
        second.start(again=True)
        wait_until("it is ready again", lambda: state_of(first, "node-2") == "ready")
    finally:
        second.close()
