"""Who is at the other end of a TLS connection: uvicorn's protocols, taught to tell the app below.

The certificate was verified in the handshake; here it is only read. What a peer may do is the apps' business.
"""

import asyncio
import sys
from typing import Any, cast

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from swarmpy.errors import BadRequest
from swarmpy.pki import Identity, identity_of

_KEY = "swarmpy.peer"
_CUT = "swarmpy.cut"


def peer_of(scope: Scope) -> Identity | None:
    """Of a request or WebSocket: the node that sent it. None for who showed no certificate, or came without TLS."""
    return cast(Identity | None, scope.get(_KEY))


def cut(scope: Scope) -> None:
    """End the connection now, whatever is still to be sent: for a peer that does not read."""
    if abort := scope.get(_CUT):
        abort()


class HttpOfPeer(HttpToolsProtocol):
    # Seconds. A peer of TLS without a certificate that completes no request for so long is cut: it is nobody yet.
    NOBODY_ASKS_WITHIN = 10.0
    # Bytes. Names and headers of a request are a few hundred; httptools itself would take any number.
    LARGEST_HEAD = 256 << 10
    _head = 0

    def data_received(self, data: bytes) -> None:
        self._head += len(data)
        super().data_received(data)
        if self._head > self.LARGEST_HEAD:
            self.transport.abort()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        # What follows is a body, whose length is the app's business, until the next request begins.
        self._head = -sys.maxsize

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        app = _told_who(cast(ASGIApp, self.app), transport)
        connection = transport.get_extra_info("ssl_object")
        if connection is not None and not connection.getpeercert(binary_form=True):
            app = _Nobody(app, transport, self.NOBODY_ASKS_WITHIN)
        self.app = cast(Any, app)


class _Nobody:
    """The app for a connection whose peer showed no certificate: cuts it unless it asks, again and again."""

    def __init__(self, app: ASGIApp, transport: asyncio.Transport, within: float) -> None:
        self._app = app
        self._transport = transport
        self._within = within
        self._answering = 0
        self._has_asked = False
        self._watch()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._answering += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._answering -= 1
            self._has_asked = True

    def _watch(self) -> None:
        asyncio.get_running_loop().call_later(self._within, self._look)

    def _look(self) -> None:
        # How long a request may take to arrive is for the app to say, and how long its answer.
        if not self._has_asked and not self._answering:
            self._transport.abort()
        elif not self._transport.is_closing():
            self._has_asked = False
            self._watch()


class WebSocketOfPeer(WebSocketsSansIOProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.app = cast(Any, _told_who(cast(ASGIApp, self.app), transport))


def _told_who(app: ASGIApp, transport: asyncio.BaseTransport) -> ASGIApp:
    """What answers on that connection."""
    connection = transport.get_extra_info("ssl_object")
    if connection is None:
        return app
    certificate = connection.getpeercert(binary_form=True)
    try:
        peer = identity_of(certificate) if certificate else None
    except (BadRequest, ValueError):
        # Of the cluster's CA, but no node's: a member of etcd shows such a one.
        return _refuse

    async def with_peer(scope: Scope, receive: Receive, send: Send) -> None:
        scope[_KEY] = peer
        scope[_CUT] = cast(asyncio.Transport, transport).abort
        await app(scope, receive, send)

    return with_peer


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        # Before it was accepted: uvicorn answers 403.
        await send({"type": "websocket.close", "code": 1008})
        return
    answer = {"message": "the certificate of this connection names no node of a cluster"}
    await JSONResponse(answer, status_code=403)(scope, receive, send)
