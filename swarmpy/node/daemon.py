"""Composition root of `swarmpy up`: checks, takes the directories, makes the node a member, and lets it live."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from functools import partial

from swarmpy.clock import Clock, SystemClock
from swarmpy.errors import BadRequest, Conflict, Forbidden, Unavailable
from swarmpy.idgen import new_id
from swarmpy.logs import logger
from swarmpy.node.etcd import EtcdBinary, check_many_members, check_release, find_etcd
from swarmpy.node.home import NodeRecord, Options, held, load_node, prepare, save_node
from swarmpy.node.identity import IdentityFolder
from swarmpy.node.join import join_cluster
from swarmpy.node.keeper import Say
from swarmpy.node.leave import wipe
from swarmpy.node.life import Life, clear_node
from swarmpy.node.plan import agent_folder
from swarmpy.node.preflight import check_address_free, check_engine_allowed, engine_is_absent
from swarmpy.pki import digest_of
from swarmpy.settings import NodeSettings
from swarmpy.states import Role
from swarmpy.tokens import JoinWish, host_of
from swarmpy.word import load_word

log = logger("node")

PRIVATE, OPEN = 0o700, 0o755

AnnounceNode = Callable[[bool, NodeRecord, Role], None]


async def run_node(
    settings: NodeSettings, options: Options, wish: JoinWish | None, say: Say, announce: AnnounceNode
) -> None:
    """Run one node until SIGTERM, SIGINT or SIGHUP.

    `options` are kept for later starts. `wish` makes a fresh node a member of a cluster that is there; without, it
    founds one. `say(child, line)` shows what children say; `announce(first, record, role)` is called once, when the
    node takes work; `first`: it became a member just now. Raises `SwarmpyError` for what cannot be."""
    with ExitStack() as holding:
        prepare(settings.data_dir, "--data-dir", PRIVATE)
        prepare(settings.run_dir, "--run-dir", OPEN)
        holding.enter_context(held(settings.data_dir))
        holding.enter_context(held(settings.run_dir))
        check_engine_allowed(settings.docker_host)
        if engine_is_absent(settings.docker_host):
            log.warning("engine.absent", host=settings.docker_host, action="the agent keeps trying")
        clock = SystemClock()
        stop = _stop_on_signals()
        identity = IdentityFolder(settings.identity)
        is_first_start = not identity.exists
        if is_first_start and wish is None:
            _check_addresses(settings)
        record = (await become_member(settings, identity, wish, say, clock)).model_copy(update={"options": options})
        save_node(settings.data_dir, record)
        if identity.read().role is Role.MANAGER:
            _check_place(settings, record)
            _check_addresses(settings)
        await Life(settings, record, identity, partial(_find_etcd, settings), say, clock).run(
            stop, partial(announce, is_first_start)
        )


def _check_addresses(settings: NodeSettings) -> None:
    """What a manager listens on."""
    check_address_free(settings.listen_address, "--listen-address")
    check_address_free(settings.status_address, "--status-address")
    if settings.etcd is None:
        check_address_free(f"{settings.listen_address.rpartition(':')[0]}:{settings.peer_port}", "--peer-port")


async def become_member(
    settings: NodeSettings, identity: IdentityFolder, wish: JoinWish | None, say: Say, clock: Clock
) -> NodeRecord:
    """The node's record, once it is a member of a cluster: the one it was a member of before, else the one that the
    wish names, else a new one. The certificate, which makes it a member, is written last."""
    record = load_node(settings.data_dir, new_id)
    word = load_word(agent_folder(settings))
    if word is not None and word.is_removed:
        await clear_node(settings, record, say)
        if wish is None or wish.is_standing:
            raise Forbidden(
                "this node was removed from its cluster: `swarmpy up --join TOKEN@HOST:PORT` makes it a member again"
            )
        wipe(settings)
        record = load_node(settings.data_dir, new_id)
    if identity.exists:
        return await _remain(settings, identity, record, wish, clock)
    if record.etcd_release is not None:
        raise BadRequest(
            f"the data in {settings.data_dir} is of a swarmpy that knew no certificates: choose another --data-dir"
        )
    if wish is not None:
        return await _join(settings, identity, record, wish, clock)
    return _found(settings, identity, record, clock.now())


async def _remain(
    settings: NodeSettings, identity: IdentityFolder, record: NodeRecord, wish: JoinWish | None, clock: Clock
) -> NodeRecord:
    """A member already; a wish to join counts when the certificate has ended meanwhile."""
    if wish is not None and wish.token.ca_digest != digest_of(identity.ca_certificate()):
        raise Conflict("this node is a member of another cluster: `swarmpy leave` first")
    ends = identity.validity().ends
    if clock.now() < ends:
        if wish is not None:
            log.info("node.member_already", action="--join is not needed any more")
        return record
    if wish is None:
        # Or the machine's clock is not right yet: then it helps to be started again.
        raise Unavailable(
            f"this node's certificate has ended on {ends:%Y-%m-%d %H:%M} UTC: `swarmpy up --join TOKEN@HOST:PORT` "
            "renews it, if the clock is right"
        )
    return await _join(settings, identity, record, wish, clock)


async def _join(
    settings: NodeSettings, identity: IdentityFolder, record: NodeRecord, wish: JoinWish, clock: Clock
) -> NodeRecord:
    answer = await join_cluster(settings, identity, record.id, wish, clock)
    record = record.model_copy(update={"managers": answer.managers})
    save_node(settings.data_dir, record)
    identity.accept(answer.certificate)
    return record


def _found(settings: NodeSettings, identity: IdentityFolder, record: NodeRecord, now: datetime) -> NodeRecord:
    member = (record.id, f"https://{settings.peer_address}")
    record = record.model_copy(
        update={
            "managers": (settings.advertise_address,),
            "is_equipped": True,
            "initial_cluster": (member,) if settings.etcd is None else (),
        }
    )
    save_node(settings.data_dir, record)
    identity.found(new_id(), record.id, host_of(settings.advertise_address), now)
    log.info("cluster.founded", cluster=identity.read().cluster_id)
    return record


def _check_place(settings: NodeSettings, record: NodeRecord) -> None:
    """Other members of etcd know this one by its address, and its certificate names it."""
    known = dict(record.initial_cluster).get(record.id)
    if known is not None and known != f"https://{settings.peer_address}":
        raise BadRequest(
            f"this manager's etcd is known to the others at {known}, and not at {settings.peer_address}: give "
            "--advertise-address and --peer-port as they were, or `swarmpy leave` and join anew"
        )


def _find_etcd(settings: NodeSettings, record: NodeRecord) -> EtcdBinary:
    """The binary of the node's own member of etcd. Raises `BadRequest` when there is none that may open the data."""
    etcd = find_etcd()
    check_release(etcd, record.etcd_release, settings.data_dir)
    if len(record.initial_cluster) > 1:
        check_many_members(etcd)
    log.info("etcd.found", path=str(etcd.path), version=etcd.text)
    if etcd.may_corrupt:
        log.warning("etcd.may_corrupt", version=etcd.text, action="for trials only: install 3.4, or 3.5.3 or later")
    return etcd


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    return stop
