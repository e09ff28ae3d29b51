"""Laws that every single write of a cluster's history must keep, checked revision by revision."""

from dataclasses import dataclass, field

from manager.objects import Service, Task
from manager.store.codec import decode
from manager.store.keys import LEADER
from manager.store.memory import MemoryDatabase
from manager.store.port import Batch, Revision
from swarmpy.models.service import UpdateOrder
from swarmpy.states import TaskState

_Slot = tuple[str, int, str]


@dataclass(slots=True)
class HistoryChecker:
    """Reads what was written since the last `check`. `writers` says who wrote a revision, where that is known."""

    database: MemoryDatabase
    writers: dict[Revision, str] = field(default_factory=dict)
    # Services that have had a start-first update order.
    start_first: set[str] = field(default_factory=set)
    seen: Revision = 0
    _leader: str = ""
    _tasks: dict[str, Task] = field(default_factory=dict)

    def check(self) -> None:
        for batch in self.database.since(self.seen):
            self._check_writer(batch)
            for change in batch.changes:
                value = decode(change.entry) if change.entry is not None else None
                if isinstance(value, Task):
                    self._check_task(value, batch.revision)
                elif isinstance(value, Service):
                    self._note_order(value)
                elif change.entry is None and change.key.startswith("tasks/"):
                    self._tasks.pop(change.key.removeprefix("tasks/"), None)
            self._check_slots(batch)
            self.seen = batch.revision

    def _check_writer(self, batch: Batch) -> None:
        for change in batch.changes:
            if change.key == LEADER:
                # Elections are held without a fence: they make it.
                self._leader = change.entry.value.decode() if change.entry is not None else ""
                return
        writer = self.writers.get(batch.revision)
        assert writer in (None, self._leader), f"{writer} wrote at {batch.revision} while {self._leader!r} led"

    def _check_task(self, task: Task, revision: Revision) -> None:
        before = self._tasks.get(task.id)
        where = f"task {task.id} at revision {revision}"
        if before is not None:
            assert task.state >= before.state, f"{where}: {before.state.label} -> {task.state.label}"
            assert task.desired_state >= before.desired_state, f"{where}: the wish went back"
            is_moved = before.state >= TaskState.ASSIGNED and task.node_id != before.node_id
            assert not is_moved, f"{where}: moved from {before.node_id} to {task.node_id}"
        if task.is_wanted and task.state < TaskState.RUNNING:
            assert task.reason is not None, f"{where}: {task.state.label} without a reason"
            assert task.reason.text, f"{where}: a reason without words"
        self._tasks[task.id] = task

    def _check_slots(self, batch: Batch) -> None:
        """At most one task of a slot may run or start; two while a start-first update replaces one by the other."""
        touched = {change.key for change in batch.changes}
        slots = {_slot_of(self._tasks[key.removeprefix("tasks/")]) for key in touched if self._is_task(key)}
        for slot in slots:
            up = [t for t in self._tasks.values() if _slot_of(t) == slot and _may_run(t)]
            allowed = 2 if slot[0] in self.start_first else 1
            assert len(up) <= allowed, f"slot {slot} at {batch.revision}: {[(t.id, t.state.label) for t in up]}"

    def _is_task(self, key: str) -> bool:
        return key.removeprefix("tasks/") in self._tasks

    def _note_order(self, service: Service) -> None:
        update = service.spec.update_config
        if update is not None and update.order is UpdateOrder.START_FIRST:
            self.start_first.add(service.id)


def _slot_of(task: Task) -> _Slot:
    return task.service_id, task.slot, "" if task.slot else task.node_id


def _may_run(task: Task) -> bool:
    return task.is_live and task.desired_state is TaskState.RUNNING
