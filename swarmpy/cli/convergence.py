"""Whether services have become what was wished: one look at the cluster, folded into what earlier looks saw. Pure.

Converged means: as many tasks run, healthy where they have a health check, as are wished; one-shot tasks and jobs have
ended well; a rolling update is over; and all that held for a while. Failed means: it will not become so by itself.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from swarmpy.cli.views import error_of, names_of_nodes, node_reasons
from swarmpy.states import LABELS, TaskState

Object = Mapping[str, Any]

# A service that fails this often in one slot fails for a reason that waiting does not cure. Fewer would not do: what
# has no order of start often fails until what it needs is there.
MOST_FAILURES = 5
# Without a health check, running for so long counts as well. Docker's default for watching an update.
STEADY = timedelta(seconds=5)
# A global service may find no node at all; its tasks would be there by then.
NO_NODE_AFTER = timedelta(seconds=5)

_BAD = (TaskState.FAILED, TaskState.REJECTED)
_PAUSED = ("paused", "rollback_paused")
_UNDER_WAY = ("updating", "rollback_started")


class Phase(StrEnum):
    WAITING = "waiting"
    STEADYING = "steadying"
    CONVERGED = "converged"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ServiceVerdict:
    """`reasons` say why it is not there yet; `failing` are ids of tasks whose logs may tell more."""

    service_id: str
    name: str
    phase: Phase
    done: int
    wanted: int
    text: str
    reasons: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    services: tuple[ServiceVerdict, ...]

    @property
    def failed(self) -> tuple[ServiceVerdict, ...]:
        return tuple(service for service in self.services if service.phase is Phase.FAILED)

    @property
    def is_over(self) -> bool:
        return bool(self.failed) or all(service.phase is Phase.CONVERGED for service in self.services)


@dataclass(frozen=True, slots=True)
class Memory:
    """`names` are the services waited for, by id; `before` the tasks that were there before anything was changed;
    `changed` the services that were. The rest is what looks have seen."""

    started: datetime
    names: Mapping[str, str]
    before: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()
    failures: Mapping[str, tuple["_Failure", ...]] = field(default_factory=dict)
    steady: Mapping[str, tuple[frozenset[str], datetime]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, order=True)
class _Failure:
    """In the order in which the attempts were made."""

    created_at: str
    task_id: str
    error: str

    @classmethod
    def of(cls, task: Object) -> "_Failure":
        return cls(str(task.get("CreatedAt", "")), task["ID"], error_of(task))


@dataclass(frozen=True, slots=True)
class _Slot:
    """One place of a service and the task that counts there now."""

    name: str
    task: Object

    @property
    def state(self) -> TaskState:
        return LABELS[self.task["Status"]["State"]]


def look(
    memory: Memory, services: Sequence[Object], tasks: Sequence[Object], nodes: Sequence[Object], now: datetime
) -> tuple[Memory, Verdict]:
    """One look. `tasks` are those made from the services' present specs, earlier attempts included."""
    found = {service["ID"]: service for service in services}
    names = names_of_nodes(nodes)
    down = frozenset(node["ID"] for node in nodes if node["Status"]["State"] == "down")
    verdicts = []
    for service_id, name in memory.names.items():
        own = [task for task in tasks if task.get("ServiceID") == service_id]
        if service_id not in found:
            verdicts.append(ServiceVerdict(service_id, name, Phase.FAILED, 0, 0, "was removed meanwhile"))
            continue
        memory = _with_failures(memory, service_id, own)
        memory, verdict = _look_at(memory, found[service_id], own, names, down, now)
        verdicts.append(verdict)
    return memory, Verdict(tuple(verdicts))


def _with_failures(memory: Memory, service_id: str, tasks: Iterable[Object]) -> Memory:
    """Failures are remembered, as the manager forgets old attempts."""
    failures = dict(memory.failures)
    for task in tasks:
        if LABELS[task["Status"]["State"]] in _BAD and task["ID"] not in memory.before:
            key = _place(task)
            failure = _Failure.of(task)
            known = {earlier.task_id: earlier for earlier in failures.get(key, ())}
            failures[key] = tuple(sorted((known | {task["ID"]: failure}).values()))
    return replace(memory, failures=failures)


def _place(task: Object) -> str:
    return f"{task.get('ServiceID')}/{task.get('Slot') or task.get('NodeID', '')}"


