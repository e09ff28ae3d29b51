"""One slot: one wanted task in it, restarted by policy, stopped where it may not stay. Knows nothing of other slots.

How many slots there are is `replicated`'s and `global_mode`'s to say; when a slot moves on to a new wish, `update`'s.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from manager.objects import Reason, ReasonCode, Service, Task
from manager.orchestrator.adopt import HaveRoom, all_have_room
from manager.orchestrator.decision import Decision, DropTask, NewTask, SetDesired, SetReason, SetState, combined
from manager.orchestrator.depends import Unmet, unmet
from manager.orchestrator.liveness import Unfit, fits, must_leave, orphaned, orphaned_at
from manager.orchestrator.reasons import (
    ended,
    not_placed_yet,
    reason,
    retried_at,
    waiting_for_delay,
    waiting_for_dependency,
    waiting_for_old,
    waiting_reason,
)
from manager.orchestrator.restart import GiveUp, TryAgain, Wait, gave_up, next_attempt
from manager.orchestrator.slots import (
    Slot,
    blockers,
    by_age,
    is_current,
    is_out_of_reach,
    is_placed,
    may_hold_a_container,
    patience_ends,
    update_order,
)
from manager.state import State
from swarmpy.models.service import UpdateOrder, UpdateState
from swarmpy.models.task import RestartCondition, RestartPolicy
from swarmpy.states import TaskState

# While an update runs or stands still, a dirty slot is restarted from its old wish: only the update brings the new.
_KEEPS_OLD_WISH = frozenset({UpdateState.UPDATING, UpdateState.PAUSED, UpdateState.ROLLBACK_PAUSED})
_STANDS_STILL = frozenset({UpdateState.PAUSED, UpdateState.ROLLBACK_PAUSED})

# Nobody tells when a node that is said to run something is heard for the first time.
HEARD_BY_THEN = timedelta(seconds=1)

# All that is written for one slot at a time is one unit, and the store takes 128 writes in one. The rest follows.
DROPS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class View:
    """What deciders look at for one service. `unheard` are dependencies of which nobody knows yet whether they run."""

    state: State
    service: Service
    now: datetime
    unfit: Unfit = fits
    have_room: HaveRoom = all_have_room
    unheard: tuple[Unmet, ...] = ()


def keep(view: View, slot: Slot, *, may_start: bool = True) -> Decision:
    """Bring the slot to one wanted task. With `may_start` false, what runs may go on but nothing new begins."""
    if _is_at_rest(view, slot):
        return Decision()
    staying, stops = _sorted_out(view, slot)
    parts = [_desired(stops), _promoted(view, staying), _settled(view, slot)]
    if may_start and _needs_attempt(view, slot, staying):
        parts.append(_attempt(view, slot, staying))
    return combined(parts)


def renew(view: View, slot: Slot) -> Decision:
    """Move the slot on to the service's present wish, in the update's order."""
    staying, stops = _sorted_out(view, slot)
    running = [task for task in staying if task.state is TaskState.RUNNING]
    start_first = update_order(view.service) is UpdateOrder.START_FIRST
    partner = running[-1] if start_first and running else None
    stops |= {task.id: _replaced(view) for task in staying if task is not partner}
    return combined(
        [
            _desired(stops),
            _settled(view, slot),
            Decision(create=(start(view, slot, view.service.spec_version, partner=partner),)),
        ]
    )


def clear(view: View, slot: Slot, why: Reason, desired: TaskState = TaskState.SHUTDOWN) -> Decision:
    """Let the slot run out: nothing in it is wanted any more. To REMOVE it is to forget its history, too."""
    if desired is not TaskState.REMOVE:
        stops = {task.id: why for task in slot.wanted}
        return combined([_desired(stops), _settled(view, slot)])
    live = tuple(task for task in slot.tasks if task.is_live)
    asked = tuple(
        SetDesired(task.id, desired, why if task.is_wanted else task.reason)
        for task in live
        if task.desired_state is not desired
    )
    history = tuple(DropTask(task.id) for task in slot.kept if not task.is_live)[:DROPS_AT_ONCE]
    return combined([Decision(desire=asked, drop=history), _settled(view, replace(slot, tasks=live))])


def start(
    view: View, slot: Slot, spec_version: int, *, start_after: datetime | None = None, partner: Task | None = None
) -> NewTask:
    """A new task for the slot. It is desired READY, that is pulled and created but not started, while it must wait:
    for its restart delay, for services that its own depends on, or for older tasks of the slot to stop (all but the
    partner of a start-first update)."""
    new = replace(slot.new_task(spec_version), job_iteration=view.service.job_iteration, start_after=start_after)
    if start_after is not None and start_after > view.now:
        return replace(new, desired_state=TaskState.READY, reason=waiting_for_delay(start_after, view.now))
    if waits := _waits(view, spec_version):
        return replace(new, desired_state=TaskState.READY, reason=waiting_for_dependency(waits, view.now))
    for old in slot.tasks:
        if old is not partner and may_hold_a_container(view.state, old):
            return replace(new, desired_state=TaskState.READY, reason=waiting_for_old(old, view.now))
    return replace(new, reason=not_placed_yet(view.now))


def policy_of(view: View, task: Task) -> RestartPolicy:
    """The restart policy of the task's own wish. A job's runs end; that is no reason to run it again."""
    policy = view.state.spec_of(task).template.restart_policy or RestartPolicy()
    if task.job_iteration is not None and policy.condition in (None, RestartCondition.ANY):
        return policy.model_copy(update={"condition": RestartCondition.ON_FAILURE})
    return policy


def history_of(slot: Slot) -> tuple[Task, ...]:
    """What the slot's next attempt is decided from: the tasks of the run that the newest one belongs to."""
    last = slot.last
    return tuple(task for task in slot.kept if last is not None and task.job_iteration == last.job_iteration)


