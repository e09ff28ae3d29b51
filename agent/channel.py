"""A connection to a manager, frame by frame. Addresses are `unix:/path`: the manager of the same machine."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from swarmpy.errors import BadRequest, Unavailable

# A full set of a node with thousands of tasks fits.
LARGEST_FRAME = 64 * 1024 * 1024
# RFC 6455, section 5.5: 125 octets, and two of them are the code.
LONGEST_REASON = 123
UNIX = "unix:"


class ChannelClosed(Exception):
    """The other side is gone."""


class Channel(Protocol):
    async def send(self, frame: str | bytes) -> None:
        """Raises `ChannelClosed`. Waits while the other side does not read."""
        ...

    async def receive(self) -> str | bytes:
        """Raises `ChannelClosed`."""
        ...

    async def close(self, reason: str = "") -> None:
        """No error when it is closed already."""
        ...


# (address, path) -> channel. Raises `Unavailable`.
Connect = Callable[[str, str], Awaitable[Channel]]


class WebSocketChannel:
    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, frame: str | bytes) -> None:
        try:
            await self._connection.send(frame)
        except ConnectionClosed as error:
            raise ChannelClosed(str(error)) from None

    async def receive(self) -> str | bytes:
        try:
            return await self._connection.recv()
        except ConnectionClosed as error:
            raise ChannelClosed(str(error)) from None

    async def close(self, reason: str = "") -> None:
        await self._connection.close(1011 if reason else 1000, closing_reason(reason))


def closing_reason(reason: str) -> str:
    """As much of it as a closing frame can hold."""
    return reason.encode()[:LONGEST_REASON].decode(errors="ignore")


async def open_channel(address: str, path: str) -> Channel:
    """A WebSocket to that path of the manager."""
    if not address.startswith(UNIX):
        raise BadRequest(f"manager address {address!r} is not of the form unix:/path/to/socket")
    try:
        connection = await unix_connect(
            address.removeprefix(UNIX),
            uri=f"ws://manager{path}",
            open_timeout=5,
            close_timeout=2,
            max_size=LARGEST_FRAME,
            compression=None,
            # Silence is noticed by the session's own beats.
            ping_interval=None,
        )
    except (OSError, InvalidHandshake, InvalidMessage, TimeoutError, ConnectionClosed) as error:
        raise Unavailable(f"the manager at {address} does not answer: {_cause(error)}") from None
    return WebSocketChannel(connection)


def _cause(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
