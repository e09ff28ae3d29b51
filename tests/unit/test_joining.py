"""Joining, renewing, leaving, over real TLS: who is let in, and what everybody else is told."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from support.door import BOUND, OpenDoor, open_door
from support.tls_port import stranger

from manager.store.codec import put
from manager.store.keys import key_of
from manager.store.port import Delete, Unit
from swarmpy.clock import SystemClock
from swarmpy.errors import BadRequest, Conflict, Forbidden, NotAMember, Unavailable
from swarmpy.idgen import new_id
from swarmpy.membership import (
    CERTIFICATE_PATH,
    JOIN_PATH,
    LEAVE_PATH,
    MEMBER_PATH,
    CertificateAnswer,
    CertificateRequest,
    Done,
    JoinAnswer,
    JoinRequest,
    LeaveRequest,
    MemberAnswer,
    MemberRequest,
)
from swarmpy.node.identity import IdentityFolder
from swarmpy.node.join import join_cluster
from swarmpy.node.managers import ask_one
from swarmpy.pki import Authority, Identity, digest_of, new_key, only_certificate, request_for
from swarmpy.settings import NodeSettings
from swarmpy.states import Role
from swarmpy.tokens import JoinWish

NOW = timedelta(0)


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[OpenDoor]:
    async with open_door(tmp_path) as opened:
        yield opened


class Joined:
    def __init__(self, door: OpenDoor, name: str) -> None:
        self.id = new_id()
        self.name = name
        self.identity = IdentityFolder(door.folder / name)
        self.settings = NodeSettings(hostname=name, advertise_address="127.0.0.1:2377", data_dir=door.folder / name)

    async def join(self, wish: JoinWish) -> "Joined":
        answer = await join_cluster(self.settings, self.identity, self.id, wish, SystemClock())
        self.identity.accept(answer.certificate)
        return self

    @property
    def role(self) -> Role:
        return self.identity.read().role


async def joined(door: OpenDoor, name: str, role: str = "worker") -> Joined:
    return await Joined(door, name).join(door.wish(role))


async def ask(door: OpenDoor, node: Joined, path: str, question: BaseModel, kind: type[Any]) -> Any:
    return await door.as_node(node.identity).ask(path, question, kind, NOW)


async def set_role(door: OpenDoor, node: Joined, role: Role) -> None:
    ledger = door.manager.ledger
    record = ledger.state.nodes[node.id]
    after = record.model_copy(update={"spec": record.spec.model_copy(update={"role": role})})
    await ledger.commit([Unit((put(after),))])


async def forget(door: OpenDoor, node: Joined) -> None:
    ledger = door.manager.ledger
    record = ledger.state.nodes[node.id]
    await ledger.commit([Unit((Delete(key_of(record), modified=record.version),))])


@pytest.mark.parametrize("role", ["worker", "manager"])
async def test_the_token_decides_what_a_node_becomes(door: OpenDoor, role: str) -> None:
    node = await joined(door, "two", role)

    record = door.manager.ledger.state.nodes[node.id]
    assert (node.role, record.spec.role) == (Role(role), Role(role))
    assert (record.description.hostname, record.address) == ("two", "127.0.0.1:2377")


async def test_the_key_of_the_ca_lies_in_the_store_alone_and_encrypted(door: OpenDoor) -> None:
    cluster = door.manager.ledger.state.cluster
    assert cluster is not None
    assert not (door.identity.folder / "ca.key").exists()
    assert "PRIVATE KEY" not in cluster.model_dump_json()
    assert door.manager.sealer.unseal(cluster.sealed_ca_key).startswith(b"-----BEGIN PRIVATE KEY")


async def test_a_node_that_heard_no_answer_asks_again_and_is_still_one_node(door: OpenDoor) -> None:
    node = Joined(door, "two")
    await node.join(door.wish("worker"))
    await node.join(door.wish("worker"))

    assert len(door.manager.ledger.state.nodes) == 2


async def test_an_id_that_is_taken_is_no_one_else_s(door: OpenDoor) -> None:
    node = await joined(door, "two")
    thief = Joined(door, "thief")
    thief.id = node.id
    with pytest.raises(Conflict, match="is taken by another node"):
        await thief.join(door.wish("manager"))


async def test_a_wrong_token_of_the_right_cluster_is_refused_in_words(door: OpenDoor) -> None:
    wish = door.wish("worker")
    wrong = replace(wish, token=replace(wish.token, secret="x" * 25))
    with pytest.raises(Forbidden, match="the join token is not valid") as refusal:
        await Joined(door, "two").join(wrong)
    assert "x" * 25 not in str(refusal.value)


async def test_a_token_is_worth_nothing_once_it_was_rotated(door: OpenDoor) -> None:
    old = door.wish("worker")
    ledger = door.manager.ledger
    cluster = ledger.state.cluster
    assert cluster is not None and cluster.sealed_join_secrets is not None
    secrets = cluster.sealed_join_secrets.model_copy(update={"worker": door.manager.sealer.seal(b"y" * 25)})
    await ledger.commit([Unit((put(cluster.model_copy(update={"sealed_join_secrets": secrets})),))])

    with pytest.raises(Forbidden, match="not valid"):
        await Joined(door, "two").join(old)
    assert (await joined(door, "three")).role is Role.WORKER
    assert (await joined(door, "four", "manager")).role is Role.MANAGER


async def test_the_token_of_another_cluster_is_refused_before_its_secret_is_sent(door: OpenDoor) -> None:
    foreign = Authority.create("other", SystemClock().now())
    wish = door.wish("worker")
    wrong = replace(wish, token=replace(wish.token, ca_digest=foreign.digest))
    node = Joined(door, "two")
    with pytest.raises(Forbidden, match="not of the cluster that the token is for"):
        await node.join(wrong)
    assert not node.identity.exists


async def test_a_member_renews_its_certificate_and_gets_the_role_on_record(door: OpenDoor) -> None:
    node = await joined(door, "two")
    question = CertificateRequest(request=node.identity.request())
    await set_role(door, node, Role.MANAGER)
    answer = await ask(door, node, CERTIFICATE_PATH, question, CertificateAnswer)
    node.identity.accept(answer.certificate)
    assert node.role is Role.MANAGER


async def test_a_certificate_for_another_key_is_not_given(door: OpenDoor) -> None:
    node = await joined(door, "two")
    with pytest.raises(Forbidden, match="another key"):
        await ask(door, node, CERTIFICATE_PATH, CertificateRequest(request=request_for(new_key())), CertificateAnswer)


async def test_a_removed_node_s_certificate_is_refused(door: OpenDoor) -> None:
    node = await joined(door, "two")
    await forget(door, node)
    with pytest.raises(NotAMember, match="no part of the cluster any more"):
        await ask(door, node, CERTIFICATE_PATH, CertificateRequest(request=node.identity.request()), CertificateAnswer)


async def test_a_certificate_that_has_ended_is_refused_in_words(door: OpenDoor) -> None:
    node = await joined(door, "two")
    cluster = door.manager.ledger.state.cluster
    assert cluster is not None
    key = door.manager.sealer.unseal(cluster.sealed_ca_key).decode()
    yesterday = SystemClock().now() - timedelta(days=1)
    ended = Authority(cluster.ca_certificate, key).issue(
        node.identity.request(), Identity(node.id, Role.WORKER, cluster.id), yesterday, timedelta(hours=1)
    )
    node.identity.accept(ended)
    with pytest.raises(Forbidden, match="certificate has ended"):
        await ask(door, node, LEAVE_PATH, LeaveRequest(), Done)

    await node.join(door.wish("worker"))
    await ask(door, node, LEAVE_PATH, LeaveRequest(), Done)


async def test_a_certificate_of_another_cluster_is_refused_in_words(door: OpenDoor) -> None:
    stranger = IdentityFolder(door.folder / "stranger")
    stranger.found("other", new_id(), "127.0.0.1", SystemClock().now())
    with pytest.raises(Forbidden, match="belongs to another cluster"):
        await door.as_node(stranger).ask(LEAVE_PATH, LeaveRequest(), Done, NOW)
    stranger.trust(door.identity.ca_certificate())
    with pytest.raises((Forbidden, Unavailable), match="does not accept this node's certificate"):
        await door.as_node(stranger).ask(LEAVE_PATH, LeaveRequest(), Done, NOW)


async def test_without_a_certificate_one_may_only_ask_to_join(door: OpenDoor) -> None:
    context = ssl.create_default_context(cadata=door.identity.ca_certificate())
    for path in (CERTIFICATE_PATH, LEAVE_PATH, MEMBER_PATH, "/api/nodes", "/nothing"):
        status, body = await door.port.get(path, context)
        assert (status, "needs a certificate" in body) == (403, True)


async def test_a_worker_reaches_nothing_that_is_the_managers(door: OpenDoor) -> None:
    node = await joined(door, "two")
    with pytest.raises(Forbidden, match="only managers may ask this"):
        await ask(door, node, MEMBER_PATH, MemberRequest(peer_url="https://127.0.0.1:1"), MemberAnswer)
    status, _ = await door.port.get("/api/services", node.identity.credentials.client_context())
    assert status == 403


async def test_a_demoted_manager_reaches_nothing_of_theirs_though_its_certificate_says_manager(door: OpenDoor) -> None:
    node = await joined(door, "two", "manager")
    await set_role(door, node, Role.WORKER)
    with pytest.raises(Forbidden, match="only managers may ask this"):
        await ask(door, node, MEMBER_PATH, MemberRequest(peer_url="https://127.0.0.1:1"), MemberAnswer)


async def test_a_manager_is_given_the_shared_key_and_a_place_among_the_members(door: OpenDoor) -> None:
    node = await joined(door, "two", "manager")
    url = "https://127.0.0.1:2381"
    question = MemberRequest(peer_url=url, etcd_request=node.identity.etcd_request())
    answer = await ask(door, node, MEMBER_PATH, question, MemberAnswer)

    assert dict(answer.initial_cluster)[node.id] == url
    assert len(answer.initial_cluster) == 2
    assert answer.sealing_key not in repr(answer)
    again = await ask(door, node, MEMBER_PATH, question, MemberAnswer)
    assert again.initial_cluster == answer.initial_cluster


async def test_a_node_leaves_and_is_forgotten(door: OpenDoor) -> None:
    node = await joined(door, "two")
    await ask(door, node, LEAVE_PATH, LeaveRequest(), Done)
    assert node.id not in door.manager.ledger.state.nodes


async def test_the_last_manager_leaves_only_by_force(door: OpenDoor) -> None:
    first = door.as_node(door.identity)
    with pytest.raises(BadRequest, match="is the last manager"):
        await first.ask(LEAVE_PATH, LeaveRequest(), Done, NOW)
    await first.ask(LEAVE_PATH, LeaveRequest(force=True), Done, NOW)


async def test_one_that_does_not_lead_says_so(door: OpenDoor) -> None:
    node = await joined(door, "two")
    door.manager.ledger.fence = None
    with pytest.raises(Unavailable, match="does not lead"):
        await ask(door, node, LEAVE_PATH, LeaveRequest(), Done)


async def test_a_request_that_does_not_arrive_is_not_waited_for(tmp_path: Path) -> None:
    head = f"POST {JOIN_PATH} HTTP/1.1\r\nHost: manager\r\nConnection: close\r\nContent-Length: 9\r\n\r\n".encode()
    async with open_door(tmp_path, arrives_within=0.2) as door:
        answer = await door.port.say_in_tls(head + b"{", stranger(door.identity.credentials.ca_file))

    assert answer.startswith(b"HTTP/1.1 400")
    assert b"did not arrive" in answer


async def test_what_is_no_certificate_request_is_refused(door: OpenDoor) -> None:
    wish = door.wish("worker")
    question = JoinRequest(secret=wish.token.secret, node_id=new_id(), request="r", hostname="h", address="a:1")
    with pytest.raises(BadRequest, match="certificate request cannot be read"):
        await door.as_node(door.identity).ask(JOIN_PATH, question, JoinAnswer, NOW)


async def test_a_ca_that_comes_in_company_is_kept_alone(door: OpenDoor) -> None:
    """Whoever answers in between could add his own."""
    evil = Authority.create("evil", SystemClock().now())
    wish = door.wish("worker")
    bundle = door.identity.ca_certificate() + evil.certificate
    kept = only_certificate(bundle)
    assert (digest_of(bundle), kept.count("BEGIN CERTIFICATE")) == (wish.token.ca_digest, 1)


async def test_a_known_node_keeps_its_role_whatever_token_it_shows(door: OpenDoor) -> None:
    node = await joined(door, "two", "manager")
    with pytest.raises(Conflict, match="is a manager on record"):
        await node.join(door.wish("worker"))


async def test_a_place_of_etcd_that_is_another_node_s_is_not_given(door: OpenDoor) -> None:
    node = await joined(door, "two", "manager")
    elsewhere = MemberRequest(peer_url="https://10.9.9.9:2380", etcd_request=node.identity.etcd_request())
    with pytest.raises(BadRequest, match="check --advertise-address"):
        await ask(door, node, MEMBER_PATH, elsewhere, MemberAnswer)
    taken = MemberRequest(peer_url="https://127.0.0.1:2380", etcd_request=node.identity.etcd_request())
    with pytest.raises(Conflict, match="has data already"):
        await ask(door, node, MEMBER_PATH, taken, MemberAnswer)


async def test_a_demoted_manager_keeps_its_certificate_until_its_vote_is_gone(door: OpenDoor) -> None:
    node = await joined(door, "two", "manager")
    url = "https://127.0.0.1:2381"
    question = MemberRequest(peer_url=url, etcd_request=node.identity.etcd_request())
    await ask(door, node, MEMBER_PATH, question, MemberAnswer)
    door.members.start(node.id, url)
    door.members.is_held = True
    await set_role(door, node, Role.WORKER)
    renewal = CertificateRequest(request=node.identity.request())
    with pytest.raises(Unavailable, match="is being removed first"):
        await ask(door, node, CERTIFICATE_PATH, renewal, CertificateAnswer)
    door.members.is_held = False
    async with asyncio.timeout(BOUND):
        while node.id in {member.name for member in await door.members.members()}:
            await asyncio.sleep(0.01)
    answer = await ask(door, node, CERTIFICATE_PATH, renewal, CertificateAnswer)
    node.identity.accept(answer.certificate)
    assert node.role is Role.WORKER


def test_where_nobody_listens_or_something_else_answers_the_words_say_so() -> None:
    context = ssl.create_default_context()
    with pytest.raises(Unavailable, match=r"no manager answers at 127\.0\.0\.1:1: .*refused"):
        ask_one("127.0.0.1:1", context, "/", None, Done)


def test_private_files_are_closed_to_others(tmp_path: Path) -> None:
    identity = IdentityFolder(tmp_path / "identity")
    identity.found("c", new_id(), "127.0.0.1", SystemClock().now())
    assert identity.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in identity.folder.iterdir()} == {0o600}
