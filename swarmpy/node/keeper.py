"""Looks after one child process: performs what the table in `children` says; each outcome is the next event."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

from swarmpy.clock import Clock
from swarmpy.files import write_private
from swarmpy.logs import logger
from swarmpy.node.children import (
    ChildRun,
    Due,
    Ending,
    Event,
    Exited,
    Instruction,
    Kill,
    Overdue,
    Phase,
    Start,
    StopAsked,
    Terminate,
    Wait,
    classify,
    step,
)
from swarmpy.node.descriptor_store import DescriptorStore
from swarmpy.node.plan import Child
from swarmpy.node.process import Process

log = logger("node")

# Between two looks whether a child serves: often at first, for its start is what everybody waits for.
FIRST_PROBE = timedelta(milliseconds=50)
SLOWEST_PROBE = timedelta(seconds=1)
# Who asks at a held socket waits about as long for an answer; who asks at a closed one goes on at once.
LONGEST_HELD = timedelta(seconds=5)
# What a shell reports for a program that cannot be run.
CANNOT_RUN = 127

Probe = Callable[[], Awaitable[bool]]
Say = Callable[[str, str], None]


class Keeper:
    """`probe` asks whether the child serves; `serving` is set while it was seen to. `say(name, line)` passes on what
    the child says. `can_refuse`: see `ChildRun`. Setting `stop` ends the child, and with it `run`."""

    def __init__(self, child: Child, probe: Probe, say: Say, clock: Clock, *, can_refuse: bool = True) -> None:
        self.child = child
        self.stop = asyncio.Event()
        self.serving = asyncio.Event()
        self._probe = probe
        self._say = say
        self._clock = clock
        self._first = ChildRun(can_refuse=can_refuse)
        self._process: Process | None = None
        self._started = 0.0
        self._store: DescriptorStore | None = None

    @property
    def pid(self) -> int | None:
        """Of its latest process."""
        return None if self._process is None else self._process.pid

    async def run(self) -> str | None:
        """Until the child has been stopped (None), or has refused to start (its own words). What it had kept for its
        next process is let go then."""
        self._open_store()
        try:
            return await self._run()
        finally:
            if self._store is not None:
                self._store.close()

    async def _run(self) -> str | None:
        run = self._first
        event: Event = Due()
        while True:
            before = run
            run, instruction = step(before, event)
            if isinstance(event, Exited) and before.phase is Phase.RUNNING:
                self._mourn(event, classify(before, event), instruction)
            if instruction is None:
                return self._last_words() if run.refused else None
            event = await self._perform(instruction)

    def _mourn(self, exited: Exited, ending: Ending, instruction: Instruction | None) -> None:
        pause = instruction.delay.total_seconds() if isinstance(instruction, Wait) else None
        log.warning("child.ended", child=self.child.name, ending=ending.value, code=exited.code, restart_in=pause)

    async def _perform(self, instruction: Instruction) -> Event:
        match instruction:
            case Start():
                return await self._start()
            case Wait(delay):
                return await self._wait(delay)
            case Terminate(grace):
                return await self._end(signal.SIGTERM, grace)
            case Kill():
                return await self._end(signal.SIGKILL, None)

    async def _start(self) -> Event:
        self._clear_the_way()
        self._started = self._clock.monotonic()
        try:
            self._process = await self._begin()
        except OSError as error:
            self._pass_on(f"cannot run {self.child.command[0]}: {error.strerror}")
            return Exited(CANNOT_RUN, served=False, lived=timedelta(0))
        async with background(self._notice_serving()), background(self.stop.wait()) as stop:
            await asyncio.wait({self._process.ended, stop}, return_when=asyncio.FIRST_COMPLETED)
        return self._exited(self._process) if self._process.ended.done() else StopAsked()

    async def _begin(self) -> Process:
        child, store = self.child, self._store
        variables: Mapping[str, str] = {}
        kept: Collection[int] = ()
        if store is not None:
            store.pause()
            variables, kept = store.variables, store.kept.values()
        process = await Process.start(child.command, child.directory, self._pass_on, variables, kept)
        if store is not None:
            store.listen_to(process.pid)
        return process

    def _open_store(self) -> None:
        if self.child.store is not None:
            try:
                self._store = DescriptorStore(self.child.store)
            except OSError as error:
                log.warning("descriptors.not_kept", child=self.child.name, error=str(error))

    async def _wait(self, delay: timedelta) -> Event:
        if delay > LONGEST_HELD and self._store is not None:
            self._store.forget_all()
        async with background(self.stop.wait()) as stop, background(self._clock.sleep(delay)) as over:
            await asyncio.wait({stop, over}, return_when=asyncio.FIRST_COMPLETED)
        return StopAsked() if self.stop.is_set() else Due()

    async def _end(self, number: signal.Signals, grace: timedelta | None) -> Event:
        process = self._process
        assert process is not None
        process.signal(number)
        await asyncio.wait({process.ended}, timeout=None if grace is None else grace.total_seconds())
        return self._exited(process) if process.ended.done() else Overdue()

    def _exited(self, process: Process) -> Exited:
        served = self.serving.is_set()
        self.serving.clear()
        lived = timedelta(seconds=self._clock.monotonic() - self._started)
        return Exited(process.ended.result(), served, lived)

    def _clear_the_way(self) -> None:
        """Sockets and settings as at a first start. The directory is ours alone, so nobody else listens on them."""
        for path in self.child.sockets:
            path.unlink(missing_ok=True)
        if self.child.settings_file is not None:
            write_private(self.child.settings_file, self.child.settings)

    async def _notice_serving(self) -> None:
        pause = FIRST_PROBE
        while not await self._probe():
            await self._clock.sleep(pause)
            pause = min(pause * 1.2, SLOWEST_PROBE)
        self.serving.set()

    def _pass_on(self, line: str) -> None:
        self._say(self.child.name, line)

    def _last_words(self) -> str:
        said = self._process.last_line if self._process else ""
        return said or "it said nothing"


@asynccontextmanager
async def background(work: Coroutine[Any, Any, Any]) -> AsyncIterator[asyncio.Task[Any]]:
    """A task that goes on while the block runs, and no longer. What it raises is raised at the end of the block."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
