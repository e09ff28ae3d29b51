"""The API on a unix socket, for commands that run beside it."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from support.api import Api, running_api

from manager.listening import HttpServer, listen_unix


@dataclass(frozen=True)
class Said:
    """What became of a command."""

    code: int
    out: str
    err: str


@asynccontextmanager
async def served_api() -> AsyncIterator[tuple[Api, Path]]:
    """The API and its socket, in a folder of its own: socket paths are short, those of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="swarmpy-") as folder:
        socket = Path(folder) / "api.sock"
        async with running_api() as api:
            server = HttpServer(api.app, [listen_unix(socket, mode=0o600)])
            serving = asyncio.create_task(server.run_until_stopped())
            try:
                yield api, socket
            finally:
                server.stop()
                await serving
