"""From the manager's words to events: what changed between what is held and what is assigned. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agent.task.events import Assigned, Dropped
from swarmpy.errors import Conflict
from swarmpy.network_map import EMPTY_MAP, IndexedMap
from swarmpy.wire import Changes, FileAssignment, Full, NetworkAssignment, TaskAssignment


@dataclass(frozen=True, slots=True)
class AssignedSet:
    """All that this node must run and provide, as of one revision."""

    revision: int
    tasks: Mapping[str, TaskAssignment]
    networks: Mapping[str, NetworkAssignment]
    files: Mapping[str, FileAssignment] = field(default_factory=dict, repr=False)
    map: IndexedMap = EMPTY_MAP


NOTHING_YET = AssignedSet(revision=0, tasks={}, networks={})


def from_full(full: Full) -> AssignedSet:
    return AssignedSet(
        revision=full.revision,
        tasks={task.id: task for task in full.tasks},
        networks={network.id: network for network in full.networks},
        files={file.id: file for file in full.files},
        map=IndexedMap.of(full.map),
    )


def amended(known: AssignedSet, changes: Changes) -> AssignedSet:
    """The set after the changes. Raises `Conflict` on a gap: then only a new session helps."""
    if changes.after != known.revision:
        raise Conflict(f"changes follow revision {changes.after}, and this node is at {known.revision}")
    tasks = {id: task for id, task in known.tasks.items() if id not in changes.dropped_tasks}
    tasks.update({task.id: task for task in changes.tasks})
    networks = {id: network for id, network in known.networks.items() if id not in changes.dropped_networks}
    networks.update({network.id: network for network in changes.networks})
    files = {id: file for id, file in known.files.items() if id not in changes.dropped_files}
    files.update({file.id: file for file in changes.files})
    return AssignedSet(changes.revision, tasks, networks, files, known.map.amended(changes.map))


@dataclass(frozen=True, slots=True)
class Difference:
    """`new` are tasks that are not held yet; `events` are for those that are."""

    new: tuple[TaskAssignment, ...]
    events: tuple[tuple[str, Assigned | Dropped], ...]


def difference(held: Mapping[str, TaskAssignment], wanted: AssignedSet, dropping: Iterable[str]) -> Difference:
    """What turns the held tasks into the wanted ones. `dropping` are those that are on their way out already."""
    leaving = set(dropping)
    new = tuple(task for id, task in wanted.tasks.items() if id not in held)
    changed = tuple(
        (id, Assigned(task)) for id, task in wanted.tasks.items() if id in held and _goes_on(held[id], task)
    )
    dropped = tuple((id, Dropped()) for id in held if id not in wanted.tasks and id not in leaving)
    return Difference(new, changed + dropped)


def _goes_on(held: TaskAssignment, wanted: TaskAssignment) -> bool:
    """A desired state never goes back: an older one is a late word."""
    return held != wanted and wanted.desired_state >= held.desired_state
