"""Streams that agents open back to the manager when asked: the log of a task. Nothing listens on agents.

Owns the streams between the asking and the end. Does not store lines: a full queue makes the agent wait.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from manager.ledger import Ledger
from swarmpy.clock import Clock, within
from swarmpy.errors import NotFound, Unavailable
from swarmpy.idgen import Mint
from swarmpy.logs import logger
from swarmpy.wire import CloseStream, FromManager, LogOptions, OpenLogs

log = logger("streams")

LogLine = tuple[int, bytes]
SendToNode = Callable[[str, FromManager], Awaitable[None]]


class StreamClosed(Exception):
    """Nobody reads this stream any more."""


class Stream:
    """One stream: the agent's side puts lines in, the API's side takes them out. Either side may end it."""

    HELD = 256

    def __init__(self, node_id: str) -> None:
        self.node_id = node_id
        self.opened = asyncio.Event()
        self._lines: asyncio.Queue[LogLine | None] = asyncio.Queue(self.HELD)
        self._closed = asyncio.Event()
        self._failure = ""

    async def put(self, line: LogLine) -> None:
        """Waits while the reader is behind. Raises `StreamClosed` once there is no reader."""
        await self._put(line)

    async def end(self, failure: str = "") -> None:
        """No more lines: the log has ended, or (`failure`) broke off."""
        self._failure = failure
        with suppress(StreamClosed):
            await self._put(None)

    async def take(self) -> LogLine | None:
        """The next line; None at the end. Raises `Unavailable` when the stream broke off."""
        line = await self._lines.get()
        if line is None and self._failure:
            raise Unavailable(self._failure)
        return line

    def close(self) -> None:
        self._closed.set()

    async def wait_until_closed(self) -> None:
        """Until nobody reads any more."""
        await self._closed.wait()

    async def _put(self, item: LogLine | None) -> None:
        if self._closed.is_set():
            raise StreamClosed
        with suppress(asyncio.QueueFull):
            self._lines.put_nowait(item)
            return
        putting = asyncio.ensure_future(self._lines.put(item))
        closing = asyncio.ensure_future(self._closed.wait())
        try:
            await asyncio.wait((putting, closing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            putting.cancel()
            closing.cancel()
            await asyncio.gather(putting, closing, return_exceptions=True)
        if self._closed.is_set():
            raise StreamClosed


class LogBroker:
    OPENS_WITHIN = timedelta(seconds=5)

    def __init__(self, ledger: Ledger, clock: Clock, mint: Mint, send: SendToNode) -> None:
        self._ledger = ledger
        self._clock = clock
        self._mint = mint
        self._send = send
        self._streams: dict[str, Stream] = {}

    async def open_logs(self, task_id: str, options: LogOptions) -> AsyncGenerator[LogLine, None]:
        """The lines of one task, each with its stream. Closing the generator closes the stream on the node.

        Raises `NotFound` for a task unknown or never placed, `Unavailable` when its agent is away, does not open
        the stream in time, or breaks it off.
        """
        node_id = self._node_of(task_id)
        stream_id = self._mint()
        stream = self._streams[stream_id] = Stream(node_id)
        try:
            await self._send(node_id, OpenLogs(stream_id=stream_id, task_id=task_id, options=options))
            await self._wait_until_open(stream, task_id)
            while (line := await stream.take()) is not None:
                yield line
        finally:
            del self._streams[stream_id]
            stream.close()
            with suppress(Unavailable):
                await self._send(node_id, CloseStream(stream_id=stream_id))

    def accept(self, stream_id: str, node_id: str) -> Stream:
        """The agent's end of a stream that its node was asked for. Raises `NotFound` for any other."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.node_id != node_id or stream.opened.is_set():
            raise NotFound(f"no stream {stream_id} is waiting to be opened")
        stream.opened.set()
        return stream

    async def _wait_until_open(self, stream: Stream, task_id: str) -> None:
        try:
            await within(self._clock, self.OPENS_WITHIN, stream.opened.wait())
        except TimeoutError as cause:
            seconds = self.OPENS_WITHIN.total_seconds()
            raise Unavailable(f"the agent did not open the log of task {task_id} within {seconds:g} s") from cause

    def _node_of(self, task_id: str) -> str:
        task = self._ledger.state.tasks.get(task_id)
        if task is None:
            raise NotFound(f"no task {task_id}")
        if not task.node_id:
            raise NotFound(f"task {task_id} has no log: it is not placed on a node yet")
        return task.node_id
