"""Carries instructions out on the engine: each becomes the event that says how it went.

Errors that mean "try again" are raised as they are (`Unavailable`, `TimedOut`); the runner tries again.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import NoReturn, Protocol

from agent.engine.port import Engine
from agent.files import Files
from agent.flights import Flights
from agent.network.shares import Shares
from agent.task.container import CreateRequest, create_request
from agent.task.events import (
    CheckSaid,
    Created,
    Event,
    Exited,
    ImageReady,
    NetworksReady,
    PullProgressed,
    Refused,
    Removed,
    Started,
    Vanished,
)
from agent.task.facts import ContainerFacts, Life
from agent.task.instructions import (
    CreateContainer,
    Instruction,
    JoinNetworks,
    PullImage,
    RemoveContainer,
    SignalContainer,
    StartContainer,
    WakeAfter,
    WatchCheck,
)
from agent.task.mounts import volume_obstacle, volumes_with_a_driver
from agent.task.names import network_id_of, network_name
from agent.task.pull import PullProgress
from agent.task.run import TaskRun
from agent.task.templates import NodeFacts
from swarmpy.clock import Clock
from swarmpy.errors import BadRequest, Conflict, NotFound, SwarmpyError, TimedOut, Unavailable
from swarmpy.wire import NetworkAssignment

Tell = Callable[[Event], None]


class NetworkService(Protocol):
    """Whoever carries packets for the networks that the engine has."""

    async def complete(self, network: NetworkAssignment) -> NetworkAssignment:
        """As the engine is to make it here. Raises `Unavailable` while that is not known."""
        ...

    async def provide(self, network_id: str) -> None:
        """Until containers of that network, which the engine has, are served. Raises `Unavailable` when that takes too
        long."""
        ...


class NobodyServes:
    """For agents that only make networks on the engine."""

    async def complete(self, network: NetworkAssignment) -> NetworkAssignment:
        return network

    async def provide(self, network_id: str) -> None:
        return


PROGRESS_EVERY = 1.0
# How soon a health check is looked at, and how seldom in the end: what it prints is news that costs a write.
FIRST_LOOK = timedelta(seconds=1)
LONGEST_BETWEEN_LOOKS = timedelta(seconds=10)


class Performer:
    """`networks` are those provided on this node now, `shares` their addresses; the runner changes them, the performer
    reads them, and takes. `networks_on_engine` are those that the engine had when last asked. `network_service`
    is waited for once a network is on the engine, before tasks join it. `network_limits` are what networks lack that
    another version of the engine made, by id; `on_limits` hears that they are others."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        node_id: str,
        networks: Mapping[str, NetworkAssignment],
        shares: Shares,
        files: Files,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._node_id = node_id
        self._networks = networks
        self._shares = shares
        self._files = files
        self._flights = Flights()
        self._removals = Flights()
        self._listeners: dict[tuple[str, str | None], dict[str, Tell]] = {}
        # By network, the subnet that it had: it may leave this node and come back with another one.
        self._there: dict[str, str] = {}
        self.networks_on_engine: set[str] = set()
        self.node = NodeFacts(hostname="", os="linux", architecture="")
        self.network_service: NetworkService = NobodyServes()
        self.network_limits: dict[str, str] = {}
        self.on_limits: Callable[[], None] = lambda: None

    async def perform(self, run: TaskRun, instruction: Instruction, tell: Tell) -> Event | None:
        """The outcome; `tell` is for what happens on the way."""
        try:
            match instruction:
                case PullImage():
                    return await self._pull(run, tell)
                case JoinNetworks():
                    await self._join(run)
                    return NetworksReady()
                case CreateContainer():
                    return await self._create(run)
                case StartContainer(container_id):
                    return await self._start(run, container_id)
                case WatchCheck(container_id):
                    await self._watch_check(container_id, tell)
                case SignalContainer(container_id, signal):
                    return await self._signal(container_id, signal)
                case RemoveContainer(container_id):
                    return await self._remove(container_id)
                case WakeAfter(seconds, event):
                    await self._clock.sleep(timedelta(seconds=seconds))
                    return event
        except (Unavailable, TimedOut):
            raise
        except SwarmpyError as error:
            return Refused(str(error))

    def forget_networks(self) -> None:
        """The engine was away, or a network was removed by hand: look again before the next task joins."""
        self._there.clear()

    def provided(self) -> frozenset[str]:
        """Networks that are on the engine for tasks to join, for all that is known."""
        return frozenset(self._there)

    async def find_networks(self) -> None:
        """Those of this node that the engine has already."""
        names = await self._engine.networks(self._node_id)
        self.networks_on_engine.update(id for name in names if (id := network_id_of(name)) is not None)

    async def remove_network(self, network_id: str, name: str) -> None:
        """A task that comes to need it meanwhile, or its range, waits for that."""
        self._there.pop(network_id, None)
        await self._removals.share(network_id, partial(self._remove_network, network_id, name))

    async def _remove_network(self, network_id: str, name: str) -> None:
        await self._engine.remove_network(name)
        self.networks_on_engine.discard(network_id)
        self._note_limit(network_id, "")

    async def close(self) -> None:
        await self._flights.close()
        await self._removals.close()

    async def _pull(self, run: TaskRun, tell: Tell) -> Event:
        # What cannot be created need not be pulled: a refusal comes at once.
        request = create_request(run.assignment, self.node, self._networks)
        image = str(request.config["Image"])
        key = (image, run.assignment.pull_auth)
        listeners = self._listeners.setdefault(key, {})
        listeners[run.id] = tell
        try:
            await self._flights.share(key, lambda: self._engine.ensure_image(*key, self._progress_for(key)))
        finally:
            listeners.pop(run.id, None)
            if not listeners:
                self._listeners.pop(key, None)
        return ImageReady()

    def _progress_for(self, key: tuple[str, str | None]) -> Callable[[PullProgress], None]:
        last = -PROGRESS_EVERY + self._clock.monotonic()

        def on_progress(progress: PullProgress) -> None:
            nonlocal last
            now = self._clock.monotonic()
            if now - last < PROGRESS_EVERY:
                return
            last = now
            for tell in list(self._listeners.get(key, {}).values()):
                tell(PullProgressed(progress.text()))

        return on_progress

    async def _join(self, run: TaskRun) -> None:
        for part in run.assignment.networks:
            there, wanted = self._there.get(part.network_id), self._networks.get(part.network_id)
            if there is None or (wanted is not None and wanted.subnet != there):
                await self._flights.share(part.network_id, partial(self._provide, part.network_id))

    async def _provide(self, network_id: str) -> None:
        network = self._networks.get(network_id)
        if network is None:
            raise BadRequest(f"network {network_id} is not provided on this node")
        network = await self.network_service.complete(network)
        await self._removals.wait_until_over()
        limit = await self._ensure(network)
        if limit:
            # Made anew if nobody sits in it; else what is there serves as far as it does.
            with suppress(Conflict):
                await self.remove_network(network_id, network_name(network))
                limit = await self._engine.ensure_network(network, self._node_id)
        self._note_limit(network_id, limit)
        self.networks_on_engine.add(network_id)
        # A container that starts before its network is set up would find neither names nor others.
        await self.network_service.provide(network_id)
        self._there[network_id] = network.subnet

    def _note_limit(self, network_id: str, limit: str) -> None:
        if limit != self.network_limits.get(network_id, ""):
            self.network_limits = {**self.network_limits, network_id: limit}
            self.on_limits()

    async def _ensure(self, network: NetworkAssignment) -> str:
        try:
            return await self._engine.ensure_network(network, self._node_id)
        except Conflict:
            # A network that has left this node holds its range until it is taken away; and one that left and came back
            # while the agent was not there has another range now.
            await self._remove_departed(network.id)
            return await self._ensure_after_its_former_stay(network)

    async def _ensure_after_its_former_stay(self, network: NetworkAssignment) -> str:
        try:
            return await self._engine.ensure_network(network, self._node_id)
        except Conflict as cause:
            if network_name(network) in await self._engine.networks(self._node_id):
                # Containers of tasks that were given up meanwhile still sit in it: they are being stopped.
                raise Unavailable(str(cause)) from None
            raise

    async def _remove_departed(self, returned: str) -> None:
        """Take away this node's networks that are assigned no more, and the one that may be a former stay's, as far as
        nobody sits in them."""
        for name in await self._engine.networks(self._node_id):
            id = network_id_of(name)
            if id is not None and (id not in self._networks or id == returned):
                with suppress(Conflict):
                    await self.remove_network(id, name)
        await self._removals.wait_until_over()

    async def _check_volumes(self, request: CreateRequest) -> None:
        """Raises `Conflict` where one is there that is not what the task asks for."""
        for name, wanted in volumes_with_a_driver(request.config["HostConfig"].get("Mounts") or ()):
            existing = await self._engine.volume(name)
            if existing is not None and (obstacle := volume_obstacle(name, wanted, existing)):
                raise Conflict(obstacle)

    async def _create(self, run: TaskRun) -> Event:
        folder = await self._files.furnish(run.assignment, self.node)
        addresses = self._shares.take(run.assignment)
        request = create_request(run.assignment, self.node, self._networks, folder, addresses)
        await self._check_volumes(request)
        try:
            return Created(await self._engine.create(request))
        except Conflict:
            # A creation whose answer was lost: the container is ours by its label.
            found = await self._engine.find(request.name)
            if found is None or found.task_id != run.id:
                raise
            return Created(found.id)
        except NotFound:
            if not request.networks:
                raise
            # A network that was there has been removed by hand.
            self.forget_networks()
            await self._join(run)
            return Created(await self._engine.create(request))

    async def _start(self, run: TaskRun, container_id: str) -> Event:
        # The machine may have been started anew since the container was made, and its memory is empty then.
        await self._files.furnish(run.assignment, self.node)
        try:
            await self._engine.start(container_id)
            return Started(await self._engine.inspect(container_id))
        except NotFound:
            return Vanished()

    async def _watch_check(self, container_id: str, tell: Tell) -> NoReturn:
        """Whoever follows the engine says what comes of the check, and of an engine that is away."""
        pause = FIRST_LOOK
        while True:
            await self._clock.sleep(pause)
            pause = min(2 * pause, LONGEST_BETWEEN_LOOKS)
            with suppress(SwarmpyError):
                tell(CheckSaid((await self._engine.inspect(container_id)).health_output))

    async def _signal(self, container_id: str, signal: str) -> Event | None:
        try:
            await self._engine.signal(container_id, signal)
        except NotFound:
            return Vanished()
        except Conflict:
            return _ended(await self._engine.inspect(container_id))
        return None

    async def _remove(self, container_id: str) -> Event:
        await self._engine.remove(container_id)
        return Removed()


def _ended(facts: ContainerFacts) -> Event | None:
    if facts.life is Life.RUNNING:
        return None
    return Exited(facts.exit_code, facts.oom_killed, facts.error)
