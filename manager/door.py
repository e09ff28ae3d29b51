"""Port 2377, the managers' door for other nodes: who may ask what there. Decides nothing about what is asked.

Everything here came over TLS. Without a certificate one may ask to join, and nothing else; a worker may hold its
session, renew its certificate and leave; managers pass on the API calls of their operators as well.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from manager.api.for_managers import ForManagers
from manager.api.forwarding import MOUNT
from manager.ca.registrar import Registrar
from manager.ledger import Ledger
from manager.peer import peer_of
from swarmpy import membership
from swarmpy.errors import BadRequest, Forbidden, LeadershipLost, SwarmpyError
from swarmpy.membership import (
    NOT_LEADING,
    CaAnswer,
    CertificateRequest,
    Done,
    JoinRequest,
    LeaveRequest,
    MemberRequest,
    NotLeading,
)
from swarmpy.pki import Identity
from swarmpy.states import Role

Asked = TypeVar("Asked", bound=BaseModel)

LARGEST_REQUEST = 64 << 10
# Seconds, for all of a request's body.
ARRIVES_WITHIN = 10.0


def create_door(
    registrar: Registrar,
    ledger: Ledger,
    agents: list[BaseRoute],
    api: ASGIApp,
    arrives_within: float = ARRIVES_WITHIN,
) -> ASGIApp:
    """`agents` are the routes of the sessions, `api` what operators ask."""

    def endpoint(kind: type[Asked], act: Callable[[Identity, Asked], Awaitable[BaseModel]]) -> Any:
        async def answer(request: Request) -> Response:
            return _answer(await act(_caller(request.scope), await _read(request, kind, arrives_within)))

        return answer

    async def ca(request: Request) -> Response:
        return _answer(CaAnswer(ca_certificate=registrar.ca_certificate()))

    async def join(request: Request) -> Response:
        return _answer(await registrar.join(await _read(request, JoinRequest, arrives_within)))

    async def renew(caller: Identity, asked: CertificateRequest) -> BaseModel:
        return await registrar.renew(caller, asked)

    async def leave(caller: Identity, asked: LeaveRequest) -> BaseModel:
        await registrar.leave(caller, asked)
        return Done()

    routes = [
        Route(membership.CA_PATH, ca),
        Route(membership.JOIN_PATH, join, methods=["POST"]),
        Route(membership.CERTIFICATE_PATH, endpoint(CertificateRequest, renew), methods=["POST"]),
        Route(membership.LEAVE_PATH, endpoint(LeaveRequest, leave), methods=["POST"]),
        Route(membership.MEMBER_PATH, endpoint(MemberRequest, registrar.add_member), methods=["POST"]),
        *agents,
        Mount(MOUNT, ForManagers(api, ledger)),
    ]
    handlers: Any = {SwarmpyError: _on_known(ledger), HTTPException: _on_http, ClientDisconnect: _on_gone}
    return _Guard(Starlette(routes=routes, exception_handlers=handlers), registrar, ledger)


class _Guard:
    """Lets in whom the certificate entitles."""

    def __init__(self, app: ASGIApp, registrar: Registrar, ledger: Ledger) -> None:
        self._app = app
        self._registrar = registrar
        self._ledger = ledger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            try:
                self._check(scope)
            except SwarmpyError as error:
                await _refuse(scope, receive, send, error, self._ledger)
                return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        path: str = scope["path"]
        if path.startswith("/join/"):
            return
        caller = _caller(scope)
        if path.startswith("/agent/"):
            return  # the session itself tells a removed node that it is one
        if not path.startswith(MOUNT) and not self._ledger.is_leading:
            # One that is behind must not judge who is a member.
            raise LeadershipLost("this manager does not lead the cluster")
        node = self._registrar.member(caller)
        if path.startswith("/node/"):
            return
        if caller.role is not Role.MANAGER or not node.is_manager:
            raise Forbidden("only managers may ask this")


def _caller(scope: Scope) -> Identity:
    peer = peer_of(scope)
    if peer is None:
        raise Forbidden("this needs a certificate of the cluster: join the node first")
    return peer


async def _read(request: Request, kind: type[Asked], within: float) -> Asked:
    raw = bytearray()
    try:
        async with asyncio.timeout(within):
            async for chunk in request.stream():
                raw += chunk
                if len(raw) > LARGEST_REQUEST:
                    raise BadRequest("the request is larger than any that is known here")
    except TimeoutError:
        raise BadRequest(f"the request did not arrive whole within {within:g} s; send it again") from None
    try:
        return kind.model_validate_json(bytes(raw))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadRequest(
            f"not what is asked here: {place}: {first['msg']}; install the same version on all nodes"
        ) from None


def _answer(document: BaseModel) -> Response:
    return Response(document.model_dump_json(), media_type="application/json")


def _on_known(ledger: Ledger) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def respond(request: Request, error: Exception) -> Response:
        assert isinstance(error, SwarmpyError)
        return _told(error, ledger)

    return respond


def _told(error: SwarmpyError, ledger: Ledger) -> Response:
    if isinstance(error, LeadershipLost):
        where = ledger.state.leader_door if not ledger.is_leading else ""
        return JSONResponse(NotLeading(message=str(error), leader=where).model_dump(), NOT_LEADING)
    return JSONResponse({"message": str(error)}, error.http_status)


async def _on_gone(request: Request, error: Exception) -> Response:
    """Nobody hears the answer."""
    return Response(status_code=400)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"message": error.detail}, error.status_code)


async def _refuse(scope: Scope, receive: Receive, send: Send, error: SwarmpyError, ledger: Ledger) -> None:
    """A WebSocket that is closed before it is accepted is answered with 403."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": str(error)})
        return
    await _told(error, ledger)(scope, receive, send)
