"""Composition root of the manager: puts the parts together, runs them, and ends when one of them does."""

import asyncio
import signal
from contextlib import suppress

from manager.api.app import create_app, create_status_app
from manager.ca.sealing import load_sealer
from manager.dispatcher.endpoint import create_agent_app
from manager.listening import HttpServer, listen_tcp, listen_unix
from manager.manager import Manager
from manager.store.etcd import open_etcd_store
from swarmpy.clock import SystemClock
from swarmpy.idgen import new_id
from swarmpy.logs import logger
from swarmpy.settings import ManagerSettings
from swarmpy.together import together

log = logger("manager")

_FOR_OPERATORS, _FOR_ROOT = 0o660, 0o600


async def run_manager(settings: ManagerSettings) -> None:
    """Until SIGTERM or SIGINT. Raises `SwarmpyError` for what cannot be; any other error is a bug, and ends it too."""
    stop = _stop_on_signals()
    clock = SystemClock()
    sealer = load_sealer(settings.data_dir)
    api_socket = listen_unix(settings.api_socket, mode=_FOR_OPERATORS, group=settings.socket_group)
    agent_socket = listen_unix(settings.agent_socket, mode=_FOR_ROOT)
    status_socket = listen_tcp(settings.status_address)
    store = await open_etcd_store(settings.etcd, clock)
    try:
        manager = Manager(settings, store, sealer, clock, new_id)
        context = manager.api_context()
        crash: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def on_crash(error: Exception) -> None:
            if not crash.done():
                crash.set_exception(error)

        servers = [
            HttpServer(create_app(context), [api_socket]),
            HttpServer(create_agent_app(manager.sessions, manager.logs, on_crash), [agent_socket]),
            HttpServer(create_status_app(context), [status_socket]),
        ]
        log.info("manager.started", node=settings.node_id, api=str(settings.api_socket))
        await _run_until(stop, crash, manager, servers)
        log.info("manager.stopped")
    finally:
        await store.close()
        for path in (settings.api_socket, settings.agent_socket):
            path.unlink(missing_ok=True)


async def _run_until(
    stop: asyncio.Event, crash: "asyncio.Future[None]", manager: Manager, servers: list[HttpServer]
) -> None:
    """Leadership is given back first, so that another manager acts at once; then the servers say goodbye."""
    serving = [asyncio.create_task(server.run_until_stopped()) for server in servers]
    try:
        await together(manager.run(), _wait(stop), _failed(crash), *(_ended(task) for task in serving))
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
