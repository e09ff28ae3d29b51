"""Asks over a unix socket whether a child serves. One short HTTP GET, no client library to load."""

import asyncio
import json
from pathlib import Path

TIMEOUT = 2.0
OK = 200


async def answers(socket: Path, path: str) -> bool:
    """Whether a GET is answered with 200."""
    status, _ = await get(socket, path)
    return status == OK


async def node_is_ready(api_socket: Path, node_id: str) -> bool:
    """Whether the manager counts the node as ready for tasks."""
    status, body = await get(api_socket, f"/nodes/{node_id}")
    return status == OK and state_of(body) == "ready"


def state_of(body: bytes) -> str:
    """The state in a node as Docker writes it; empty when there is none to read."""
    try:
        return str(json.loads(body)["Status"]["State"])
    except (ValueError, KeyError, TypeError):
        return ""


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
