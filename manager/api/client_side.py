"""The client of a request that is passed on: its body, read whole, and the moment it goes away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Message, Receive

from manager.api.problems import too_large
from swarmpy.limits import LARGEST_BODY


class ClientGone(Exception):
    """Nobody waits for the answer any more."""


async def read_whole(receive: Receive) -> bytes:
    """Raises `ClientGone`, and `BadRequest` for a body that no object could need."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY:
            raise too_large()
        if not message.get("more_body", False):
            return bytes(body)


class ClientSide:
    """`receive` gives the request once more, from its beginning, to an app of ours."""

    def __init__(self, body: bytes, gone: "asyncio.Task[None]") -> None:
        self.gone = gone
        self._body: bytes | None = body

    async def receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self.wait_until_gone()
        return {"type": "http.disconnect"}

    async def wait_until_gone(self) -> None:
        await asyncio.shield(self.gone)


@asynccontextmanager
async def watched(body: bytes, receive: Receive) -> AsyncIterator[ClientSide]:
    """A client whose body was read."""
    gone = asyncio.create_task(_until_disconnect(receive))
    try:
        yield ClientSide(body, gone)
    finally:
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
