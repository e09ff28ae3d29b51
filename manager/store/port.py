"""The store as the manager sees it: keys and bytes under one revision counter.

Owns the words of reading, committing, watching and leasing. Knows neither what the bytes mean (`codec`, `keys`)
nor which database holds them (`etcd`, `memory`).
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

Revision = int
LeaseID = int


@dataclass(frozen=True, slots=True)
class Entry:
    """One key as it stands. `created` and `modified` are the revisions of its birth and its last write."""

    key: str
    value: bytes
    created: Revision
    modified: Revision


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one key: its new entry, or None when it was deleted."""

    key: str
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class Batch:
    """All changes of one revision, in order. Never split over two batches."""

    revision: Revision
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All entries under the store's prefix at one revision."""

    revision: Revision
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Put:
    """`modified`: the revision the key must have been written at; 0 = must not exist; None = whatever."""

    key: str
    value: bytes
    modified: Revision | None = None
    lease: LeaseID | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Deleting a key that is not there is no error unless `modified` says which version must be there."""

    key: str
    modified: Revision | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """A key that is not written but must stand at `modified` (0: must not exist)."""

    key: str
    modified: Revision


Write = Put | Delete | Check


@dataclass(frozen=True, slots=True)
class Unit:
    """Writes that happen all or not at all. No key may be named twice in one unit."""

    writes: tuple[Write, ...]


@dataclass(frozen=True, slots=True)
class Fence:
    """Every transaction holds only while `key` still has the create revision `created`: the leader's term."""

    key: str
    created: Revision


class Store(Protocol):
    """Keys given and returned are relative to the store's own prefix (`tasks/ID`, no leading slash).

    Every method raises `Unavailable` when the database cannot be reached in time; none waits for ever.
    """

    async def load(self) -> Snapshot:
        """Everything under the prefix, at one revision."""
        ...

    async def commit(self, units: Sequence[Unit], fence: Fence | None = None) -> tuple[Batch, ...]:
        """Write the units in order, packed into as few transactions as the database's limit allows.

        Every transaction carries the fence. A unit is never cut; two units may land in different transactions,
        so each must be safe alone. Returns what was written, one batch a transaction, as a watch would tell it.

        Raises `CommitConflict` when a condition of some unit failed (a transaction of several units is then
        retried without those, so the units that are sound are written; `CommitConflict` names what was written and
        what was refused), `LeadershipLost` when the fence did not hold (nothing more is written), `BadRequest`
        when one unit alone exceeds the limit (nothing is written). After `Unavailable` a write may or may not have
        taken effect; it is never sent twice.
        """
        ...

    def watch(self, after: Revision) -> AsyncGenerator[Batch, None]:
        """Every batch later than `after`, in order, none twice, none left out. An empty batch at `after` comes
        first, as soon as the watch stands: from then on the reader is in step.

        Raises `Unavailable` when the connection is lost (call again with the last revision seen to resume), and
        `HistoryGone` when the database has forgotten (compacted) what comes next: load again. A lost connection is
        noticed within seconds even when no packet says so.
        """
        ...

    async def grant(self, ttl: timedelta) -> LeaseID:
        """A lease that removes its keys when not kept alive for `ttl`."""
        ...

    async def keep_alive(self, lease: LeaseID) -> timedelta:
        """Renew; returns the time to live that is left. Raises `LeaseLost` when it has expired."""
        ...

    async def revoke(self, lease: LeaseID) -> None:
        """Give the lease back now, and its keys with it. No error when it is gone already."""
        ...

    async def compact(self, before: Revision) -> None:
        """Forget the history before this revision (the current values stay)."""
        ...

    async def close(self) -> None: ...
