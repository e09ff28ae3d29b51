"""Whether services have become what was wished: one look at the cluster, folded into what earlier looks saw. Pure.

Converged means: as many tasks run, healthy where they have a health check, as are wished; one-shot tasks and jobs have
ended well; a rolling update is over; and all that held for a while. Failed means: it will not become so by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from swarmpy.cli.failures import (
    End,
    Failures,
    earlier_attempts,
    failures_of,
    joined,
    of_service,
    reasons,
    under_way,
    why_it_ends,
)
from swarmpy.cli.slots import Object, Slot, is_good, is_job, kind_of, slots_of, wanted_of
from swarmpy.cli.views import names_of_nodes
from swarmpy.states import TaskState

# Without a health check, running for so long counts as well. Docker's default for watching an update.
STEADY = timedelta(seconds=5)
# A global service may find no node at all; its tasks would be there by then.
NO_NODE_AFTER = timedelta(seconds=5)

_UNDER_WAY = ("updating", "rollback_started")


class Phase(StrEnum):
    WAITING = "waiting"
    STEADYING = "steadying"
    CONVERGED = "converged"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ServiceVerdict:
    """`reasons` say why it is not there yet, `under_way` where its tasks are that nothing is wrong with. Of one that
    failed, `failing` are ids of tasks whose logs may tell more, and `advice` is what to do."""

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
    failures: Failures = field(default_factory=dict)
    steady: Mapping[str, tuple[frozenset[str], datetime]] = field(default_factory=dict)


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
    services that roll back whatever they were made from: what failed is among them."""
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
        others = [task for task in former if task.get("ServiceID") == service_id]
        seen = failures_of(service, [*own, *others], names)
        memory = _with_failures(memory, seen)
        memory, verdict = _look_at(memory, service, slots_of(service, own, names, down), seen, names, down, now)
        verdicts.append(verdict)
    return memory, Verdict(tuple(verdicts))


def _with_failures(memory: Memory, seen: Failures) -> Memory:
    """Those since the change."""
    new = {
        place: tuple(failure for failure in failures if failure.task_id not in memory.before)
        for place, failures in seen.items()
    }
    return replace(memory, failures=joined(memory.failures, new))


def _look_at(
    memory: Memory,
    service: Object,
    slots: Sequence[Slot],
    seen: Failures,
    names: Mapping[str, str],
    down: frozenset[str],
    now: datetime,
) -> tuple[Memory, ServiceVerdict]:
    since = of_service(memory.failures, service)
    good = [slot for slot in slots if is_good(service, slot, down)]
    missing = [slot for slot in slots if slot not in good]
    wanted = wanted_of(service, slots)
    verdict = ServiceVerdict(
        service_id=service["ID"],
        name=service["Spec"]["Name"],
        phase=Phase.WAITING,
        done=min(len(good), wanted),
        wanted=wanted,
        text=_progress(service, good, wanted),
        reasons=reasons(missing, names),
        under_way=under_way(missing),
    )
    end = why_it_ends(service, slots, since, seen, is_changed=service["ID"] in memory.changed)
    if end is not None:
        return memory, _failed(verdict, end)
    verdict = replace(verdict, reasons=verdict.reasons + earlier_attempts(missing, since))
    update = (service.get("UpdateStatus") or {}).get("State")
    if update in _UNDER_WAY or len(good) < wanted:
        return _forgotten(memory, service), replace(verdict, text=_waiting_text(verdict.text, service, slots, good))
    if not slots and kind_of(service) == "Global" and now - memory.started < NO_NODE_AFTER:
        return memory, replace(verdict, text="waiting for tasks")
    return _steadied(memory, service, good, verdict, now)


def _failed(verdict: ServiceVerdict, end: End) -> ServiceVerdict:
    """Nothing is said twice."""
    told = tuple(reason for reason in verdict.reasons if reason not in end.text)
    failed = replace(verdict, phase=Phase.FAILED, text=end.text, reasons=told)
    return replace(failed, failing=end.failing, advice=end.advice)


def _progress(service: Object, good: Sequence[Slot], wanted: int) -> str:
    """One-shot tasks that have all ended are not said to run."""
    ended = bool(good) and all(slot.state is TaskState.COMPLETE for slot in good)
    return f"{len(good)}/{wanted} {'complete' if ended or is_job(service) else 'running'}"


def _waiting_text(text: str, service: Object, slots: Sequence[Slot], good: Sequence[Slot]) -> str:
    states = sorted({slot.state for slot in slots if slot not in good})
    update = (service.get("UpdateStatus") or {}).get("State")
    parts = [text, *(state.label for state in states)]
    if update in _UNDER_WAY:
        parts.append("updating" if update == "updating" else "rolling back")
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