def _is_at_rest(view: View, slot: Slot) -> bool:
    """The newest task runs where it may, and the others have ended: nothing to do, as for most slots most times."""
    if not slot.tasks:
        return False
    *before, last = slot.tasks
    return (
        last.state is TaskState.RUNNING
        and last.desired_state is TaskState.RUNNING
        and all(task.state.is_finished and task.desired_state > TaskState.RUNNING for task in before)
        and must_leave(view.state, last, view.now, view.unfit) is None
    )


def _sorted_out(view: View, slot: Slot) -> tuple[list[Task], dict[str, Reason]]:
    """The wanted tasks that may stay, and why the others must stop."""
    stops: dict[str, Reason] = {}
    staying: list[Task] = []
    for task in slot.wanted:
        why = must_leave(view.state, task, view.now, view.unfit)
        if why is not None:
            stops[task.id] = why
        else:
            staying.append(task)
    best = _best(view, staying)
    stops |= {task.id: _replaced(view) for task in staying if task not in best}
    return best, stops


def _best(view: View, staying: Sequence[Task]) -> list[Task]:
    """One task, or during a start-first update the old one and the one that is to take its place."""
    current = [task for task in staying if is_current(view.service, task)]
    dirty = [task for task in staying if task not in current]
    best_current = max(current, key=_progress, default=None)
    best_dirty = max(dirty, key=_progress, default=None)
    if best_current is None:
        return [best_dirty] if best_dirty else []
    start_first = update_order(view.service) is UpdateOrder.START_FIRST
    if best_dirty is None or not start_first or best_current.state is TaskState.RUNNING:
        return [best_current]
    return [best_dirty, best_current]


def _progress(task: Task) -> tuple[TaskState, int, datetime, str]:
    return task.state, *by_age(task)


def _replaced(view: View) -> Reason:
    return reason(ReasonCode.REPLACED, "another task takes its place", view.now)


def _desired(stops: dict[str, Reason]) -> Decision:
    return Decision(desire=tuple(SetDesired(task_id, TaskState.SHUTDOWN, why) for task_id, why in stops.items()))


