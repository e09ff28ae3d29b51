"""The scheduler's picture follows the state change by change, and ends where a fresh look would."""

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.picture import NOW, a_node, a_service, a_task, a_template, a_wish, picture

from manager.control.view_keeper import ViewKeeper
from manager.objects import Node, SpecRevision, Task
from manager.orchestrator.decision import AdoptTask
from manager.state import Changed, State
from manager.store.codec import encode
from manager.store.port import Batch, Change, Entry
from swarmpy.models.node import NodeDescription
from swarmpy.models.resources import ResourceRequirements, Resources
from swarmpy.models.service import Global, ServiceMode
from swarmpy.models.task import Placement
from swarmpy.states import Availability, NodeState, TaskState

TEMPLATE = a_template(resources=ResourceRequirements(reservations=Resources(nano_cpus=10**9)))
GROUND = (a_node("n1"), a_node("n2"), a_service(template=TEMPLATE), a_wish(template=TEMPLATE))


def keeper_of(*objects: Task) -> ViewKeeper:
    return ViewKeeper(picture(*GROUND, *objects))


def write(state: State, *tasks: Task) -> tuple[Changed, ...]:
    revision = state.revision + 1
    changes = tuple(
        Change(f"tasks/{task.id}", Entry(f"tasks/{task.id}", encode(task), revision, revision)) for task in tasks
    )
    return state.apply(Batch(revision, changes))


def room(keeper: ViewKeeper, node: str = "n1") -> int:
    """CPUs taken."""
    load = keeper.view.node(node)
    return (load.cpus - load.free_cpus) // 10**9


def test_placed_tasks_hold_room_until_they_have_ended() -> None:
    state = picture(*GROUND, a_task("a"), a_task("b", state=TaskState.ASSIGNED), a_task("c", state=TaskState.FAILED))
    keeper = ViewKeeper(state)
    assert room(keeper) == 2
    keeper.apply(write(state, a_task("a", state=TaskState.COMPLETE)))

    assert room(keeper) == 1


def test_a_task_that_is_to_stop_holds_its_room_but_counts_no_more_for_its_service() -> None:
    keeper = keeper_of(a_task("a", desired_state=TaskState.SHUTDOWN))

    assert room(keeper) == 1
    assert not keeper.view.running("web")


def test_what_a_pass_is_about_to_stop_counts_no_more_unless_that_is_not_written() -> None:
    keeper = keeper_of(a_task("a"), a_task("b"))
    keeper.release([a_task("a", desired_state=TaskState.SHUTDOWN), a_task("b"), a_task("new", node="")])
    assert room(keeper) == 2
    assert keeper.view.running("web") == {"n1": 1}

    keeper.restore(["a"])
    assert keeper.view.running("web") == {"n1": 2}


def test_a_task_whose_placement_was_not_written_is_tried_again() -> None:
    keeper = keeper_of(a_task("a", node="", state=TaskState.PENDING))
    keeper.take_waiting()
    assert not keeper.wants_retry

    keeper.restore(["a"])
    assert keeper.wants_retry


def test_tasks_without_a_node_wait_in_order_of_arrival() -> None:
    keeper = keeper_of(
        a_task("b", node="", state=TaskState.PENDING),
        a_task("a", node="", state=TaskState.NEW),
        a_task("c", node="", state=TaskState.PENDING, desired_state=TaskState.SHUTDOWN),
    )

    assert keeper.take_waiting() == ("b", "a")


def test_a_global_task_waits_until_it_is_assigned_although_it_names_its_node() -> None:
    state = picture(*GROUND, a_task("a", slot=0, state=TaskState.PENDING))
    keeper = ViewKeeper(state)
    assert keeper.take_waiting() == ("a",)
    keeper.apply(write(state, a_task("a", slot=0, state=TaskState.ASSIGNED)))

    assert keeper.take_waiting() == ()


