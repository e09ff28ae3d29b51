"""Who is at the other end of a TLS connection: uvicorn's protocols, taught to tell the app below.

The certificate was verified in the handshake; here it is only read. What a peer may do is the apps' business.
"""

import asyncio
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
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app = cast(Any, _told_who(cast(ASGIApp, self.app), transport))


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
