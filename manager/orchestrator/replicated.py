"""Replicated services: slots 1 to n, each with one task. Does not choose nodes."""

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import replace
from itertools import count, islice

from manager.objects import ReasonCode, Task
from manager.orchestrator.adopt import adopt_tasks
from manager.orchestrator.decision import Decision, combined
from manager.orchestrator.keep import View, clear, keep, renew
from manager.orchestrator.liveness import must_leave
from manager.orchestrator.reasons import reason
from manager.orchestrator.slots import Slot, numbered_slots
from manager.orchestrator.survey import PlaceKey, Survey, all_open
from manager.orchestrator.update import plan_update
from swarmpy.states import TaskState

# Live tasks, those best removed first: the scheduler's view of crowded nodes.
RemovalOrder = Callable[[Sequence[Task]], Sequence[Task]]


def reconcile_replicated(view: View, look: Survey, removal_order: RemovalOrder) -> Decision:
    """Bring the service to its replicas: scale, restart, update, one wanted task in each slot."""
    service = view.service
    replicas = service.spec.mode.replicated.replicas if service.spec.mode.replicated else None
    wish = 1 if replicas is None else replicas
    slots = numbered_slots(service, look.tasks)
    kept = [slot for slot in slots.values() if slot.is_kept]
    surplus = len(look.resting) + len(kept) - wish
    if surplus > 0 and look.resting:
        return reconcile_replicated(view, all_open(view), removal_order)
    leaving = _superfluous(view, kept, surplus, removal_order)
    staying = [slot for slot in kept if slot.number not in leaving]
    free = _free_numbers({*look.resting, *(slot.number for slot in kept)})
    new = [slots.get(number, Slot(service.id, number, "")) for number in islice(free, max(0, -surplus))]
    taken = {slot.number for slot in [*staying, *new]}
    going = [slot for slot in slots.values() if slot.number not in taken]
    why = reason(ReasonCode.SCALED_DOWN, "the service was scaled down", view.now)
    return combined(
        [*(clear(view, slot, why, TaskState.REMOVE) for slot in going), kept_and_updated(view, staying, new)]
    )


def kept_and_updated(view: View, staying: Sequence[Slot], new: Sequence[Slot] = ()) -> Decision:
    """One wanted task in each of these slots, and the next step of the service's update. Slots at rest may be left
    out, unless an update is under way."""
    staying, adoption = adopt_tasks(view, staying)
    rollout = plan_update(view, staying)
    view = replace(view, service=rollout.service or view.service)
    renewed = {slot.place for slot in rollout.renew}
    return combined(
        [
            adoption,
            Decision(replace=(rollout.service,) if rollout.service else (), again_at=rollout.again_at),
            *(renew(view, slot) for slot in rollout.renew),
            *(keep(view, slot) for slot in staying if slot.place not in renewed),
            *(keep(view, slot) for slot in new),
        ]
    )


def _superfluous(view: View, kept: Sequence[Slot], surplus: int, removal_order: RemovalOrder) -> frozenset[int]:
    """Slots in which nothing runs go first, the highest number first; then as the scheduler would have it."""
    if surplus <= 0:
        return frozenset()
    by_task = {task.id: slot for slot in kept if (task := _running(view, slot))}
    busy = {slot.number for slot in by_task.values()}
    idle = sorted((slot.number for slot in kept if slot.number not in busy), reverse=True)
    running = [task for task in view.state.tasks_of_service(view.service.id) if task.id in by_task]
    ordered = [by_task[task.id].number for task in removal_order(running)] if surplus > len(idle) else []
    return frozenset([*idle, *ordered][:surplus])


def _running(view: View, slot: Slot) -> Task | None:
    """The slot's running task that may stay where it is."""
    return next(
        (
            task
            for task in reversed(slot.wanted)
            if task.state is TaskState.RUNNING and must_leave(view.state, task, view.now, view.unfit) is None
        ),
        None,
    )


def _free_numbers(taken: Set[PlaceKey]) -> Iterator[int]:
    return (number for number in count(1) if number not in taken)
