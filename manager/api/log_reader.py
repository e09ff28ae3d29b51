"""The logs of several tasks as one stream, bounded in time: a node that does not answer is named, never waited for.

Owns the gathering. Knows neither frames (`log_lines`) nor how a node is asked (`LogSource`).
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta

from manager.api.context import ApiContext
from manager.objects import Task
from swarmpy.clock import within
from swarmpy.errors import SwarmpyError
from swarmpy.wire import LogOptions

# A log that is read to its end, not followed, brings its next line within this time, or the node is taken for gone.
SILENCE = timedelta(seconds=10)
# Lines held for a slow client; then the nodes wait.
_HELD = 256


@dataclass(frozen=True, slots=True)
class Line:
    task: Task
    stream: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Incomplete:
    """The log of this task could not be read to its end."""

    task: Task
    cause: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """The tasks whose logs are wanted now, and whether there may be others later."""

    tasks: Sequence[Task]
    more: bool


FindTasks = Callable[[], Wanted]
_Item = Line | Incomplete | None


class LogReader:
    """With `follow`, `find_tasks` is asked again after every change, so that tasks started later are followed too."""

    def __init__(self, context: ApiContext, find_tasks: FindTasks, options: LogOptions) -> None:
        self._context = context
        self._find_tasks = find_tasks
        self._options = options
        self._items: asyncio.Queue[_Item] = asyncio.Queue(_HELD)

    async def read(self) -> AsyncGenerator[Line | Incomplete, None]:
        """Lines as they come; what is missing is told at the end."""
        missing: list[Incomplete] = []
        gathering = asyncio.create_task(self._gather())
        try:
            while (item := await self._items.get()) is not None:
                if isinstance(item, Incomplete):
                    missing.append(item)
                else:
                    yield item
            await gathering
            for incomplete in missing:
                yield incomplete
        finally:
            gathering.cancel()
            await asyncio.gather(gathering, return_exceptions=True)

    async def _gather(self) -> None:
        """Read every log wanted, side by side; None in the queue tells the end, also when this fails."""
        try:
            async with asyncio.TaskGroup() as readers:
                if self._options.follow:
                    await self._begin_as_they_come(readers)
                else:
                    for task in self._find_tasks().tasks:
                        readers.create_task(self._read_one(task))
        finally:
            await self._items.put(None)

    async def _begin_as_they_come(self, readers: asyncio.TaskGroup) -> None:
        begun: set[str] = set()
        changes = self._context.ledger.subscribe()
        try:
            while True:
                changes.take()
                wanted = self._find_tasks()
                for task in wanted.tasks:
                    if task.id not in begun:
                        begun.add(task.id)
                        readers.create_task(self._read_one(task))
                if not wanted.more:
                    return
                await changes.wait()
        finally:
            self._context.ledger.unsubscribe(changes)

    async def _read_one(self, task: Task) -> None:
        try:
            async with aclosing(self._context.logs.open_logs(task.id, self._options)) as lines:
                while True:
                    following = anext(lines, None)
                    entry = await (
                        following if self._options.follow else within(self._context.clock, SILENCE, following)
                    )
                    if entry is None:
                        return
                    await self._items.put(Line(task, *entry))
        except TimeoutError:
            await self._items.put(Incomplete(task, f"no line within {SILENCE.seconds} s"))
        except SwarmpyError as error:
            await self._items.put(Incomplete(task, str(error)))
