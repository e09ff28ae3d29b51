"""One agent's connection as the dispatcher sees it: messages in, messages out. Knows no WebSocket."""

from typing import Protocol

from swarmpy.wire import FromAgent, FromManager


class ChannelClosed(Exception):
    """The other side is gone, or this side has closed."""


class Channel(Protocol):
    async def receive(self) -> FromAgent:
        """The next message. Raises `ChannelClosed`, or `BadRequest` when it is no message of the protocol."""
        ...

    async def send(self, message: FromManager) -> None:
        """Raises `ChannelClosed`. May be called from several tasks; waits while the agent does not read, but not for
        ever: the connection of one that does not is cut."""
        ...

    async def close(self) -> None:
        """No error when it is closed already. Takes seconds at most."""
        ...
