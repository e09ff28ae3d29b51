"""Composition root of the agent: builds its parts, and runs them until the first of them fails."""

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from agent.cache import Cache, Memory, memory_of
from agent.channel import Connect, connector
from agent.ends import Ends
from agent.engine.docker import DockerEngine
from agent.engine.port import Engine, EngineInfo
from agent.files import Files
from agent.network.keeper import NetworkKeeper
from agent.network.machine import Network, NetworkFacts, notes_of, of_this_machine
from agent.place import Place
from agent.processes import KernelProcesses
from agent.runner import Runner
from agent.session import Portrait, Session
from agent.streams import LogStreams
from agent.task.assign import NOTHING_YET
from agent.task.templates import NodeFacts
from agent.watcher import Watcher
from swarmpy.clock import Clock
from swarmpy.errors import SwarmpyError, TimedOut, Unavailable
from swarmpy.labels import VOLUME_AFFINITY
from swarmpy.logs import logger
from swarmpy.models.node import EngineDescription, NodeDescription, Platform, Plugin
from swarmpy.models.resources import Resources
from swarmpy.pki import Credentials
from swarmpy.settings import AgentSettings
from swarmpy.together import together
from swarmpy.wire import LONGEST_VOLUME, MOST_VOLUMES

log = logger("agent")

FIRST_PAUSE = timedelta(milliseconds=250)
LONGEST_PAUSE = timedelta(seconds=5)
SAY_AGAIN_EVERY = 30.0
# A node that leaves gives its tasks this long, in seconds, to end, and its engine as long to answer at all.
LEAVES_WITHIN = 60.0
FOR_EVER = math.inf


async def run(
    settings: AgentSettings,
    clock: Clock,
    engine: Engine | None = None,
    connect: Connect | None = None,
    network: Network | None = None,
) -> None:
    """Until cancelled. What runs keeps running afterwards. An agent whose engine does not answer registers with no
    manager, says so in its log, and tries again: a node that can run nothing is not ready.

    An agent that is given an engine of its own, and no `network`, leaves kernel and names alone."""
    if engine is None:
        network = network or of_this_machine(clock)
    engine = engine or DockerEngine(settings.docker_host)
    try:
        await _serve(settings, clock, engine, connect or connector(Credentials.of(settings.identity)), network)
    finally:
        await engine.close()


async def _serve(
    settings: AgentSettings, clock: Clock, engine: Engine, connect: Connect, network: Network | None
) -> None:
    patience = LEAVES_WITHIN if settings.is_leaving else FOR_EVER
    info = await wait_until_engine_answers(engine, clock, patience)
    log.info("engine.found", host=settings.docker_host, version=info.version)
    cache = Cache(settings.data_dir, settings.node_id, clock)
    runner = Runner(engine, clock, settings.node_id, Files(places_of_files(settings)))
    runner.on_change = both(cache.mark_stale, Ends(engine, clock, runner, KernelProcesses()).follow)
    runner.describe_node(_node_facts(settings, info))
    watcher = Watcher(engine, clock, settings.node_id, runner, settings.relist_every)
    streams = LogStreams(engine, runner, connect)

    networks = network.of_node(settings, clock, runner) if network else None

    async def describe() -> Portrait:
        info = await engine.describe()
        runner.describe_node(_node_facts(settings, info))
        volumes = await kept_volumes(engine, runner.kept_volumes)
        facts = await networks.facts() if networks else NetworkFacts()
        limits = notes_of((*facts.limits, *runner.network_limits))
        return portrayed(described(settings, info), volumes, replace(facts, limits=limits))

    memory = cache.load()
    runner.kept_volumes.update(memory.volumes)
    await _adopt(runner, memory, clock, patience)
    if settings.is_leaving:
        await together(runner.run(), watcher.run(), _leave(runner, engine, settings.node_id, clock))
        if networks is not None:
            await networks.keeper.clear()
        return
    place = Place(settings.data_dir, settings.managers, settings.ready_file)
    session = Session(settings, clock, runner, describe, connect, streams, place)
    runner.on_report = session.report
    works = [runner.run(), watcher.run(), session.run(), place.keep(), _keep(cache, runner, settings.node_id, clock)]
    if networks is not None:
        join_networks(networks.keeper, runner, session)
        works.append(networks.run())
    try:
        await together(*works)
    finally:
        place.set_ready(False)
        await place.save()
        await streams.close_all()
        await cache.save(_memory(runner, settings.node_id))


def join_networks(keeper: NetworkKeeper, runner: Runner, session: Session) -> None:
    """Whoever changes what the networks are to be wakes the keeper, and the manager hears what it did."""
    runner.on_change = both(runner.on_change, keeper.wake)
    runner.serve_networks_with(keeper)
    session.on_assigned = lambda revision: keeper.wake()
    keeper.on_shown = session.note_mapped
    keeper.on_repair = session.note_repairs
    keeper.on_trouble = runner.node_changed.set
    keeper.wake()


