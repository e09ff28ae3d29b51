"""Rolling updates and rollbacks: which slots move on to the present wish now, and how the whole stands.

Progress is read from the tasks in the store, so that whoever leads goes on where the last one stopped. How a slot
moves is `keep.renew`'s.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from manager.deadline import deadline_of, deadline_text
from manager.objects import ReasonCode, Service, Task
from manager.orchestrator.decision import earliest
from manager.orchestrator.depends import Unmet, unmet
from manager.orchestrator.keep import View, policy_of
from manager.orchestrator.pace import began, monitor_of, rest_before_next
from manager.orchestrator.reasons import outcome
from manager.orchestrator.restart import ended_at, ended_by_itself, gave_up
from manager.orchestrator.slots import ROLLING_BACK, Slot, is_current
from manager.orchestrator.update_end import completed, failed
from swarmpy.models.service import FailureAction, UpdateConfig, UpdateState, UpdateStatus
from swarmpy.models.task import RestartCondition
from swarmpy.states import TaskState

_UNDER_WAY = "update in progress"
_GATED = "update waits until "

_OVER = frozenset({UpdateState.COMPLETED, UpdateState.ROLLBACK_COMPLETED})
_MOVING = frozenset({UpdateState.UPDATING, UpdateState.ROLLBACK_STARTED})


@dataclass(frozen=True, slots=True)
class Rollout:
    """`renew` are the slots to move on now; `service` is its record when the update's status changed."""

    renew: tuple[Slot, ...] = ()
    service: Service | None = None
    again_at: datetime | None = None


def is_moving(service: Service) -> bool:
    """An update or rollback is under way."""
    return service.update is not None and service.update.state in _MOVING


def is_dirty(service: Service, slot: Slot) -> bool:
    """Nothing of the present wish was begun in the slot. One that was tried and failed is not dirty any more."""
    last = slot.last
    if last is None or is_current(service, last):
        return False
    return not any(is_current(service, task) for task in slot.wanted)


def plan_update(view: View, slots: Sequence[Slot]) -> Rollout:
    """The next step of the service's update, if it has one. `slots` are those that the service keeps; as long as no
    update is under way, those that were made from the present wish and run may be left out."""
    service = view.service
    dirty = [slot for slot in slots if is_dirty(service, slot)]
    status = service.update
    if status is None or status.state in _OVER or status.started_at is None:
        if not dirty:
            return Rollout()
        begun = UpdateStatus(state=UpdateState.UPDATING, started_at=view.now, message=_UNDER_WAY)
        service = service.model_copy(update={"update": begun})
        first = _Progress(replace(view, service=service), tuple(slots), view.now).next_step(dirty)
        return replace(first, service=first.service or service)
    if status.state not in _MOVING:
        return Rollout()
    progress = _Progress(view, tuple(slots), status.started_at)
    if blamed := progress.failure() or progress.vain_wait(dirty):
        return Rollout(service=failed(view, status, blamed))
    return progress.next_step(dirty)


