"""Connections to the members of one etcd: which member is asked, with which token, for how long.

One gRPC channel a member, because gRPC's own lists of addresses take neither several unix sockets nor names, and check
all certificates against one name. Knows nothing of keys.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import grpc
from aetcd import rpc

from manager.store.etcd_errors import is_stale_token, silent, translated
from swarmpy.clock import Clock
from swarmpy.errors import BadRequest, Unavailable
from swarmpy.retry import retrying
from swarmpy.settings import EtcdSettings

T = TypeVar("T")
Metadata = tuple[tuple[str, str], ...]

_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Each store reconnects on its own, soon at first and every two seconds at most.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # So that a connection that died in silence is replaced. etcd cuts off clients that ping more often than every 5 s.
    ("grpc.keepalive_time_ms", 6_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.max_pings_without_data", 0),
)
# A member that is cut off from the others refuses, instead of hanging or telling old news.
_NEEDS_LEADER: Metadata = (("hasleader", "true"),)
# gRPC's own deadline comes first, because it tells which member was silent.
_BACKSTOP = 1.1
_READY = grpc.ChannelConnectivity.READY
_SETTLED = (_READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN)


class Member:
    """One endpoint and what can be asked of it."""

    def __init__(self, endpoint: str, credentials: grpc.ChannelCredentials | None) -> None:
        self.endpoint = endpoint
        if credentials is None:
            self._channel = rpc.insecure_channel(endpoint, options=_OPTIONS)
        else:
            self._channel = rpc.secure_channel(endpoint, credentials, options=_OPTIONS)
        self.auth: Any = rpc.AuthStub(self._channel)
        self.cluster: Any = rpc.ClusterStub(self._channel)
        self.kv: Any = rpc.KVStub(self._channel)
        self.lease: Any = rpc.LeaseStub(self._channel)
        self.maintenance: Any = rpc.MaintenanceStub(self._channel)
        self.watch: Any = rpc.WatchStub(self._channel)

    async def is_connected(self, within: timedelta) -> bool:
        """Connects when needed. A member that just failed is not waited for."""
        if self._state() is _READY:
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout(within.total_seconds()):
                while (state := self._state()) not in _SETTLED:
                    await self._channel.wait_for_state_change(state)
        return self._state() is _READY

    def _state(self) -> grpc.ChannelConnectivity:
        return self._channel.get_state(try_to_connect=True)

    async def close(self) -> None:
        await self._channel.close()


def open_connection(settings: EtcdSettings, clock: Clock) -> "EtcdConnection":
    """etcd need not be there yet: each request says `Unavailable` until it is.

    Raises `BadRequest` when a certificate or key file cannot be read.
    """
    try:
        return EtcdConnection(settings, clock)
    except OSError as error:
        raise BadRequest(f"cannot read the etcd certificate file {error.filename}: {error.strerror}") from error


class EtcdConnection:
    """Asks the member that answered last, and goes to the next when that one fails."""

    def __init__(self, settings: EtcdSettings, clock: Clock) -> None:
        credentials = _credentials(settings)
        self.timeout = settings.timeout
        self._members = [Member(endpoint, credentials) for endpoint in settings.endpoints]
        self._username, self._password = settings.username, settings.password
        self._token: str | None = None
        self._authenticating = asyncio.Lock()
        self._clock = clock
        self._is_closed = False

    async def close(self) -> None:
        self._is_closed = True
        for member in self._members:
            await member.close()

    async def ask(self, what: str, request: Callable[..., Awaitable[T]], *, repeatable: bool) -> T:
        """The answer to `request(member, timeout=..., metadata=...)`, within the time-out of the settings.

        A request that may be sent twice is repeated, on another member if there is one. `what` completes "etcd
        could not ...". Raises `Unavailable` and what `etcd_errors` knows.
        """
        try:
            async with asyncio.timeout(_BACKSTOP * self.timeout.total_seconds()):
                if not repeatable:
                    return await self._ask_once(what, request, self.timeout)
                return await retrying(
                    lambda: self._ask_once(what, request, self.timeout / len(self._members)),
                    on=_Failed,
                    clock=self._clock,
                    within=self.timeout,
                    attempts=len(self._members) + 1,
                )
        except TimeoutError:
            raise silent(what, ", ".join(sorted(member.endpoint for member in self._members))) from None
        except _Failed as failed:
            raise failed.translated from failed.error

    async def member(self) -> Member:
        """The first that is connected; when none is, the one whose turn it is, which can then say why."""
        self._require_open()
        try:
            for member in list(self._members):
                if await member.is_connected(self.timeout / len(self._members)):
                    return member
                self.pass_over(member)
        except grpc.aio.UsageError:
            self._require_open()
            raise
        return self._members[0]

    def require_open_unless_cancelled(self) -> None:
        """gRPC tells a call that ran into `close` by a usage error, or a cancellation that nobody asked of the task."""
        task = asyncio.current_task()
        if task is None or not task.cancelling():
            self._require_open()

    def _require_open(self) -> None:
        if self._is_closed:
            raise Unavailable("this connection to etcd is closed")

    def pass_over(self, member: Member) -> None:
        """It failed: ask the others first from now on."""
        if self._members[0] is member:
            self._members.append(self._members.pop(0))

    async def metadata(self, member: Member) -> Metadata:
        if self._username is None:
            return _NEEDS_LEADER
        async with self._authenticating:
            if self._token is None:
                credentials = rpc.AuthenticateRequest(name=self._username, password=self._password)
                answer = await member.auth.Authenticate(credentials, timeout=self.timeout.total_seconds())
                self._token = answer.token
            return (*_NEEDS_LEADER, ("token", self._token))

    def forget_token(self, metadata: Metadata) -> None:
        """Unless someone else has fetched a new one meanwhile."""
        if ("token", self._token) in metadata:
            self._token = None

    async def _ask_once(self, what: str, request: Callable[..., Awaitable[T]], within: timedelta) -> T:
        member = await self.member()
        metadata: Metadata = ()
        try:
            try:
                metadata = await self.metadata(member)
                return await request(member, timeout=within.total_seconds(), metadata=metadata)
            except rpc.AioRpcError as error:
                if self._username is None or not is_stale_token(error):
                    raise
                # Refused before anything was done, so even a write may be sent again.
                self.forget_token(metadata)
                metadata = await self.metadata(member)
                return await request(member, timeout=within.total_seconds(), metadata=metadata)
        except (asyncio.CancelledError, grpc.aio.UsageError):
            self.require_open_unless_cancelled()
            self.pass_over(member)
            raise
        except rpc.AioRpcError as error:
            if error.code() in (rpc.StatusCode.UNAVAILABLE, rpc.StatusCode.DEADLINE_EXCEEDED):
                self.pass_over(member)
                raise _Failed(translated(error, what, member.endpoint), error) from error
            raise translated(error, what, member.endpoint) from error


class _Failed(Exception):
    """A member did not carry out a request; another may."""

    def __init__(self, translated: Exception, error: rpc.AioRpcError) -> None:
        super().__init__(str(translated))
        self.translated = translated
        self.error = error


def _credentials(settings: EtcdSettings) -> grpc.ChannelCredentials | None:
    """Raises `OSError` for a file that cannot be read."""
    if settings.ca_file is None:
        return None

    def content(path: Path | None) -> bytes | None:
        return None if path is None else path.read_bytes()

    return grpc.ssl_channel_credentials(
        content(settings.ca_file), content(settings.key_file), content(settings.cert_file)
    )
