"""Jobs: each slot (or node) runs once to its end in every iteration. Failed attempts follow the restart policy."""

from collections.abc import Iterable, Sequence

from manager.objects import ReasonCode, Service, Task
from manager.orchestrator.decision import Decision, combined
from manager.orchestrator.keep import View, clear, keep, renew
from manager.orchestrator.liveness import must_leave
from manager.orchestrator.reasons import reason
from manager.orchestrator.slots import Slot, is_current, node_slots, numbered_slots
from manager.orchestrator.survey import Survey, all_open
from swarmpy.states import TaskState


def reconcile_replicated_job(view: View, look: Survey) -> Decision:
    """Slots 1 to the total, each complete once; at most `max_concurrent` at a time."""
    service = view.service
    job = service.spec.mode.replicated_job
    asked = job.max_concurrent if job and job.max_concurrent is not None else 1
    total = job.total_completions if job and job.total_completions is not None else asked
    if any(task.slot > total for task in look.resting.values()):
        look = all_open(view)
    known = numbered_slots(service, look.tasks)
    numbers = (number for number in range(1, total + 1) if number not in look.resting)
    slots = [known.get(number, Slot(service.id, number, "")) for number in numbers]
    beyond = [slot for number, slot in known.items() if number > total]
    too_many = reason(ReasonCode.SCALED_DOWN, "the job asks for fewer runs", view.now)
    at_rest = sum(task.state is TaskState.RUNNING for task in look.resting.values())
    free = (asked or total) - at_rest - sum(_is_under_way(view, slot) for slot in slots)
    return combined(
        [
            *(clear(view, slot, too_many, TaskState.REMOVE) for slot in beyond),
            *_runs(view, slots, free),
        ]
    )


def reconcile_global_job(view: View, look: Survey, eligible: frozenset[str]) -> Decision:
    """Each eligible node, and each that becomes so, completes one run of the iteration."""
    nodes = view.state.nodes
    slots = list(node_slots(view.service, look.tasks, eligible - look.resting.keys()).values())
    there = [slot for slot in slots if slot.node_id in eligible]
    gone = [slot for slot in slots if slot.node_id not in nodes]
    elsewhere = [slot for slot in slots if slot.node_id in nodes and slot.node_id not in eligible]
    removed = reason(ReasonCode.NODE_DOWN, "its node was removed from the cluster", view.now)
    return combined(
        [
            *(clear(view, slot, removed, TaskState.REMOVE) for slot in gone),
            *_runs(view, there, len(there)),
            *_runs(view, elsewhere, 0),
        ]
    )


def is_complete(service: Service, tasks: Iterable[Task]) -> bool:
    """Whether the slot of these tasks has done its work in the present iteration."""
    return any(task.state is TaskState.COMPLETE and task.job_iteration == service.job_iteration for task in tasks)


def _runs(view: View, slots: Sequence[Slot], free: int) -> list[Decision]:
    """What each slot does; at most `free` of those that have no attempt under way begin one."""
    decisions = []
    for slot in slots:
        decision = _run(view, slot, may_start=free > 0)
        free -= len(decision.create)
        decisions.append(decision)
    return decisions


def _run(view: View, slot: Slot, *, may_start: bool) -> Decision:
    if is_complete(view.service, slot.kept):
        return clear(view, slot, reason(ReasonCode.REPLACED, "the run is complete", view.now))
    if slot.last is not None and is_current(view.service, slot.last):
        return keep(view, slot, may_start=may_start)
    if may_start:
        return renew(view, slot)
    return clear(view, slot, reason(ReasonCode.REPLACED, "a new iteration of the job has begun", view.now))


def _is_under_way(view: View, slot: Slot) -> bool:
    return any(
        is_current(view.service, task) and must_leave(view.state, task, view.now, view.unfit) is None
        for task in slot.wanted
    )
