"""A connection to a manager, frame by frame: a WebSocket over TLS. Addresses are `host:port`."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidURI

from swarmpy.errors import Unavailable
from swarmpy.pki import MANAGER_NAME, Credentials

# A full set of a node with thousands of tasks fits.
LARGEST_FRAME = 64 * 1024 * 1024
# RFC 6455, section 5.5: 125 octets, and two of them are the code.
LONGEST_REASON = 123
# In seconds. A manager that is cut off answers nothing at all: the next one is to be tried soon.
_OPENS_WITHIN = 2.0
_CLOSES_WITHIN = 2.0


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


def connector(credentials: Credentials) -> Connect:
    """Opens WebSockets to managers, and to nobody else: the certificate must be one of the cluster's managers."""

    async def open_channel(address: str, path: str) -> Channel:
        try:
            connection = await connect(
                f"wss://{address}{path}",
                # Read anew each time: certificates are renewed while the agent runs.
                ssl=credentials.client_context(),
                server_hostname=MANAGER_NAME,
                proxy=None,
                open_timeout=_OPENS_WITHIN,
                close_timeout=_CLOSES_WITHIN,
                max_size=LARGEST_FRAME,
                compression=None,
                # Silence is noticed by the session's own beats.
                ping_interval=None,
            )
        except (OSError, InvalidHandshake, InvalidMessage, InvalidURI, TimeoutError, ConnectionClosed) as error:
            raise Unavailable(f"the manager at {address} does not answer: {_cause(error)}") from None
        return WebSocketChannel(connection)

    return open_channel


def _cause(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {_OPENS_WITHIN:g} s"
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
