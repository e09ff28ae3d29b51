"""The members of etcd. Which of them is asked and how failures are told is `etcd_connection`'s."""

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from aetcd import rpc

from manager.members.port import InitialCluster, Member, MemberID, MemberList, find_predecessors, initial_cluster
from manager.store.etcd_connection import EtcdConnection, open_connection
from manager.store.etcd_connection import Member as Endpoint
from swarmpy.clock import Clock
from swarmpy.errors import BadRequest, Conflict, NotFound, Unavailable
from swarmpy.node.etcd import may_corrupt
from swarmpy.settings import EtcdSettings

# What etcd says when a change must wait, and what it means.
_NOT_YET = (
    ("unhealthy cluster", "a member is away, or has been connected for less than five seconds; try again"),
    ("not enough started members", "a member has not started yet; try again when it has"),
    ("too many learner members", "another new member is not ready yet; try again when it is"),
    ("in sync with leader", "the new member has not learnt all yet; try again"),
)


def open_etcd_members(settings: EtcdSettings, clock: Clock) -> "EtcdMembers":
    """Raises `BadRequest` when a certificate or key file cannot be read."""
    return EtcdMembers(open_connection(settings, clock))


class EtcdMembers(MemberList):
    def __init__(self, connection: EtcdConnection) -> None:
        self._connection = connection

    async def members(self) -> tuple[Member, ...]:
        def send(endpoint: Endpoint, **how: Any) -> Any:
            return endpoint.cluster.MemberList(rpc.MemberListRequest(), **how)

        answer = await self._connection.ask("list its members", send, repeatable=True)
        return _members(answer)

    async def add(self, peer_url: str, name: str) -> InitialCluster:
        await self._require_fit_release()
        known = await self.members()
        if predecessors := find_predecessors(known, peer_url, name):
            raise Conflict(f"etcd's member {predecessors[0].name} ({peer_url}) has data already; remove it first")
        if any(peer_url in member.peer_urls for member in known):
            return initial_cluster(known, peer_url, name)

        def send(endpoint: Endpoint, **how: Any) -> Any:
            return endpoint.cluster.MemberAdd(rpc.MemberAddRequest(peerURLs=[peer_url], isLearner=True), **how)

        try:
            answer = await self._change("add a member", send)
        except NotFound as refusal:
            # etcd makes a member's id from its URL and the second, and takes none that it has removed.
            raise Unavailable("etcd removed a member of this URL a moment ago; try again in a second") from refusal
        return initial_cluster(_members(answer), peer_url, name)

    async def promote(self, member: MemberID) -> None:
        def send(endpoint: Endpoint, **how: Any) -> Any:
            return endpoint.cluster.MemberPromote(rpc.MemberPromoteRequest(ID=member), **how)

        with suppress(Conflict):
            await self._change("let a member vote", send)

    async def remove(self, member: MemberID) -> None:
        # etcd 3.5 never answers when there is no such member.
        if all(known.id != member for known in await self.members()):
            return

        def send(endpoint: Endpoint, **how: Any) -> Any:
            return endpoint.cluster.MemberRemove(rpc.MemberRemoveRequest(ID=member), **how)

        with suppress(NotFound):
            await self._change("remove a member", send)

    async def readdress(self, member: MemberID, peer_url: str) -> None:
        known = next((one for one in await self.members() if one.id == member), None)
        if known is None:
            raise NotFound(f"etcd has no member {member:x}")
        if known.peer_urls == (peer_url,):
            return
        if not known.votes:
            # etcd 3.4 would call it a voter from then on, without letting it vote.
            raise Unavailable("etcd does not readdress a member before it votes; try again when it does")

        def send(endpoint: Endpoint, **how: Any) -> Any:
            return endpoint.cluster.MemberUpdate(rpc.MemberUpdateRequest(ID=member, peerURLs=[peer_url]), **how)

        await self._change("readdress a member", send)

    async def close(self) -> None:
        await self._connection.close()

    async def _change(self, what: str, send: Callable[..., Awaitable[Any]]) -> Any:
        """Asked once: who asks again looks first."""
        try:
            return await self._connection.ask(what, send, repeatable=False)
        except Unavailable as refusal:
            for words, meaning in _NOT_YET:
                if words in str(refusal):
                    raise Unavailable(f"etcd does not {what} now: {meaning}") from refusal
            raise

    async def _require_fit_release(self) -> None:
        def send(endpoint: Endpoint, **how: Any) -> Any:
            return endpoint.maintenance.Status(rpc.StatusRequest(), **how)

        check_fit((await self._connection.ask("tell its version", send, repeatable=True)).version)


def check_fit(version: str) -> None:
    """Refuse several members of a release that is for trials alone."""
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    if numbers and may_corrupt((int(numbers[1]), int(numbers[2]), int(numbers[3]))):
        raise BadRequest(
            f"etcd {version} is not fit for several managers, which can come to disagree after a crash: "
            "install etcd 3.4, or 3.5.3 or later, on every manager"
        )


def _members(answer: Any) -> tuple[Member, ...]:
    found = (
        Member(id=one.ID, name=one.name, peer_urls=tuple(one.peerURLs), votes=not one.isLearner)
        for one in answer.members
    )
    return tuple(sorted(found, key=lambda member: member.id))
