"""A port of this machine's loopback that leads to one on a node's own loopback, such as the status page's.

Owns the copying of bytes. What is listened on here is loopback only, as it is there.
"""

import asyncio
import ctypes
import os
import socket
from contextlib import suppress
from pathlib import Path

from swarmpy.errors import Conflict, Unavailable

LOOPBACK = "127.0.0.1"
_PIECE = 64 * 1024
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


async def forward(init: int, there: int, here: int) -> None:
    """Until cancelled. `init` is the node's first process. Raises `Conflict` when the port here is taken."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            plain = await asyncio.to_thread(_connect_in, init, there)
            inner_reader, inner_writer = await asyncio.open_connection(sock=plain)
        except (OSError, Unavailable):
            writer.close()
            return
        try:
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
        finally:
            inner_writer.close()
            writer.close()

    try:
        server = await asyncio.start_server(serve, LOOPBACK, here)
    except OSError as error:
        raise Conflict(f"cannot listen on {LOOPBACK}:{here}: {error.strerror}; choose another --port") from error
    async with server:
        await server.serve_forever()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()
        writer.write_eof()


def _connect_in(init: int, port: int) -> socket.socket:
    """A socket stays in the network that its thread was in when it was made."""
    with Path("/proc/thread-self/ns/net").open() as home, Path(f"/proc/{init}/ns/net").open() as node:
        _enter(node.fileno())
        try:
            connected = socket.create_connection((LOOPBACK, port), timeout=5)
        finally:
            _enter(home.fileno())
    connected.setblocking(False)
    return connected


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, _CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise Unavailable(f"cannot enter the node's network: {os.strerror(code)}")
