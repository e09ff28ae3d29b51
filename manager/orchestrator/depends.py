"""Which services a service depends on, and what of that a start of it waits for. Pure; starts and stops nothing.

A start waits: the task is made, placed, and its container created, but it is not started. What runs is never stopped
because something that it depends on fails later. How much a start asks for depends on whether its wish has run:

- The first start of a wish asks for all that the file says: the whole dependency, by its own present wish. So in one
  deploy of a new `migrate` and a new `web`, the old `web` serves on until the migration is done.
- A later start of the same wish (after a crash, on another node, of one replica more) asks that something of each
  dependency runs. After a full restart nothing runs, so the order holds there, too. But one lost replica of the
  database must not keep a crashed replica of `web` away for as long as no node has room for it, and a migration that
  was done for this wish need not be done again for its sake.
- So does a rollback: what it goes back to ran before.

All of it as far as the cluster has heard. After a full restart the store still says that everything runs, until each
agent has told otherwise: so a start also waits until the nodes that are said to run its dependencies have been heard
by this leader, or are known to be down.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from manager.objects import ReasonCode, Service, Task
from manager.orchestrator.slots import ROLLING_BACK, Place, by_age, is_current, is_job
from manager.state import State
from swarmpy.dependencies import Condition, depends_on
from swarmpy.labels import DEPENDS_ON
from swarmpy.models.service import UpdateState
from swarmpy.models.task import RestartCondition
from swarmpy.states import NodeState, TaskState

_MOVING = frozenset({UpdateState.UPDATING, UpdateState.ROLLBACK_STARTED})
_UPDATING = frozenset({UpdateState.UPDATING, UpdateState.PAUSED})
# Steps on the way: they tell no cause.
_USUAL = frozenset({ReasonCode.WAITING_AGENT, ReasonCode.WAITING_OLD_TASK, ReasonCode.REPLACED})


_WORDS = {
    Condition.STARTED: "has started",
    Condition.HEALTHY: "is healthy",
    Condition.COMPLETED: "has completed successfully",
}


@dataclass(frozen=True, slots=True)
class Unmet:
    """`until` is what is waited for, `so_far` how it stands.

    While it `is_at_work` (a run of it goes on, or its own update does, which has its own end) the wait is no lack of
    progress; otherwise it stands still since `progressed_at`, None if it never got on. It `is_over` when nothing but
    a change of the dependency can meet it any more.
    """

    until: str
    so_far: str
    is_at_work: bool = False
    progressed_at: datetime | None = None
    is_over: bool = False


def dependencies(service: Service) -> Mapping[str, Condition]:
    return {} if service.removed else depends_on(service.spec.labels)


def unmet(state: State, service: Service, spec_version: int) -> tuple[Unmet, ...]:
    """What a start of this wish of the service waits for; empty when it need not wait."""
    label = (service.spec.labels or {}).get(DEPENDS_ON)
    if not label:
        return ()
    is_again = _has_run(state, service, spec_version)
    key = ("unmet", label, is_again)
    return state.remembered(key, lambda: tuple(_each_unmet(state, dependencies(service), is_again=is_again)))


def unheard(state: State, service: Service, is_heard: Callable[[str], bool]) -> tuple[Unmet, ...]:
    """Dependencies that are said to run on nodes which this leader has not heard yet."""
    found = []
    for name, condition in dependencies(service).items():
        service_id = state.named("services", name) or ""
        if condition is Condition.COMPLETED or service_id not in state.services:
            continue
        places = state.remembered(("places", service_id), partial(_places, state, service_id))
        silent = next((node_id for node_id in places if not is_heard(node_id)), None)
        if silent is not None:
            so_far = f"node {silent} has told nothing since a manager took over"
            found.append(Unmet(f"service {name} is heard of", so_far))
    return tuple(found)


def unmet_of_task(state: State, task: Task) -> tuple[Unmet, ...]:
    service = state.services.get(task.service_id)
    return unmet(state, service, task.spec_version) if service is not None else ()


def waiting_text(waits: Iterable[Unmet]) -> str:
    return "waits until " + "; and until ".join(f"{one.until}: {one.so_far}" for one in waits)


def has_started(task: Task) -> bool:
    """Its container runs, healthy yet or not: the agent knows a process of it."""
    container = task.status.container_status
    checking = task.state is TaskState.STARTING and container is not None and bool(container.pid)
    return checking or task.state is TaskState.RUNNING


def _places(state: State, service_id: str) -> tuple[str, ...]:
    """The nodes on which it is said to run."""
    tasks = (task for task in state.tasks_of_service(service_id) if has_started(task) and task.is_wanted)
    return tuple(sorted({task.node_id for task in tasks if _is_there(state, task.node_id)}))


def _has_run(state: State, service: Service, spec_version: int) -> bool:
    """A task of the wish ran. In an update, since it began: of a wish that comes back much may have changed."""
    update = service.update
    is_present = spec_version == service.spec_version
    if is_present and update is not None and update.state in ROLLING_BACK:
        return True
    since = update.started_at if is_present and update is not None and update.state in _UPDATING else None
    iteration = service.job_iteration

    def look() -> bool:
        return any(
            task.spec_version == spec_version
            and task.job_iteration == iteration
            and task.started_at is not None
            and (since is None or task.created_at >= since)
            for task in state.tasks_of_service(service.id)
        )

    return state.remembered(("has-run", service.id, spec_version, iteration, since), look)


def _each_unmet(state: State, conditions: Mapping[str, Condition], *, is_again: bool) -> Iterator[Unmet]:
    for name, condition in conditions.items():
        if is_again and condition is Condition.COMPLETED:
            continue
        until = f"service {name} {'runs again' if is_again else _WORDS[condition]}"
        service = state.services.get(state.named("services", name) or "")
        if service is None or service.removed:
            yield Unmet(until, "it does not exist")
            continue
        look = _Look.at(state, service)
        so_far = _lacking_any(look, condition) if is_again else _lacking(look, condition)
        if so_far:
            is_over = not is_again and look.has_given_up and not look.is_updating
            is_at_work = look.is_updating or (condition is Condition.COMPLETED and bool(look.running))
            yield Unmet(until, so_far, is_at_work, look.progressed_at, is_over)


@dataclass(frozen=True, slots=True)
class _Look:
    """A service that is depended on: its places, the tasks of its present wish in each, and how many it wishes for."""

    state: State
    service: Service
    places: Mapping[Place, tuple[Task, ...]]
    wished: int

    @classmethod
    def at(cls, state: State, service: Service) -> "_Look":
        places: dict[Place, list[Task]] = {}
        for task in state.tasks_of_service(service.id):
            if task.desired_state is not TaskState.REMOVE:
                own = places.setdefault((task.slot, "" if task.slot else task.node_id), [])
                if is_current(service, task):
                    own.append(task)
        if _follows_nodes(service):
            # Nobody waits for nodes that are away: their tasks catch up when they are back.
            places = {place: tasks for place, tasks in places.items() if _is_there(state, place[1])}
        ordered = {place: tuple(sorted(tasks, key=by_age)) for place, tasks in places.items()}
        return cls(state, service, ordered, _wished(service, len(ordered)))

    @property
    def running(self) -> frozenset[Place]:
        return self._where(self.is_seen_running)

    @property
    def started(self) -> frozenset[Place]:
        """Compose starts all containers of such a service and looks no further: neither at their health, nor whether
        they have ended since. One that failed is started again here, and has not started until then."""
        return self._where(lambda task: task.state is TaskState.COMPLETE or self.is_seen_started(task))

    @property
    def complete(self) -> frozenset[Place]:
        if is_job(self.service):
            return self._where(lambda task: task.state is TaskState.COMPLETE)
        return frozenset(
            place for place, tasks in self.places.items() if tasks and tasks[-1].state is TaskState.COMPLETE
        )

    @property
    def is_updating(self) -> bool:
        return self.service.update is not None and self.service.update.state in _MOVING

    @property
    def has_given_up(self) -> bool:
        """In one of its places nothing is started any more."""
        last = (tasks[-1].reason for tasks in self.places.values() if tasks)
        return any(why is not None and why.code is ReasonCode.GAVE_UP for why in last)

    @property
    def progressed_at(self) -> datetime:
        """When its wish last changed, or a task of it last came to run and does, or ended well. Crashes are none, or
        one that crashes for ever would be waited for as long."""
        service = self.service
        update = service.update
        times = [service.created_at, service.job_started_at]
        times += [update.started_at, update.completed_at] if update is not None else []
        for task in (task for tasks in self.places.values() for task in tasks):
            if task.state is TaskState.COMPLETE:
                times.append(min(task.finished_at or task.updated_at, task.updated_at))
            elif self.is_seen_running(task):
                times.append(min(task.started_at or task.updated_at, task.updated_at))
        return max(time for time in times if time is not None)

    def cause(self, good: frozenset[Place]) -> str:
        """What keeps the first of the others, where it is more than the usual steps."""
        for place in sorted(self.places):
            if place not in good and self.places[place]:
                task = self.places[place][-1]
                if task.state is TaskState.COMPLETE:
                    return "it has ended"
                if task.reason is not None:
                    if task.reason.code is ReasonCode.WAITING_DEPENDENCY:
                        # Why that is not there yet, its own tasks tell.
                        return task.reason.text.partition(":")[0]
                    return "" if task.reason.code in _USUAL else task.reason.text
                return task.status.err or ""
        return ""

    def _where(self, holds: Callable[[Task], bool]) -> frozenset[Place]:
        return frozenset(place for place, tasks in self.places.items() if any(map(holds, tasks)))

    def is_seen_running(self, task: Task) -> bool:
        return task.is_seen_running and self._is_heard_of(task)

    def is_seen_started(self, task: Task) -> bool:
        return has_started(task) and self._is_heard_of(task)

    def _is_heard_of(self, task: Task) -> bool:
        return task.is_wanted and _is_there(self.state, task.node_id)


def _lacking(look: _Look, condition: Condition) -> str:
    """What of the condition is not met yet; empty when it is met."""
    if condition is Condition.STARTED:
        return _counted(look, look.started, "started")
    if condition is Condition.COMPLETED:
        if not is_job(look.service) and _restarts_always(look.service):
            return "it is started again whenever it ends; its restart condition must be none or on-failure"
        lacking = _counted(look, look.complete, "complete")
    else:
        lacking = _counted(look, look.running, "running")
    if not lacking and look.is_updating:
        return "its update is under way"
    return lacking


def _lacking_any(look: _Look, condition: Condition) -> str:
    """By any wish: an update of the dependency keeps enough of it running."""
    is_up = look.is_seen_started if condition is Condition.STARTED else look.is_seen_running
    if any(map(is_up, look.state.tasks_of_service(look.service.id))):
        return ""
    if look.wished == 0 or len(look.complete) >= look.wished:
        return ""
    return _counted(look, look.running, "running")


def _counted(look: _Look, good: frozenset[Place], word: str) -> str:
    if len(good) >= look.wished:
        return ""
    cause = look.cause(good)
    return f"{len(good)}/{look.wished} {word}" + (f": {cause}" if cause else "")


def _wished(service: Service, places: int) -> int:
    mode = service.spec.mode
    if _follows_nodes(service):
        # Of one that was just made no task may be there yet.
        return max(1, places)
    if mode.replicated_job is not None:
        asked = mode.replicated_job.max_concurrent
        at_once = 1 if asked is None else asked
        total = mode.replicated_job.total_completions
        return at_once if total is None else total
    replicas = mode.replicated.replicas if mode.replicated else None
    return 1 if replicas is None else replicas


def _follows_nodes(service: Service) -> bool:
    return service.spec.mode.global_ is not None or service.spec.mode.global_job is not None


def _is_there(state: State, node_id: str) -> bool:
    node = state.nodes.get(node_id)
    return node is not None and node.state is not NodeState.DOWN


def _restarts_always(service: Service) -> bool:
    policy = service.spec.task_template.restart_policy
    return policy is None or policy.condition in (None, RestartCondition.ANY)
