"""One service in miniature, from admission to its containers, under leaders that change as often as one likes.

The deciders, the scheduler and the draft are the real ones; agents do what an image is said to do, the same every time.
With `flighty` leaders each one writes a single unit and is gone: the next knows nothing but the store.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from support.builders import T0, a_node

from manager.admission.admitted import Admitted
from manager.admission.service import admit_rollback, admit_rollback_to, admit_service, admit_update
from manager.admission.update_control import admit_continue, admit_pause
from manager.control.draft import Draft
from manager.control.scheduling import schedule
from manager.control.view_keeper import ViewKeeper
from manager.dispatcher.reports import merged
from manager.objects import Service, Task
from manager.orchestrator.decision import Decision, combined
from manager.orchestrator.plan import Surroundings, reconcile_service
from manager.orchestrator.reaper import reap_specs
from manager.state import State
from manager.store.codec import put
from manager.store.port import Batch, Change, Delete, Entry, Put, Unit
from swarmpy.idgen import CountingIds
from swarmpy.models.service import ServiceSpec, UpdateState
from swarmpy.models.task import TaskStatus
from swarmpy.states import TaskState
from swarmpy.wire import TaskReport

ID = "service000000000000000001"
_NEXT = {
    TaskState.ASSIGNED: TaskState.ACCEPTED,
    TaskState.ACCEPTED: TaskState.PREPARING,
    TaskState.PREPARING: TaskState.READY,
    TaskState.READY: TaskState.STARTING,
    TaskState.STARTING: TaskState.RUNNING,
}
# Images: `good` runs; `crash` ends as it starts; `early` runs three seconds; `pull` and `sick` never get ready or
# healthy.
_STUCK = {"pull": TaskState.PREPARING, "sick": TaskState.STARTING}
_MOVING = (UpdateState.UPDATING, UpdateState.ROLLBACK_STARTED)
_IDS = re.compile(r"\b([0-9a-z]{25}|n[0-9])\b")


class ServiceLife:
    """`law` is checked after every single write."""

    def __init__(self, *, flighty: bool, law: Callable[["ServiceLife"], None], nodes: int = 3) -> None:
        self.state = State()
        self.now = T0
        self.completed: Counter[tuple[int | None, int]] = Counter()
        self.starts: Counter[str] = Counter()
        self.leaders = 0
        self._flighty = flighty
        self._law = law
        self._mint = CountingIds()
        self._age: Counter[str] = Counter()
        self._due: datetime | None = None
        self._write(*(Unit((put(a_node(f"n{number}"), create=True),)) for number in range(nodes)))

    # operators

    async def deploy(self, wish: ServiceSpec) -> None:
        await self._admit(admit_service(self.state, wish, service_id=ID, now=self.now, sealed_auth=None))

    async def update(self, wish: ServiceSpec) -> None:
        service = self.service
        await self._admit(
            admit_update(self.state, service, wish, version=service.version, now=self.now, sealed_auth=None)
        )

    async def roll_back(self, to: int | None = None) -> None:
        service, now = self.service, self.now
        if to is None:
            await self._admit(admit_rollback(self.state, service, version=service.version, now=now))
        else:
            await self._admit(admit_rollback_to(self.state, service, to, version=None, now=now))

    async def pause(self) -> None:
        await self._admit(admit_pause(self.service, now=self.now))

    async def resume(self) -> None:
        await self._admit(admit_continue(self.service, now=self.now))

    async def _admit(self, admitted: Admitted[Any]) -> None:
        self._write(*admitted.units)
        await self.lead()

    # what there is to see

    @property
    def service(self) -> Service:
        return self.state.services[ID]

    @property
    def is_moving(self) -> bool:
        return self.service.update is not None and self.service.update.state in _MOVING

    def wanted(self) -> list[Task]:
        return [task for task in self.state.tasks.values() if task.is_wanted]

    def running(self) -> list[Task]:
        return [task for task in self.wanted() if task.state is TaskState.RUNNING]

    def image_of(self, task: Task) -> str:
        container = self.state.spec_of(task).template.container_spec
        return (container and container.image) or ""

    def outcome(self) -> dict[str, object]:
        """How things stand, but for ids, nodes and moments."""
        update, wish = self.service.update, self.service.spec
        places: dict[int, list[tuple[str, str, str]]] = {}
        for task in self.wanted():
            words = (self.image_of(task), task.state.label, task.desired_state.label)
            places.setdefault(task.slot, []).append(words)
        return {
            "update": (update.state, _IDS.sub("ID", update.message or "")) if update else None,
            "image": wish.task_template.container_spec and wish.task_template.container_spec.image,
            "version": self.service.spec_version,
            "iteration": self.service.job_iteration,
            # Which slots a smaller wish leaves is the scheduler's choice, by node.
            "slots": sorted(sorted(words) for words in places.values()),
            "completed": dict(self.completed),
        }

    # leaders

    async def lead(self) -> None:
        """Until there is nothing to write."""
        for _ in range(2000):
            units = await self._look()
            if not units:
                return
            self.leaders += 1
            self._write(*(units[:1] if self._flighty else units))
        raise AssertionError(f"the deciders do not come to rest: {units}")

    async def _look(self) -> list[Unit]:
        keeper = ViewKeeper(self.state)
        around = Surroundings(keeper.eligible, keeper.removal_order, keeper.unfit, keeper.have_room)
        services = list(self.state.services.values())
        decided = combined([self._decided(service, keeper, around) for service in services])
        self._due = decided.again_at
        draft = Draft(self.state, self._mint, self.now)
        draft.add(decided)
        draft.add(reap_specs(self.state))
        await schedule(draft, self.state, keeper, [*keeper.take_waiting(), *draft.new], self.now)
        return list(draft.units())

    def _decided(self, service: Service, keeper: ViewKeeper, around: Surroundings) -> Decision:
        decision = reconcile_service(self.state, service, self.now, around)
        keeper.hold(decision.adopt)
        return decision

    def _write(self, *units: Unit) -> None:
        for unit in units:
            revision = self.state.revision + 1
            self.state.apply(Batch(revision, tuple(self._changes(unit, revision))))
            if ID in self.state.services:
                self._law(self)

    def _changes(self, unit: Unit, revision: int) -> Iterator[Change]:
        for write in unit.writes:
            known = self.state.version_of(write.key)
            assert write.modified is None or write.modified == known, write
            if isinstance(write, Put):
                table = {**self.state.tasks, **self.state.services}
                value = table.get(write.key.partition("/")[2])
                yield Change(write.key, Entry(write.key, write.value, value.birth if value else revision, revision))
            elif isinstance(write, Delete):
                yield Change(write.key, None)

    # agents and time

    async def pass_time(self, steps: int) -> None:
        for _ in range(steps):
            await self.step()

    async def step(self) -> None:
        """Each agent takes each task one state further; where none can, time goes on to when a leader looks again."""
        reports = [report for task in self._in_order() if (report := self._report(task)) is not None]
        for after in reports:
            self._write(Unit((put(after),)))
        second = self.now + timedelta(seconds=1)
        self.now = second if reports or self._due is None else max(second, self._due)
        await self.lead()

    def _in_order(self) -> Sequence[Task]:
        placed = (task for task in self.state.tasks.values() if task.is_live and task.state >= TaskState.ASSIGNED)
        return sorted(placed, key=lambda task: (task.slot, task.birth))

    def _report(self, task: Task) -> Task | None:
        state = self._next_state(task)
        if state is None:
            return None
        if state is TaskState.STARTING:
            self.starts[task.id] += 1
        if state is TaskState.COMPLETE:
            self.completed[task.job_iteration, task.slot] += 1
        status = TaskStatus(timestamp=self.now, state=state, message=state.label)
        return merged(task, TaskReport(task_id=task.id, status=status), self.now)

    def _next_state(self, task: Task) -> TaskState | None:
        image = self.image_of(task).partition(":")[0]
        if task.desired_state > TaskState.RUNNING:
            # Some take their time to stop.
            self._age[f"{task.id} stops"] += 1
            return TaskState.SHUTDOWN if self._age[f"{task.id} stops"] > task.slot % 3 else None
        if task.state is TaskState.RUNNING:
            return self._end_of(task, image)
        if task.state is _STUCK.get(image) or (task.state is TaskState.READY and task.desired_state is TaskState.READY):
            return None
        if task.state is TaskState.STARTING and image == "crash":
            return TaskState.FAILED
        return _NEXT[task.state]

    def _end_of(self, task: Task, image: str) -> TaskState | None:
        if task.job_iteration is None and image != "early":
            return None
        self._age[task.id] += 1
        if self._age[task.id] <= (3 if image == "early" else task.slot % 2):
            return None
        return TaskState.FAILED if image == "early" else TaskState.COMPLETE
