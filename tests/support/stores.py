"""Both stores behind one face, so that one suite can hold them to the same promises."""

import asyncio
import tempfile
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from support.etcd import EtcdServer
from support.toxic_proxy import ToxicProxy

from manager.store.etcd import open_etcd_store
from manager.store.memory import MemoryDatabase, MemoryStore
from manager.store.port import Batch, Delete, Entry, Fence, LeaseID, Put, Revision, Snapshot, Store, Unit
from swarmpy.clock import ManualClock, SystemClock
from swarmpy.settings import EtcdSettings

BOUND = 15.0


class StoreBench(Protocol):
    """A database, and what may happen to it and to the way there."""

    async def open(self) -> Store:
        """One more connection to the same data."""
        ...

    async def cut(self) -> None:
        """All connections are lost and none can be made."""
        ...

    async def mend(self) -> None: ...

    async def pass_time(self, duration: timedelta) -> None:
        """As leases count it."""
        ...


class MemoryBench:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.database = MemoryDatabase(self.clock)
        self._handles: list[MemoryStore] = []

    async def open(self) -> Store:
        handle = self.database.open()
        self._handles.append(handle)
        return handle

    async def cut(self) -> None:
        for handle in self._handles:
            handle.cut()

    async def mend(self) -> None:
        for handle in self._handles:
            handle.mend()

    async def pass_time(self, duration: timedelta) -> None:
        self.clock.advance(duration)
        await asyncio.sleep(0)

    async def close(self) -> None:
        for handle in self._handles:
            await handle.close()


class EtcdBench:
    """A prefix of its own in a shared etcd, reached through a proxy that can be cut."""

    def __init__(self, server: EtcdServer) -> None:
        self._server = server
        self._prefix = f"test-{uuid.uuid4().hex}"
        self._stack = AsyncExitStack()
        directory = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="proxy-"))
        self.proxy = ToxicProxy(Path(directory) / "socket", server.endpoint)

    @property
    def settings(self) -> EtcdSettings:
        return EtcdSettings(
            endpoints=(self.proxy.endpoint,), prefix=self._prefix, timeout=timedelta(milliseconds=1_000)
        )

    async def start(self) -> None:
        await self._stack.enter_async_context(self.proxy)

    async def open(self) -> Store:
        store = await open_etcd_store(self.settings, SystemClock())
        self._stack.push_async_callback(store.close)
        return store

    async def cut(self) -> None:
        await self.proxy.sever()

    async def mend(self) -> None:
        await self.proxy.mend()

    async def pass_time(self, duration: timedelta) -> None:
        await SystemClock().sleep(duration)

    async def close(self) -> None:
        await self._stack.aclose()


class Relay(Store):
    """Passes everything on; tests override the one method they bend."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def load(self) -> Snapshot:
        return await self._store.load()

    async def commit(self, units: Sequence[Unit], fence: Fence | None = None) -> tuple[Batch, ...]:
        return await self._store.commit(units, fence)

    def watch(self, after: Revision) -> AsyncGenerator[Batch, None]:
        return self._store.watch(after)

    async def grant(self, ttl: timedelta) -> LeaseID:
        return await self._store.grant(ttl)

    async def keep_alive(self, lease: LeaseID) -> timedelta:
        return await self._store.keep_alive(lease)

    async def revoke(self, lease: LeaseID) -> None:
        await self._store.revoke(lease)

    async def compact(self, before: Revision) -> None:
        await self._store.compact(before)

    async def close(self) -> None:
        await self._store.close()


# words for the tests


def put(key: str, value: str = "x", modified: Revision | None = None) -> Unit:
    return Unit((Put(key, value.encode(), modified),))


def create(key: str, value: str = "x") -> Unit:
    return put(key, value, modified=0)


def delete(key: str, modified: Revision | None = None) -> Unit:
    return Unit((Delete(key, modified),))


async def values(store: Store) -> dict[str, str]:
    return {entry.key: entry.value.decode() for entry in (await store.load()).entries}


async def entry_of(store: Store, key: str) -> Entry:
    return next(entry for entry in (await store.load()).entries if entry.key == key)


async def wait_until(condition: Callable[[], Awaitable[bool]], within: float = BOUND) -> None:
    async with asyncio.timeout(within):
        while not await condition():
            await asyncio.sleep(0.01)


async def watched(store: Store, after: Revision, until: Revision) -> list[Batch]:
    """What a watch tells, until it has told of the revision `until`; the empty batch at the start left out."""
    told: list[Batch] = []
    batches = store.watch(after)
    try:
        async with asyncio.timeout(BOUND):
            async for batch in batches:
                told.append(batch)
                if batch.revision >= until:
                    break
    finally:
        await batches.aclose()
    assert told[0] == Batch(after, ())
    return told[1:]
