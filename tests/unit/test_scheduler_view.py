"""What the view remembers of nodes, tasks and requirements."""

from datetime import timedelta

import pytest
from support.scheduling import CPU, GIB, NOW, cluster, group, named, node, number_of, placed_on, running, wish

from scheduler.failures import FailureMemory
from scheduler.node import find_attribute, normal_architecture
from scheduler.place import Placed, place
from scheduler.ranking import removal_order
from scheduler.reasons import feasible_nodes
from scheduler.requirements import requirements
from scheduler.view import PlacedTask, node_info
from scheduler.words import bytes_text, cpus_text
from swarmpy.errors import BadRequest
from swarmpy.models.base import Driver
from swarmpy.models.container import ContainerSpec
from swarmpy.models.mount import Mount, MountType, VolumeOptions
from swarmpy.models.node import EngineDescription, NodeDescription, NodeSpec, Platform, Plugin
from swarmpy.models.port import PortConfig, Protocol, PublishMode
from swarmpy.models.resources import ResourceRequirements, Resources
from swarmpy.models.task import Placement, PlacementPreference, SpreadOver, TaskSpec
from swarmpy.states import Availability


def test_room_follows_tasks_that_come_and_go() -> None:
    view = cluster(node("n1", cpus=4, memory=4 * GIB))
    running(view, "web", "n1", "n1", asked=wish(cpus=1, memory=GIB, host_ports=(("tcp", 80),)))
    assert (view.node("n1").free_cpus, view.node("n1").free_memory) == (2 * CPU, 2 * GIB)
    assert view.running("web") == {"n1": 2}

    view.remove_task("web@0")
    assert view.node("n1").ports.keys() == {("tcp", 80)}
    view.remove_task("web@1")
    view.remove_task("web@1")

    assert (view.node("n1").free_cpus, view.node("n1").free_memory) == (4 * CPU, 4 * GIB)
    assert view.running("web") == {}
    assert not view.node("n1").ports
    assert view.task("web@0") is None


def test_a_task_added_again_replaces_the_first() -> None:
    view = cluster(node("n1", cpus=4), node("n2", cpus=4))
    view.add_task(PlacedTask("t", "web", 1, "n1", wish(cpus=1)))
    view.add_task(PlacedTask("t", "web", 1, "n2", wish(cpus=3)))

    assert view.node("n1").free_cpus == 4 * CPU
    assert view.node("n2").free_cpus == CPU
    assert view.running("web") == {"n2": 1}


def test_tasks_outlive_their_node_and_take_their_room_when_it_comes_back() -> None:
    view = cluster(node("n1", cpus=4, generic=(named("gpu", "a"), named("gpu", "b"))))
    running(view, "web", "n1", asked=wish(cpus=1, generic=(number_of("gpu", 1),)))
    view.drop_node("n1")
    assert view.running("web") == {}
    assert not view.has_node("n1")

    view.put_node(node("n1", cpus=2, generic=(named("gpu", "a"), named("gpu", "b"))))

    assert view.node("n1").free_cpus == CPU
    assert view.running("web") == {"n1": 1}
    task = view.task("web@0")
    assert task is not None and task.generic == (named("gpu", "a"),)


def test_a_task_removed_while_its_node_is_unknown_stays_removed() -> None:
    view = cluster()
    running(view, "web", "n1", asked=wish(cpus=1))
    view.remove_task("web@0")
    view.put_node(node("n1", cpus=2))

    assert view.node("n1").free_cpus == 2 * CPU


def test_a_node_that_changes_its_label_is_judged_by_the_new_one() -> None:
    view = cluster(node("n1", labels={"zone": "a"}), node("n2", labels={"zone": "b"}))
    asked = wish("node.labels.zone == b")
    assert placed_on(view, group("web", 2, asked)) == ["n2", "n2"]

    view.put_node(node("n1", labels={"zone": "b"}))

    assert placed_on(view, group("api", 2, asked)) == ["n1", "n2"]


def test_a_node_of_a_kind_not_seen_before_is_found() -> None:
    view = cluster(node("n1", labels={"zone": "a"}))
    asked = wish("node.labels.zone != a")
    assert feasible_nodes(view, asked) == ()

    view.put_node(node("n2", labels={"zone": "c"}))
    assert feasible_nodes(view, asked) == ("n2",)

    view.drop_node("n2")
    assert feasible_nodes(view, asked) == ()


def test_a_node_that_comes_back_bigger_is_judged_by_its_new_size_under_rules_about_single_nodes() -> None:
    view = cluster(node("n1", cpus=1))
    asked = wish("node.id == n1", cpus=2)
    assert place(view, [group("web", 1, asked)], NOW)[0] != Placed("web.1", "n1")

    view.put_node(node("n1", cpus=2))

    assert placed_on(view, group("web", 1, asked)) == ["n1"]


def test_old_failures_are_forgotten() -> None:
    memory = FailureMemory()
    for minutes in range(60):
        memory.record("n1", f"service{minutes}", 1, NOW + timedelta(minutes=minutes))

    assert memory.remembered <= 15


def test_scaling_down_takes_from_the_most_crowded_node_of_the_most_crowded_branch() -> None:
    view = cluster(node("n1", labels={"zone": "a"}), node("n2", labels={"zone": "a"}), node("n3", labels={"zone": "b"}))
    spread = wish(spread=["node.labels.zone"])
    running(view, "web", "n1", "n2", "n2", "n3", "n3", asked=spread)
    tasks = [(f"web@{n}", node_id, "web") for n, node_id in enumerate(("n1", "n2", "n2", "n3", "n3"))]

    order = removal_order(view, tasks)

    assert order[0] == "web@1"
    assert order[1] == "web@3"
    assert sorted(order) == [f"web@{n}" for n in range(5)]


