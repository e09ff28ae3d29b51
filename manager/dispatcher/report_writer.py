"""Writes what agents report: merged per task, many in one commit, repeated until the store has it.

Owns reports between their arrival and their commit. The merging itself is in `reports`.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

from manager.dispatcher.reports import merged, newer
from manager.ledger import Ledger
from manager.objects import Task
from manager.store.codec import put
from manager.store.errors import CommitConflict
from manager.store.port import Unit
from swarmpy.clock import Clock
from swarmpy.errors import BadRequest, LeadershipLost, Unavailable
from swarmpy.logs import logger
from swarmpy.wire import TaskReport

log = logger("reports")


@dataclass(frozen=True, slots=True)
class _Told:
    node_id: str
    report: TaskReport


class ReportWriter:
    """`add` never waits; `run` writes while this manager leads."""

    # Reports of one deploy come close together: wait this long for company after the first.
    GATHER = timedelta(milliseconds=5)
    RETRY = timedelta(milliseconds=300)
    AT_ONCE = 1000

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._pending: dict[str, _Told] = {}
        self._wake = asyncio.Event()

    def add(self, node_id: str, reports: Iterable[TaskReport]) -> None:
        """Only the node that a task was given to may report on it. Records that are gone need no report."""
        for report in reports:
            task = self._ledger.state.tasks.get(report.task_id)
            if task is None or task.node_id != node_id:
                continue
            known = self._pending.get(report.task_id)
            best = newer(known.report if known and known.node_id == node_id else None, report)
            self._pending[report.task_id] = _Told(node_id, best)
        if self._pending:
            self._wake.set()

    async def run(self) -> None:
        """Until leadership is lost. What is pending then is told again by the agents, to the next leader."""
        try:
            while True:
                await self._wake.wait()
                await self._clock.sleep(self.GATHER)
                self._wake.clear()
                await self._write_some()
        finally:
            self._pending.clear()
            self._wake.clear()

    async def _write_some(self) -> None:
        taken = dict(islice(self._pending.items(), self.AT_ONCE))
        for task_id in taken:
            del self._pending[task_id]
        now = self._clock.now()
        changed = [after for told, task in self._known(taken) if (after := merged(task, told.report, now)) is not None]
        await self._write(taken, changed)
        if self._pending:
            self._wake.set()

    async def _write(self, taken: dict[str, _Told], changed: list[Task]) -> None:
        try:
            await self._ledger.commit([Unit((put(task),)) for task in changed])
        except BadRequest as error:
            if len(changed) > 1:
                # One of them asks too much of the store; the others are sound.
                for task in changed:
                    await self._write({task.id: taken[task.id]}, [task])
            else:
                log.warning("report.dropped", node=changed[0].node_id, task=changed[0].id, reason=str(error))
        except LeadershipLost:
            raise
        except CommitConflict:
            self._put_back(taken)
        except Unavailable:
            self._put_back(taken)
            await self._clock.sleep(self.RETRY)
        else:
            for task in changed:
                log.debug("task.reported", task=task.id, state=task.state.label, message=task.status.message)

    def _known(self, taken: dict[str, _Told]) -> Iterable[tuple[_Told, Task]]:
        """Those whose tasks are still on record, and still given to the node that told."""
        for task_id, told in taken.items():
            task = self._ledger.state.tasks.get(task_id)
            if task is not None and task.node_id == told.node_id:
                yield told, task

    def _put_back(self, taken: dict[str, _Told]) -> None:
        """Merging twice changes nothing, so all go back, also those that were written."""
        for task_id, told in taken.items():
            arrived = self._pending.get(task_id)
            if arrived is None:
                self._pending[task_id] = told
            elif arrived.node_id == told.node_id:
                self._pending[task_id] = _Told(told.node_id, newer(told.report, arrived.report))