def test_what_waits_is_tried_again_once_room_was_freed_or_a_node_changed() -> None:
    state = picture(*GROUND, a_task("runs"), a_task("waits", node="", state=TaskState.PENDING))
    keeper = ViewKeeper(state)
    keeper.take_waiting()
    assert not keeper.wants_retry
    keeper.apply(write(state, a_task("runs", state=TaskState.SHUTDOWN)))
    assert keeper.wants_retry
    keeper.take_waiting()
    keeper.apply([Changed("", a_node("n2"), a_node("n2", availability=Availability.PAUSE))])

    assert keeper.wants_retry


def test_a_placement_that_was_not_written_gives_its_room_back() -> None:
    keeper = keeper_of(a_task("known"))
    keeper.view.add_task(keeper.placed(a_task("unwritten")))
    keeper.view.remove_task("known")
    keeper.restore(["unwritten", "known"])

    assert room(keeper) == 1
    assert keeper.view.task("unwritten") is None


def test_failures_on_a_node_are_remembered_once_for_each_task() -> None:
    state = picture(*GROUND)
    keeper = ViewKeeper(state)
    for number in range(5):
        failed = a_task(f"t{number}", state=TaskState.FAILED, finished_at=NOW + timedelta(seconds=number))
        keeper.apply(write(state, failed))
        keeper.apply(write(state, failed.model_copy(update={"desired_state": TaskState.SHUTDOWN})))
        is_last = number == 4
        assert bool(keeper.view.failures.failing("web", 1, NOW + timedelta(seconds=9))) is is_last


def test_a_failure_is_dated_by_the_manager_not_by_its_node() -> None:
    """A node whose clock goes an hour ahead must not be shunned for an hour, nor one behind be forgiven at once."""
    state = picture(*GROUND)
    keeper = ViewKeeper(state)
    for number, wrong in enumerate((-60, -60, -60, 60, 60)):
        told = NOW + timedelta(seconds=number)
        failed = a_task(f"t{number}", state=TaskState.FAILED, finished_at=told + timedelta(minutes=wrong))
        keeper.apply(write(state, failed.model_copy(update={"updated_at": told})))

    assert keeper.view.failures.failing("web", 1, NOW + timedelta(minutes=4))
    assert not keeper.view.failures.failing("web", 1, NOW + timedelta(minutes=6))


def test_a_global_service_belongs_on_ready_active_nodes() -> None:
    every = a_service("every", mode=ServiceMode(global_=Global()))
    nodes = (a_node("n1"), a_node("n2", state=NodeState.DOWN), a_node("n3", availability=Availability.DRAIN))

    assert ViewKeeper(picture(*nodes)).eligible(every) == {"n1"}


def test_a_wish_that_cannot_be_read_fits_nowhere_and_breaks_nothing() -> None:
    bad = a_template(placement=Placement(constraints=("nonsense",)))
    every = a_service("web", mode=ServiceMode(global_=Global()), template=bad)
    keeper = ViewKeeper(picture(a_node(), every, a_wish(template=bad), a_task()))

    assert keeper.eligible(every) == frozenset()
    assert keeper.unfit(a_task()) is None
    assert keeper.view.task("t1") is not None


def test_a_running_task_is_unfit_once_its_node_breaks_a_constraint() -> None:
    picky = a_template(placement=Placement(constraints=("node.labels.zone == a",)))
    objects = (a_service(template=picky), a_wish(template=picky), a_task())

    assert ViewKeeper(picture(a_node(labels={"zone": "a"}), *objects)).unfit(a_task()) is None
    assert ViewKeeper(picture(a_node(labels={"zone": "b"}), *objects)).unfit(a_task())


def roomy(node_id: str, **fields: Any) -> Node:
    """Of eight CPUs."""
    description = NodeDescription(hostname=node_id, resources=Resources(nano_cpus=8 * 10**9))
    return a_node(node_id, **fields).model_copy(update={"description": description})


ROOMY = (roomy("n1"), roomy("n2"), *GROUND[2:])


def asking(number: int, *, cpus: int = 1, most: int = 0) -> SpecRevision:
    resources = ResourceRequirements(reservations=Resources(nano_cpus=cpus * 10**9))
    return a_wish(number=number, template=a_template(resources=resources, placement=Placement(max_replicas=most)))


