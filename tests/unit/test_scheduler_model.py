"""The scheduler against the plain law of placing, over random clusters, wishes and histories."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples
from support.naive_placement import NaiveCluster
from support.scheduling import GIB, NOW, cluster, node, wish

from scheduler.place import Outcome, Placed, Refused, TaskGroup, place, place_in_slices
from scheduler.ranking import removal_order
from scheduler.view import ClusterView, NetworkRoom, NodeInfo, PlacedTask, Requirements
from swarmpy.states import Availability

ZONES = st.sampled_from(("a", "b", "c"))
VERSIONS = st.sampled_from((1, 1, 2))
RACKS = st.sampled_from(("1", "2", ""))


@st.composite
def node_infos(draw: st.DrawFn) -> list[NodeInfo]:
    def one(number: int) -> NodeInfo:
        labels = {"zone": draw(ZONES), "rack": draw(RACKS)}
        return node(
            f"n{number}",
            cpus=draw(st.integers(1, 4)),
            memory=draw(st.integers(1, 4)) * GIB,
            labels={name: value for name, value in labels.items() if value},
            ready=draw(st.integers(0, 9)) > 0,
            availability=draw(st.sampled_from((*[Availability.ACTIVE] * 8, Availability.PAUSE, Availability.DRAIN))),
            arch=draw(st.sampled_from(("amd64", "amd64", "amd64", "arm64"))),
        )

    return [one(number) for number in range(draw(st.integers(1, 9)))]


WISHES = st.builds(
    wish,
    st.sampled_from(
        ("node.platform.os == linux", "node.labels.zone != c", "node.labels.zone == a", "node.hostname != host-n1")
    ),
    spread=st.lists(
        st.sampled_from(("node.labels.zone", "node.labels.rack", "node.hostname")), max_size=3, unique=True
    ),
    cpus=st.sampled_from((0, 0.25, 0.5, 1)),
    memory=st.sampled_from((0, GIB // 4, GIB)),
    host_ports=st.sampled_from(((), (), (), (("tcp", 80),), (("tcp", 80), ("udp", 53)))),
    platforms=st.sampled_from(((), (), (("linux", "amd64"),))),
    max_replicas=st.sampled_from((0, 0, 1, 2, 3)),
    networks=st.sampled_from(((), (), ("front",), ("front", "back"))),
)


@dataclass
class Story:
    """What a cluster went through: nodes, tasks that came (some of which went again), failures; then a wish."""

    nodes: list[NodeInfo]
    history: list[tuple[PlacedTask, bool]]
    failures: list[tuple[str, str, int, int]]
    groups: list[TaskGroup]
    moved: set[int] = field(default_factory=set)
    rooms: dict[str, dict[str, int]] = field(default_factory=dict)

    def view(self) -> ClusterView:
        """The nodes named by `moved` come after their tasks, as when an agent registers anew."""
        late = [info for number, info in enumerate(self.nodes) if number in self.moved]
        view = cluster(*(info for number, info in enumerate(self.nodes) if number not in self.moved))
        for name, shares in self.rooms.items():
            view.put_network(NetworkRoom(name, name, shares, elsewhere=2))
        for task, _ in self.history:
            view.add_task(task)
        for info in late:
            view.put_node(info)
        for task, stays in self.history:
            if not stays:
                view.remove_task(task.id)
        for node_id, service_id, version, ago in self.failures:
            view.record_failure(node_id, service_id, version, NOW - timedelta(seconds=ago))
        return view

    def naive(self) -> NaiveCluster:
        failures = [(n, s, v, NOW - timedelta(seconds=ago)) for n, s, v, ago in self.failures]
        rooms = {(name, node.id): self.rooms[name].get(node.id, 2) for name in self.rooms for node in self.nodes}
        return NaiveCluster(self.nodes, [task for task, stays in self.history if stays], failures, rooms)


@st.composite
def stories(draw: st.DrawFn) -> Story:
    nodes = draw(node_infos())
    somewhere = st.sampled_from([info.id for info in nodes])
    services = st.sampled_from(("web", "db"))
    wishes = draw(st.lists(WISHES, min_size=1, max_size=3))
    history = [
        (
            PlacedTask(
                f"old{number}", draw(services), draw(VERSIONS), draw(somewhere), draw(st.sampled_from(wishes)),
                leaving=draw(st.booleans()),
            ),
            draw(st.booleans()),
        )
        for number in range(draw(st.integers(0, 10)))
    ]  # fmt: skip
    failing = draw(st.lists(st.tuples(somewhere, services, VERSIONS, st.integers(0, 400)), max_size=2))
    groups = [
        TaskGroup(
            draw(services), draw(VERSIONS), asked, tuple(f"g{number}.{n}" for n in range(draw(st.integers(1, 14))))
        )
        for number, asked in enumerate(wishes)
    ]
    shares = st.dictionaries(somewhere, st.integers(0, 4), max_size=4)
    rooms = {"front": draw(shares), "back": draw(shares)}
    return Story(nodes, history, failing * 5, groups, draw(st.sets(st.integers(0, 8), max_size=2)), rooms)


def chosen(outcomes: tuple[Outcome, ...]) -> dict[str, str]:
    return {o.task_id: o.node_id for o in outcomes if isinstance(o, Placed)}


@settings(max_examples=examples(100, 3_000), deadline=None)
@given(stories())
def test_every_task_gets_the_node_that_the_plain_law_gives_it(story: Story) -> None:
    assert chosen(place(story.view(), story.groups, NOW)) == story.naive().place(story.groups, NOW)


STEPS = st.tuples(st.sampled_from((0.25, 0.5, 1.0)), st.integers(1, 3), st.integers(0, 3), st.booleans())


@settings(max_examples=30, deadline=None)
@given(st.lists(STEPS, min_size=5, max_size=25), st.integers(10, 40))
def test_the_order_of_many_like_nodes_stays_true_over_many_small_changes(
    steps: list[tuple[float, int, int, bool]], size: int
) -> None:
    nodes = [node(f"n{number:02}", cpus=2 + number % 2, labels={"zone": "ab"[number % 2]}) for number in range(size)]
    view, naive = cluster(*nodes), NaiveCluster(nodes)
    for number, (cpus, tasks, gone, renewed) in enumerate(steps):
        asked = wish(cpus=cpus, spread=["node.labels.zone"])
        groups = [TaskGroup(f"s{number}", 1, asked, tuple(f"{number}.{n}" for n in range(tasks)))]
        assert chosen(place(view, groups, NOW)) == naive.place(groups, NOW)
        for task in naive.tasks[:gone]:
            view.remove_task(task.id)
        del naive.tasks[:gone]
        if renewed:
            view.drop_node(nodes[number % size].id)
            view.put_node(nodes[number % size])


@settings(max_examples=60, deadline=None)
@given(stories(), st.integers(1, 5))
def test_placing_in_slices_changes_nothing(story: Story, size: int) -> None:
    whole = place(story.view(), story.groups, NOW)
    slices = tuple(o for part in place_in_slices(story.view(), story.groups, NOW, size) for o in part)

    assert chosen(slices) == chosen(whole)
    assert {t for o in slices if isinstance(o, Refused) for t in o.task_ids} == {
        t for o in whole if isinstance(o, Refused) for t in o.task_ids
    }


@settings(max_examples=examples(60, 1_500), deadline=None)
@given(stories())
def test_what_is_placed_never_breaks_a_rule_and_what_is_not_is_explained_for_every_node(story: Story) -> None:
    view = story.view()
    before = {task.id for task, stays in story.history if stays}
    outcomes = place(view, story.groups, NOW)

    wishes = {task_id: group for group in story.groups for task_id in group.task_ids}
    for task_id, node_id in chosen(outcomes).items():
        info = view.node(node_id).info
        asked = wishes[task_id].requirements
        assert info.ready and info.availability is Availability.ACTIVE
        assert all(constraint.matches(info) for constraint in asked.constraints)
        assert not asked.nano_cpus or _reserved(view, node_id, "nano_cpus") <= (info.capacity.nano_cpus or 0)
        assert not asked.memory_bytes or _reserved(view, node_id, "memory_bytes") <= (info.capacity.memory_bytes or 0)
        holders = Counter(p for t in view.node(node_id).tasks.values() for p in t.requirements.host_ports)
        old = Counter(p for t in view.node(node_id).tasks.values() if t.id in before for p in t.requirements.host_ports)
        assert all(holders[port] == 1 and not old[port] for port in asked.host_ports)
    for outcome in outcomes:
        if isinstance(outcome, Refused):
            assert outcome.nodes.keys() == set(view.node_ids)
            assert all(outcome.nodes.values())
    placed_or_refused = [t for o in outcomes for t in (o.task_ids if isinstance(o, Refused) else (o.task_id,))]
    assert sorted(placed_or_refused) == sorted(wishes)


@settings(max_examples=60, deadline=None)
@given(stories())
def test_a_placement_taken_back_leaves_no_trace(story: Story) -> None:
    view = story.view()
    for task_id in chosen(place(view, story.groups, NOW)):
        view.remove_task(task_id)

    untouched = story.view()
    for node_id in view.node_ids:
        assert view.node(node_id).entry()[:3] == untouched.node(node_id).entry()[:3]
        assert view.node(node_id).ports.keys() == untouched.node(node_id).ports.keys()
    assert view.running("web") == untouched.running("web")
    assert chosen(place(view, story.groups, NOW)) == chosen(place(untouched, story.groups, NOW))


@settings(max_examples=60, deadline=None)
@given(node_infos(), WISHES, st.integers(1, 14), st.integers(0, 14))
def test_scaling_down_leaves_what_placing_fewer_would_have_given(
    nodes: list[NodeInfo], asked: Requirements, many: int, fewer: int
) -> None:
    all_of_them = chosen(place(view := cluster(*nodes), [TaskGroup("web", 1, asked, _ids(many))], NOW))
    leaving = removal_order(view, [(task_id, node_id, "web") for task_id, node_id in all_of_them.items()])
    assert sorted(leaving) == sorted(all_of_them)

    stay = leaving[fewer:]
    anew = place(cluster(*nodes), [TaskGroup("web", 1, asked, _ids(len(stay)))], NOW)
    assert Counter(all_of_them[task_id] for task_id in stay) == Counter(chosen(anew).values())


def _ids(number: int) -> tuple[str, ...]:
    return tuple(f"web.{n}" for n in range(number))


def _reserved(view: ClusterView, node_id: str, what: str) -> int:
    return sum(getattr(task.requirements, what) for task in view.node(node_id).tasks.values())