def _look_at(
    memory: Memory,
    service: Object,
    tasks: Sequence[Object],
    names: Mapping[str, str],
    down: frozenset[str],
    now: datetime,
) -> tuple[Memory, ServiceVerdict]:
    slots = _slots(service, tasks, names, down)
    good = [slot for slot in slots if _is_good(service, slot, down)]
    wanted = _wanted(service, slots)
    verdict = ServiceVerdict(
        service_id=service["ID"],
        name=service["Spec"]["Name"],
        phase=Phase.WAITING,
        done=min(len(good), wanted),
        wanted=wanted,
        text=_progress(service, len(good), wanted),
        reasons=_reasons([slot for slot in slots if slot not in good], names),
    )
    if (failure := _failure(memory, service, tasks, slots)) is not None:
        text, failing = failure
        return memory, replace(verdict, phase=Phase.FAILED, text=text, failing=failing)
    update = (service.get("UpdateStatus") or {}).get("State")
    if update in _UNDER_WAY or len(good) < wanted:
        return _forgotten(memory, service), replace(verdict, text=_waiting_text(verdict.text, service, slots, good))
    if not slots and _kind(service) == "Global" and now - memory.started < NO_NODE_AFTER:
        return memory, replace(verdict, text="waiting for tasks")
    return _steadied(memory, service, good, verdict, now)


def _slots(service: Object, tasks: Sequence[Object], names: Mapping[str, str], down: frozenset[str]) -> list[_Slot]:
    """Per place the task that is wished to go furthest; of several, the newest. A global service does not wait for
    nodes that are down: its tasks there go on, or catch up, when their node is back."""
    iteration = ((service.get("JobStatus") or {}).get("JobIteration") or {}).get("Index", 0)
    places: dict[str, list[Object]] = {}
    for task in tasks:
        if "JobStatus" not in service or (task.get("JobIteration") or {}).get("Index", 0) == iteration:
            places.setdefault(_place(task), []).append(task)
    slots = []
    for attempts in places.values():
        newest_first = sorted(attempts, key=lambda task: str(task.get("CreatedAt", "")), reverse=True)
        task = min(newest_first, key=lambda task: LABELS[task["DesiredState"]])
        is_away = _kind(service).startswith("Global") and task.get("NodeID") in down
        if _counts(task) and not (is_away and LABELS[task["Status"]["State"]].is_live):
            where = task.get("Slot") or names.get(task.get("NodeID", ""), task.get("NodeID", ""))
            slots.append(_Slot(f"{service['Spec']['Name']}.{where}", task))
    return sorted(slots, key=lambda slot: (slot.task.get("Slot") or 0, slot.name))


def _counts(task: Object) -> bool:
    """A task that was told to stop no longer fills its place; one that ended by itself still does."""
    is_wanted = LABELS[task["DesiredState"]] <= TaskState.COMPLETE
    ended = LABELS[task["Status"]["State"]] in (TaskState.COMPLETE, *_BAD)
    told_to_stop = (task.get("Reason") or {}).get("Code") in ("scaled-down", "replaced", "service-removed")
    return is_wanted or (ended and not told_to_stop)


def _kind(service: Object) -> str:
    modes: Mapping[str, Any] = service["Spec"].get("Mode") or {"Replicated": {}}
    return next(iter(modes))


def _is_job(service: Object) -> bool:
    return _kind(service).endswith("Job")


def _wanted(service: Object, slots: Sequence[_Slot]) -> int:
    mode = service["Spec"].get("Mode") or {}
    match _kind(service):
        case "Replicated":
            replicas: int = (mode.get("Replicated") or {}).get("Replicas", 1)
            return replicas
        case "ReplicatedJob":
            completions: int = (mode.get("ReplicatedJob") or {}).get("TotalCompletions", 1)
            return completions
    # Global: one on every node that takes it, and the manager has made their tasks all at once.
    return len(slots)


def _restarts_on(service: Object) -> str:
    policy = service["Spec"]["TaskTemplate"].get("RestartPolicy") or {}
    condition: str = policy.get("Condition") or ("on-failure" if _is_job(service) else "any")
    return condition


def _is_good(service: Object, slot: _Slot, down: frozenset[str]) -> bool:
    if slot.state is TaskState.COMPLETE:
        return _is_job(service) or _restarts_on(service) != "any"
    return slot.state is TaskState.RUNNING and not _is_job(service) and slot.task.get("NodeID") not in down


