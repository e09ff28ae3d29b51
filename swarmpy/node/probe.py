"""Asks whether a child serves: a short HTTP GET over its socket, without a client library, or a look at a file."""

import asyncio
from pathlib import Path

TIMEOUT = 2.0
OK = 200


async def answers(socket: Path, path: str) -> bool:
    """Whether a GET is answered with 200."""
    status, _ = await get(socket, path)
    return status == OK


async def is_there(path: Path) -> bool:
    """A file that a child makes when it serves."""
    return path.exists()


async def get(socket: Path, path: str) -> tuple[int, bytes]:
    """Status and body; status 0 when nobody answers in time."""
    try:
        async with asyncio.timeout(TIMEOUT):
            return await _get(socket, path)
    except (OSError, TimeoutError, ValueError, IndexError):
        return 0, b""


async def _get(socket: Path, path: str) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_unix_connection(str(socket))
    try:
        # HTTP/1.0: the answer is neither chunked nor followed by another.
        writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        return int(head.split()[1]), body
    finally:
        writer.close()
