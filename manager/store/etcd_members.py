"""The members of etcd, by its own word. What is to become of them, `manager.members` decides."""

from typing import Any

from aetcd import rpc

from manager.members.port import InitialCluster, Member, MemberList
from manager.store.etcd_connection import EtcdConnection
from manager.store.etcd_connection import Member as Endpoint
from swarmpy.clock import Clock
from swarmpy.errors import Unavailable
from swarmpy.settings import EtcdSettings

_GONE = "member not found"


class EtcdMembers(MemberList):
    """A connection of its own: a change of members may wait while the store is read and written."""

    def __init__(self, settings: EtcdSettings, clock: Clock) -> None:
        self._connection = EtcdConnection(settings, clock)

    async def members(self) -> tuple[Member, ...]:
        def send(endpoint: Endpoint, **how: Any) -> Any:
            return endpoint.cluster.MemberList(rpc.MemberListRequest(linearizable=True), **how)

        answer = await self._connection.ask("list its members", send, repeatable=True)
        return tuple(_member(member) for member in answer.members)

    async def add(self, peer_url: str, name: str) -> InitialCluster:
        members = await self.members()
        known = next((member for member in members if member.peer_url == peer_url), None)
        if known is not None and known.has_started:
            # Whoever asks to be added has no data: what the member held is lost, and so is its vote.
            await self.remove(known.id)
            known = None
        if known is None:
            await self._add(peer_url)
            members = await self.members()
        return tuple((name if member.peer_url == peer_url else member.name, member.peer_url) for member in members)

    async def _add(self, peer_url: str) -> None:
        def send(endpoint: Endpoint, **how: Any) -> Any:
            return endpoint.cluster.MemberAdd(rpc.MemberAddRequest(peerURLs=[peer_url], isLearner=True), **how)

        await self._connection.ask("add a member", send, repeatable=False)

    async def promote(self, member_id: int) -> None:
        def send(endpoint: Endpoint, **how: Any) -> Any:
            return endpoint.cluster.MemberPromote(rpc.MemberPromoteRequest(ID=member_id), **how)

        await self._connection.ask("give a member its vote", send, repeatable=False)

    async def remove(self, member_id: int) -> None:
        def send(endpoint: Endpoint, **how: Any) -> Any:
            return endpoint.cluster.MemberRemove(rpc.MemberRemoveRequest(ID=member_id), **how)

        try:
            await self._connection.ask("remove a member", send, repeatable=False)
        except Unavailable as error:
            if _GONE not in str(error):
                raise

    async def close(self) -> None:
        await self._connection.close()


def _member(found: Any) -> Member:
    return Member(id=found.ID, name=found.name, peer_url=found.peerURLs[0], is_learner=found.isLearner)
