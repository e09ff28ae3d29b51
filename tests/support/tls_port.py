"""A port with TLS as managers open it, and raw clients of it: each says who it is by its certificate, or nothing."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect

from manager.listening import HttpServer, listen_tcp
from manager.peer import HttpOfPeer, peer_of
from manager.tls import ServerTls
from swarmpy.pki import MANAGER_NAME, Credentials

BOUND = 20


def who_app() -> Starlette:
    """Tells each client who it is; over WebSocket, as often as it asks."""

    async def over_http(request: Request) -> PlainTextResponse:
        return PlainTextResponse(repr(peer_of(request.scope)))

    async def over_websocket(socket: WebSocket) -> None:
        await socket.accept()
        try:
            while True:
                await socket.receive_text()
                await socket.send_text(repr(peer_of(socket.scope)))
        except WebSocketDisconnect:
            return

    return Starlette(routes=[Route("/who", over_http), WebSocketRoute("/who", over_websocket)])


def stranger(ca_file: Path) -> ssl.SSLContext:
    """A client that shows no certificate."""
    return ssl.create_default_context(cafile=str(ca_file))


class BriskTls(ServerTls):
    """Clients that keep a connection open hold no test up."""

    GOODBYE_WITHIN = 0.05


@dataclass(slots=True)
class TlsPort:
    tls: ServerTls
    number: int
    # What the event loop was told of, that nobody caught.
    faults: list[dict[str, Any]] = field(default_factory=list)

    async def get(self, path: str, context: ssl.SSLContext) -> tuple[int, str]:
        """Status and body. Raises `OSError` for a connection that is refused."""
        async with asyncio.timeout(BOUND):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self.number, ssl=context, server_hostname=MANAGER_NAME
            )
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: manager\r\nConnection: close\r\n\r\n".encode())
                head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
                if not head:
                    raise ConnectionResetError("closed without a word")
                return int(head.split()[1]), body
            finally:
                writer.close()

    def websocket(self, path: str, context: ssl.SSLContext) -> AbstractAsyncContextManager[ClientConnection]:
        return connect(
            f"wss://127.0.0.1:{self.number}{path}", ssl=context, server_hostname=MANAGER_NAME, open_timeout=BOUND
        )

    async def certificate_shown(self, context: ssl.SSLContext) -> bytes:
        """DER, in a new handshake."""
        async with asyncio.timeout(BOUND):
            _, writer = await asyncio.open_connection(
                "127.0.0.1", self.number, ssl=context, server_hostname=MANAGER_NAME
            )
            shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            writer.close()
            return shown

    async def say_in_tls(self, raw: bytes, context: ssl.SSLContext) -> bytes:
        """All that the port answers before it closes."""
        async with asyncio.timeout(BOUND):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self.number, ssl=context, server_hostname=MANAGER_NAME
            )
            writer.write(raw)
            try:
                return await reader.read()
            except ConnectionResetError:
                return b""
            finally:
                writer.close()

    async def say(self, raw: bytes) -> bytes:
        """Without TLS: all that the port answers before it closes."""
        async with asyncio.timeout(BOUND):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.number)
            writer.write(raw)
            try:
                return await reader.read()
            except ConnectionResetError:
                return b""
            finally:
                writer.close()


@asynccontextmanager
async def tls_port(
    credentials: Credentials,
    app: Any = None,
    tls: ServerTls | None = None,
    protocol: type[HttpOfPeer] = HttpOfPeer,
) -> AsyncIterator[TlsPort]:
    listener = listen_tcp("127.0.0.1:0")
    port = TlsPort(tls or BriskTls(credentials), listener.getsockname()[1])
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: port.faults.append(context))
    server = HttpServer(app or who_app(), [listener], port.tls, protocol)
    serving = asyncio.create_task(server.run_until_stopped())
    try:
        yield port
    finally:
        server.stop()
        await asyncio.wait_for(serving, BOUND)
        loop.set_exception_handler(None)