@dataclass(frozen=True, slots=True)
class _Progress:
    """The update so far. `since` is when it began."""

    view: View
    slots: tuple[Slot, ...]
    since: datetime

    @property
    def config(self) -> UpdateConfig:
        service = self.view.service
        rolling_back = service.update is not None and service.update.state in ROLLING_BACK
        return (service.spec.rollback_config if rolling_back else service.spec.update_config) or UpdateConfig()

    @property
    def monitor(self) -> timedelta:
        return monitor_of(self.config)

    @property
    def resumed(self) -> datetime | None:
        """When it was last continued by hand: what failed before does not count any more."""
        at = self.view.service.update_resumed_at
        return at if at is not None and at > self.since else None

    def failure(self) -> str:
        """Whom the update fails for, and why; empty while it does not fail."""
        if self.config.failure_action is FailureAction.CONTINUE:
            return ""
        failed = [task for slot in self.slots for task in slot.kept if self._failed_early(task)]
        late = self._late()
        if not failed and not late:
            return ""
        share = (len(failed) + len(late)) / max(1, sum(map(self._takes_part, self.slots)))
        if share <= (self.config.max_failure_ratio or 0.0):
            return ""
        return f"failure or early termination of task {failed[-1].id}" if failed else self._lateness(late[-1])

    def vain_wait(self, dirty: Sequence[Slot]) -> str:
        """What the update waits for and will not get; empty while it may. A slot that cannot begin is nothing that
        the others could go on without, whatever the failure action says."""
        waits = self._waits()
        if not waits or not (self._gated(dirty) or any(_is_held(task) for slot in self.slots for task in slot.wanted)):
            return ""
        goes_on = self.config.failure_action is FailureAction.CONTINUE and not self._gated(dirty)
        over = next((one for one in waits if one.is_over), None)
        if over is not None and not goes_on:
            return f"a wait that has no end, until {over.until}: {over.so_far}"
        still = self._still_since(waits)
        deadline = deadline_of(self.view.service.spec)
        if not self._gated(dirty) or still is None or still + deadline > self.view.now:
            return ""
        return f"a wait of more than {deadline_text(deadline)} until {waits[0].until}: {waits[0].so_far}"

    def next_step(self, dirty: Sequence[Slot]) -> Rollout:
        now = self.view.now
        deadlines = [due for _, due in map(self._moving, self.slots) if due is not None and due > now]
        fresh = [
            task for slot in self.slots if not self._has_ended(slot) for task in slot.wanted if self._has_come(task)
        ]
        rest = rest_before_next(self.view.service.spec, self.config)
        cooling = [began(task, now) + rest for task in fresh]
        resting = [due for due in cooling if due > now]
        if dirty:
            width = self.config.parallelism if self.config.parallelism is not None else 1
            free = max(0, width - len(deadlines) - len(resting)) if width else len(dirty)
            told, able = self._gate(dirty)
            begun = self._still_since(self._waits()) if len(able) < len(dirty) else None
            given_up = None if begun is None else begun + deadline_of(self.view.service.spec)
            return Rollout(renew=_first(able, free), service=told, again_at=earliest(*resting, *deadlines, given_up))
        watched = [began(task, now) + self.monitor for task in fresh]
        still = [due for due in watched if due > now]
        if deadlines or still:
            return Rollout(again_at=earliest(*still, *deadlines))
        late = self._late()
        return Rollout(service=completed(self.view, but=self._lateness(late[-1]) if late else ""))

    def _late(self) -> list[Task]:
        moving = map(self._moving, self.slots)
        return [task for task, due in moving if task is not None and due is not None and due <= self.view.now]

    def _lateness(self, task: Task) -> str:
        # What the agent is at tells more than that it is the agent's turn.
        is_told = task.reason is not None and task.reason.code is not ReasonCode.WAITING_AGENT
        why = task.reason.text if task.reason is not None and is_told else outcome(task)
        deadline = deadline_text(deadline_of(self.view.service.spec))
        return f"task {task.id}, which does not run after {deadline}: {why}"

    def _waits(self) -> tuple[Unmet, ...]:
        """What starts of the new wish wait for. A rollback leads back to what ran."""
        service, status = self.view.service, self.view.service.update
        if status is None or status.state is not UpdateState.UPDATING:
            return ()
        return unmet(self.view.state, service, service.spec_version)

    def _gated(self, dirty: Sequence[Slot]) -> list[Slot]:
        """While the new wish would wait for services that it depends on, what serves by the old one is not stopped
        for it. Slots in which nothing ever ran move on."""
        return [slot for slot in dirty if any(task.started_at for task in slot.kept)] if self._waits() else []

    def _still_since(self, waits: Sequence[Unmet]) -> datetime | None:
        """Since when nothing of what is waited for gets on; None while something does."""
        if not waits or any(one.is_at_work for one in waits):
            return None
        times = [one.progressed_at for one in waits if one.progressed_at is not None]
        return max(self.since, self.resumed or self.since, *times)

    def _gate(self, dirty: Sequence[Slot]) -> tuple[Service | None, Sequence[Slot]]:
        """The slots that may move on, and the service's record where its status is to tell of a wait."""
        service, status = self.view.service, self.view.service.update
        gated = self._gated(dirty)
        held = {slot.place for slot in gated}
        able = [slot for slot in dirty if slot.place not in held]
        if status is None or status.state is not UpdateState.UPDATING:
            return None, able
        message = status.message or ""
        if gated:
            message = _GATED + " and until ".join(one.until for one in self._waits())
        elif message.startswith(_GATED):
            message = _UNDER_WAY
        if message == (status.message or ""):
            return None, able
        return service.model_copy(update={"update": status.model_copy(update={"message": message})}), able

    def _takes_part(self, slot: Slot) -> bool:
        return is_dirty(self.view.service, slot) or any(self._is_new(task) for task in slot.kept)

    def _is_new(self, task: Task) -> bool:
        return task.created_at >= self.since and is_current(self.view.service, task)

    def _has_come(self, task: Task) -> bool:
        """To RUNNING, by the present wish."""
        return task.state is TaskState.RUNNING and self._is_new(task)

    def _has_ended(self, slot: Slot) -> bool:
        """A task of the update ended in the slot by itself: it is left to its restart policy from then on, or a crash
        loop would hold the others up for ever."""
        return any(self._is_new(task) and self._counts(task) for task in slot.kept)

    def _counts(self, task: Task) -> bool:
        """Its end is its own, and not forgiven."""
        return ended_by_itself(task) and (self.resumed is None or ended_at(task, self.view.now) > self.resumed)

    def _failed_early(self, task: Task) -> bool:
        """Ended by itself before it ran, or while the monitor watched it."""
        if not self._is_new(task) or not self._counts(task) or self._is_good_end(task):
            return False
        if task.started_at is None:
            return True
        return (task.finished_at or self.view.now) - task.started_at <= self.monitor

    def _forgiven(self, slot: Slot) -> Task | None:
        """A failure from before the update was continued: its slot is about to move again, by its restart policy."""
        last = slot.last
        if last is None or not self._is_new(last) or not ended_by_itself(last) or gave_up(last):
            return None
        return None if self._is_good_end(last) else last

    def _is_good_end(self, task: Task) -> bool:
        """An end that the restart policy calls good is no failure."""
        return task.state is TaskState.COMPLETE and policy_of(self.view, task).condition not in _ANY

    def _moving(self, slot: Slot) -> tuple[Task | None, datetime | None]:
        """The task on its way to RUNNING and by when it must be there: counted from the first attempt, whatever
        replaced that on the way, or from when the update was continued. The time it waited for other services is
        theirs, while they get on."""
        if self._has_ended(slot) or any(self._has_come(task) for task in slot.kept):
            return None, None
        task = next((task for task in slot.wanted if self._is_new(task)), None) or self._forgiven(slot)
        if task is None:
            return None, None
        begun = task.created_at
        for earlier in reversed(slot.kept):
            if not self._is_new(earlier) or earlier.started_at is not None:
                break
            begun = min(begun, earlier.created_at)
        waits = _is_held(task)
        held = (self._still_since(self._waits()) or self.view.now) if waits else task.held_until or begun
        return task, max(begun, self.resumed or begun, held) + deadline_of(self.view.service.spec)


def _is_held(task: Task) -> bool:
    """By services that its own depends on."""
    return task.reason is not None and task.reason.code is ReasonCode.WAITING_DEPENDENCY


_ANY = (None, RestartCondition.ANY)


def needed_for_update(service: Service, tasks: Iterable[Task]) -> frozenset[str]:
    """Of the finished tasks of one slot, oldest first, those that the running update still counts. Where failures do
    not hold it up, the first is enough to know the slot by."""
    status = service.update
    if status is None or status.state not in _MOVING or status.started_at is None:
        return frozenset()
    since = status.started_at
    ended = [
        task.id for task in tasks if task.created_at >= since and is_current(service, task) and ended_by_itself(task)
    ]
    config = service.spec.rollback_config if status.state in ROLLING_BACK else service.spec.update_config
    counts_all = config is None or config.failure_action is not FailureAction.CONTINUE
    return frozenset(ended if counts_all else ended[:1])


def _first(dirty: Iterable[Slot], count: int) -> tuple[Slot, ...]:
    """Slots in which nothing runs lose nothing: they go first."""
    return tuple(sorted(dirty, key=lambda slot: (any(t.state is TaskState.RUNNING for t in slot.wanted), slot.place)))[
        :count
    ]
