"""An agent over a fake engine, and the other end of its session, for tests without sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from support.assignments import NODE_ID

from agent import daemon
from agent.channel import Channel, ChannelClosed
from agent.engine.port import Engine
from swarmpy.clock import Clock, SystemClock
from swarmpy.errors import Unavailable
from swarmpy.ids import id_from_number
from swarmpy.settings import AgentSettings
from swarmpy.wire import (
    Applied,
    Beat,
    Beaten,
    Changes,
    Described,
    FileAssignment,
    FromAgent,
    FromManager,
    Full,
    Hello,
    Mapped,
    NetworkAssignment,
    Reports,
    TaskAssignment,
    TaskReport,
    Welcome,
    from_agent,
)

LIMIT = 10


async def wait_until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(LIMIT):
        while not condition():
            await asyncio.sleep(0.002)


async def settled() -> None:
    """Everything that needs no time to pass has happened."""
    for _ in range(50):
        await asyncio.sleep(0)


class _Pipe:
    """The agent's end of a connection; `lose` ends it from the other side."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._to_agent: asyncio.Queue[str | None] = asyncio.Queue()
        self.closed = False

    async def send(self, frame: str | bytes) -> None:
        if self.closed:
            raise ChannelClosed("lost")
        self.sent.put_nowait(frame)

    async def receive(self) -> str | bytes:
        frame = None if self.closed and self._to_agent.empty() else await self._to_agent.get()
        if frame is None:
            raise ChannelClosed("lost")
        return frame

    async def close(self, reason: str = "") -> None:
        self.lose()

    def give(self, message: FromManager) -> None:
        self._to_agent.put_nowait(message.model_dump_json())

    def lose(self) -> None:
        if not self.closed:
            self.closed = True
            self._to_agent.put_nowait(None)
            self.sent.put_nowait(None)


class FakeManager:
    """Welcomes the agent, sends what it is told to assign, and keeps what it hears. `deaf` answers no beats."""

    def __init__(self) -> None:
        self.reachable = True
        self.answer: FromManager | None = None
        self.deaf = False
        self.beat_every = 0.02
        self.hellos: list[Hello] = []
        self.descriptions: list[Described] = []
        self.beats = 0
        self.applied = 0
        self.mapped: list[int] = []
        self.reports: dict[str, TaskReport] = {}
        self.batches: list[Reports] = []
        self.streams: dict[str, list[bytes]] = {}
        self.ended_streams: set[str] = set()
        self.revision = 0
        self.tasks: dict[str, TaskAssignment] = {}
        self.networks: dict[str, NetworkAssignment] = {}
        self.files: dict[str, FileAssignment] = {}
        self._session: _Pipe | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def connect(self, address: str, path: str) -> Channel:
        if not self.reachable:
            raise Unavailable(f"the manager at {address} does not answer: connection refused")
        pipe = _Pipe()
        serve = self._converse(pipe) if path == "/agent/session" else self._collect(pipe, path.rpartition("/")[2])
        task = asyncio.ensure_future(serve)
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        return pipe

    def assign(
        self,
        *tasks: TaskAssignment,
        networks: tuple[NetworkAssignment, ...] = (),
        files: tuple[FileAssignment, ...] = (),
    ) -> None:
        """These from now on, besides what was assigned before."""
        before, self.revision = self.revision, self.revision + 1
        self.tasks.update({task.id: task for task in tasks})
        self.networks.update({network.id: network for network in networks})
        self.files.update({file.id: file for file in files})
        self.say(Changes(after=before, revision=self.revision, tasks=tasks, networks=networks, files=files))

    def drop(self, *task_ids: str, networks: tuple[str, ...] = ()) -> None:
        before, self.revision = self.revision, self.revision + 1
        for task_id in task_ids:
            del self.tasks[task_id]
        for network_id in networks:
            del self.networks[network_id]
        self.say(Changes(after=before, revision=self.revision, dropped_tasks=task_ids, dropped_networks=networks))

    def say(self, message: FromManager) -> None:
        if self._session is not None:
            self._session.give(message)

    def go_away(self) -> None:
        self.reachable = False
        self.hang_up()

    def come_back(self) -> None:
        self.reachable = True

    def hang_up(self) -> None:
        if self._session is not None:
            self._session.lose()
            self._session = None

    def states(self) -> list[str]:
        """Of all tasks heard of, by slot."""
        return [self.reports[id].status.state.label for id in sorted(self.reports)]

    async def wait_until_states(self, *labels: str) -> None:
        await wait_until(lambda: self.states() == list(labels))

    async def _converse(self, pipe: _Pipe) -> None:
        while (frame := await pipe.sent.get()) is not None:
            self._hear(pipe, from_agent.validate_json(frame))

    def _hear(self, pipe: _Pipe, message: FromAgent) -> None:
        match message:
            case Hello():
                self._welcome(pipe, message)
            case Beat():
                self.beats += 1
                if not self.deaf:
                    pipe.give(Beaten(beat_every=self.beat_every))
            case Reports():
                self.batches.append(message)
                self.reports.update({report.task_id: report for report in message.reports})
            case Applied():
                self.applied = message.revision
            case Mapped():
                self.mapped.append(message.revision)
            case Described():
                self.descriptions.append(message)

    def _welcome(self, pipe: _Pipe, hello: Hello) -> None:
        self.hellos.append(hello)
        self.reports.update({report.task_id: report for report in hello.reports})
        if self.answer is not None:
            return pipe.give(self.answer)
        self._session = pipe
        pipe.give(Welcome(session_id=f"s{len(self.hellos)}", cluster_id=id_from_number(1), beat_every=self.beat_every))
        tasks, networks = tuple(self.tasks.values()), tuple(self.networks.values())
        files = tuple(self.files.values())
        return pipe.give(Full(revision=self.revision, tasks=tasks, networks=networks, files=files))

    async def _collect(self, pipe: _Pipe, stream_id: str) -> None:
        frames = self.streams.setdefault(stream_id, [])
        while (frame := await pipe.sent.get()) is not None:
            assert isinstance(frame, bytes)
            frames.append(frame)
        self.ended_streams.add(stream_id)


def agent_settings(data_dir: Path, docker_host: str = "unix:///fake.sock", node_id: str = NODE_ID) -> AgentSettings:
    return AgentSettings(
        node_id=node_id,
        hostname="host-a",
        data_dir=data_dir,
        identity=data_dir / "identity",
        managers=("fake:2377",),
        address="127.0.0.1:2377",
        ready_file=data_dir / "ready",
        docker_host=docker_host,
        relist_every=timedelta(milliseconds=50),
    )


@asynccontextmanager
async def running_agent(
    settings: AgentSettings, engine: Engine, manager: FakeManager, clock: Clock | None = None
) -> AsyncIterator["asyncio.Task[None]"]:
    """The whole agent; ended like by SIGTERM. The error of one that failed is raised."""
    work = asyncio.ensure_future(daemon.run(settings, clock or SystemClock(), engine, manager.connect))
    try:
        yield work
    finally:
        if not work.done():
            work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        if not work.cancelled() and (error := work.exception()) is not None:
            raise error
