"""What went wrong with a service's tasks, as far as the looks so far have seen it, in sentences for people. Pure."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from swarmpy.cli.held import PAUSED
from swarmpy.cli.render import parse_time, plural
from swarmpy.cli.slots import BAD, Object, Slot, name_of, place_of, restarts_on, titled
from swarmpy.cli.views import error_of, node_reasons
from swarmpy.health_wait import last_word
from swarmpy.lines import in_one_line
from swarmpy.states import LABELS, TaskState

# A service that fails this often in one slot fails for a reason that waiting does not cure. Fewer would not do: what
# has no order of start often fails until what it needs is there.
MOST_FAILURES = 5

# An attempt that ran for so long was no crash at its start; nobody waits longer before one, by himself.
_STABLE = timedelta(seconds=60)
_LONGEST_WAIT = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, order=True)
class Failure:
    """In the order in which the attempts were made. `title` is such as `web.1 failed on node-1`."""

    created_at: str
    task_id: str
    title: str
    error: str

    @classmethod
    def of(cls, service: Object, task: Object, names: Mapping[str, str]) -> "Failure":
        node = names.get(task.get("NodeID", ""), task.get("NodeID", ""))
        title = titled(name_of(service, task, names), task, node)
        return cls(str(task.get("CreatedAt", "")), task["ID"], title, in_one_line(error_of(task)))

    @property
    def sentence(self) -> str:
        return f"{self.title}: {self.error}" if self.error else self.title


# Place -> its failed attempts.
Failures = Mapping[str, tuple[Failure, ...]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command did to the service: whether it changed it, wished for a rollback, has its wish from a file, and
    leaves its update paused as a hand had paused it before."""

    is_changed: bool
    is_rollback: bool = False
    from_file: bool = False
    is_held: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """Why a service will not get there by itself; `failing` are ids of tasks whose logs may tell more, `advice` is
    what to do about it."""

    text: str
    failing: tuple[str, ...] = ()
    advice: str = ""


def failures_of(service: Object, tasks: Iterable[Object], names: Mapping[str, str]) -> dict[str, tuple[Failure, ...]]:
    found: dict[str, tuple[Failure, ...]] = {}
    for task in tasks:
        if LABELS[task["Status"]["State"]] in BAD:
            key = place_of(task)
            found[key] = (*found.get(key, ()), Failure.of(service, task, names))
    return {key: tuple(sorted(failures)) for key, failures in found.items()}


def joined(known: Failures, seen: Failures) -> Failures:
    """Failures are remembered, as the manager forgets old attempts."""
    both = dict(known)
    for key, failures in seen.items():
        by_task = {failure.task_id: failure for failure in (*known.get(key, ()), *failures)}
        both[key] = tuple(sorted(by_task.values()))
    return both


def of_service(failures: Failures, service: Object) -> Failures:
    prefix = service["ID"] + "/"
    return {place: found for place, found in failures.items() if found and place.startswith(prefix)}


def in_a_row(service: Object, tasks: Iterable[Object], names: Mapping[str, str]) -> dict[str, tuple[Failure, ...]]:
    """Per place the newest ended attempts as far back as all of them failed, and soon: what ran long, or was stopped
    meanwhile, had been cured."""
    ended = [task for task in tasks if not LABELS[task["Status"]["State"]].is_live]
    cured: set[str] = set()
    row = []
    for task in sorted(ended, key=lambda task: str(task.get("CreatedAt", "")), reverse=True):
        if LABELS[task["Status"]["State"]] not in BAD or _lived_long(service, task):
            cured.add(place_of(task))
        if place_of(task) not in cured:
            row.append(task)
    return failures_of(service, row, names)


def _lived_long(service: Object, task: Object) -> bool:
    """Ran, not only waited for its start."""
    if not (task.get("CreatedAt") and task["Status"].get("Timestamp")):
        return False
    policy = service["Spec"]["TaskTemplate"].get("RestartPolicy") or {}
    wait = max(_LONGEST_WAIT, timedelta(microseconds=(policy.get("Delay") or 0) / 1000))
    return parse_time(task["Status"]["Timestamp"]) - parse_time(task["CreatedAt"]) > wait + _STABLE


def of_update(service: Object, seen: Failures) -> Failures:
    """Those of the service's present update. A rollback began after what it is for."""
    began = (service.get("UpdateStatus") or {}).get("StartedAt")
    if not began:
        return seen
    since = parse_time(began)
    return {
        place: tuple(one for one in found if one.created_at and parse_time(one.created_at) >= since)
        for place, found in seen.items()
    }


