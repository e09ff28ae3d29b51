"""Who becomes a member and what it is given: certificates, the managers' shared key. Only the leader registers.

Owns the CA's key while it signs, and the comparing of tokens. What a node may ask for at all is the door's business.
"""

import hmac
from base64 import b64encode
from contextlib import suppress
from datetime import timedelta

from manager.admission.joining import Candidate, admit_equipped, admit_join, admit_leave
from manager.ca.sealing import Sealer
from manager.dispatcher.registration import managers_of
from manager.ledger import Ledger
from manager.members.admit import admit
from manager.members.port import MemberList
from manager.members.reconcile import why_not_fewer_managers
from manager.objects import Cluster, Node
from manager.writing import carry_out
from swarmpy.clock import Clock
from swarmpy.errors import BadRequest, Forbidden, LeadershipLost, NotAMember, Unavailable
from swarmpy.logs import logger
from swarmpy.membership import (
    CertificateAnswer,
    CertificateRequest,
    JoinAnswer,
    JoinRequest,
    LeaveRequest,
    MemberAnswer,
    MemberRequest,
)
from swarmpy.pki import CERTIFICATE_LIFETIME, Authority, Identity, key_digest_of
from swarmpy.states import Role
from swarmpy.tokens import host_of

log = logger("registrar")