def both(first: Callable[[], None], second: Callable[[], None]) -> Callable[[], None]:
    def done() -> None:
        first()
        second()

    return done


async def wait_until_engine_answers(engine: Engine, clock: Clock, patience: float = FOR_EVER) -> EngineInfo:
    """Raises `TimedOut` when it does not within so many seconds."""
    pause, said_at, give_up_at = FIRST_PAUSE, -SAY_AGAIN_EVERY + clock.monotonic(), clock.monotonic() + patience
    while True:
        try:
            return await engine.describe()
        except (Unavailable, TimedOut) as error:
            if clock.monotonic() - said_at >= SAY_AGAIN_EVERY:
                log.error("engine.not_reachable", error=str(error))
                said_at = clock.monotonic()
            if clock.monotonic() >= give_up_at:
                raise _not_cleared(error, patience) from error
        await clock.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _not_cleared(error: SwarmpyError, patience: float) -> TimedOut:
    return TimedOut(
        f"the engine was waited for {patience:g} s, and what ran here is not removed; see to it and run this again:"
        f" {error}"
    )


async def _adopt(runner: Runner, memory: Memory, clock: Clock, patience: float) -> None:
    records = {record.task_id: record for record in memory.records}
    give_up_at = clock.monotonic() + patience
    while True:
        try:
            return await runner.adopt(memory.assigned(), records, memory.resting)
        except SwarmpyError as error:
            log.warning("engine.away", error=str(error))
            if clock.monotonic() >= give_up_at:
                raise _not_cleared(error, patience) from error
            await clock.sleep(FIRST_PAUSE)


async def _leave(runner: Runner, engine: Engine, node_id: str, clock: Clock) -> None:
    """Stop and remove all that this node runs, its networks too."""
    runner.apply(NOTHING_YET, full=True)
    deadline = clock.monotonic() + LEAVES_WITHIN
    while left := await _left(engine, node_id):
        if clock.monotonic() > deadline:
            raise TimedOut(f"not all that ran here could be stopped within {LEAVES_WITHIN:g} s: {', '.join(left)}")
        runner.look_again.set()
        await clock.sleep(FIRST_PAUSE)
    await runner.part_with_files()
    log.info("node.cleared")


async def _left(engine: Engine, node_id: str) -> list[str]:
    """What is still to be removed; of an engine that does not answer, its trouble."""
    try:
        return [*(found.id[:12] for found in await engine.containers(node_id)), *await engine.networks(node_id)]
    except (Unavailable, TimedOut) as error:
        return [str(error)]


async def _keep(cache: Cache, runner: Runner, node_id: str, clock: Clock) -> None:
    """A full disk stops nothing that runs; it is tried again."""
    while True:
        await cache.wait_until_stale()
        while not await cache.save(_memory(runner, node_id)):
            await clock.sleep(LONGEST_PAUSE)


def _memory(runner: Runner, node_id: str) -> Memory:
    return memory_of(node_id, runner.assigned, runner.records(), runner.kept_volumes, runner.shares.resting())


def places_of_files(settings: AgentSettings) -> tuple[Path, ...]:
    """Beside the node's sockets, where they lie in memory, as under systemd; else where machines have such a place."""
    name = f"swarmpy.{settings.node_id}"
    return settings.ready_file.parent / "secrets", Path("/run", name), Path("/dev/shm", name)


def described(settings: AgentSettings, info: EngineInfo) -> NodeDescription:
    """What the cluster is told of this node."""
    return NodeDescription(
        hostname=settings.hostname,
        platform=Platform(architecture=info.architecture, os=info.os),
        resources=Resources(nano_cpus=info.nano_cpus, memory_bytes=info.memory_bytes),
        engine=EngineDescription(
            engine_version=info.version,
            labels={**info.labels, **settings.labels},
            plugins=tuple(Plugin(type=kind, name=name) for kind, name in info.plugins),
        ),
    )


def portrayed(description: NodeDescription, volumes: tuple[str, ...], facts: NetworkFacts) -> Portrait:
    return Portrait(description, volumes, facts.features, facts.routes, facts.limits, facts.wireguard_key)


async def kept_volumes(engine: Engine, named: set[str]) -> tuple[str, ...]:
    """The engine's volumes that tasks must be with: those with the label, and those that were there without it when a
    task first asked for them by name. Names of volumes that are gone leave `named`."""
    found = set(await engine.volumes(f"{VOLUME_AFFINITY}=true"))
    for name in sorted(named - found):
        volume = await engine.volume(name)
        if volume is None:
            named.discard(name)
        elif volume.driver == "local":
            found.add(name)
    told = tuple(name for name in sorted(found) if len(name) <= LONGEST_VOLUME)[:MOST_VOLUMES]
    if len(told) < len(found):
        log.error("volumes.too_many", found=len(found), told=len(told))
    return told


def _node_facts(settings: AgentSettings, info: EngineInfo) -> NodeFacts:
    return NodeFacts(settings.hostname, info.os, info.architecture, info.api_version)
