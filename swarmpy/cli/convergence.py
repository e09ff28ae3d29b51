"""Whether services have become what was wished: one look at the cluster, folded into what earlier looks saw. Pure.

Converged means: as many tasks run, healthy where they have a health check, as are wished; one-shot tasks and jobs have
ended well; a rolling update is over; and all that held for a while. Failed means: it will not become so by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from swarmpy.cli.failures import (
    Asked,
    End,
    Failures,
    earlier_attempts,
    failures_of,
    in_a_row,
    joined,
    of_service,
    reasons,
    under_way,
    why_it_ends,
)
from swarmpy.cli.held import is_held, note_of
from swarmpy.cli.slots import Object, Slot, is_good, is_job, kind_of, name_of, place_of, slots_of, wanted_of
from swarmpy.cli.views import names_of_nodes
from swarmpy.states import LABELS, PAUSED_BY_HAND, TaskState

# Without a health check, running for so long counts as well. Docker's default for watching an update.
STEADY = timedelta(seconds=5)
# A global service may find no node at all; its tasks would be there by then.
NO_NODE_AFTER = timedelta(seconds=5)

_UNDER_WAY = ("updating", "rollback_started")
_WATCHED = ("completed", "rollback_completed")


class Phase(StrEnum):
    WAITING = "waiting"
    STEADYING = "steadying"
    CONVERGED = "converged"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ServiceVerdict:
    """`reasons` say why it is not there yet, `under_way` where its tasks are that nothing is wrong with. Of one that
    failed, `failing` are ids of tasks whose logs may tell more, and `advice` is what to do. `note` is what remains to
    be said of one that has converged."""

    service_id: str
    name: str
    phase: Phase
    done: int
    wanted: int
    text: str
    reasons: tuple[str, ...] = ()
    under_way: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()
    advice: str = ""
    note: str = ""


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
    `changed` the services that were; `is_rollback`, `from_file` and `held` as in `awaited.Awaited`. The rest is what
    looks have seen."""

    started: datetime
    names: Mapping[str, str]
    before: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()
    is_rollback: bool = False
    from_file: bool = False
    held: Mapping[str, Object] = field(default_factory=dict)
    failures: Failures = field(default_factory=dict)
    steady: Mapping[str, tuple[frozenset[str], datetime]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Seen:
    """One service as one look sees it; `tasks` are all of it that it sees. `failed` are all failures that the manager
    still shows, `row` the newest ones of the present spec; `old` the places where a task of a former spec runs and is
    to run on. Where the update is held, tasks of every spec are as good."""

    service: Object
    tasks: Sequence[Object]
    slots: Sequence[Slot]
    good: Sequence[Slot]
    failed: Failures
    row: Failures
    old: frozenset[str]
    names: Mapping[str, str]
    is_held: bool

    @property
    def update(self) -> str:
        return str((self.service.get("UpdateStatus") or {}).get("State", ""))

    @property
    def is_moving(self) -> bool:
        return self.update in _UNDER_WAY

    @property
    def wanted(self) -> int:
        """A global service has no task of its present spec yet where it is not renewed."""
        if kind_of(self.service) == "Global":
            return len({place_of(slot.task) for slot in self.slots} | self.old)
        return wanted_of(self.service, self.slots)


def look(
    memory: Memory,
    services: Sequence[Object],
    tasks: Sequence[Object],
    nodes: Sequence[Object],
    now: datetime,
    *,
    former: Sequence[Object] = (),
) -> tuple[Memory, Verdict]:
    """One look. `tasks` are those made from the services' present specs, earlier attempts included; `former` those of
    services that change or roll back, whatever they were made from: what runs on, and what failed, is among them."""
    found = {service["ID"]: service for service in services}
    names = names_of_nodes(nodes)
    down = frozenset(node["ID"] for node in nodes if node["Status"]["State"] == "down")
    verdicts = []
    for service_id, name in memory.names.items():
        if service_id not in found:
            verdicts.append(ServiceVerdict(service_id, name, Phase.FAILED, 0, 0, "it was removed meanwhile"))
            continue
        service = found[service_id]
        own = [task for task in tasks if task.get("ServiceID") == service_id]
        known = {task["ID"] for task in own}
        others = [task for task in former if task.get("ServiceID") == service_id and task["ID"] not in known]
        held = is_held(service, memory.held)
        counting = [*own, *others] if held else own
        slots = slots_of(service, counting, names, down)
        seen = _Seen(
            service=service,
            tasks=[*own, *others],
            slots=slots,
            good=[slot for slot in slots if is_good(service, slot, down)],
            failed=failures_of(service, [*own, *others], names),
            row=in_a_row(service, counting, names),
            old=frozenset(place_of(task) for task in others if not held and _runs_on(task, down)),
            names=names,
            is_held=held,
        )
        memory, verdict = _look_at(_with_failures(memory, seen.failed), seen, now)
        verdicts.append(verdict)
    return memory, Verdict(tuple(verdicts))


def _runs_on(task: Object, down: frozenset[str]) -> bool:
    states = LABELS[task["Status"]["State"]], LABELS[task["DesiredState"]]
    return states == (TaskState.RUNNING, TaskState.RUNNING) and task.get("NodeID") not in down


def _with_failures(memory: Memory, seen: Failures) -> Memory:
    """Those since the change."""
    new = {
        place: tuple(failure for failure in failures if failure.task_id not in memory.before)
        for place, failures in seen.items()
    }
    return replace(memory, failures=joined(memory.failures, new))


def _look_at(memory: Memory, seen: _Seen, now: datetime) -> tuple[Memory, ServiceVerdict]:
    service, good, wanted = seen.service, seen.good, seen.wanted
    missing = [slot for slot in seen.slots if slot not in good]
    since, asked = _counting(memory, seen), _asked(memory, seen)
    verdict = ServiceVerdict(
        service_id=service["ID"],
        name=service["Spec"]["Name"],
        phase=Phase.WAITING,
        done=min(len(good), wanted),
        wanted=wanted,
        text=_progress(seen),
        reasons=reasons(missing, seen.names, frozenset(memory.names.values())),
        under_way=under_way(missing),
        note=note_of(service) if seen.is_held else "",
    )
    end = why_it_ends(service, seen.slots, since, seen.failed, asked, is_up=bool(good or seen.old))
    if end is not None:
        return memory, _failed(verdict, replace(end, text=_with_names(end.text, seen)))
    verdict = replace(verdict, reasons=verdict.reasons + earlier_attempts(missing, since))
    if seen.is_moving or len(good) < wanted:
        return _forgotten(memory, service), replace(verdict, text=_waiting_text(verdict.text, seen))
    if not seen.slots and kind_of(service) == "Global" and now - memory.started < NO_NODE_AFTER:
        return memory, replace(verdict, text="waiting for tasks")
    return _steadied(memory, service, good, verdict, now)


def _counting(memory: Memory, seen: _Seen) -> Failures:
    """The failures since the change. Of what was not changed also those before: it fails still, not again."""
    since = of_service(memory.failures, seen.service)
    return since if seen.service["ID"] in memory.changed else joined(since, seen.row)


def _asked(memory: Memory, seen: _Seen) -> Asked:
    return Asked(seen.service["ID"] in memory.changed, memory.is_rollback, memory.from_file, seen.is_held)


def _with_names(text: str, seen: _Seen) -> str:
    """The manager names tasks by their ids, engines by the names of containers, which end in them."""
    for task in seen.tasks:
        if task["ID"] in text:
            name = name_of(seen.service, task, seen.names)
            text = text.replace(f"{name}.{task['ID']}", name).replace(task["ID"], name)
    return text


def _failed(verdict: ServiceVerdict, end: End) -> ServiceVerdict:
    """Nothing is said twice."""
    told = tuple(reason for reason in verdict.reasons if reason not in end.text)
    failed = replace(verdict, phase=Phase.FAILED, text=end.text, reasons=told)
    return replace(failed, failing=end.failing, advice=end.advice)


def _progress(seen: _Seen) -> str:
    """One-shot tasks that have all ended are not said to run. While tasks are renewed, what runs and what is new are
    two counts."""
    good, wanted = seen.good, seen.wanted
    ended = bool(good) and all(slot.state is TaskState.COMPLETE for slot in good)
    if ended or is_job(seen.service) or not (seen.is_moving or seen.old):
        # Runs that a smaller wish leaves count no more, and are not undone.
        done = min(len(good), wanted) if ended or is_job(seen.service) else len(good)
        return f"{done}/{wanted} {'complete' if ended or is_job(seen.service) else 'running'}"
    running = len({place_of(slot.task) for slot in good} | seen.old)
    renewed = "rolled back" if seen.update == "rollback_started" else "updated"
    return f"{min(running, wanted)}/{wanted} running, {len(good)}/{wanted} {renewed}"


def _waiting_text(text: str, seen: _Seen) -> str:
    good = seen.good
    waiting = sorted((slot for slot in seen.slots if slot not in good), key=lambda slot: slot.state)
    parts = [text, *dict.fromkeys(slot.doing for slot in waiting)]
    if seen.is_held:
        parts.append(PAUSED_BY_HAND)
    if seen.is_moving:
        parts.append("updating" if seen.update == "updating" else "rolling back")
    return ", ".join(parts)


def _forgotten(memory: Memory, service: Object) -> Memory:
    steady = {key: value for key, value in memory.steady.items() if key != service["ID"]}
    return replace(memory, steady=steady)


def _steadied(
    memory: Memory, service: Object, good: Sequence[Slot], verdict: ServiceVerdict, now: datetime
) -> tuple[Memory, ServiceVerdict]:
    """All are there; converged when the same tasks have been there for long enough."""
    ids = frozenset(slot.task["ID"] for slot in good)
    known, since = memory.steady.get(service["ID"], (frozenset(), now))
    since = since if known == ids else now
    memory = replace(memory, steady={**memory.steady, service["ID"]: (ids, since)})
    left = since + _watch_for(memory, service, good) - now
    if left > timedelta(0):
        return memory, replace(verdict, phase=Phase.STEADYING, text=f"{verdict.text}, watching")
    text = verdict.text if good or kind_of(service) != "Global" else "no node takes it"
    return memory, replace(verdict, phase=Phase.CONVERGED, text=text)


def _watch_for(memory: Memory, service: Object, good: Sequence[Slot]) -> timedelta:
    """Nothing where nothing was changed, where all have ended well, or where an update was watched already."""
    spec = service["Spec"]
    running = any(slot.state is TaskState.RUNNING for slot in good)
    was_watched = (service.get("UpdateStatus") or {}).get("State") in _WATCHED
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
