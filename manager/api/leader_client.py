"""Connections to the leader's port: kept, bounded, and with the certificate of the day. Decides nothing."""

import socket
import ssl
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import httpcore2

from manager.api.forwarding import NOT_LEADING_HEADER, RawHeaders
from manager.tls import Fingerprint, fingerprint_of
from swarmpy.errors import BadRequest
from swarmpy.membership import NOT_LEADING
from swarmpy.pki import MANAGER_NAME, Credentials
from swarmpy.tokens import host_of, port_of

# Streams (events, logs that are followed) hold one each.
_MOST, _MOST_IDLE = 1000, 20
# Shorter than the leader's server keeps an idle one: else a request could meet its closing.
_IDLE_SECONDS = 3.0
_CONNECT_SECONDS = 2.0
# A leader whose machine is gone says no goodbye: the kernel notices, idle or not, within about ten seconds.
_NOTICE_A_LOST_MACHINE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 4),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 10_000),
)


class NotCarriedOut(Exception):
    """The request certainly did nothing: it was not sent, or the other manager does not lead."""


class BrokenOff(Exception):
    """The request was sent, and no whole answer came."""


@dataclass(slots=True)
class LeaderRequest:
    """`target`: path and query as they came. `is_sent` is set once the first byte may have left."""

    method: str
    target: bytes
    headers: RawHeaders
    body: bytes
    is_sent: bool = False


class _Pool:
    """Of the connections made with one certificate; closed when it is retired and nobody uses it any more."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.connections = httpcore2.AsyncConnectionPool(
            ssl_context=context,
            max_connections=_MOST,
            max_keepalive_connections=_MOST_IDLE,
            keepalive_expiry=_IDLE_SECONDS,
            socket_options=_NOTICE_A_LOST_MACHINE,
        )
        self._users = 0
        self._is_retired = False

    def take(self) -> None:
        self._users += 1

    async def give_back(self) -> None:
        self._users -= 1
        await self._close_unused()

    async def retire(self) -> None:
        self._is_retired = True
        await self._close_unused()

    async def _close_unused(self) -> None:
        if self._is_retired and not self._users:
            await self.connections.aclose()


class LeaderAnswer:
    """Must be closed; closing it before its end closes the connection."""

    def __init__(self, response: httpcore2.Response, pool: _Pool) -> None:
        self.status: int = response.status
        self.headers: RawHeaders = list(response.headers)
        self._response = response
        self._pool = pool

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """As they come. Raises `BrokenOff`."""
        try:
            async for chunk in self._response.aiter_stream():
                yield chunk
        except _FAULTS as error:
            raise BrokenOff(_cause(error)) from error

    async def close(self) -> None:
        try:
            await self._response.aclose()
        except _FAULTS:
            return  # it is gone already
        finally:
            await self._pool.give_back()

    @property
    def says_it_does_not_lead(self) -> bool:
        mark = NOT_LEADING_HEADER.lower().encode()
        return self.status == NOT_LEADING and any(name.lower() == mark for name, _ in self.headers)


class LeaderClient:
    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._pool: _Pool | None = None
        self._fingerprint: Fingerprint | None = None

    async def ask(self, address: str, request: LeaderRequest) -> LeaderAnswer:
        """Its answer, as soon as it begins. Raises `NotCarriedOut`, `BrokenOff`, and `BadRequest` for what HTTP does
        not allow."""
        pool = await self._current_pool()
        pool.take()
        try:
            response = await pool.connections.handle_async_request(_wire(address, request))
        except BaseException as error:
            await pool.give_back()
            if isinstance(error, httpcore2.LocalProtocolError):
                raise BadRequest(f"the request cannot be passed on to the leader: {error}") from error
            if isinstance(error, _FAULTS):
                raise (BrokenOff if request.is_sent else NotCarriedOut)(_cause(error)) from error
            raise
        answer = LeaderAnswer(response, pool)
        if answer.says_it_does_not_lead:
            await answer.close()
            raise NotCarriedOut("it does not lead any more, or not yet")
        return answer

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        self._fingerprint = None
        if pool is not None:
            await pool.retire()

    async def _current_pool(self) -> _Pool:
        """With a certificate that was renewed, new connections are made; on the old ones streams go on to their end.
        Half a pair of files is left for the next request to read."""
        try:
            found = fingerprint_of(self._credentials)
            if self._pool is None or found != self._fingerprint:
                old, self._pool = self._pool, _Pool(self._credentials.client_context())
                self._fingerprint = found
                if old is not None:
                    await old.retire()
        except OSError as error:
            if self._pool is None:
                reason = f"this manager's own certificate cannot be used: {_cause(error)}"
                raise NotCarriedOut(reason) from error
        return self._pool


# `OSError`: what TLS finds wrong in the middle of a connection.
_FAULTS = (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException, OSError)


def _wire(address: str, request: LeaderRequest) -> httpcore2.Request:
    async def trace(event: str, info: dict[str, Any]) -> None:
        if event == "http11.send_request_headers.started":
            request.is_sent = True

    request.is_sent = False
    url = httpcore2.URL(scheme="https", host=host_of(address), port=port_of(address), target=request.target)
    timeouts = {"connect": _CONNECT_SECONDS, "pool": _CONNECT_SECONDS}
    return httpcore2.Request(
        request.method,
        url,
        headers=request.headers,
        content=request.body,
        extensions={"sni_hostname": MANAGER_NAME, "timeout": timeouts, "trace": trace},
    )


def _cause(error: Exception) -> str:
    return str(error) or type(error).__name__
