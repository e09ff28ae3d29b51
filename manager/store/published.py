"""Keys outside the store's prefix, for others to read: the port, and one in memory.

Whoever reads them is no part of the cluster; nobody here reads them but to know what to write.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from manager.store.port import Fence
from swarmpy.errors import LeadershipLost


class PublishedKeys(Protocol):
    """Keys are whole (`/skydns/...`). Every method raises `Unavailable` when the database cannot be reached in time."""

    async def load(self, prefix: str) -> Mapping[str, bytes]:
        """All keys that begin so, with their values."""
        ...

    async def write(self, put: Mapping[str, bytes], drop: Sequence[str], fence: Fence) -> None:
        """In as few transactions as the database allows; each holds only while the fence does, else
        `LeadershipLost`. After `Unavailable` some may have been written."""
        ...

    async def close(self) -> None: ...


class MemoryPublished(PublishedKeys):
    """`term` is the create revision that a fence must name."""

    def __init__(self, term: int = 1) -> None:
        self.keys: dict[str, bytes] = {}
        self.term = term

    async def load(self, prefix: str) -> Mapping[str, bytes]:
        return {key: value for key, value in self.keys.items() if key.startswith(prefix)}

    async def write(self, put: Mapping[str, bytes], drop: Sequence[str], fence: Fence) -> None:
        if fence.created != self.term:
            raise LeadershipLost("another manager leads the cluster now; no name was published")
        self.keys.update(put)
        for key in drop:
            self.keys.pop(key, None)

    async def close(self) -> None:
        """Nothing is held."""
