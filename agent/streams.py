"""Log streams that a manager has asked for: each its own connection, opened from here."""

import asyncio
from contextlib import aclosing

from agent.channel import Channel, ChannelClosed, Connect
from agent.engine.port import Engine
from agent.runner import Runner
from swarmpy.errors import SwarmpyError
from swarmpy.logs import logger
from swarmpy.wire import OpenLogs

log = logger("streams")

# Each costs the engine a reader and this process a thread.
STREAMS_AT_ONCE = 64


class LogStreams:
    def __init__(self, engine: Engine, runner: Runner, connect: Connect) -> None:
        self._engine = engine
        self._runner = runner
        self._connect = connect
        self._open: dict[str, asyncio.Task[None]] = {}

    def open(self, address: str, wish: OpenLogs) -> None:
        """Begin to send; the stream ends by itself, or by `close`, or when the manager hangs up."""
        task = asyncio.ensure_future(self._serve(address, wish))
        self._open[wish.stream_id] = task
        task.add_done_callback(lambda done: self._ended(wish.stream_id, done))

    def close(self, stream_id: str) -> None:
        task = self._open.get(stream_id)
        if task is not None:
            task.cancel()

    async def close_all(self) -> None:
        tasks = list(self._open.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, stream_id: str, task: asyncio.Task[None]) -> None:
        self._open.pop(stream_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("stream.failed", stream=stream_id, error=repr(error))

    async def _serve(self, address: str, wish: OpenLogs) -> None:
        reason = ""
        try:
            channel = await self._connect(address, f"/agent/streams/{wish.stream_id}")
        except SwarmpyError as error:
            log.warning("stream.not_opened", stream=wish.stream_id, error=str(error))
            return
        try:
            if len(self._open) > STREAMS_AT_ONCE:
                reason = f"this node serves {STREAMS_AT_ONCE} log streams already"
            else:
                await self._until_hung_up(channel, wish)
        except ChannelClosed:
            return
        except SwarmpyError as error:
            reason = str(error)
        finally:
            await channel.close(reason)

    async def _until_hung_up(self, channel: Channel, wish: OpenLogs) -> None:
        sending = asyncio.ensure_future(self._send_lines(channel, wish))
        # The manager says nothing here: to receive is to learn that it has hung up.
        hanging_up = asyncio.ensure_future(channel.receive())
        try:
            await asyncio.wait((sending, hanging_up), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            sending.cancel()
            hanging_up.cancel()
            await asyncio.gather(sending, hanging_up, return_exceptions=True)

    async def _send_lines(self, channel: Channel, wish: OpenLogs) -> None:
        run = self._runner.run_of(wish.task_id)
        if run is None or run.container_id is None:
            return
        container = run.assignment.spec.container_spec
        tty = bool(container and container.tty)
        async with aclosing(self._engine.logs(run.container_id, wish.options, tty=tty)) as lines:
            async for line in lines:
                await channel.send(bytes([line.stream]) + line.line)
