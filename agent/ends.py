"""Notices that a container has ended when its engine is not there to tell: one that is stopped or starts again takes
its containers with it, and meanwhile nobody is to be sent to them.

Says nothing while the engine does: that knows how it ended.
"""

from datetime import timedelta

from agent.engine.port import Engine
from agent.exits import exit_seen
from agent.processes import Processes
from agent.runner import Runner
from agent.task.events import Event, ProcessEnded
from agent.task.run import Phase, TaskRun
from swarmpy.clock import Clock
from swarmpy.errors import SwarmpyError, TimedOut, Unavailable
from swarmpy.logs import logger

log = logger("ends")

# The engine has this long to say it first, and as often is asked; one that answers is believed for so long.
LOOK_EVERY = timedelta(milliseconds=100)
BELIEVED_FOR = 5.0

_Watched = tuple[str, int]


class Ends:
    def __init__(self, engine: Engine, clock: Clock, runner: Runner, processes: Processes) -> None:
        self._engine = engine
        self._clock = clock
        self._runner = runner
        self._processes = processes
        self._watched: set[_Watched] = set()

    def follow(self) -> None:
        """All that run now are watched; to be called at each change."""
        there = {watched: run for run in self._runner.runs.values() if (watched := _process_of(run))}
        new = there.keys() - self._watched
        self._watched = set(there)
        for watched in new:
            self._runner.work.begin("", self._watch(there[watched].id, watched))

    async def _watch(self, task_id: str, watched: _Watched) -> None:
        container_id, pid = watched
        if not await self._processes.until_ended(pid, container_id):
            return
        deadline = self._clock.monotonic() + BELIEVED_FOR
        while self._clock.monotonic() < deadline:
            if not self._runner.trouble:
                await self._clock.sleep(LOOK_EVERY)
            event = await self._how(container_id) if self._is_up(task_id, watched) else None
            if not self._is_up(task_id, watched):
                return
            if event is not None:
                self._runner.feed(task_id, event)
                return

    def _is_up(self, task_id: str, watched: _Watched) -> bool:
        """As far as has been told."""
        run = self._runner.run_of(task_id)
        return run is not None and _process_of(run) == watched

    async def _how(self, container_id: str) -> Event | None:
        """None when the engine has not noticed yet."""
        alone = self._runner.is_alone
        if trouble := self._runner.trouble:
            return _unseen(container_id, trouble, alone=alone)
        try:
            return await exit_seen(self._engine, container_id, alone=alone)
        except (Unavailable, TimedOut) as error:
            return _unseen(container_id, str(error), alone=alone)
        except SwarmpyError:
            return None


def _unseen(container_id: str, trouble: str, *, alone: bool) -> ProcessEnded:
    log.warning("container.ended_unseen", container=container_id[:12], engine=trouble)
    return ProcessEnded(alone=alone)


def _process_of(run: TaskRun) -> _Watched | None:
    status = run.status.container_status
    if run.phase not in (Phase.CHECKING, Phase.RUNNING) or run.container_id is None or status is None:
        return None
    return (run.container_id, status.pid) if status.pid else None
