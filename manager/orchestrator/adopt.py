"""Tasks that a new wish takes over as they are: only what says where they may run, or what is set aside for them, is
different, and their node still will do. Their containers are not touched: a reservation of memory, which the engine
is given as a soft limit, too, holds for the scheduler at once and for the engine from the next start on."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from manager.objects import Task
from manager.orchestrator.decision import AdoptTask, Decision
from manager.orchestrator.liveness import must_leave
from manager.orchestrator.slots import Slot, is_current, is_out_of_reach
from manager.published_ports import fits_endpoint
from swarmpy.models.resources import Limits, ResourceRequirements, Resources
from swarmpy.models.task import TaskSpec
from swarmpy.states import TaskState

if TYPE_CHECKING:
    from manager.orchestrator.keep import View

# Of running tasks, given by their new wish, the ids of those whose nodes have room for them by it.
HaveRoom = Callable[[Sequence[Task]], frozenset[str]]


def all_have_room(tasks: Sequence[Task]) -> frozenset[str]:
    return frozenset(task.id for task in tasks)


def same_container(one: TaskSpec, other: TaskSpec) -> bool:
    """Whether the container of a task made from the one is also what the other asks for."""
    return _container_part(one) == _container_part(other)


def adopt_tasks(view: "View", slots: Sequence[Slot]) -> tuple[list[Slot], Decision]:
    """The slots as they are once the present wish has taken over what it can, and what is to be written for that."""
    same: dict[int, bool] = {}
    found = {task.id: task for slot in slots if (task := _candidate(view, slot, same)) is not None}
    if not found:
        return list(slots), Decision()
    kept = view.have_room(list(found.values()))
    adopted = {task_id: task for task_id, task in found.items() if task_id in kept}
    after = [replace(slot, tasks=tuple(adopted.get(task.id, task) for task in slot.tasks)) for slot in slots]
    return after, Decision(adopt=tuple(AdoptTask(task.id, task.spec_version) for task in adopted.values()))


def _candidate(view: "View", slot: Slot, same: dict[int, bool]) -> Task | None:
    """The running task of a slot in which nothing of the present wish was begun, as the wish would have it. `same`
    remembers what is known of each earlier wish: its tasks are many, and templates are long to compare."""
    service, state = view.service, view.state
    if service.job_iteration is not None or any(is_current(service, task) for task in slot.wanted):
        return None
    task = next((task for task in reversed(slot.wanted) if task.state is TaskState.RUNNING), None)
    if task is None or task.desired_state is not TaskState.RUNNING or is_out_of_reach(state, task.node_id):
        return None
    if not fits_endpoint(task, service.spec):
        return None
    version = task.spec_version
    if version not in same:
        known = state.specs.get(f"{service.id}/{version}")
        same[version] = known is not None and same_container(known.template, service.spec.task_template)
    if not same[version]:
        return None
    adopted = task.model_copy(update={"spec_version": service.spec_version})
    return adopted if must_leave(state, adopted, view.now, view.unfit) is None else None


def _container_part(template: TaskSpec) -> TaskSpec:
    """Generic resources stay: the container is told which it was given."""
    resources = template.resources or ResourceRequirements()
    reserved = resources.reservations or Resources()
    generic = Resources(generic_resources=reserved.generic_resources or None)
    resources = resources.model_copy(update={"reservations": generic, "limits": resources.limits or Limits()})
    return template.model_copy(update={"placement": None, "resources": resources})
