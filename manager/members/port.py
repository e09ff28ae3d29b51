"""The members of the store's own database: who holds the data, who votes. Owns the words of listing and changing them.

Knows neither which members should be (`reconcile`) nor which database it is (`manager.store.etcd_members`, `memory`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

MemberID = int
# Name and peer URL of every member, as a member that starts for the first time is told them.
InitialCluster = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Member:
    """`name` is the node's id, and empty until the member has started for the first time. A member that does not vote
    yet only learns: it counts for no majority, and losing it costs nothing."""

    id: MemberID
    name: str
    peer_urls: tuple[str, ...]
    votes: bool = True

    @property
    def is_started(self) -> bool:
        return self.name != ""


class MemberList(Protocol):
    """Every method raises `Unavailable` when the database does not answer, has lost its majority, or refuses a change
    for now because members are not healthy: try again later. All may be repeated: what is so already is no error."""

    async def members(self) -> tuple[Member, ...]:
        """In order of their ids."""
        ...

    async def add(self, peer_url: str, name: str) -> InitialCluster:
        """Make room for a member that has no data yet, as one that does not vote. Returns what it must be told.

        Raises `Conflict` when a member with this name or URL has data already (remove it first), and `BadRequest` when
        the database's release is not fit for several members. Only one member at a time may be learning.
        """
        ...

    async def promote(self, member: MemberID) -> None:
        """Let it vote. `Unavailable` until it has learnt all; raises `NotFound` when there is no such member."""
        ...

    async def remove(self, member: MemberID) -> None:
        """Its process ends, and its data are of no use any more."""
        ...

    async def readdress(self, member: MemberID, peer_url: str) -> None:
        """The others find it at this URL from now on; not before it votes. Raises `NotFound` when there is no such
        member, and `Conflict` when another has this URL."""
        ...

    async def close(self) -> None: ...


def initial_cluster(members: Iterable[Member], peer_url: str, name: str) -> InitialCluster:
    """What the member at `peer_url` must be told. Others that have not started have no name yet, and any will do."""
    return tuple(
        (name if url == peer_url else member.name or f"{member.id:x}", url)
        for member in members
        for url in member.peer_urls
    )


def find_predecessors(members: Iterable[Member], peer_url: str, name: str) -> tuple[Member, ...]:
    """Those with data that stand in the way of a new member: of the same node, or at the same place."""
    return tuple(
        member for member in members if member.is_started and (member.name == name or peer_url in member.peer_urls)
    )
