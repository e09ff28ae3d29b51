"""The cluster as the manager has it in memory: all objects, indexed.

The fold of a snapshot and the batches that follow it; the leader's own committed writes are folded in the same way.
Nothing else changes it, and deciders only read it. Pure: no I/O, no clock.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from manager.objects import (
    AnyObject,
    Cluster,
    Config,
    Network,
    Node,
    Secret,
    Service,
    ServiceRevision,
    SpecRevision,
    StackRevision,
    Task,
)
from manager.store.codec import decode
from manager.store.keys import LEADER, model_of
from manager.store.port import Batch, Entry, Revision, Snapshot

Computed = TypeVar("Computed")
Indexed = TypeVar("Indexed", Task, SpecRevision, ServiceRevision)

_NO_TASKS: Mapping[str, Task] = MappingProxyType({})
_NO_WISHES: Mapping[str, SpecRevision] = MappingProxyType({})
_NO_REVISIONS: Mapping[str, ServiceRevision] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Changed:
    """One object before and after; `before` None: created, `after` None: deleted."""

    key: str
    before: AnyObject | None
    after: AnyObject | None


class State:
    """`revision` is the store revision that the picture shows."""

    def __init__(self) -> None:
        self.revision: Revision = 0
        self.leader: str = ""
        self.cluster: Cluster | None = None
        self.nodes: dict[str, Node] = {}
        self.services: dict[str, Service] = {}
        self.specs: dict[str, SpecRevision] = {}
        self.revisions: dict[str, ServiceRevision] = {}
        self.tasks: dict[str, Task] = {}
        self.networks: dict[str, Network] = {}
        self.secrets: dict[str, Secret] = {}
        self.configs: dict[str, Config] = {}
        self.stacks: dict[str, StackRevision] = {}
        self.names: dict[str, str] = {}
        self._modified: dict[str, Revision] = {}
        # Deletions that were folded before the watch told of them.
        self._buried: dict[str, Revision] = {}
        self._told: Revision = 0
        self._tables: dict[type[AnyObject], dict[str, Any]] = {
            Node: self.nodes,
            Service: self.services,
            SpecRevision: self.specs,
            ServiceRevision: self.revisions,
            Task: self.tasks,
            Network: self.networks,
            Secret: self.secrets,
            Config: self.configs,
            StackRevision: self.stacks,
        }
        self._by_service: dict[str, dict[str, Task]] = {}
        self._by_node: dict[str, dict[str, Task]] = {}
        self._by_slot: dict[tuple[str, int], dict[str, Task]] = {}
        self._specs_by_service: dict[str, dict[str, SpecRevision]] = {}
        self._revisions_by_service: dict[str, dict[str, ServiceRevision]] = {}
        self._computed: dict[Hashable, Any] = {}

    # reading

    def tasks_of_service(self, service_id: str) -> Iterable[Task]:
        return self._by_service.get(service_id, _NO_TASKS).values()

    def tasks_of_node(self, node_id: str) -> Iterable[Task]:
        """Tasks placed on the node; `""` gives those placed nowhere yet."""
        return self._by_node.get(node_id, _NO_TASKS).values()

    def tasks_of_slot(self, service_id: str, slot: int) -> Iterable[Task]:
        return self._by_slot.get((service_id, slot), _NO_TASKS).values()

    def specs_of_service(self, service_id: str) -> Iterable[SpecRevision]:
        return self._specs_by_service.get(service_id, _NO_WISHES).values()

    def revisions_of_service(self, service_id: str) -> Iterable[ServiceRevision]:
        return self._revisions_by_service.get(service_id, _NO_REVISIONS).values()

    def spec_of(self, task: Task) -> SpecRevision:
        """The wish a task was made from. It lives as long as any task refers to it."""
        return self.specs[f"{task.service_id}/{task.spec_version}"]

    def named(self, kind: str, name: str) -> str | None:
        """The id that holds a name (`services`, `networks`, `secrets`, `configs`)."""
        return self.names.get(f"{kind}/{name}")

    @property
    def leader_door(self) -> str:
        """Where the leader's door is (`host:port`), empty while nobody leads or it is not known."""
        leader = self.nodes.get(self.leader)
        return leader.address if leader is not None else ""

    def version_of(self, key: str) -> Revision:
        """The revision a key was last written at, 0 when it is not there."""
        return self._modified.get(key, 0)

    def objects(self) -> Iterator[AnyObject]:
        if self.cluster is not None:
            yield self.cluster
        for table in self._tables.values():
            yield from table.values()

    def remembered(self, key: Hashable, compute: Callable[[], Computed]) -> Computed:
        """What was computed from this very picture; it is forgotten with the next change."""
        if key not in self._computed:
            self._computed[key] = compute()
        found: Computed = self._computed[key]
        return found

    def sketch(self) -> "State":
        """A picture of its own, to fold into what is not written: all but nodes and tasks, which it lacks. The objects
        are shared, for they are frozen, and nothing of this picture changes."""
        sketch = State()
        sketch.revision, sketch.leader, sketch.cluster = self.revision, self.leader, self.cluster
        for model, table in self._tables.items():
            if model not in (Node, Task):
                sketch._tables[model].update(table)
        sketch.names.update(self.names)
        sketch._modified = dict(self._modified)
        sketch._specs_by_service = {key: dict(group) for key, group in self._specs_by_service.items()}
        sketch._revisions_by_service = {key: dict(group) for key, group in self._revisions_by_service.items()}
        return sketch

    # folding

    def reset(self, snapshot: Snapshot, later: Iterable[Batch] = ()) -> tuple[Changed, ...]:
        """Become the snapshot and what is known to have come `later` than it; returns the differences from what was
        shown before."""
        kept = {entry.key for entry in snapshot.entries}
        changed = [self._drop(key) for key in list(self._modified) if key not in kept]
        changed += [self._put(entry) for entry in snapshot.entries if self.version_of(entry.key) != entry.modified]
        self._buried.clear()
        self._told = self.revision = snapshot.revision
        for batch in later:
            changed += self.apply(batch)
        return _net(change for change in changed if change is not None)

    def apply(self, batch: Batch) -> tuple[Changed, ...]:
        """Fold one batch. Old news changes nothing, so that a write may be folded twice: when committed, and
        again when the watch tells of it, with other batches of the watch in between, in either order."""
        changed = []
        for change in batch.changes:
            known = max(self._told, self.version_of(change.key), self._buried.get(change.key, 0))
            if batch.revision <= known:
                continue
            if change.entry is not None:
                self._buried.pop(change.key, None)
                changed.append(self._put(change.entry))
            else:
                self._buried[change.key] = batch.revision
                changed.append(self._drop(change.key))
        self.revision = max(self.revision, batch.revision)
        return tuple(change for change in changed if change is not None)

    def told_until(self, revision: Revision) -> None:
        """The watch has told of everything up to here: what is no later is old news from now on, also the late answer
        to a write whose object is deleted since."""
        self._told = revision
        self._buried = {key: at for key, at in self._buried.items() if at > revision}

    def _put(self, entry: Entry) -> Changed | None:
        self._computed.clear()
        self._modified[entry.key] = entry.modified
        value = decode(entry)
        if value is None:
            self._put_word(entry)
            return None
        if isinstance(value, Cluster):
            before: AnyObject | None = self.cluster
            self.cluster = value
        else:
            table = self._tables[type(value)]
            before = table.get(value.id)
            table[value.id] = value
            self._unindex(before)
            self._index(value)
        return Changed(entry.key, before, value)

    def _drop(self, key: str) -> Changed | None:
        self._computed.clear()
        if self._modified.pop(key, None) is None:
            return None
        model = model_of(key)
        if model is None:
            self._drop_word(key)
            return None
        if model is Cluster:
            before: AnyObject | None = self.cluster
            self.cluster = None
        else:
            before = self._tables[model].pop(key.split("/", 1)[1])
            self._unindex(before)
        return Changed(key, before, None)

    def _put_word(self, entry: Entry) -> None:
        if entry.key == LEADER:
            self.leader = entry.value.decode()
        elif entry.key.startswith("names/"):
            self.names[entry.key.removeprefix("names/")] = entry.value.decode()

    def _drop_word(self, key: str) -> None:
        if key == LEADER:
            self.leader = ""
        self.names.pop(key.removeprefix("names/"), None)

    def _index(self, value: AnyObject) -> None:
        if isinstance(value, Task):
            self._by_service.setdefault(value.service_id, {})[value.id] = value
            self._by_node.setdefault(value.node_id, {})[value.id] = value
            self._by_slot.setdefault((value.service_id, value.slot), {})[value.id] = value
        elif isinstance(value, SpecRevision):
            self._specs_by_service.setdefault(value.service_id, {})[value.id] = value
        elif isinstance(value, ServiceRevision):
            self._revisions_by_service.setdefault(value.service_id, {})[value.id] = value

    def _unindex(self, value: AnyObject | None) -> None:
        if isinstance(value, Task):
            _discard(self._by_service, value.service_id, value.id)
            _discard(self._by_node, value.node_id, value.id)
            _discard(self._by_slot, (value.service_id, value.slot), value.id)
        elif isinstance(value, SpecRevision):
            _discard(self._specs_by_service, value.service_id, value.id)
        elif isinstance(value, ServiceRevision):
            _discard(self._revisions_by_service, value.service_id, value.id)


def _net(changes: Iterable[Changed]) -> tuple[Changed, ...]:
    """One change a key, from what was first to what is last; none where nothing is different in the end."""
    net: dict[str, Changed] = {}
    for change in changes:
        first = net.get(change.key, change)
        net[change.key] = Changed(change.key, first.before, change.after)
    return tuple(change for change in net.values() if change.before != change.after)


def _discard(index: dict[Any, dict[str, Indexed]], key: object, object_id: str) -> None:
    group = index.get(key, {})
    group.pop(object_id, None)
    if not group:
        index.pop(key, None)
