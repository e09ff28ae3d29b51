"""The agent itself, whole, with an engine in memory and a connection in memory to managers of a `Cluster`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from support.cluster import Cluster, cluster_of
from support.scripted_agent import MemoryChannel

from agent.channel import Channel, ChannelClosed
from agent.daemon import run
from agent.engine.fake import FakeEngine
from manager.dispatcher import channel as dispatcher
from manager.dispatcher.streams import Stream, StreamClosed
from swarmpy.errors import NotFound, Unavailable
from swarmpy.settings import AgentSettings

_STREAMS = "/agent/streams/"


class SessionEnd(Channel):
    """The agent's end of its session."""

    def __init__(self, channel: MemoryChannel) -> None:
        self._channel = channel

    async def send(self, frame: str | bytes) -> None:
        assert isinstance(frame, str)
        try:
            self._channel.say_frame(frame)
        except dispatcher.ChannelClosed:
            raise ChannelClosed("closed") from None

    async def receive(self) -> str | bytes:
        try:
            return await self._channel.hear_frame()
        except dispatcher.ChannelClosed:
            raise ChannelClosed("closed") from None

    async def close(self, reason: str = "") -> None:
        self._channel.drop()


class StreamEnd(Channel):
    """The agent's end of a log stream."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def send(self, frame: str | bytes) -> None:
        assert isinstance(frame, bytes)
        try:
            await self._stream.put((frame[0], frame[1:]))
        except StreamClosed:
            raise ChannelClosed("nobody reads") from None

    async def receive(self) -> str | bytes:
        await self._stream.wait_until_closed()
        raise ChannelClosed("nobody reads")

    async def close(self, reason: str = "") -> None:
        await self._stream.end(reason)


class RealAgent:
    """One node. Its engine and what it has on disk outlive a crash of the agent."""

    def __init__(self, cluster: Cluster, name: str, folder: Path) -> None:
        self.name = name
        cluster.join(name)
        self.engine = FakeEngine(cluster.clock)
        self._cluster = cluster
        self._settings = AgentSettings(
            node_id=name,
            hostname=name,
            data_dir=folder / name,
            identity=folder / name / "identity",
            managers=tuple(cluster.managers),
            address="127.0.0.1:2377",
            ready_file=folder / f"{name}.ready",
        )
        self._task: asyncio.Task[None] | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._channels: list[MemoryChannel] = []
        self.is_cut = False

    def start(self) -> None:
        self._task = asyncio.create_task(run(self._settings, self._cluster.clock, self.engine, self._connect))

    async def stop(self) -> None:
        await self._end()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _end(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        for channel in self._channels:
            channel.drop()

    def cut_off(self) -> None:
        self.is_cut = True
        for channel in self._channels:
            channel.is_cut = True

    def reconnect(self) -> None:
        self.is_cut = False

    async def _connect(self, address: str, path: str) -> Channel:
        process = self._cluster.managers.get(address)
        if process is None or self.is_cut:
            raise Unavailable(f"the manager at {address} does not answer")
        if path.startswith(_STREAMS):
            try:
                return StreamEnd(process.manager.logs.accept(path.removeprefix(_STREAMS), self.name))
            except NotFound as error:
                raise Unavailable(str(error)) from error
        channel = MemoryChannel()
        self._channels.append(channel)
        serving = asyncio.create_task(process.serve(channel, self.name))
        self._serving.add(serving)
        serving.add_done_callback(lambda _: self._forget(channel, serving))
        return SessionEnd(channel)

    def _forget(self, channel: MemoryChannel, serving: "asyncio.Task[None]") -> None:
        self._serving.discard(serving)
        self._channels.remove(channel)


@asynccontextmanager
async def real_cluster(
    folder: Path, *, agents: int = 2, managers: int = 1
) -> AsyncIterator[tuple[Cluster, list[RealAgent]]]:
    async with cluster_of(managers=managers, agents=0) as cluster:
        nodes = [RealAgent(cluster, f"n{number}", folder) for number in range(1, agents + 1)]
        try:
            for node in nodes:
                node.start()
            await cluster.advance(3)
            yield cluster, nodes
        finally:
            # One that is paused would never let go of its agents.
            for process in cluster.managers.values():
                process.resume()
            for node in nodes:
                await node.stop()
