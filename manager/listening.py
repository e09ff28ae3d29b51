"""Sockets that the manager listens on, and the HTTP servers behind them. Knows none of their contents."""

import asyncio
import grp
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn

from manager.peer import HttpOfPeer, WebSocketOfPeer
from manager.tls import ServerTls
from swarmpy.errors import BadRequest, Unavailable
from swarmpy.logs import logger
from swarmpy.wire import LARGEST_TO_MANAGER

log = logger("listening")

_BACKLOG = 1024
# Open requests at the end (an event stream, a log that is followed) are cut after this many seconds.
_LAST_WORDS = 2


def listen_unix(path: Path, *, mode: int, group: str = "") -> socket.socket:
    """A socket at that path. One left behind by a dead process is replaced, a living one never.

    Raises `Unavailable` when somebody answers there, `BadRequest` when the path cannot be used.
    """
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Nobody else may connect between the binding and the setting of its rights.
        mask = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(mask)
        _open_to_group(path, group)
        path.chmod(mode)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise BadRequest(f"cannot listen on {path}: {error.strerror}") from error
    return listener


def listen_tcp(address: str) -> socket.socket:
    """A socket at `host:port`. Raises `Unavailable` when the port is taken, `BadRequest` when it is no address."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise BadRequest(f"{address!r} is no address: write host:port")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, for asyncio sends without delay only where it reads the protocol: else each answer waits 40 ms for the
    # client to acknowledge its head.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), int(port)))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise Unavailable(f"cannot listen on {address}: {error.strerror}; stop what uses it or set another") from error
    return listener


def _remove_stale(path: Path) -> None:
    if not path.exists():
        return
    if not path.is_socket():
        raise BadRequest(f"cannot listen on {path}: a file that is no socket is in the way; move it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            with suppress(FileNotFoundError):
                path.unlink()
            return
        except OSError as error:
            raise Unavailable(f"cannot listen on {path}: it does not answer, but is held: {error.strerror}") from error
    raise Unavailable(f"another process answers on {path}: is a manager running already? Stop it first")


def _open_to_group(path: Path, group: str) -> None:
    """Where the group does not exist, root alone may use the socket."""
    if not group:
        return
    try:
        gid = grp.getgrnam(group).gr_gid
    except KeyError:
        log.info("socket.group_absent", group=group, socket=str(path))
        return
    try:
        os.chown(path, -1, gid)
    except PermissionError:
        log.info("socket.group_not_set", group=group, socket=str(path), reason="not root")


class HttpServer(uvicorn.Server):
    """An app behind listeners, over TLS where `tls` is given. Signals are the daemon's business, not the server's.

    `protocol` speaks over TLS, where `manager.peer.peer_of` tells which node a request or WebSocket comes from.
    """

    def __init__(
        self,
        app: Any,
        listeners: Sequence[socket.socket],
        tls: ServerTls | None = None,
        protocol: type[HttpOfPeer] = HttpOfPeer,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=HttpOfPeer,
                ws=WebSocketOfPeer,
                lifespan="auto",
                log_config=None,
                access_log=False,
                # The apps say themselves who answers.
                server_header=False,
                # Silence is noticed by the sessions' own beats; on one machine compression only costs time.
                ws_ping_interval=None,
                ws_per_message_deflate=False,
                ws_max_size=LARGEST_TO_MANAGER,
                timeout_graceful_shutdown=_LAST_WORDS,
            )
        )
        self._listeners = list(listeners)
        self._tls = tls
        self._speaks = protocol

    async def run_until_stopped(self) -> None:
        """Serve until `stop`."""
        await self.serve(sockets=self._listeners)

    def stop(self) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn's own has no word for how long a handshake may take: over TLS the sockets are opened here."""
        tls = self._tls
        if tls is None:
            await super().startup(sockets)
            return
        await super().startup([])
        loop = asyncio.get_running_loop()
        for listener in sockets or ():
            server = await loop.create_server(
                self._protocol,
                sock=listener,
                ssl=tls.context,
                backlog=_BACKLOG,
                ssl_handshake_timeout=tls.HANDSHAKE_WITHIN,
                ssl_shutdown_timeout=tls.GOODBYE_WITHIN,
            )
            self.servers.append(server)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Who has not said goodbye by then is cut off."""
        await super().shutdown(sockets)
        for connection in tuple(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)

    def _protocol(self) -> asyncio.Protocol:
        return self._speaks(self.config, self.server_state, self.lifespan.state)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
