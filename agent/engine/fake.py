"""The engine port in memory: thousands of containers, time from a `Clock`, and a script of what goes wrong.

For tests and for clusters without a machine behind them. The contract suite keeps it true to a real engine.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from ipaddress import ip_network
from typing import Any

from agent.engine.port import EngineEvent, EngineInfo, LogLine, News, OnProgress
from agent.engine.ranges import EngineNetwork, obstacle
from agent.task.container import CreateRequest, NetworkToJoin
from agent.task.facts import ContainerFacts, Health, Life, ListedContainer
from agent.task.mounts import VolumeFacts, volumes_with_a_driver
from agent.task.names import NODE_LABEL, TASK_LABEL, network_id_of, network_name
from agent.task.pull import PullProgress
from swarmpy.clock import Clock
from swarmpy.errors import BadRequest, Conflict, NotFound, Unavailable
from swarmpy.wire import LogOptions, NetworkAssignment

KILLED = 137
TERMINATED = 143


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What containers of an image do. Times in seconds after the start; None is never.

    `pull_seconds` None: the image is here. `refuses` is the engine's word when a container is created.
    """

    missing: bool = False
    pull_seconds: float | None = None
    refuses: str = ""
    fails_to_start: str = ""
    start_seconds: float = 0.0
    exits_after: float | None = None
    exit_code: int = 0
    has_health_check: bool = False
    healthy_after: float | None = None
    unhealthy_after: float | None = None
    health_output: str = ""
    ignores_signals: bool = False
    output: tuple[bytes, ...] = ()


@dataclass(slots=True)
class _Container:
    facts: ContainerFacts
    name: str
    config: Mapping[str, Any]
    networks: tuple[NetworkToJoin, ...]
    behaviour: Behaviour
    timers: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def labels(self) -> Mapping[str, str]:
        labels: Mapping[str, str] = self.config.get("Labels") or {}
        return labels


@dataclass(slots=True)
class _Network:
    wish: NetworkAssignment
    node_id: str
    taken: int = 1
    lacks: str = ""