def _failure(
    memory: Memory, service: Object, tasks: Sequence[Object], slots: Sequence[_Slot]
) -> tuple[str, tuple[str, ...]] | None:
    """Why the service will not get there by itself, and whose logs may tell more."""
    update = service.get("UpdateStatus") or {}
    state, message = update.get("State"), update.get("Message", "")
    bad = [slot for slot in slots if slot.state in _BAD]
    if state in _PAUSED:
        return _with_culprit(f"update paused: {message}", memory, service, tasks)
    if state == "rollback_completed" and service["ID"] in memory.changed:
        return _with_culprit(f"update rolled back: {message}", memory, service, tasks)
    final = [slot for slot in bad if _restarts_on(service) == "none" or _gave_up(slot)]
    if final:
        slot = final[0]
        return f"{slot.name} {slot.state.label}: {error_of(slot.task)}", (slot.task["ID"],)
    for slot in slots:
        failures = memory.failures.get(_place(slot.task), ())
        if len(failures) >= MOST_FAILURES:
            last = failures[-1]
            text = f"{slot.name} keeps failing: {len(failures)} attempts, the last one: {last.error}"
            return text, (last.task_id,)
    return None


def _with_culprit(text: str, memory: Memory, service: Object, tasks: Sequence[Object]) -> tuple[str, tuple[str, ...]]:
    """The message of an update names a task and not what ailed it, and the task's slot may hold another by now. With no
    failure since the change, as when the same file is deployed again, an earlier one is still the reason."""
    places = (failures for key, failures in memory.failures.items() if key.startswith(service["ID"] + "/"))
    since = [failure for place in places for failure in place]
    earlier = [_Failure.of(task) for task in tasks if LABELS[task["Status"]["State"]] in _BAD]
    last = max(since or earlier, default=None)
    if last is None:
        return text, ()
    return f"{text}: {last.error}" if last.error else text, (last.task_id,)


def _gave_up(slot: _Slot) -> bool:
    return (slot.task.get("Reason") or {}).get("Code") == "gave-up"


def _progress(service: Object, good: int, wanted: int) -> str:
    return f"{good}/{wanted} {'complete' if _is_job(service) else 'running'}"


def _waiting_text(text: str, service: Object, slots: Sequence[_Slot], good: Sequence[_Slot]) -> str:
    states = sorted({slot.state for slot in slots if slot not in good})
    update = (service.get("UpdateStatus") or {}).get("State")
    parts = [text, *(state.label for state in states)]
    if update in _UNDER_WAY:
        parts.append("updating" if update == "updating" else "rolling back")
    return ", ".join(parts)


def _reasons(slots: Sequence[_Slot], names: Mapping[str, str]) -> tuple[str, ...]:
    """A sentence for each task that does not run, and one for each group of nodes that refused it."""
    lines: list[str] = []
    for slot in slots:
        if error := error_of(slot.task):
            lines.append(f"{slot.name} {slot.state.label}: {error}")
            lines.extend(f"  {line}" for line in node_reasons(slot.task.get("Reason"), names))
    return tuple(lines)


def _forgotten(memory: Memory, service: Object) -> Memory:
    steady = {key: value for key, value in memory.steady.items() if key != service["ID"]}
    return replace(memory, steady=steady)


def _steadied(
    memory: Memory, service: Object, good: Sequence[_Slot], verdict: ServiceVerdict, now: datetime
) -> tuple[Memory, ServiceVerdict]:
    """All are there; converged when the same tasks have been there for long enough."""
    ids = frozenset(slot.task["ID"] for slot in good)
    known, since = memory.steady.get(service["ID"], (frozenset(), now))
    since = since if known == ids else now
    memory = replace(memory, steady={**memory.steady, service["ID"]: (ids, since)})
    left = since + _watch_for(memory, service, good) - now
    if left > timedelta(0):
        return memory, replace(verdict, phase=Phase.STEADYING, text=f"{verdict.text}, watching")
    text = verdict.text if good or _kind(service) != "Global" else "no node takes it"
    return memory, replace(verdict, phase=Phase.CONVERGED, text=text)


def _watch_for(memory: Memory, service: Object, good: Sequence[_Slot]) -> timedelta:
    """Nothing where nothing was changed, where all have ended well, or where an update was watched already."""
    spec = service["Spec"]
    running = any(slot.state is TaskState.RUNNING for slot in good)
    was_watched = (service.get("UpdateStatus") or {}).get("State") == "completed"
    if service["ID"] not in memory.changed or not running or was_watched:
        return timedelta(0)
    monitor = (spec.get("UpdateConfig") or {}).get("Monitor")
    if monitor:
        return timedelta(microseconds=monitor / 1000)
    return timedelta(0) if _has_health_check(spec) else STEADY


def _has_health_check(spec: Object) -> bool:
    """Then a task that runs is healthy. A check that the image brings is not seen here."""
    test = ((spec["TaskTemplate"].get("ContainerSpec") or {}).get("Healthcheck") or {}).get("Test") or ["NONE"]
    return bool(test[0] != "NONE")