def why_it_ends(
    service: Object, slots: Sequence[Slot], since: Failures, all_seen: Failures, asked: Asked, *, is_up: bool
) -> End | None:
    """`since` are the failures that count for what was asked, `all_seen` those that the manager still shows; `is_up`
    when something of the service runs."""
    update = service.get("UpdateStatus") or {}
    state, message = update.get("State"), update.get("Message", "")
    if state in PAUSED and not asked.is_held:
        ended = _with_culprit(f"{PAUSED[state]} paused", message, of_update(service, joined(all_seen, since)), all_seen)
        return End(*ended, advice=_how_to_go_on(service, asked, is_up))
    if state == "rollback_completed" and asked.is_changed and not asked.is_rollback:
        ended = _with_culprit("update rolled back", _cause_of_rollback(message), since, all_seen)
        return End(*ended, advice="what ran before runs again")
    for slot in slots:
        if slot.gave_up or (slot.state in BAD and restarts_on(service) == "none"):
            why = str(slot.task["Reason"]["Text"]) if slot.gave_up else in_one_line(error_of(slot.task))
            return End(f"{slot.title}: {why}", (slot.task["ID"],), "it is not tried again until the service changes")
    for slot in slots:
        failures = since.get(place_of(slot.task), ())
        runs = slot.state is TaskState.RUNNING and not asked.is_changed
        if len(failures) >= MOST_FAILURES and not runs:
            text = f"{slot.name} keeps failing: {len(failures)} attempts, the last one: {failures[-1].error}"
            return End(text, (failures[-1].task_id,), "it is tried further, at longer and longer intervals")
    return None


def _how_to_go_on(service: Object, asked: Asked, is_up: bool) -> str:
    so_far = "the other tasks run as before" if is_up else "no task of it runs"
    if asked.from_file:
        return f"{so_far}; deploy a mended file to go on"
    name, state = service["Spec"]["Name"], service["UpdateStatus"]["State"]
    back = f"go back with `swarmpy service rollback {name}`, " if state == "paused" else ""
    return (
        f"{so_far}; mend it with `swarmpy service update ... {name}`, {back}"
        f"or go on all the same with `swarmpy service continue {name}`"
    )


def _cause_of_rollback(message: str) -> str:
    """Why there was one; what its own end is told as says nothing of that."""
    return message.partition(" due to ")[2] or message.removeprefix("rollback completed").lstrip(",;: ")


def _with_culprit(text: str, message: str, since: Failures, all_seen: Failures) -> tuple[str, tuple[str, ...]]:
    """The message of an update names a task by its id, and not what ailed it. Where it names none, the last of the
    failures `since` is the reason; where there is none either, the message is."""
    every = [failure for place in joined(all_seen, since).values() for failure in place]
    named = [failure for failure in every if failure.task_id in message]
    last = max((failure for place in since.values() for failure in place), default=None)
    culprit = named[0] if named else last
    if culprit is not None and (named or "task" not in message):
        return f"{text}: {culprit.sentence}", (culprit.task_id,)
    said = message.removeprefix(text).removeprefix(" due to ").lstrip(": ")
    return f"{text}: {said}" if said else text, ()


def reasons(slots: Sequence[Slot], names: Mapping[str, str], told: Container[str] = ()) -> tuple[str, ...]:
    """What is wrong with tasks that are not as wished, and per group of nodes why these refused them. `told` are
    services whose own reasons are said anyway."""
    lines: list[str] = []
    for slot in slots:
        if error := own_reason(slot.task, told):
            lines.append(f"{slot.title}: {error}")
            lines.extend(f"  {line}" for line in node_reasons(slot.task.get("Reason"), names))
        elif last_word(slot.message):
            lines.append(f"{slot.title}: {_at_what(slot)}")
    return tuple(lines)


def own_reason(task: Object, told: Container[str]) -> str:
    """What is wrong with the task. One that waits for a service that is told of says how that stands, not why."""
    error = error_of(task)
    if task["Status"].get("Err"):
        return in_one_line(error)
    if (task.get("Reason") or {}).get("Code") != "waiting-dependency":
        return error
    start, parts = "waits until ", []
    for part in error.removeprefix(start).split("; and until "):
        until, _, so_far = part.partition(": ")
        stands = so_far.partition(": ")[0]
        is_told = until.removeprefix("service ").partition(" ")[0] in told
        parts.append(f"{until}: {stands}" if is_told and stands else part)
    return start + "; and until ".join(parts) if error.startswith(start) else error


def earlier_attempts(slots: Sequence[Slot], since: Failures) -> tuple[str, ...]:
    """How often a task was tried before the present attempt, and how that ended."""
    lines = []
    for slot in slots:
        earlier = [one for one in since.get(place_of(slot.task), ()) if one.task_id != slot.task["ID"]]
        if earlier:
            lines.append(f"{slot.name}: {plural(len(earlier), 'attempt')} failed, the last one: {earlier[-1].error}")
    return tuple(lines)


def under_way(slots: Sequence[Slot]) -> tuple[str, ...]:
    """Where the tasks are that nothing is told of, and what they are at."""
    lines = []
    for slot in slots:
        if slot.state.is_live and not error_of(slot.task) and not last_word(slot.message):
            said = _at_what(slot) or str((slot.task.get("Reason") or {}).get("Text") or "")
            lines.append(f"{slot.title}: {said}" if said else slot.title)
    return tuple(lines)


def _at_what(slot: Slot) -> str:
    return slot.message.removeprefix(slot.state.label).lstrip(": ")
