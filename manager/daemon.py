"""Composition root of the manager: puts the parts together, runs them, and ends when one of them does."""

import asyncio
import signal
import socket
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any

from manager.api.app import create_app, create_status_app
from manager.api.forward import ForwardToLeader
from manager.ca.founding import ca_key_file, first_objects, hand_over, load_founding
from manager.ca.sealing import load_sealer
from manager.dispatcher.endpoint import agent_routes
from manager.door import create_door
from manager.listening import HttpServer, listen_tcp, listen_unix
from manager.manager import Manager
from manager.store.etcd import open_etcd_store
from manager.store.etcd_members import open_etcd_members
from manager.store.etcd_published import open_etcd_published
from manager.tls import ServerTls
from swarmpy.clock import SystemClock
from swarmpy.errors import BadRequest
from swarmpy.idgen import new_id
from swarmpy.logs import logger
from swarmpy.pki import Credentials
from swarmpy.settings import ManagerSettings
from swarmpy.together import together

log = logger("manager")

_FOR_OPERATORS = 0o660


async def run_manager(settings: ManagerSettings) -> None:
    """Until SIGTERM or SIGINT. Raises `SwarmpyError` for what cannot be; any other error is a bug, and ends it too."""
    stop = _stop_on_signals()
    clock = SystemClock()
    tls = _tls(settings)
    api_socket = listen_unix(settings.api_socket, mode=_FOR_OPERATORS, group=settings.socket_group)
    door_socket = listen_tcp(settings.listen_address)
    status_socket = listen_tcp(settings.status_address)
    store = await open_etcd_store(settings.etcd, clock)
    members = open_etcd_members(settings.etcd, clock) if settings.runs_etcd else None
    published = open_etcd_published(settings.etcd, clock) if settings.publish_names else None
    try:
        sealer = load_sealer(settings.data_dir, may_draw=ca_key_file(settings).exists())
        founding = load_founding(settings, sealer, new_id)
        manager = Manager(
            settings,
            store,
            sealer,
            clock,
            new_id,
            first_objects=first_objects(founding),
            members=members,
            published=published,
        )
        crash: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        servers = _servers(manager, crash, api_socket, (door_socket, tls), status_socket)
        log.info("manager.started", node=settings.node_id, api=str(settings.api_socket), door=settings.listen_address)
        work = (manager.run(), hand_over(manager.ledger, settings), tls.follow(clock), _wait(stop), _failed(crash))
        await _run_until_one_ends(work, servers)
        log.info("manager.stopped")
    finally:
        await store.close()
        for other in (members, published):
            if other is not None:
                await other.close()
        settings.api_socket.unlink(missing_ok=True)


def _tls(settings: ManagerSettings) -> ServerTls:
    try:
        return ServerTls(Credentials.of(settings.identity))
    except OSError as error:
        raise BadRequest(f"the node's certificate in {settings.identity} cannot be used: {error}") from error


def _servers(
    manager: Manager,
    crash: "asyncio.Future[None]",
    api_socket: socket.socket,
    door: tuple[socket.socket, ServerTls],
    status_socket: socket.socket,
) -> list[HttpServer]:
    def on_crash(error: Exception) -> None:
        if not crash.done():
            crash.set_exception(error)

    context = manager.api_context()
    api = create_app(context)
    ledger = manager.ledger
    forward = ForwardToLeader(
        api,
        ledger,
        manager.clock,
        lambda: ledger.state.leader_door or None,
        Credentials.of(manager.settings.identity),
    )
    agents = agent_routes(manager.sessions, manager.logs, on_crash)
    door_socket, tls = door
    return [
        HttpServer(forward, [api_socket]),
        HttpServer(create_door(manager.registrar, ledger, agents, api), [door_socket], tls),
        HttpServer(create_status_app(context), [status_socket]),
    ]


async def _run_until_one_ends(work: Sequence[Coroutine[Any, Any, None]], servers: list[HttpServer]) -> None:
    """Leadership is given back first, so that another manager acts at once; then the servers say goodbye."""
    serving = [asyncio.create_task(server.run_until_stopped()) for server in servers]
    try:
        await together(*work, *(_ended(task) for task in serving))
    finally:
        for server in servers:
            server.stop()
        await asyncio.gather(*serving, return_exceptions=True)


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()


async def _failed(crash: "asyncio.Future[None]") -> None:
    await asyncio.shield(crash)


async def _ended(serving: "asyncio.Task[None]") -> None:
    await asyncio.shield(serving)


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    return stop
