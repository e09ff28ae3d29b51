"""An engine in which starts hang, as they do while a file server does not answer: all else goes on."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent.engine.docker import CALLS_AT_ONCE, DockerEngine

_INFO = {
    "Name": "n",
    "OSType": "linux",
    "Architecture": "x86_64",
    "NCPU": 1,
    "MemTotal": 1,
    "ServerVersion": "20.10.24",
}


class StuckEngine:
    """Answers what reads; a start is answered when its container's name begins with `good`."""

    def __init__(self) -> None:
        self.hanging = 0
        self._never = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await reader.readuntil(b"\r\n\r\n"):
                path = request.split(b" ", 2)[1].decode()
                if path.endswith("/start") and "/good" not in path:
                    self.hanging += 1
                    await self._never.wait()
                writer.write(_answer(path))
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    def let_go(self) -> None:
        self._never.set()


def _answer(path: str) -> bytes:
    if path.endswith("/start"):
        return b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"
    body: Any = {"ApiVersion": "1.41"} if path.endswith("/version") else _INFO
    data = json.dumps(body).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(data), data)


@asynccontextmanager
async def stuck_engine(folder: Path) -> AsyncIterator[tuple[StuckEngine, DockerEngine]]:
    stuck, socket = StuckEngine(), folder / "engine.sock"
    server = await asyncio.start_unix_server(stuck.serve, socket)
    engine = DockerEngine(f"unix://{socket}")
    try:
        yield stuck, engine
    finally:
        stuck.let_go()
        server.close()
        await engine.close()


async def test_starts_that_hang_keep_neither_other_starts_nor_listings_waiting(tmp_path: Path) -> None:
    async with stuck_engine(tmp_path) as (stuck, engine), asyncio.timeout(20):
        await engine.describe()
        starts = [asyncio.ensure_future(engine.start(f"stuck{n}")) for n in range(2 * CALLS_AT_ONCE)]
        while stuck.hanging < len(starts):
            await asyncio.sleep(0.01)

        assert (await engine.describe()).hostname == "n"
        await engine.start("good")
        assert not any(start.done() for start in starts)
        stuck.let_go()
        await asyncio.gather(*starts)
