"""The members of the store's own cluster, as the leader sees and changes them. Knows no node."""

from dataclasses import dataclass
from typing import Protocol

InitialCluster = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Member:
    """`name` is empty until the member has started once; a learner does not vote yet."""

    id: int
    name: str
    peer_url: str
    is_learner: bool = False

    @property
    def has_started(self) -> bool:
        return bool(self.name)


class MemberList(Protocol):
    """Every method raises `Unavailable` when the store does not answer, or cannot do it now."""

    async def members(self) -> tuple[Member, ...]: ...

    async def add(self, peer_url: str, name: str) -> InitialCluster:
        """Make room for a member that is about to start, as a learner, so that it costs no quorum while it is not
        there. Returns name and peer URL of all members, this one's too. One that is there already is not added again.
        """
        ...

    async def promote(self, member_id: int) -> None:
        """Give a learner its vote. Raises `Unavailable` while it has not caught up."""
        ...

    async def remove(self, member_id: int) -> None:
        """No error when it is gone already."""
        ...
