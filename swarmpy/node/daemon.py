"""Composition root of `swarmpy up`: checks, takes the directories, puts the children together, runs them."""

import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from swarmpy.clock import Clock, SystemClock
from swarmpy.idgen import new_id
from swarmpy.logs import logger
from swarmpy.node.etcd import EtcdBinary, check_release, find_etcd, lone_etcd_command
from swarmpy.node.home import NodeRecord, held, load_node, prepare, save_node
from swarmpy.node.keeper import Keeper, Say, background
from swarmpy.node.plan import agent_child, etcd_child, manager_child
from swarmpy.node.preflight import check_address_free, check_engine_allowed, engine_is_absent
from swarmpy.node.probe import answers, node_is_ready
from swarmpy.node.supervisor import PATIENCE, supervise
from swarmpy.settings import NodeSettings

log = logger("node")

PRIVATE, OPEN = 0o700, 0o755

Announce = Callable[[NodeRecord], None]


async def run_node(settings: NodeSettings, say: Say, announce: Announce) -> None:
    """Run one node until SIGTERM, SIGINT or SIGHUP. `say(child, line)` shows what children say; `announce` is called
    once, when the node takes work. Raises `SwarmpyError` for what cannot be."""
    with ExitStack() as holding:
        prepare(settings.data_dir, "--data-dir", PRIVATE)
        prepare(settings.run_dir, "--run-dir", OPEN)
        holding.enter_context(held(settings.data_dir))
        holding.enter_context(held(settings.run_dir))
        check_address_free(settings.status_address, "--status-address")
        check_engine_allowed(settings.docker_host)
        if engine_is_absent(settings.docker_host):
            log.warning("engine.absent", host=settings.docker_host, action="the agent keeps trying")
        await _run(settings, load_node(settings.data_dir, new_id), say, announce)


async def _run(settings: NodeSettings, record: NodeRecord, say: Say, announce: Announce) -> None:
    clock = SystemClock()
    stop = _stop_on_signals()
    etcd = _etcd_for(settings, record)
    foundation = [_etcd_keeper(settings, etcd, say, clock)] if etcd else []
    manager = Keeper(
        manager_child(settings, record.id, sys.executable),
        partial(answers, settings.api_socket, "/readyz"),
        say,
        clock,
    )
    agent = Keeper(
        agent_child(settings, record.id, sys.executable),
        partial(node_is_ready, settings.api_socket, record.id),
        say,
        clock,
    )

    async def announce_when_ready() -> None:
        if etcd:
            await foundation[0].serving.wait()
            save_node(settings.data_dir, record.model_copy(update={"etcd_release": etcd.release}))
        await manager.serving.wait()
        async with background(agent.serving.wait()) as ready:
            await asyncio.wait({ready}, timeout=PATIENCE.total_seconds())
            if not ready.done():
                log.warning("node.not_ready", waiting_for="agent", reason="see `swarmpy node ls`")
            await ready
        announce(record)

    await supervise(foundation, [manager, agent], stop, announce_when_ready)


def _etcd_for(settings: NodeSettings, record: NodeRecord) -> EtcdBinary | None:
    """The binary of the node's own member; None when the operators bring their etcd."""
    if settings.etcd is not None:
        return None
    etcd = find_etcd()
    check_release(etcd, record.etcd_release, settings.data_dir)
    log.info("etcd.found", path=str(etcd.path), version=etcd.text)
    if etcd.may_corrupt:
        log.warning("etcd.may_corrupt", version=etcd.text, action="for trials only: install 3.4, or 3.5.3 or later")
    return etcd


def _etcd_keeper(settings: NodeSettings, etcd: EtcdBinary, say: Say, clock: Clock) -> Keeper:
    socket = settings.etcd_socket
    socket.parent.mkdir(mode=PRIVATE, exist_ok=True)
    command = lone_etcd_command(etcd, settings.data_dir / "etcd", socket.name)
    # etcd ends with 2 for a Go panic too, so no exit code of it means "do not try again".
    return Keeper(etcd_child(settings, command), partial(answers, socket, "/health"), say, clock, can_refuse=False)


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    return stop
