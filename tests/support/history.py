"""Laws that every single write of a cluster's history must keep, checked revision by revision.

What is checked costs no more than what was written: the checker folds the history into a `State` of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from manager.objects import Service, Task
from manager.state import Changed, State
from manager.store.keys import LEADER
from manager.store.memory import MemoryDatabase
from manager.store.port import Batch, Revision
from swarmpy.models.service import UpdateOrder
from swarmpy.states import TaskState

_Slot = tuple[str, int, str]
# One revision's changes; the checker's state shows them already.
Law = Callable[[Sequence[Changed], Revision], None]


@dataclass(slots=True)
class HistoryChecker:
    """Reads what was written since the last `check`. `writers` says who wrote a revision, where that is known; `laws`
    are checked besides those that always hold."""

    database: MemoryDatabase
    writers: dict[Revision, str] = field(default_factory=dict)
    # Services that have had a start-first update order.
    start_first: set[str] = field(default_factory=set)
    laws: list[Law] = field(default_factory=list)
    # Everything as the store has it.
    state: State = field(default_factory=State)

    @property
    def seen(self) -> Revision:
        return self.state.revision

    def check(self) -> None:
        for batch in self.database.since(self.seen):
            self._check_writer(batch)
            changes = self.state.apply(batch)
            self.state.told_until(batch.revision)
            for change in changes:
                if isinstance(change.after, Task):
                    _check_task(change.before, change.after, batch.revision)
                elif isinstance(change.after, Service):
                    self._note_order(change.after)
            self._check_slots(changes, batch.revision)
            for law in self.laws:
                law(changes, batch.revision)

    def _check_writer(self, batch: Batch) -> None:
        writer = self.writers.pop(batch.revision, None)
        if any(change.key == LEADER for change in batch.changes):
            # Elections are held without a fence: they make it.
            return
        leader = self.state.leader
        assert writer in (None, leader), f"{writer} wrote at {batch.revision} while {leader!r} led"

    def _check_slots(self, changes: Sequence[Changed], revision: Revision) -> None:
        """At most one task of a slot may run or start; two while a start-first update replaces one by the other."""
        slots = {_slot_of(change.after): None for change in changes if isinstance(change.after, Task)}
        for slot in slots:
            up = [task for task in self._tasks_of(slot) if _may_run(task)]
            allowed = 2 if slot[0] in self.start_first else 1
            assert len(up) <= allowed, f"slot {slot} at {revision}: {[(t.id, t.state.label) for t in up]}"

    def _tasks_of(self, slot: _Slot) -> list[Task]:
        service_id, number, node_id = slot
        return [task for task in self.state.tasks_of_slot(service_id, number) if number or task.node_id == node_id]

    def _note_order(self, service: Service) -> None:
        update = service.spec.update_config
        if update is not None and update.order is UpdateOrder.START_FIRST:
            self.start_first.add(service.id)


def _check_task(before: object, task: Task, revision: Revision) -> None:
    where = f"task {task.id} at revision {revision}"
    if isinstance(before, Task):
        assert task.state >= before.state, f"{where}: {before.state.label} -> {task.state.label}"
        assert task.desired_state >= before.desired_state, f"{where}: the wish went back"
        is_moved = before.state >= TaskState.ASSIGNED and task.node_id != before.node_id
        assert not is_moved, f"{where}: moved from {before.node_id} to {task.node_id}"
    if task.is_wanted and task.state < TaskState.RUNNING:
        assert task.reason is not None, f"{where}: {task.state.label} without a reason"
        assert task.reason.text, f"{where}: a reason without words"


def _slot_of(task: Task) -> _Slot:
    return task.service_id, task.slot, "" if task.slot else task.node_id


def _may_run(task: Task) -> bool:
    return task.is_live and task.desired_state is TaskState.RUNNING
