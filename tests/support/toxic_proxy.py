"""A forwarder between a client and a server that a test can sever, freeze and mend."""

import asyncio
import contextlib
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Self


class ToxicProxy:
    """Listens on the unix socket `path` and forwards to `target`, a gRPC-like name (`unix:/path`, `host:port`)."""

    def __init__(self, path: Path, target: str) -> None:
        self.path = path
        self._target = target
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._hangs_up = False
        self.accepted = 0

    @property
    def endpoint(self) -> str:
        return f"unix:{self.path}"

    async def sever(self) -> None:
        """Close all connections and accept no more."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.path.unlink(missing_ok=True)
        for connection in self._connections:
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections, timeout=10)

    async def hang_up(self) -> None:
        """Close all connections, and every new one as soon as it is made."""
        await self.sever()
        self._hangs_up = True
        await self._listen()

    def freeze(self) -> None:
        """Connections stay, but no byte passes and no packet says so: a partition."""
        self._thawed.clear()

    async def mend(self) -> None:
        self._thawed.set()
        self._hangs_up = False
        if self._server is None:
            await self._listen()

    async def __aenter__(self) -> Self:
        await self.mend()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.sever()

    async def _listen(self) -> None:
        self._server = await asyncio.start_unix_server(self._accept, self.path)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self._hangs_up:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._forward(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError):
                there_reader, there_writer = await self._connect()
                try:
                    await _first_of(self._pump(reader, there_writer), self._pump(there_reader, writer))
                finally:
                    there_writer.transport.abort()
        finally:
            writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._target.startswith("unix:"):
            return await asyncio.open_unix_connection(self._target.removeprefix("unix:"))
        host, _, port = self._target.rpartition(":")
        return await asyncio.open_connection(host, int(port))

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                await self._thawed.wait()
                sink.write(data)
                await sink.drain()


async def _first_of(*works: Coroutine[None, None, None]) -> None:
    """Until one has ended; then the others are ended too."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