class Registrar:
    """`members` is None where the operators bring their etcd."""

    # In seconds; the node that asks waits ten.
    REMOVED_WITHIN = 7.0
    LOOK_EVERY = timedelta(milliseconds=200)

    def __init__(self, ledger: Ledger, clock: Clock, sealer: Sealer, members: MemberList | None) -> None:
        self._ledger = ledger
        self._clock = clock
        self._sealer = sealer
        self._members = members
        self._authority: Authority | None = None

    def ca_certificate(self) -> str:
        """Public, and the same on every manager."""
        return self._cluster().ca_certificate

    async def join(self, request: JoinRequest) -> JoinAnswer:
        """Raises `Forbidden` for a wrong token, `Conflict` for an id that is taken."""
        self._must_lead()
        cluster = self._cluster()
        role = self._role_for(cluster, request.secret)
        key_digest = key_digest_of(request.request)
        candidate = Candidate(request.node_id, role, request.hostname, request.address, key_digest)
        node = await carry_out(
            self._ledger, self._clock, lambda: admit_join(self._ledger.state, candidate, self._clock.now())
        )
        log.info("node.joined", node=node.id, hostname=request.hostname, role=role.value, address=request.address)
        managers = managers_of(self._ledger.state)
        return JoinAnswer(
            cluster_id=cluster.id, certificate=self._issue(cluster, node, request.request), managers=managers
        )

    async def renew(self, identity: Identity, request: CertificateRequest) -> CertificateAnswer:
        """For the role on record. Raises `Forbidden` for another key than the node joined with, `Unavailable` while
        a manager that was demoted still has a vote: it may not throw that away."""
        self._must_lead()
        cluster, node = self._cluster(), self.member(identity)
        if not node.is_manager and await self._is_member(node.id):
            raise Unavailable("its member of etcd is being removed first; try again in a moment")
        if key_digest_of(request.request) != node.key_digest:
            raise Forbidden("the certificate request is for another key than this node joined with")
        certificate = self._issue(cluster, node, request.request)
        log.info("certificate.issued", node=node.id, role=node.spec.role.value)
        etcd = request.etcd_request
        return CertificateAnswer(
            certificate=certificate,
            etcd_certificate=self._issue_for_etcd(cluster, node, etcd) if etcd and node.is_manager else None,
        )

    async def add_member(self, identity: Identity, request: MemberRequest) -> MemberAnswer:
        """What a manager's node needs to be one. Asking again changes nothing more."""
        self._must_lead()
        cluster, node = self._cluster(), self.member(identity)
        if not node.is_manager or identity.role is not Role.MANAGER:
            raise Forbidden("this node is to be a worker: promote it first")
        key = b64encode(self._sealer.key).decode()
        if self._members is None:
            if request.peer_url is not None:
                raise BadRequest("this cluster keeps its state in an etcd of its own: name it with --etcd-endpoints")
            await self._note_equipped(identity)
            return MemberAnswer(sealing_key=key)
        if request.peer_url is None or request.etcd_request is None:
            raise BadRequest("this cluster's managers run etcd themselves: leave --etcd-endpoints out")
        if host_of(request.peer_url.removeprefix("https://")) != node.addr:
            raise BadRequest(
                f"{request.peer_url} is not at this node's address, {node.addr}: check --advertise-address"
            )
        certificate = self._issue_for_etcd(cluster, node, request.etcd_request)
        members = await admit(self._members, node.id, request.peer_url)
        await self._note_equipped(identity)
        log.info("etcd.member_added", node=node.id, peer=request.peer_url)
        return MemberAnswer(sealing_key=key, etcd_certificate=certificate, initial_cluster=members)

    async def leave(self, identity: Identity, request: LeaveRequest) -> None:
        """The node is forgotten. Raises `BadRequest` when the managers that stay could not go on without it."""
        self._must_lead()
        node = self.member(identity)
        members = await self._members.members() if self._members is not None and node.is_manager else None
        obstacle = None if request.force else why_not_fewer_managers(self._ledger.state, node.id, members)
        if obstacle is not None:
            raise BadRequest(obstacle)
        await carry_out(self._ledger, self._clock, lambda: admit_leave(self.member(identity)))
        log.info("node.left", node=node.id)
        if node.is_manager and not request.force:
            await self._wait_until_no_member(node.id)

    def member(self, identity: Identity) -> Node:
        """The node that a certificate names. Raises `Forbidden` when it is no part of the cluster any more."""
        node = self._ledger.state.nodes.get(identity.node_id)
        cluster = self._cluster()
        if node is None or identity.cluster_id != cluster.id:
            raise NotAMember("this node is no part of the cluster any more: run `swarmpy leave`, then join it again")
        return node

    async def _note_equipped(self, identity: Identity) -> None:
        await carry_out(self._ledger, self._clock, lambda: admit_equipped(self.member(identity), self._clock.now()))

    async def _is_member(self, node_id: str) -> bool:
        return self._members is not None and any(one.name == node_id for one in await self._members.members())

    async def _wait_until_no_member(self, node_id: str) -> None:
        """So that the node throws no vote away. An etcd that answers no more was this node's own, and is removed."""
        deadline = self._clock.monotonic() + self.REMOVED_WITHIN
        with suppress(Unavailable):
            while await self._is_member(node_id) and self._clock.monotonic() < deadline:
                await self._clock.sleep(self.LOOK_EVERY)

    def _must_lead(self) -> None:
        if not self._ledger.is_leading:
            raise LeadershipLost("this manager does not lead the cluster")

    def _cluster(self) -> Cluster:
        cluster = self._ledger.state.cluster
        if cluster is None or not cluster.ca_certificate:
            raise Unavailable("the cluster is being set up; try again in a moment")
        return cluster

    def _role_for(self, cluster: Cluster, secret: str) -> Role:
        sealed = cluster.sealed_join_secrets
        assert sealed is not None
        for role, text in ((Role.MANAGER, sealed.manager), (Role.WORKER, sealed.worker)):
            if hmac.compare_digest(self._sealer.unseal(text), secret.encode()):
                return role
        raise Forbidden(
            "the join token is not valid (any more): `swarmpy token worker` on a manager prints the present one"
        )

    def _issue(self, cluster: Cluster, node: Node, request: str) -> str:
        identity = Identity(node.id, node.spec.role, cluster.id)
        return self._ca(cluster).issue(request, identity, self._clock.now(), lifetime_of(cluster))

    def _issue_for_etcd(self, cluster: Cluster, node: Node, request: str) -> str:
        return self._ca(cluster).issue_for_etcd(request, node.addr, self._clock.now(), lifetime_of(cluster))

    def _ca(self, cluster: Cluster) -> Authority:
        if self._authority is None or self._authority.certificate != cluster.ca_certificate:
            key = self._sealer.unseal(cluster.sealed_ca_key).decode()
            self._authority = Authority(cluster.ca_certificate, key)
        return self._authority


def lifetime_of(cluster: Cluster) -> timedelta:
    """How long a node's certificate is valid."""
    config = cluster.spec.ca_config
    nanoseconds = config.node_cert_expiry if config else None
    return timedelta(microseconds=(nanoseconds or 0) / 1000) or CERTIFICATE_LIFETIME
