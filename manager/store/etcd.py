"""The store in etcd.

Owns the shape of what is asked of etcd. Which member is asked and how failures are told is `etcd_connection`'s.
"""

import math
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta
from typing import Any

from aetcd import rpc

from manager.store.committing import Refused, Written, commit_units
from manager.store.errors import HistoryGone, LeaseLost
from manager.store.etcd_connection import EtcdConnection, Member, open_connection
from manager.store.etcd_transaction import Keys, outcome, transaction_request
from manager.store.etcd_watch import watch_prefix
from manager.store.pack import Transaction
from manager.store.port import Batch, Entry, Fence, LeaseID, Revision, Snapshot, Store, Unit
from swarmpy.clock import Clock
from swarmpy.retry import retrying
from swarmpy.settings import EtcdSettings

# Pages of a load: about so many bytes, whatever the size of values.
_PAGE_BYTES = 4_000_000
_FIRST_PAGE = 100
_LARGEST_PAGE = 5_000


async def open_etcd_store(settings: EtcdSettings, clock: Clock) -> "EtcdStore":
    """etcd need not be there yet: each call says `Unavailable` until it is.

    Raises `BadRequest` when a certificate or key file cannot be read.
    """
    return EtcdStore(open_connection(settings, clock), settings.prefix, clock)


class EtcdStore(Store):
    def __init__(self, connection: EtcdConnection, prefix: str, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._keys = Keys(prefix)

    async def load(self) -> Snapshot:
        # A compaction may forget the revision of the first page before the last page is read.
        return await retrying(
            self._load_once, on=HistoryGone, clock=self._clock, within=self._connection.timeout, attempts=3
        )

    async def _load_once(self) -> Snapshot:
        entries: list[Entry] = []
        revision: Revision = 0
        limit = _FIRST_PAGE
        key = self._keys.first
        while True:
            page = await self._page(key, limit, revision)
            revision = revision or page.header.revision
            entries.extend(self._keys.entry(pair) for pair in page.kvs)
            if not page.more:
                return Snapshot(revision, tuple(entries))
            key = page.kvs[-1].key + b"\0"
            limit = min(_LARGEST_PAGE, max(1, _PAGE_BYTES * len(page.kvs) // page.ByteSize()))

    async def _page(self, key: bytes, limit: int, revision: Revision) -> Any:
        request = rpc.RangeRequest(key=key, range_end=self._keys.end, limit=limit, revision=revision)

        def send(member: Member, **how: Any) -> Any:
            return member.kv.Range(request, **how)

        return await self._connection.ask("load", send, repeatable=True)

    async def commit(self, units: Sequence[Unit], fence: Fence | None = None) -> tuple[Batch, ...]:
        return await commit_units(units, fence, self._transact)

    async def _transact(self, transaction: Transaction, fence: Fence | None) -> Written | Refused:
        request = transaction_request(self._keys, transaction, fence)

        def send(member: Member, **how: Any) -> Any:
            return member.kv.Txn(request, **how)

        answer = await self._connection.ask("commit", send, repeatable=False)
        return outcome(self._keys, transaction, fence, answer)

    def watch(self, after: Revision) -> AsyncGenerator[Batch, None]:
        return watch_prefix(self._connection, self._keys, after)

    async def grant(self, ttl: timedelta) -> LeaseID:
        """etcd counts in seconds and may grant more than was asked for."""
        request = rpc.LeaseGrantRequest(TTL=math.ceil(ttl.total_seconds()))

        def send(member: Member, **how: Any) -> Any:
            return member.lease.LeaseGrant(request, **how)

        # Sent twice, one of the two leases dies unused.
        answer = await self._connection.ask("grant a lease", send, repeatable=True)
        return int(answer.ID)

    async def keep_alive(self, lease: LeaseID) -> timedelta:
        async def send(member: Member, **how: Any) -> Any:
            call = member.lease.LeaseKeepAlive(**how)
            try:
                await call.write(rpc.LeaseKeepAliveRequest(ID=lease))
                return await call.read()
            finally:
                call.cancel()

        answer = await self._connection.ask("keep a lease alive", send, repeatable=True)
        if answer.TTL <= 0:
            raise LeaseLost(f"etcd's lease {lease:x} has expired; its keys are gone")
        return timedelta(seconds=answer.TTL)

    async def revoke(self, lease: LeaseID) -> None:
        def send(member: Member, **how: Any) -> Any:
            return member.lease.LeaseRevoke(rpc.LeaseRevokeRequest(ID=lease), **how)

        try:
            await self._connection.ask("revoke a lease", send, repeatable=True)
        except LeaseLost:
            return

    async def compact(self, before: Revision) -> None:
        """etcd is told the revision before: of the one it is told, it forgets the deletions."""
        if before <= 1:
            return

        def send(member: Member, **how: Any) -> Any:
            return member.kv.Compact(rpc.CompactionRequest(revision=before - 1), **how)

        try:
            await self._connection.ask("compact", send, repeatable=True)
        except HistoryGone:
            return

    async def close(self) -> None:
        await self._connection.close()
