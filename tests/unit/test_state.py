"""The picture is the same however its news arrives."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples
from support.picture import NOW, a_node, a_service, a_task, a_wish, picture

from manager.objects import AnyObject, Cluster, ServiceRevision, Task
from manager.state import Changed, State
from manager.store.codec import encode
from manager.store.committing import Written
from manager.store.keys import key_of
from manager.store.memory import MemoryDatabase
from manager.store.port import Batch, Change, Delete, Entry, Put, Snapshot, Unit, Write
from swarmpy.clock import ManualClock
from swarmpy.models.cluster import ClusterSpec


def shown(state: State) -> dict[str, Any]:
    """All that a reader can see, without the order."""
    tasks, kept = list(state.tasks.values()), state.revisions.values()
    return {
        "objects": {key_of(value): value for value in state.objects()},
        "names": dict(state.names),
        "leader": state.leader,
        "by service": {task.service_id: ids(state.tasks_of_service(task.service_id)) for task in tasks},
        "by node": {task.node_id: ids(state.tasks_of_node(task.node_id)) for task in tasks},
        "by slot": {task.id: ids(state.tasks_of_slot(task.service_id, task.slot)) for task in tasks},
        "wishes": {spec.service_id: ids(state.specs_of_service(spec.service_id)) for spec in state.specs.values()},
        "revisions": {one.service_id: ids(state.revisions_of_service(one.service_id)) for one in kept},
        "versions": {key_of(value): state.version_of(key_of(value)) for value in state.objects()},
    }


def ids(tasks: Any) -> set[str]:
    return {task.id for task in tasks}


def rescanned(state: State) -> dict[str, Any]:
    """The indexes as a look at every object gives them."""
    tasks, wishes, revisions = list(state.tasks.values()), list(state.specs.values()), list(state.revisions.values())
    return {
        "wishes": {a.service_id: {b.id for b in wishes if a.service_id == b.service_id} for a in wishes},
        "revisions": {a.service_id: {b.id for b in revisions if a.service_id == b.service_id} for a in revisions},
        "by service": {a.service_id: {b.id for b in tasks if a.service_id == b.service_id} for a in tasks},
        "by node": {a.node_id: {b.id for b in tasks if a.node_id == b.node_id} for a in tasks},
        "by slot": {a.id: {b.id for b in tasks if (a.service_id, a.slot) == (b.service_id, b.slot)} for a in tasks},
    }


def a_revision(service: str, number: int) -> ServiceRevision:
    kept, spec = f"{service}/{number}", a_service(service).spec
    return ServiceRevision(
        id=kept, created_at=NOW, updated_at=NOW, service_id=service, number=number, spec=spec, spec_version=1
    )


# random histories

TASKS = st.builds(
    lambda number, service, node, slot: a_task(f"t{number}", service=service, node=node, slot=slot),
    st.integers(1, 3),
    st.sampled_from(["web", "db"]),
    st.sampled_from(["", "n1", "n2"]),
    st.integers(1, 2),
)
OBJECTS: st.SearchStrategy[AnyObject] = st.one_of(
    TASKS,
    TASKS,
    st.builds(a_node, st.sampled_from(["n1", "n2"])),
    st.builds(lambda replicas: a_service("web", replicas=replicas), st.integers(0, 3)),
    st.builds(a_wish, st.sampled_from(["web", "db"]), st.integers(1, 2)),
    st.builds(a_revision, st.sampled_from(["web", "db"]), st.integers(1, 2)),
)
WRITES: st.SearchStrategy[Write] = st.one_of(
    OBJECTS.map(lambda value: Put(key_of(value), encode(value))),
    OBJECTS.map(lambda value: Delete(key_of(value))),
    st.sampled_from([b"m1", b"m2"]).map(lambda leader: Put("leader", leader)),
    st.just(Delete("leader")),
    st.sampled_from([b"web", b"db"]).map(lambda owner: Put("names/services/web", owner)),
    st.just(Delete("names/services/web")),
)
UNITS = st.lists(WRITES, min_size=1, max_size=3, unique_by=lambda write: write.key).map(
    lambda writes: Unit(tuple(writes))
)


@dataclass
class OwnWrite:
    """The leader commits, and folds at once what it wrote."""

    unit: Unit


@dataclass
class OwnLateWrite:
    """The leader commits, and the answer takes its time."""

    unit: Unit


@dataclass
class Answer:
    """To the oldest write that has none yet."""


@dataclass
class OtherWrite:
    unit: Unit


@dataclass
class Watched:
    """The watch catches up by so many batches."""

    batches: int


@dataclass
class Reload:
    """History was gone: a snapshot is asked for; own writes are folded before its answer arrives."""

    meanwhile: list[Unit]


STEPS = st.one_of(
    UNITS.map(OwnWrite),
    UNITS.map(OwnLateWrite),
    st.just(Answer()),
    UNITS.map(OtherWrite),
    st.integers(1, 3).map(Watched),
    st.lists(UNITS, max_size=2).map(Reload),
)
Step = OwnWrite | OwnLateWrite | Answer | OtherWrite | Watched | Reload


@dataclass
class Follower:
    """A ledger without its I/O."""

    database: MemoryDatabase = field(default_factory=lambda: MemoryDatabase(ManualClock()))
    state: State = field(default_factory=State)
    told_until: int = 1
    unanswered: list[Batch] = field(default_factory=list)

    def take(self, step: Step) -> None:
        match step:
            case OwnWrite(unit):
                self.fold_own(unit)
            case OwnLateWrite(unit):
                self.unanswered += self.write(unit)
            case Answer():
                self.answer()
            case OtherWrite(unit):
                self.write(unit)
            case Watched(batches):
                self.watch(batches)
            case Reload(meanwhile):
                self.reload(meanwhile)

    def write(self, unit: Unit) -> list[Batch]:
        outcome = self.database.transact((unit,), None)
        assert isinstance(outcome, Written)
        return [outcome.batch] if outcome.batch else []

    def fold_own(self, unit: Unit) -> list[Batch]:
        batches = self.write(unit)
        for batch in batches:
            self.state.apply(batch)
        return batches

    def answer(self) -> None:
        if self.unanswered:
            self.state.apply(self.unanswered.pop(0))

    def watch(self, count: int | None = None) -> None:
        for batch in list(self.database.since(self.told_until))[:count]:
            self.state.apply(batch)
            self.state.told_until(batch.revision)
            self.told_until = batch.revision

    def reload(self, meanwhile: list[Unit]) -> None:
        snapshot = self.database.snapshot()
        own = [batch for unit in meanwhile for batch in self.fold_own(unit)]
        before = dict(shown(self.state)["objects"])
        changes = self.state.reset(snapshot, own)
        after = shown(self.state)["objects"]
        assert {change.key for change in changes} == {
            key for key in before | after if before.get(key) != after.get(key)
        }
        self.told_until = snapshot.revision


@settings(max_examples=examples(75, 3_000), deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_own_writes_and_the_watch_together_give_what_a_fresh_look_gives(steps: list[Step]) -> None:
    follower = Follower()
    for step in steps:
        follower.take(step)
        assert {name: shown(follower.state)[name] for name in rescanned(follower.state)} == rescanned(follower.state)
    follower.watch()
    while follower.unanswered:
        follower.answer()

    fresh = State()
    fresh.reset(follower.database.snapshot())
    assert shown(follower.state) == shown(fresh)


@settings(max_examples=examples(50, 2_000), deadline=None)
@given(st.lists(STEPS.filter(lambda step: not isinstance(step, OtherWrite | OwnLateWrite)), max_size=25))
def test_a_leader_that_writes_alone_sees_its_newest_writes_at_any_time(steps: list[Step]) -> None:
    follower = Follower()
    for step in steps:
        follower.take(step)

        fresh = State()
        fresh.reset(follower.database.snapshot())
        assert shown(follower.state) == shown(fresh)


# single facts


def test_a_change_tells_what_was_and_what_is() -> None:
    state = picture(a_task("t1", node=""), revision=7)
    placed = a_task("t1", node="n1")

    (change,) = state.apply(Batch(8, (Change("tasks/t1", Entry("tasks/t1", encode(placed), 7, 8)),)))

    assert change == Changed(
        "tasks/t1", a_task("t1", node="").model_copy(update={"birth": 7, "version": 7}), state.tasks["t1"]
    )
    assert state.tasks["t1"] == placed.model_copy(update={"birth": 7, "version": 8})
    assert (list(state.tasks_of_node("")), [task.id for task in state.tasks_of_node("n1")]) == ([], ["t1"])


def test_old_news_changes_nothing() -> None:
    state = picture(a_task("t1", node="n2"), revision=7)
    old = Entry("tasks/t1", encode(a_task("t1", node="n1")), 3, 6)

    assert state.apply(Batch(6, (Change("tasks/t1", old),))) == ()
    assert state.tasks["t1"].node_id == "n2"
    assert state.revision == 7


def test_a_deleted_object_does_not_come_back_by_older_news() -> None:
    state = picture(a_task("t1"), revision=7)
    state.apply(Batch(9, (Change("tasks/t1", None),)))

    assert state.apply(Batch(8, (Change("tasks/t1", Entry("tasks/t1", encode(a_task("t1")), 7, 8)),))) == ()
    assert state.tasks == {}


def test_a_name_and_the_leader_are_known_by_their_keys() -> None:
    state = State()
    entries = (Entry("leader", b"m1", 2, 2), Entry("names/services/web", b"s1", 3, 3))

    state.reset(Snapshot(3, entries))
    assert (state.leader, state.named("services", "web"), state.version_of("leader")) == ("m1", "s1", 2)

    state.reset(Snapshot(4, ()))
    assert (state.leader, state.named("services", "web"), state.version_of("leader")) == ("", None, 0)


def test_a_task_knows_its_wish() -> None:
    state = picture(a_task("t1", service="web"), a_wish("web", 1), a_wish("web", 2))

    assert state.spec_of(state.tasks["t1"]).number == 1


def test_a_database_restored_to_an_earlier_day_is_shown_as_it_is() -> None:
    state = picture(a_task("t1"), a_task("t2"), revision=900)

    state.reset(Snapshot(5, (Entry("tasks/t1", encode(a_task("t1", node="n9")), 4, 5),)))

    assert {task.id: task.node_id for task in state.tasks.values()} == {"t1": "n9"}
    assert state.revision == 5
    assert all(isinstance(task, Task) for task in state.objects())


def test_the_cluster_object_stands_alone() -> None:
    wanted = a_service()
    cluster = Cluster(id="c", created_at=wanted.created_at, updated_at=wanted.updated_at, spec=ClusterSpec())
    state = picture(cluster)
    assert state.cluster == cluster.model_copy(update={"birth": 7, "version": 7})

    state.apply(Batch(8, (Change("cluster", None),)))
    assert state.cluster is None


def test_what_was_computed_of_a_picture_is_kept_until_the_picture_changes() -> None:
    looks: list[int] = []
    state = State()

    def count() -> int:
        looks.append(1)
        return len(looks)

    assert (state.remembered("looks", count), state.remembered("looks", count)) == (1, 1)
    state.apply(Batch(1, (Change("names/services/web", Entry("names/services/web", b"s1", 1, 1)),)))
    assert state.remembered("looks", count) == 2
    state.apply(Batch(2, (Change("names/services/web", None),)))
    assert state.remembered("looks", count) == 3
