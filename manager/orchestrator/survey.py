"""A first look at a service, as cheap as can be: the places that are at rest, and the tasks of all others.

A place is at rest when nothing could be decided about it. Nearly all places of a big service are, nearly always, and
deciders need not look at them one by one. Decides nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from manager.objects import Task
from manager.orchestrator.keep import View
from manager.orchestrator.liveness import must_leave
from manager.orchestrator.reaper import history_limit
from manager.orchestrator.slots import is_out_of_reach
from manager.orchestrator.update import is_moving
from manager.published_ports import host_ports, is_cut_off, is_on_ingress, publishes, same_ports
from swarmpy.states import TaskState

# The number of a slot, or the node of a task of a global service.
PlaceKey = int | str


@dataclass(frozen=True, slots=True)
class Survey:
    """`resting` has, by place, the task that runs there (or has done its job); `tasks` are those of other places."""

    resting: Mapping[PlaceKey, Task]
    tasks: tuple[Task, ...]


def all_open(view: View) -> Survey:
    """No place is taken to be at rest."""
    return Survey(MappingProxyType({}), tuple(view.state.tasks_of_service(view.service.id)))


def survey(view: View, nodes: frozenset[str] | None = None) -> Survey:
    """`nodes` are those where a global service belongs: elsewhere nothing is at rest. Nor is it while an update is
    under way, which counts all places."""
    if is_moving(view.service):
        return all_open(view)
    tasks = view.state.tasks_of_service(view.service.id)
    needs_nothing = _rest_check(view, nodes)
    resting: dict[PlaceKey, Task] = {}
    ended: dict[PlaceKey, int] = {}
    restless: set[PlaceKey] = set()
    for task in tasks:
        key = task.slot or task.node_id
        known = resting.get(key)
        if known is None and needs_nothing(task):
            resting[key] = task
            if task.status.state is TaskState.COMPLETE:
                ended[key] = ended.get(key, 0) + 1
        elif known is not None and _is_the_same_run(known, task) and task.status.state is TaskState.COMPLETE:
            restless.add(key)
        elif task.status.state > TaskState.RUNNING and TaskState.RUNNING < task.desired_state < TaskState.REMOVE:
            ended[key] = ended.get(key, 0) + 1
        else:
            restless.add(key)
    limit = history_limit(view.state.cluster)
    if limit is not None:
        restless.update(key for key, count in ended.items() if count > limit)
    for key in restless:
        resting.pop(key, None)
    return Survey(resting, tuple(task for task in tasks if (task.slot or task.node_id) not in resting))


def _is_the_same_run(attempt: Task, other: Task) -> bool:
    """Of a job: should the other be complete, the attempt, which is still under way, is one too many."""
    is_under_way = attempt.status.state is TaskState.RUNNING
    return is_under_way and attempt.job_iteration is not None and attempt.job_iteration == other.job_iteration


def _rest_check(view: View, nodes: frozenset[str] | None) -> Callable[[Task], bool]:
    """Whether a task, alone in its place, gives nothing to decide: it runs by the present wish, on a node that may
    keep it; or it is a job's and complete."""
    service = view.service
    version, iteration, ports = service.spec_version, service.job_iteration, host_ports(service.spec)
    on_ingress = publishes(service.spec)
    # Tasks of one wish are judged alike on one node.
    verdicts: dict[str, bool] = {}

    def needs_nothing(task: Task) -> bool:
        state = task.status.state
        if task.job_iteration != iteration:
            return False
        if state is TaskState.COMPLETE and iteration is not None:
            is_kept = TaskState.RUNNING < task.desired_state < TaskState.REMOVE
            return is_kept and (nodes is None or task.node_id in nodes)
        if state is not TaskState.RUNNING or task.desired_state is not TaskState.RUNNING:
            return False
        if task.reason is not None or task.spec_version != version or not same_ports(task.ports, ports):
            return False
        if is_on_ingress(task) != on_ingress or is_cut_off(view.state, task):
            return False
        verdict = verdicts.get(task.node_id)
        if verdict is None:
            verdict = verdicts[task.node_id] = _may_stay(view, task, nodes)
        return verdict

    return needs_nothing


def _may_stay(view: View, task: Task, nodes: frozenset[str] | None) -> bool:
    return (
        (nodes is None or task.node_id in nodes)
        and not is_out_of_reach(view.state, task.node_id)
        and must_leave(view.state, task, view.now, view.unfit) is None
    )
