"""Which places a service has, which task counts in each, and whether that is as wished. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from swarmpy.health_wait import waits_for_health
from swarmpy.states import LABELS, TaskState

Object = Mapping[str, Any]

BAD = (TaskState.FAILED, TaskState.REJECTED)


@dataclass(frozen=True, slots=True)
class Slot:
    """One place of a service and the task that counts there now."""

    name: str
    task: Object
    node: str = ""

    @property
    def state(self) -> TaskState:
        return LABELS[self.task["Status"]["State"]]

    @property
    def message(self) -> str:
        return str(self.task["Status"].get("Message") or "")

    @property
    def doing(self) -> str:
        """Its state, and what it is at where that tells more."""
        return "waiting to be healthy" if waits_for_health(self.message) else self.state.label

    @property
    def gave_up(self) -> bool:
        """No further attempt is made, however the last one ended."""
        return (self.task.get("Reason") or {}).get("Code") == "gave-up"

    @property
    def title(self) -> str:
        """`web.1 failed on node-1`."""
        return titled(self.name, self.task, self.node)


def titled(name: str, task: Object, node: str) -> str:
    """`node` is a host's name, which the tasks of global services have in their own."""
    state = str(task["Status"]["State"])
    is_told = bool(node and slot_of(task)) and LABELS[state] > TaskState.PENDING
    return f"{name} {state} on {node}" if is_told else f"{name} {state}"


def name_of(service: Object, task: Object, names: Mapping[str, str]) -> str:
    """`web.2`; of a global service `web.node-1`."""
    where = slot_of(task) or names.get(task.get("NodeID", ""), task.get("NodeID", ""))
    return f"{service['Spec']['Name']}.{where}"


def place_of(task: Object) -> str:
    return f"{task.get('ServiceID')}/{slot_of(task) or task.get('NodeID', '')}"


def slot_of(task: Object) -> int:
    """As its container's name has it: counted from 1, and 0 for a task that is bound to its node. The API counts the
    slots of jobs from 0, as Docker's does."""
    slot: int | None = task.get("Slot")
    if slot is None:
        return 0
    return slot + 1 if "JobIteration" in task else slot


def slots_of(service: Object, tasks: Sequence[Object], names: Mapping[str, str], down: frozenset[str]) -> list[Slot]:
    """Per place the task that is wished to go furthest; of several, the newest. A global service does not wait for
    nodes that are down: its tasks there go on, or catch up, when their node is back."""
    iteration = ((service.get("JobStatus") or {}).get("JobIteration") or {}).get("Index", 0)
    places: dict[str, list[Object]] = {}
    for task in tasks:
        if "JobStatus" not in service or (task.get("JobIteration") or {}).get("Index", 0) == iteration:
            places.setdefault(place_of(task), []).append(task)
    slots = []
    for attempts in places.values():
        newest_first = sorted(attempts, key=lambda task: str(task.get("CreatedAt", "")), reverse=True)
        task = min(newest_first, key=lambda task: LABELS[task["DesiredState"]])
        is_away = kind_of(service).startswith("Global") and task.get("NodeID") in down
        if _counts(task) and not (is_away and LABELS[task["Status"]["State"]].is_live):
            node_id = task.get("NodeID", "")
            slots.append(Slot(name_of(service, task, names), task, names.get(node_id, node_id)))
    return sorted(slots, key=lambda slot: (slot_of(slot.task), slot.name))


def _counts(task: Object) -> bool:
    """A task that was told to stop no longer fills its place; one that ended by itself, or has no successor, does."""
    is_wanted = LABELS[task["DesiredState"]] <= TaskState.COMPLETE
    ended = LABELS[task["Status"]["State"]] in (TaskState.COMPLETE, *BAD)
    code = (task.get("Reason") or {}).get("Code")
    told_to_stop = code in ("scaled-down", "replaced", "service-removed")
    return is_wanted or code == "gave-up" or (ended and not told_to_stop)


def kind_of(service: Object) -> str:
    modes: Mapping[str, Any] = service["Spec"].get("Mode") or {"Replicated": {}}
    return next(iter(modes))


def is_job(service: Object) -> bool:
    return kind_of(service).endswith("Job")


def wanted_of(service: Object, slots: Sequence[Slot]) -> int:
    mode = service["Spec"].get("Mode") or {}
    match kind_of(service):
        case "Replicated":
            replicas: int = (mode.get("Replicated") or {}).get("Replicas", 1)
            return replicas
        case "ReplicatedJob":
            completions: int = (mode.get("ReplicatedJob") or {}).get("TotalCompletions", 1)
            return completions
    # Global: one on every node that takes it, and the manager has made their tasks all at once.
    return len(slots)


def restarts_on(service: Object) -> str:
    policy = service["Spec"]["TaskTemplate"].get("RestartPolicy") or {}
    condition: str = policy.get("Condition") or ("on-failure" if is_job(service) else "any")
    return condition


def is_good(service: Object, slot: Slot, down: frozenset[str]) -> bool:
    if slot.state is TaskState.COMPLETE:
        return is_job(service) or restarts_on(service) != "any"
    return slot.state is TaskState.RUNNING and not is_job(service) and slot.task.get("NodeID") not in down