def _promoted(view: View, staying: Iterable[Task]) -> Decision:
    """Tasks desired READY whose wait is over may run. While their node is away, nobody knows what they wait for."""
    parts = []
    for task in staying:
        if task.desired_state >= TaskState.RUNNING or (task.node_id and is_out_of_reach(view.state, task.node_id)):
            continue
        due = task.start_after
        is_due = due is None or due <= view.now
        if is_due and _waits(view, task.spec_version):
            # A change of what it waits for gives cause to look; that a node is heard is none.
            is_met = not unmet(view.state, view.service, task.spec_version)
            parts.append(Decision(again_at=view.now + HEARD_BY_THEN if is_met else None))
            continue
        if is_due:
            olds = blockers(view.state, task)
            due = patience_ends(view.state, task, olds) if olds else None
        if due is not None and due > view.now:
            parts.append(Decision(again_at=due))
        else:
            released = task.model_copy(update={"desired_state": TaskState.RUNNING})
            why = waiting_reason(view.state, released, view.now)
            parts.append(Decision(desire=(SetDesired(task.id, TaskState.RUNNING, why),)))
    return combined(parts)


def _waits(view: View, spec_version: int) -> tuple[Unmet, ...]:
    """For what of other services a start of this wish waits."""
    return unmet(view.state, view.service, spec_version) or view.unheard


def _settled(view: View, slot: Slot) -> Decision:
    """The manager's own word where no agent has one: on lost tasks, and on those stopped before they were placed.
    A task that has ended is not desired to run any more."""
    parts = []
    for task in slot.tasks:
        if lost := orphaned(view.state, task, view.now):
            parts.append(Decision(states=(lost,)))
        elif task.is_live and not task.is_wanted and not is_placed(task):
            parts.append(Decision(states=(SetState(task.id, TaskState.SHUTDOWN, "stopped before it was placed"),)))
        elif task.state.is_finished and task.desired_state <= TaskState.RUNNING:
            wish = TaskState.COMPLETE if _is_done_job(task) else TaskState.SHUTDOWN
            parts.append(Decision(desire=(SetDesired(task.id, wish, ended(task, view.now)),)))
        parts.append(Decision(again_at=orphaned_at(view.state, task)))
    return combined(parts)


def _is_done_job(task: Task) -> bool:
    return task.job_iteration is not None and task.state is TaskState.COMPLETE


def _needs_attempt(view: View, slot: Slot, staying: Sequence[Task]) -> bool:
    """Nothing is wanted in the slot; or a start-first update lost the task that was to take over."""
    if not staying:
        return True
    update = view.service.update.state if view.service.update else None
    last = slot.last
    lost = last is not None and last.state.is_finished and is_current(view.service, last)
    old_alone = not any(is_current(view.service, task) for task in staying)
    return lost and old_alone and update not in _STANDS_STILL


def _attempt(view: View, slot: Slot, staying: Sequence[Task]) -> Decision:
    """The next attempt by the restart policy of the newest task."""
    last = slot.last
    if last is None:
        return Decision(create=(start(view, slot, view.service.spec_version),))
    partner = staying[0] if staying else None
    version = _version_after(view, last)
    if version != last.spec_version:
        return Decision(create=(start(view, slot, version, partner=partner),))
    verdict = next_attempt(history_of(slot), policy_of(view, last), view.now)
    if isinstance(verdict, TryAgain):
        return Decision(create=(start(view, slot, version, start_after=verdict.start_after, partner=partner),))
    if isinstance(verdict, Wait):
        why = retried_at(last, verdict.until, view.now)
        told = () if why == last.reason else (SetReason(last.id, why),)
        return Decision(reasons=told, again_at=verdict.until)
    if isinstance(verdict, GiveUp) and not gave_up(last):
        return Decision(reasons=(SetReason(last.id, reason(ReasonCode.GAVE_UP, verdict.why, view.now)),))
    return Decision()


def _version_after(view: View, last: Task) -> int:
    update = view.service.update
    if last.job_iteration is None and update is not None and update.state in _KEEPS_OLD_WISH:
        return last.spec_version
    return view.service.spec_version
