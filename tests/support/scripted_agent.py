"""An agent without an engine, stepped by hand: speaks the session's messages over a channel in memory.

What it holds are containers: they outlive a crash of the agent and a cut connection, as real ones do.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Network
from typing import Any

from manager.dispatcher.channel import Channel, ChannelClosed
from swarmpy.clock import Clock
from swarmpy.models.node import EngineDescription, NodeDescription, Platform
from swarmpy.models.resources import Resources
from swarmpy.models.task import ContainerStatus, TaskStatus
from swarmpy.network_map import EMPTY_MAP, IndexedMap
from swarmpy.states import TaskState
from swarmpy.wire import (
    Applied,
    Bearings,
    Beat,
    Beaten,
    Changes,
    CloseStream,
    FromAgent,
    FromManager,
    Full,
    Goodbye,
    Hello,
    Mapped,
    NetworkAssignment,
    OpenLogs,
    Refused,
    Reports,
    TaskAssignment,
    TaskReport,
    Welcome,
    from_agent,
    from_manager,
)

Serve = Callable[[Channel, str], Coroutine[Any, Any, None]]
_UP = (
    TaskState.ACCEPTED,
    TaskState.PREPARING,
    TaskState.READY,
    TaskState.STARTING,
    TaskState.RUNNING,
)
CRASH = "exit 1"


class MemoryChannel(Channel):
    """Both ends of one connection; every message goes through its JSON. `is_cut`: nothing passes, nobody notices."""

    def __init__(self) -> None:
        self.is_cut = False
        self.awake = asyncio.Event()
        self.awake.set()
        # What the agent said while its words are under way for long; None: they arrive at once.
        self.under_way: list[str] | None = None
        self._up: asyncio.Queue[str | None] = asyncio.Queue()
        self._down: asyncio.Queue[str | None] = asyncio.Queue()
        self._closed = False

    # the manager's end

    async def receive(self) -> FromAgent:
        text = await self._up.get()
        await self.awake.wait()
        if text is None:
            raise ChannelClosed
        return from_agent.validate_json(text)

    async def send(self, message: FromManager) -> None:
        await self.awake.wait()
        if self._closed:
            raise ChannelClosed
        if not self.is_cut:
            self._down.put_nowait(message.model_dump_json(exclude_none=True))

    async def close(self) -> None:
        await self.awake.wait()
        self.drop()

    # the agent's end

    def say(self, message: FromAgent) -> None:
        self.say_frame(message.model_dump_json(exclude_none=True))

    def say_frame(self, frame: str) -> None:
        if self._closed:
            raise ChannelClosed
        if self.under_way is not None:
            self.under_way.append(frame)
        elif not self.is_cut:
            self._up.put_nowait(frame)

    async def hear(self) -> FromManager:
        return from_manager.validate_json(await self.hear_frame())

    async def hear_frame(self) -> str:
        text = await self._down.get()
        if text is None:
            self._down.put_nowait(None)
            raise ChannelClosed
        return text

    def drop(self) -> None:
        if not self._closed:
            self._closed = True
            self._up.put_nowait(None)
            self._down.put_nowait(None)


@dataclass(slots=True)
class Run:
    """One container and what is known of it."""

    task: TaskAssignment
    status: TaskStatus
    history: list[TaskState] = field(default_factory=list)


def description(hostname: str, *, cpus: int = 8, memory: int = 16 << 30) -> NodeDescription:
    return NodeDescription(
        hostname=hostname,
        platform=Platform(architecture="x86_64", os="linux"),
        resources=Resources(nano_cpus=cpus * 10**9, memory_bytes=memory),
        engine=EngineDescription(engine_version="20.10.24"),
    )


class ScriptedAgent:
    """`outcome` says what becomes of a task that was told to run: None, it runs on; `CRASH`; or `done`."""

    RETRY = timedelta(milliseconds=500)
    # A manager that answers no hello is not there.
    ANSWER = timedelta(seconds=2)

    def __init__(self, node_id: str, clock: Clock, *managers: Serve, node: NodeDescription | None = None) -> None:
        self.node_id = node_id
        self.description = node or description(node_id)
        self.runs: dict[str, Run] = {}
        # Ids of all tasks ever started here, in order.
        self.starts: list[str] = []
        self.messages: list[FromManager] = []
        # What it was told to forget while it ran.
        self.discarded: list[str] = []
        self.outcome: Callable[[TaskAssignment], str | None] = lambda task: None
        self.holds_at: TaskState = TaskState.RUNNING
        self.revision: int | None = None
        self.session_id = ""
        self.ended = ""
        self.is_stubborn = False
        # In beats: how long it keeps a connection on which it hears nothing.
        self.patience = 4
        # Whether it says which network map it shows.
        self.says_mapped = True
        self.networks: dict[str, NetworkAssignment] = {}
        self.map: IndexedMap = EMPTY_MAP
        self._clock = clock
        self._managers = managers
        self._next = 0
        self.channel: MemoryChannel | None = None
        self.is_cut = False
        self._heard_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._serving: set[asyncio.Task[None]] = set()

    # what a test does to it

    def start(self) -> None:
        self._task = asyncio.create_task(self._live())

    async def crash(self) -> None:
        """kill -9: the connection drops, the containers stay."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        if self.channel is not None:
            self.channel.drop()

    async def reboot(self) -> None:
        """The machine goes: nothing survives."""
        await self.crash()
        self.runs.clear()

    async def close(self) -> None:
        await self.crash()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def cut_off(self) -> None:
        """Nothing passes in either direction and no packet says so."""
        self.is_cut = True
        if self.channel is not None:
            self.channel.is_cut = True

    def delay_words(self) -> None:
        """From now on nothing that it says arrives, until `deliver_words`. It hears, and its connection stays."""
        assert self.channel is not None
        self.patience = 1000
        self.channel.under_way = []

    def deliver_words(self) -> None:
        assert self.channel is not None
        said, self.channel.under_way = self.channel.under_way or [], None
        for frame in said:
            self.channel.say_frame(frame)

    def reconnect(self) -> None:
        """The network is back; the old connection is not."""
        self.is_cut = False
        if self.channel is not None:
            self.channel.drop()

    def release(self) -> None:
        """What was held up goes on."""
        self.holds_at = TaskState.RUNNING
        self.is_stubborn = False
        for run in list(self.runs.values()):
            self.proceed(run)

    def say_goodbye(self, reason: str) -> None:
        assert self.channel is not None
        self.channel.say(Goodbye(session_id=self.session_id, reason=reason))

    def finish(self, task_id: str, state: TaskState, message: str = "", exit_code: int = 1) -> None:
        """The container ends by itself."""
        self._move(self.runs[task_id], state, err=message, exit_code=exit_code)

    @property
    def is_up(self) -> bool:
        """The agent's process, whatever becomes of its connection."""
        return self._task is not None

    @property
    def running(self) -> set[str]:
        """Ids of the tasks whose containers are up."""
        return {id for id, run in self.runs.items() if run.status.state in (TaskState.STARTING, TaskState.RUNNING)}

    # its life

    async def _live(self) -> None:
        while not self.ended:
            with suppress(ChannelClosed):
                await self._converse()
            self.session_id = ""
            self._next += 1
            await self._clock.sleep(self.RETRY)

    async def _converse(self) -> None:
        channel = self.channel = MemoryChannel()
        channel.is_cut = self.is_cut
        serve = self._managers[self._next % len(self._managers)]
        serving = asyncio.create_task(serve(channel, self.node_id))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)
        reports = tuple(self._report(run) for run in self.runs.values())
        channel.say(Hello(address="127.0.0.1:2377", description=self.description, reports=reports))
        beating: asyncio.Task[None] | None = None
        waiting = asyncio.create_task(self._give_up_unanswered(channel))
        try:
            while True:
                message = await channel.hear()
                waiting.cancel()
                self._heard_at = self._clock.monotonic()
                self.messages.append(message)
                match message:
                    case Welcome():
                        self.session_id = message.session_id
                        self._tell_what_came_since(reports)
                        beating = asyncio.create_task(self._beat(channel, message.beat_every))
                    case Refused():
                        self.ended = "" if message.retry else message.reason
                        return
                    case Full() | Changes():
                        self._apply(message)
                    case Beaten() | Bearings() | OpenLogs() | CloseStream():
                        pass
        finally:
            channel.drop()
            helpers = [waiting] if beating is None else [waiting, beating]
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)

    def _tell_what_came_since(self, hello: tuple[TaskReport, ...]) -> None:
        news = tuple(report for run in self.runs.values() if (report := self._report(run)) not in hello)
        if news:
            self._say(Reports(session_id=self.session_id, reports=news))

    async def _give_up_unanswered(self, channel: MemoryChannel) -> None:
        await self._clock.sleep(self.ANSWER)
        channel.drop()

    async def _beat(self, channel: MemoryChannel, every: float) -> None:
        """A manager that answers no beat is given up."""
        with suppress(ChannelClosed):
            while self._clock.monotonic() - self._heard_at < self.patience * every:
                await self._clock.sleep(timedelta(seconds=every))
                channel.say(Beat(session_id=self.session_id))
            channel.drop()

    def _apply(self, message: Full | Changes) -> None:
        self._take_over(message)
        if isinstance(message, Full):
            known = {task.id for task in message.tasks}
            for task_id in [task_id for task_id in self.runs if task_id not in known]:
                self._discard(task_id)
        else:
            assert message.after == self.revision, "a gap in the changes"
            for task_id in message.dropped_tasks:
                self._discard(task_id)
        self.revision = message.revision
        for task in message.tasks:
            self._obey(task)
        self._say(Applied(session_id=self.session_id, revision=message.revision))
        if self.says_mapped:
            self.say_mapped()

    def say_mapped(self) -> None:
        assert self.revision is not None
        self._say(Mapped(session_id=self.session_id, revision=self.revision))

    def _take_over(self, message: Full | Changes) -> None:
        if isinstance(message, Full):
            self.networks, self.map = {}, IndexedMap.of(message.map)
        else:
            self.map = self.map.amended(message.map)
            for network_id in message.dropped_networks:
                self.networks.pop(network_id, None)
        self.networks.update({network.id: network for network in message.networks})

    def _discard(self, task_id: str) -> None:
        if task_id in self.running:
            self.discarded.append(task_id)
        self.runs.pop(task_id, None)

    def _obey(self, task: TaskAssignment) -> None:
        run = self.runs.get(task.id)
        if run is None:
            run = self.runs[task.id] = Run(task, TaskStatus(timestamp=self._clock.now(), state=TaskState.ASSIGNED))
        run.task = task
        self.proceed(run)

    def proceed(self, run: Run) -> None:
        """As far as the task is desired to come and the test lets it."""
        wanted = run.task.desired_state
        if run.status.state.is_finished or (wanted > TaskState.RUNNING and self.is_stubborn):
            return
        if wanted > TaskState.RUNNING:
            self._move(run, TaskState.SHUTDOWN, exit_code=0)
            return
        for state in _UP:
            if run.status.state < state <= min(wanted, self.holds_at):
                self._move(run, state)
        if run.status.state is TaskState.RUNNING and (outcome := self.outcome(run.task)):
            state = TaskState.FAILED if outcome == CRASH else TaskState.COMPLETE
            self._move(run, state, err=outcome, exit_code=1 if outcome == CRASH else 0)

    def _move(self, run: Run, state: TaskState, err: str = "", exit_code: int | None = None) -> None:
        assert state >= run.status.state
        if state is TaskState.STARTING:
            self.starts.append(run.task.id)
        run.history.append(state)
        run.status = TaskStatus(
            timestamp=self._clock.now(),
            state=state,
            message=state.label,
            err=err or None,
            container_status=ContainerStatus(container_id=f"c-{run.task.id}", exit_code=exit_code),
        )
        self._say(Reports(session_id=self.session_id, reports=(self._report(run),)))

    def _say(self, message: FromAgent) -> None:
        if self.channel is not None and self.session_id:
            with suppress(ChannelClosed):
                self.channel.say(message)

    def _report(self, run: Run) -> TaskReport:
        return TaskReport(task_id=run.task.id, status=run.status, addresses=self._addresses(run))

    def _addresses(self, run: Run) -> dict[str, str]:
        """In its share of each network, by the order in which tasks came."""
        if run.status.state is not TaskState.RUNNING:
            return {}
        found = {}
        for part in run.task.networks:
            if network := self.networks.get(part.network_id):
                share = IPv4Network(network.subnet)
                place = 2 + self.starts.index(run.task.id) % (share.num_addresses - 3)
                found[part.network_id] = f"{share[place]}/{share.prefixlen}"
        return found