class FakeEngine:
    """`behaviours` is by image; an image that is not named there is present, and its containers run until stopped."""

    def __init__(self, clock: Clock, behaviours: Mapping[str, Behaviour] | None = None) -> None:
        self._clock = clock
        self.behaviours = dict(behaviours or {})
        self.info = EngineInfo(
            hostname="fake", os="linux", architecture="x86_64", nano_cpus=4_000_000_000, memory_bytes=8 << 30,
            version="20.10.24", api_version=(1, 41),
        )  # fmt: skip
        self.pulled: list[str] = []
        self.starts = 0
        self.listings = 0
        self._containers: dict[str, _Container] = {}
        self._ids_by_name: dict[str, str] = {}
        self._networks: dict[str, _Network] = {}
        self._volumes: dict[str, Mapping[str, str]] = {}
        self._volume_facts: dict[str, VolumeFacts] = {}
        self._listeners: dict[asyncio.Queue[EngineEvent | None], str] = {}
        self._created = 0
        self._away = ""

    # What a test's hand does.

    def go_away(self, reason: str = "connection refused") -> None:
        """No call is answered, and the event streams end; containers live on."""
        self._away = reason
        for listener in self._listeners:
            listener.put_nowait(None)

    def come_back(self) -> None:
        self._away = ""

    def outdate_networks(self, lacks: str) -> None:
        """As if another version of the engine had made those that are there."""
        for network in self._networks.values():
            network.lacks = lacks

    def crash(self, container_id: str, exit_code: int = KILLED) -> None:
        """As if its process had ended."""
        self._exit(self._containers[container_id], exit_code)

    def remove_by_hand(self, container_id: str) -> None:
        self._remove(self._containers[container_id])

    def turn_unhealthy(self, container_id: str, output: str = "") -> None:
        self._become(self._containers[container_id], Health.UNHEALTHY, output)

    def fail_check(self, container_id: str, output: str) -> None:
        """Once; not often enough to be unhealthy."""
        container = self._containers[container_id]
        container.facts = replace(container.facts, health_output=output)

    def turn_healthy(self, container_id: str) -> None:
        self._become(self._containers[container_id], Health.HEALTHY)

    def make_volume(self, name: str, labels: Mapping[str, str]) -> None:
        self._volumes.setdefault(name, labels)

    def remove_volume(self, name: str) -> None:
        del self._volumes[name]
        self._volume_facts.pop(name, None)

    def running(self) -> tuple[ContainerFacts, ...]:
        return tuple(c.facts for c in self._containers.values() if c.facts.life is Life.RUNNING)

    def container_of(self, task_id: str) -> ContainerFacts | None:
        """The newest container of a task."""
        return next((c.facts for c in reversed(self._containers.values()) if c.facts.task_id == task_id), None)

    def config_of(self, container_id: str) -> Mapping[str, Any]:
        """What it was created with."""
        return self._containers[container_id].config

    # The port.

    async def describe(self) -> EngineInfo:
        await self._answering()
        return self.info

    async def containers(self, node_id: str) -> tuple[ListedContainer, ...]:
        await self._answering()
        self.listings += 1
        return tuple(
            ListedContainer(c.facts.id, c.facts.task_id, c.facts.life, c.facts.health, c.facts.addresses)
            for c in self._containers.values()
            if c.labels.get(NODE_LABEL) == node_id
        )

    async def ensure_image(self, reference: str, pull_auth: str | None, on_progress: OnProgress) -> None:
        await self._answering()
        behaviour = self._behaviour(reference)
        if behaviour.missing:
            raise NotFound(f"No such image: {reference} (pulling it failed: no registry answers)")
        if behaviour.pull_seconds is not None and reference not in self.pulled:
            on_progress(PullProgress(reference))
            await self._clock.sleep(timedelta(seconds=behaviour.pull_seconds))
            self.pulled.append(reference)

    async def ensure_network(self, network: NetworkAssignment, node_id: str) -> str:
        await self._answering()
        existing = [
            EngineNetwork(name, frozenset({ip_network(made.wish.subnet)}), made.wish.internal)
            for name, made in self._networks.items()
        ]
        if why := obstacle(existing, network_name(network), network):
            raise Conflict(why)
        return self._networks.setdefault(network_name(network), _Network(network, node_id)).lacks

    async def networks(self, node_id: str) -> tuple[str, ...]:
        await self._answering()
        return tuple(name for name, network in self._networks.items() if network.node_id == node_id)

    async def remove_network(self, name: str) -> None:
        await self._answering()
        running = (c for c in self._containers.values() if c.facts.life is Life.RUNNING)
        if any(network.name == name for container in running for network in container.networks):
            raise Conflict(f"network {name} has active endpoints")
        self._networks.pop(name, None)

    async def volumes(self, label: str) -> tuple[str, ...]:
        await self._answering()
        key, _, value = label.partition("=")
        return tuple(sorted(name for name, labels in self._volumes.items() if labels.get(key) == value))

    async def volume(self, name: str) -> VolumeFacts | None:
        await self._answering()
        return self._volume_facts.get(name, VolumeFacts("local")) if name in self._volumes else None

    async def create(self, request: CreateRequest) -> str:
        await self._answering()
        if self._named(request.name) is not None:
            raise Conflict(f'the container name "/{request.name}" is already in use')
        behaviour = self._behaviour(request.config["Image"])
        if behaviour.missing:
            raise NotFound(f"No such image: {request.config['Image']}")
        if behaviour.refuses:
            raise BadRequest(behaviour.refuses)
        for network in request.networks:
            if network.name not in self._networks:
                raise NotFound(f"network {network.name} not found")
        self._created += 1
        id = f"{self._created:064x}"
        labels: Mapping[str, str] = request.config.get("Labels") or {}
        wished = {network_id_of(each.name) or "": f"{each.address}/32" for each in request.networks if each.address}
        facts = ContainerFacts(id=id, task_id=labels.get(TASK_LABEL, ""), life=Life.CREATED, addresses=wished)
        self._ids_by_name[request.name] = id
        self._make_volumes(request.config)
        self._containers[id] = _Container(facts, request.name, request.config, request.networks, behaviour)
        return id

    async def find(self, name: str) -> ContainerFacts | None:
        await self._answering()
        found = self._named(name)
        return found.facts if found else None

    async def start(self, container_id: str) -> None:
        await self._answering()
        container = self._known(container_id)
        behaviour = container.behaviour
        if container.facts.life is Life.RUNNING:
            return
        if behaviour.start_seconds:
            await self._clock.sleep(timedelta(seconds=behaviour.start_seconds))
        if behaviour.fails_to_start:
            raise BadRequest(behaviour.fails_to_start)
        self.starts += 1
        health = Health.STARTING if behaviour.has_health_check else None
        addresses = {network_id_of(network.name) or "": self._address(network) for network in container.networks}
        container.facts = replace(
            container.facts, life=Life.RUNNING, pid=1000 + self.starts, health=health, exit_code=0, addresses=addresses
        )
        self._set_timers(container)

    async def inspect(self, container_id: str) -> ContainerFacts:
        await self._answering()
        return self._known(container_id).facts

    async def signal(self, container_id: str, signal: str) -> None:
        await self._answering()
        container = self._known(container_id)
        if container.facts.life is not Life.RUNNING:
            raise Conflict(f"container {container_id[:12]} is not running")
        if signal == "SIGKILL":
            self._exit(container, KILLED)
        elif not container.behaviour.ignores_signals:
            self._exit(container, TERMINATED)

    async def remove(self, container_id: str) -> None:
        await self._answering()
        container = self._containers.get(container_id)
        if container is not None:
            self._remove(container)

    async def events(self, node_id: str) -> AsyncGenerator[EngineEvent | None, None]:
        await self._answering()
        listener: asyncio.Queue[EngineEvent | None] = asyncio.Queue()
        self._listeners[listener] = node_id
        try:
            yield None
            while (event := await listener.get()) is not None:
                yield event
        finally:
            del self._listeners[listener]

    async def logs(self, container_id: str, options: LogOptions, *, tty: bool) -> AsyncGenerator[LogLine, None]:
        await self._answering()
        lines = self._known(container_id).behaviour.output if options.stdout else ()
        if options.tail is not None:
            lines = lines[max(0, len(lines) - options.tail) :]
        for line in lines:
            yield LogLine(1, line)
        while options.follow and self._runs(container_id):
            await self._clock.sleep(timedelta(seconds=1))

    async def close(self) -> None:
        """Containers live on, as those of a real engine do; their timers go with the event loop's end."""
        for container in self._containers.values():
            self._end_timers(container)

    # How it is done.

    async def _answering(self) -> None:
        await asyncio.sleep(0)
        if self._away:
            raise Unavailable(f"the Docker engine at fake is not reachable ({self._away}): is it running?")

    def _make_volumes(self, config: Mapping[str, Any]) -> None:
        mounts = config.get("HostConfig", {}).get("Mounts") or ()
        for name, facts in volumes_with_a_driver(mounts):
            if name not in self._volumes:
                self._volume_facts[name] = facts
        for mount in mounts:
            if mount["Type"] == "volume" and mount.get("Source"):
                self.make_volume(mount["Source"], (mount.get("VolumeOptions") or {}).get("Labels") or {})

    def _behaviour(self, image: str) -> Behaviour:
        return self.behaviours.get(image, Behaviour())

    def _known(self, container_id: str) -> _Container:
        container = self._containers.get(container_id)
        if container is None:
            raise NotFound(f"No such container: {container_id}")
        return container

    def _runs(self, container_id: str) -> bool:
        container = self._containers.get(container_id)
        return container is not None and container.facts.life is Life.RUNNING

    def _named(self, name: str) -> _Container | None:
        return self._containers.get(self._ids_by_name.get(name, ""))

    def _address(self, joined: NetworkToJoin) -> str:
        network = self._networks[joined.name]
        subnet = ip_network(network.wish.subnet)
        if joined.address is not None and joined.address not in subnet:
            raise BadRequest(f"Invalid address {joined.address}: it does not belong to {subnet}")
        if joined.address is not None:
            return f"{joined.address}/{subnet.prefixlen}"
        network.taken += 1
        return f"{subnet[network.taken]}/{subnet.prefixlen}"

    def _set_timers(self, container: _Container) -> None:
        behaviour = container.behaviour
        script: tuple[tuple[float | None, Callable[[], None]], ...] = (
            (behaviour.exits_after, partial(self._exit, container, behaviour.exit_code)),
            (behaviour.healthy_after, partial(self._become, container, Health.HEALTHY)),
            (behaviour.unhealthy_after, partial(self._become, container, Health.UNHEALTHY, behaviour.health_output)),
        )
        for seconds, then in script:
            if seconds is not None:
                container.timers.append(asyncio.ensure_future(self._later(seconds, then)))

    async def _later(self, seconds: float, then: Callable[[], None]) -> None:
        await self._clock.sleep(timedelta(seconds=seconds))
        then()

    def _become(self, container: _Container, health: Health, output: str = "") -> None:
        if container.facts.life is not Life.RUNNING or container.facts.health is health:
            return
        container.facts = replace(container.facts, health=health, health_output=output)
        self._announce(container, News.HEALTHY if health is Health.HEALTHY else News.UNHEALTHY)

    def _exit(self, container: _Container, code: int) -> None:
        if container.facts.life is not Life.RUNNING:
            return
        container.facts = replace(container.facts, life=Life.EXITED, exit_code=code, pid=0, addresses={})
        self._end_timers(container)
        self._announce(container, News.DIED, code)

    def _remove(self, container: _Container) -> None:
        self._exit(container, KILLED)
        self._end_timers(container)
        self._containers.pop(container.facts.id, None)
        self._ids_by_name.pop(container.name, None)
        self._announce(container, News.DESTROYED)

    def _end_timers(self, container: _Container) -> None:
        for timer in container.timers:
            if timer is not asyncio.current_task():
                timer.cancel()
        container.timers.clear()

    def _announce(self, container: _Container, news: News, code: int = 0) -> None:
        event = EngineEvent(news, container.facts.id, container.facts.task_id, code)
        for listener, node_id in self._listeners.items():
            if container.labels.get(NODE_LABEL) == node_id:
                listener.put_nowait(event)