def moved_on(*ids: str) -> list[Task]:
    return [a_task(id).model_copy(update={"spec_version": 2}) for id in ids]


def test_to_ask_whether_there_is_room_takes_none() -> None:
    keeper = ViewKeeper(picture(*ROOMY, asking(2, cpus=5), a_task("a"), a_task("b")))

    assert keeper.have_room(moved_on("a", "b")) == keeper.have_room(moved_on("a", "b")) == {"a"}
    assert room(keeper) == 2


def test_tasks_that_are_adopted_hold_the_room_of_their_new_wish_at_once() -> None:
    keeper = ViewKeeper(picture(*ROOMY, asking(2, cpus=3), a_task("a"), a_task("b", node="n2")))

    assert keeper.have_room(moved_on("a")) == {"a"}
    keeper.hold([AdoptTask("a", 2), AdoptTask("gone", 2)])
    assert (room(keeper), room(keeper, "n2")) == (3, 1)
    keeper.restore(["a"])
    assert room(keeper) == 1


def test_together_they_never_hold_more_than_the_node_has() -> None:
    """Eight CPUs: one of the two may take five, the other keeps its one."""
    keeper = ViewKeeper(picture(*ROOMY, asking(2, cpus=5), a_task("a"), a_task("b")))

    assert keeper.have_room(moved_on("a", "b")) == {"a"}
    keeper.hold([AdoptTask("a", 2)])
    assert room(keeper) == 6


def test_of_too_many_replicas_on_a_node_only_the_surplus_must_go() -> None:
    keeper = ViewKeeper(picture(*ROOMY, asking(2, most=2), *(a_task(id) for id in "abc")))

    assert keeper.have_room(moved_on("a", "b", "c")) == {"a", "b"}


def test_a_paused_node_keeps_what_it_has() -> None:
    paused = roomy("n1", availability=Availability.PAUSE)
    keeper = ViewKeeper(picture(paused, *ROOMY[1:], asking(2), a_task("a")))

    assert keeper.have_room(moved_on("a")) == {"a"}


def test_an_adopted_task_holds_the_room_of_its_new_wish_and_what_waits_is_tried_again() -> None:
    state = picture(*ROOMY, asking(2, cpus=4), a_task("a"))
    keeper = ViewKeeper(state)
    keeper.take_waiting()
    keeper.apply(write(state, *moved_on("a")))

    assert room(keeper) == 4
    assert keeper.view.running("web") == {"n1": 1}
    keeper.apply(write(state, a_task("a"), a_task("waits", node="", state=TaskState.PENDING)))
    assert room(keeper) == 1
    assert keeper.wants_retry


def _a_task_in(id: str, node: str, state: TaskState, desired: TaskState) -> Task:
    return a_task(id, node=node if state >= TaskState.ASSIGNED else "", state=state, desired_state=desired)


_TASKS = st.builds(
    _a_task_in,
    st.sampled_from("abcd"),
    st.sampled_from(["n1", "n2"]),
    st.sampled_from([TaskState.PENDING, TaskState.ASSIGNED, TaskState.RUNNING, TaskState.FAILED, TaskState.COMPLETE]),
    st.sampled_from([TaskState.RUNNING, TaskState.SHUTDOWN]),
)


@given(st.lists(_TASKS, max_size=12))
def test_after_any_changes_the_view_is_what_a_fresh_look_would_give(writes: list[Task]) -> None:
    state = picture(*GROUND)
    objects = tuple(state.objects())
    keeper = ViewKeeper(state, objects[:2])
    # What changes before the first look is over comes after it.
    early = [change for task in writes[:3] for change in write(state, task)]
    keeper.apply(Changed("", None, value) for value in objects[2:])
    keeper.apply(early)
    for task in writes[3:]:
        keeper.apply(write(state, task))
    fresh = ViewKeeper(state)

    for node in ("n1", "n2"):
        assert room(keeper, node) == room(fresh, node)
    assert dict(keeper.view.running("web")) == dict(fresh.view.running("web"))
    assert set(keeper.take_waiting()) == set(fresh.take_waiting())
