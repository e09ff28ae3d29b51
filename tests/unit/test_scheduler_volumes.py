"""A task whose volume is on a node goes there, or waits and says why."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest
from support.scheduling import GIB, NOW, cluster, group, node, placed_on, refused, running, wish

from scheduler.classes import NodeClass
from scheduler.load import NodeLoad
from scheduler.place import Placed, TaskGroup, place
from scheduler.view import ClusterView, NodeInfo, PlacedTask, Requirements, requirements
from scheduler.volumes import VolumeMap, affinity_sources, check_volume_name, volume_name
from swarmpy.errors import BadRequest
from swarmpy.labels import VOLUME_AFFINITY
from swarmpy.models.container import ContainerSpec
from swarmpy.models.mount import Mount, MountType, VolumeOptions
from swarmpy.models.task import TaskSpec
from swarmpy.states import Availability

FOLLOWED = VolumeOptions(labels={VOLUME_AFFINITY: "true"})


def holding(info: NodeInfo, *volumes: str) -> NodeInfo:
    return replace(info, volumes=frozenset(volumes))


def with_volumes(service: str, *names: str, number: int = 1, **fields: object) -> TaskGroup:
    asked = wish(**fields)  # type: ignore[arg-type]
    return alone(TaskGroup(service, 1, asked, (f"{service}.{number}",)), *names)


def alone(one: TaskGroup, *names: str) -> TaskGroup:
    return replace(one, volumes={one.task_ids[0]: names})


def template(*mounts: Mount) -> TaskSpec:
    return TaskSpec(container_spec=ContainerSpec(image="app:1", mounts=mounts))


def three(*volumes_of_n2: str, **fields: object) -> ClusterView:
    n2 = replace(node("n2", **fields), hostname="n2")  # type: ignore[arg-type]
    return cluster(node("n1"), holding(n2, *volumes_of_n2), node("n3"))


def test_only_volumes_with_the_label_are_followed() -> None:
    found = affinity_sources(
        template(
            Mount(source="a", target="/a", volume_options=FOLLOWED),
            Mount(type=MountType.VOLUME, source="b", target="/b", volume_options=FOLLOWED),
            Mount(source="b", target="/again", volume_options=FOLLOWED),
            Mount(source="c", target="/c", volume_options=VolumeOptions(labels={VOLUME_AFFINITY: "false"})),
            Mount(source="d", target="/d"),
            Mount(type=MountType.BIND, source="/e", target="/e"),
        )
    )
    assert found == ("a", "b")
    assert requirements(template(Mount(source="a", target="/a", volume_options=FOLLOWED))).volumes == ("a",)


def test_a_name_is_filled_in_as_the_agent_will() -> None:
    source = "{{.Service.Name}}-{{ .Task.Slot }}-{{.Service.ID}}"
    check_volume_name(source)
    assert volume_name(source, "id1", "shop_db", 3) == "shop_db-3-id1"
    assert volume_name("data", "id1", "shop_db", 3) == "data"


@pytest.mark.parametrize("field", [".Node.ID", ".Node.Hostname", ".Task.ID", ".Task.Name", ".Service.Labels.x", "x"])
def test_a_name_that_depends_on_the_choice_cannot_decide_about_it(field: str) -> None:
    with pytest.raises(BadRequest, match="is not known before one is chosen"):
        check_volume_name(f"data-{{{{{field}}}}}")


def test_the_first_task_goes_anywhere_and_the_next_ones_to_it() -> None:
    view = cluster(node("n1"), node("n2"), node("n3"))
    running(view, "other", "n1")

    assert placed_on(view, *(with_volumes("db", "data", number=n) for n in (1, 2, 3))) == ["n2", "n2", "n2"]


def test_tasks_with_volumes_of_their_own_are_spread() -> None:
    view = cluster(node("n1"), node("n2"), node("n3"))

    placed = placed_on(view, *(with_volumes("db", f"data-{n}", number=n) for n in (1, 2, 3)))

    assert sorted(placed) == ["n1", "n2", "n3"]


def test_many_tasks_with_new_volumes_of_their_own_are_placed_as_one_group() -> None:
    view = cluster(node("n1"), node("n2"))
    many = group("db", 4)
    placed = placed_on(view, replace(many, volumes={task_id: (f"data-{task_id}",) for task_id in many.task_ids}))
    assert placed == ["n1", "n2", "n1", "n2"]
    for task_id in many.task_ids:
        view.add_task(replace(view_task(view, task_id), leaving=True))

    again = [replace(alone(group("db", 1), f"data-{task_id}"), task_ids=("new",)) for task_id in many.task_ids]
    assert [placed_on(view, replace(g, volumes={"new": g.volumes["db.1"]}))[0] for g in again] == placed


def view_task(view: ClusterView, task_id: str) -> PlacedTask:
    task = view.task(task_id)
    assert task is not None
    return task


def test_a_node_that_has_the_volume_gets_the_task_however_loaded() -> None:
    view = three("data")
    running(view, "db", "n2", "n2", "n2")

    assert placed_on(view, with_volumes("db", "data")) == ["n2"]


def test_what_a_node_tells_of_outweighs_what_a_task_is_about_to_make() -> None:
    view = three("data")
    view.add_task(PlacedTask("t", "db", 1, "n1", wish(), volumes=("data",)))

    assert placed_on(view, with_volumes("db", "data")) == ["n2"]


def test_a_task_that_was_placed_counts_until_it_is_gone() -> None:
    view = three()
    view.add_task(PlacedTask("t", "db", 1, "n3", wish(), volumes=("data",), leaving=True))
    assert placed_on(view, with_volumes("db", "data")) == ["n3"]
    view.remove_task("t")
    view.remove_task("db.1")

    assert placed_on(view, with_volumes("db", "data")) == ["n1"]


def test_of_several_nodes_the_one_of_the_last_task_comes_first_then_the_least_crowded() -> None:
    view = cluster(*(holding(node(name), "data") for name in ("n1", "n2", "n3")), node("n4"))
    running(view, "db", "n1")
    assert placed_on(view, replace(with_volumes("db", "data", number=1), last_node="n3")) == ["n3"]

    assert placed_on(view, with_volumes("db", "data", number=2)) == ["n2"]


def test_a_node_where_the_service_keeps_failing_comes_last_among_them() -> None:
    view = cluster(holding(node("n1"), "data"), holding(node("n2"), "data"))
    for _ in range(5):
        view.record_failure("n1", "db", 1, NOW)

    assert placed_on(view, replace(with_volumes("db", "data"), last_node="n1")) == ["n2"]


def test_what_the_last_task_has_just_made_is_known_before_the_node_tells() -> None:
    view = three()
    assert placed_on(view, replace(with_volumes("db", "data"), last_node="n3", made_there=True)) == ["n3"]


def test_when_the_volume_is_out_of_reach_the_task_waits_and_every_node_says_why() -> None:
    refusal = refused(three("shop_data", ready=False), with_volumes("db", "shop_data"))

    away = "volume shop_data is on node n2, which is down; nothing else may take it"
    elsewhere = "does not have volume shop_data, which is on node n2"
    assert refusal.nodes == {"n1": elsewhere, "n2": away, "n3": elsewhere}
    assert refusal.text == f"no suitable node ({away})"


class Unread(ClusterView):
    """`judged`: the nodes that somebody looked at, one by one."""

    judged: tuple[str, ...] = ()

    def node(self, node_id: str) -> NodeLoad:
        self.judged += (node_id,)
        return super().node(node_id)

    def classes_for(self, asked: Requirements) -> Iterable[NodeClass]:
        raise AssertionError("every node of the cluster is looked at")


def test_only_the_nodes_that_have_the_volume_are_judged_for_a_task_that_waits_for_it() -> None:
    view = Unread()
    for info in (node("n1"), holding(node("n2", ready=False), "data"), node("n3"), node("n4")):
        view.put_node(info)
    refusal = refused(view, alone(TaskGroup("db", 1, wish("node.id != n3"), ("db.1",)), "data"))

    assert set(view.judged) == {"n2"}
    assert refusal.nodes.keys() == {"n1", "n2", "n3", "n4"}
    assert "does not have volume data" in refusal.nodes["n3"]


def test_who_is_presumed_to_have_a_volume_is_known_without_a_walk_over_all_nodes() -> None:
    class Unwalked(tuple[str, ...]):
        def __iter__(self) -> Iterator[str]:
            raise AssertionError("all nodes are walked over")

    assert VolumeMap().holders("data", Unwalked(("n1",)), "n1") == {"n1"}
    assert VolumeMap().holders("data", Unwalked(("n1",)), "n2") == VolumeMap().holders("data", Unwalked()) == set()


@pytest.mark.parametrize(
    ("availability", "word"), [(Availability.DRAIN, "drained"), (Availability.PAUSE, "paused")], ids=str
)
def test_a_drained_or_paused_node_keeps_its_volume_to_itself(availability: Availability, word: str) -> None:
    refusal = refused(three("data", availability=availability), with_volumes("db", "data"))

    assert f"volume data is on node n2, which is {word}" in refusal.text


def test_a_node_without_room_says_so_and_where_the_volume_is() -> None:
    refusal = refused(three("data", memory=GIB), with_volumes("db", "data", memory=2 * GIB))

    assert refusal.text.startswith("no suitable node (volume data is on node n2: lacks 1 GiB of memory")


def test_a_constraint_against_the_volume_s_node_is_a_reason_not_a_move() -> None:
    refusal = refused(three("data"), alone(TaskGroup("db", 1, wish("node.id != n2"), ("db.1",)), "data"))

    assert "volume data is on node n2: constraint node.id != n2 does not hold" in refusal.text


def test_volumes_on_different_nodes_cannot_both_be_had() -> None:
    view = cluster(holding(node("n1"), "a"), holding(node("n2"), "b"))

    refusal = refused(view, with_volumes("db", "a", "b"))

    assert refusal.text == (
        "no suitable node (volume a is on node host-n1 and volume b is on node host-n2, and the task needs all of them)"
    )


def test_a_node_that_was_removed_frees_its_volumes() -> None:
    view = three("data")
    view.add_task(PlacedTask("t", "db", 1, "n2", wish(), volumes=("data",)))
    view.drop_node("n2")

    assert placed_on(view, with_volumes("db", "data")) == ["n1"]


def test_a_volume_that_was_removed_from_its_node_is_nowhere() -> None:
    view = three("data")
    running(view, "other", "n2")
    view.put_node(node("n2"))

    assert placed_on(view, with_volumes("db", "data")) == ["n1"]


def test_others_are_grouped_and_placed_as_ever_beside_them() -> None:
    view = three("data")
    outcomes = place(view, (group("web", 3), with_volumes("db", "data"), group("log", 1)), NOW)

    assert [o.node_id for o in outcomes if isinstance(o, Placed)] == ["n1", "n2", "n3", "n2", "n1"]