def test_scaling_down_takes_first_what_runs_where_nothing_may_run() -> None:
    view = cluster(node("n1"), node("n2", availability=Availability.DRAIN))
    running(view, "web", "n1", "n1", "n2", "n1")

    order = removal_order(view, [("web@0", "n1", "web"), ("web@2", "n2", "web"), ("gone", "n7", "web")])

    assert order == ("web@2", "gone", "web@0")


def test_tasks_that_stay_count_when_others_are_ordered_for_removal() -> None:
    view = cluster(node("n1"), node("n2"))
    running(view, "web", "n1", "n2", "n2")

    assert removal_order(view, [("web@0", "n1", "web"), ("web@1", "n2", "web")]) == ("web@1", "web@0")


def test_a_node_is_read_from_its_documents_in_usual_spelling() -> None:
    info = node_info(
        "n1",
        NodeSpec(labels={"zone": "a"}, availability=Availability.PAUSE),
        NodeDescription(
            hostname="alpha",
            platform=Platform(os="Linux", architecture="aarch64"),
            resources=Resources(nano_cpus=2 * CPU),
            engine=EngineDescription(plugins=(Plugin(type="Volume", name="vieux/sshfs:latest"),)),
        ),
        ready=False,
        addr="10.0.0.1",
        message="no heartbeat",
    )

    assert (info.os, info.arch, info.plugins) == ("linux", "arm64", frozenset({("Volume", "vieux/sshfs")}))
    assert (info.ready, info.availability, info.state_message) == (False, Availability.PAUSE, "no heartbeat")


@pytest.mark.parametrize(
    ("name", "usual"), [("x86_64", "amd64"), ("AMD64", "amd64"), ("armv7l", "arm"), ("i686", "386"), ("s390x", "s390x")]
)
def test_architectures_have_one_spelling(name: str, usual: str) -> None:
    assert normal_architecture(name) == usual


def test_requirements_are_read_from_the_template_and_its_ports() -> None:
    template = TaskSpec(
        container_spec=ContainerSpec(
            image="web",
            mounts=(
                Mount(
                    type=MountType.VOLUME,
                    source="data",
                    volume_options=VolumeOptions(driver_config=Driver(name="vieux/sshfs:latest")),
                ),
                Mount(type=MountType.VOLUME, volume_options=VolumeOptions(driver_config=Driver(name="local"))),
                Mount(type=MountType.BIND, source="/srv"),
            ),
        ),
        log_driver=Driver(name="gelf"),
        resources=ResourceRequirements(
            reservations=Resources(nano_cpus=CPU, memory_bytes=GIB, generic_resources=(number_of("gpu", 2),))
        ),
        placement=Placement(
            constraints=("node.role == worker",),
            preferences=(PlacementPreference(spread=SpreadOver(spread_descriptor="node.labels.zone")),),
            platforms=(Platform(os="linux", architecture="x86_64"), Platform(os="Linux")),
            max_replicas=2,
        ),
    )
    ports = (
        PortConfig(target_port=80, published_port=8080, publish_mode=PublishMode.HOST),
        PortConfig(target_port=53, published_port=53, publish_mode=PublishMode.HOST, protocol=Protocol.UDP),
        PortConfig(target_port=81, publish_mode=PublishMode.HOST),
        PortConfig(target_port=82, published_port=82, publish_mode=PublishMode.INGRESS),
    )

    assert requirements(template, ports) == wish(
        "node.role == worker",
        spread=["node.labels.zone"],
        cpus=1,
        memory=GIB,
        generic=(number_of("gpu", 2),),
        host_ports=(("tcp", 8080), ("udp", 53)),
        platforms=(("linux", "amd64"), ("linux", "")),
        plugins=(("Volume", "vieux/sshfs"), ("Log", "gelf")),
        max_replicas=2,
    )


def test_a_template_that_asks_for_nothing_fits_everywhere() -> None:
    assert requirements(TaskSpec()) == wish()


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (TaskSpec(placement=Placement(constraints=("node.colour==red",))), "unknown key 'node.colour'"),
        (
            TaskSpec(
                placement=Placement(preferences=(PlacementPreference(spread=SpreadOver(spread_descriptor="zone")),))
            ),
            "cannot spread over 'zone'; known are node.id",
        ),
        (TaskSpec(placement=Placement(max_replicas=-1)), "Placement.MaxReplicas is -1"),
        (
            TaskSpec(resources=ResourceRequirements(reservations=Resources(memory_bytes=-5))),
            "Resources.Reservations.MemoryBytes is -5; it must not be negative",
        ),
        (
            TaskSpec(resources=ResourceRequirements(reservations=Resources(generic_resources=(number_of("gpu", 0),)))),
            "generic resource gpu: 0 is not a number above 0",
        ),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused_in_clear_words(template: TaskSpec, words: str) -> None:
    with pytest.raises(BadRequest) as caught:
        requirements(template)
    assert words in str(caught.value)


def test_attributes_are_known_by_dockers_names() -> None:
    zone = find_attribute("Node.Labels.Zone")
    assert zone is not None and (zone.name, zone.short_name) == ("node.labels.Zone", "Zone")
    assert find_attribute("node.labels.") is None
    assert find_attribute("zone") is None


def test_amounts_read_well() -> None:
    assert [bytes_text(n) for n in (0, 1023, 1 << 10, 512 << 20, 1288490189, 3 << 40)] == [
        "0 bytes", "1023 bytes", "1 KiB", "512 MiB", "1.2 GiB", "3 TiB",
    ]  # fmt: skip
    assert [cpus_text(n) for n in (0, CPU // 4, 2 * CPU)] == ["0", "0.25", "2"]
