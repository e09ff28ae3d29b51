"""Where tasks go, and what is said when they go nowhere."""

import itertools
from datetime import timedelta

import pytest
from support.scheduling import (
    CPU,
    GIB,
    MIB,
    NOW,
    cluster,
    group,
    named,
    node,
    number_of,
    placed_on,
    refused,
    running,
    wish,
)

from scheduler.place import Placed, Refused, TaskGroup, place, place_in_slices
from scheduler.reasons import breach, eligible, feasible_nodes, fits
from scheduler.view import PlacedTask
from swarmpy.states import Availability


def test_tasks_of_a_service_go_to_different_nodes_first() -> None:
    view = cluster(node("n1"), node("n2"), node("n3"))

    assert placed_on(view, group("web", 3)) == ["n1", "n2", "n3"]


def test_the_node_with_the_least_reserved_share_comes_first() -> None:
    view = cluster(node("n1"), node("n2"))
    running(view, "db", "n1", asked=wish(memory=GIB))
    running(view, "log", "n2", "n2", asked=wish(cpus=0.1))

    assert placed_on(view, group("web", 1)) == ["n2"]


def test_among_equal_shares_the_node_with_the_fewest_tasks_comes_first() -> None:
    view = cluster(node("n1"), node("n2"))
    running(view, "db", "n1")

    assert placed_on(view, group("web", 1)) == ["n2"]


def test_a_task_that_is_leaving_keeps_its_room_but_does_not_drive_its_successor_away() -> None:
    view = cluster(node("n1", cpus=4), node("n2", cpus=4))
    view.add_task(PlacedTask("old", "web", 1, "n1", wish(cpus=1), leaving=True))
    view.add_task(PlacedTask("other", "web", 1, "n2", wish()))

    assert placed_on(view, group("web", 1, wish(cpus=1), version=2)) == ["n1"]
    assert fits(view, "n1", wish(cpus=3)) == "lacks 1 CPU: 3 asked, 2 of 4 reserved"


@pytest.mark.parametrize("old", list(itertools.product(("n1", "n2", "n3"), repeat=3)))
def test_an_update_that_starts_first_ends_even_wherever_the_old_tasks_are(old: tuple[str, ...]) -> None:
    """Each goes when its successor is there, and must not decide where the next successor goes."""
    view = cluster(node("n1"), node("n2"), node("n3"))
    for slot, node_id in enumerate(old):
        view.add_task(PlacedTask(f"old{slot}", "web", 1, node_id, wish()))

    new = []
    for slot in range(3):
        (placed,) = place(view, (TaskGroup("web", 2, wish(), (f"new{slot}",)),), NOW)
        assert isinstance(placed, Placed)
        new.append(placed.node_id)
        view.remove_task(f"old{slot}")

    assert sorted(new) == ["n1", "n2", "n3"]


def test_a_task_of_a_new_version_avoids_old_ones_among_nodes_that_are_equal_to_it() -> None:
    view = cluster(node("n1"), node("n2"), node("n3"))
    for node_id in ("n1", "n2"):
        view.add_task(PlacedTask(f"old-{node_id}", "web", 1, node_id, wish()))

    assert placed_on(view, group("web", 3, version=2)) == ["n3", "n1", "n2"]


def test_tasks_that_are_leaving_are_none_of_their_node_s_when_equal_nodes_are_ranked() -> None:
    view = cluster(node("n1"), node("n2"))
    for number in range(3):
        view.add_task(PlacedTask(f"old{number}", "web", 1, "n1", wish(), leaving=True))
    view.add_task(PlacedTask("other", "db", 1, "n2", wish()))

    assert placed_on(view, group("web", 1)) == ["n1"]
    view.remove_task("old0")
    assert view.node("n1").entry()[:3] == (0.0, 1, "n1")


def test_spreading_evens_the_branches_before_the_nodes() -> None:
    view = cluster(node("n1", labels={"zone": "a"}), node("n2", labels={"zone": "a"}), node("n3", labels={"zone": "b"}))

    placed = placed_on(view, group("web", 4, wish(spread=["node.labels.zone"])))

    assert sorted(placed) == ["n1", "n2", "n3", "n3"]


def test_nodes_without_the_label_are_one_branch() -> None:
    view = cluster(node("n1", labels={"zone": "a"}), node("n2"), node("n3"))

    placed = placed_on(view, group("web", 4, wish(spread=["node.labels.zone"])))

    assert sorted(placed) == ["n1", "n1", "n2", "n3"]


def test_spreading_over_two_levels_evens_each_level() -> None:
    view = cluster(
        node("n1", labels={"zone": "a", "rack": "1"}),
        node("n2", labels={"zone": "a", "rack": "2"}),
        node("n3", labels={"zone": "b", "rack": "1"}),
    )

    placed = placed_on(view, group("web", 8, wish(spread=["node.labels.zone", "node.labels.rack"])))

    assert sorted(placed) == ["n1"] * 2 + ["n2"] * 2 + ["n3"] * 4


def test_tasks_in_a_branch_that_takes_no_more_still_count_for_it() -> None:
    view = cluster(
        node("n1", labels={"zone": "a"}, availability=Availability.PAUSE),
        node("n2", labels={"zone": "a"}),
        node("n3", labels={"zone": "b"}),
    )
    running(view, "web", "n1", "n1")

    assert placed_on(view, group("web", 2, wish(spread=["node.labels.zone"]))) == ["n3", "n3"]


def test_a_full_branch_gives_its_share_to_the_others() -> None:
    view = cluster(node("n1", cpus=1, labels={"zone": "a"}), node("n2", labels={"zone": "b"}))

    placed = placed_on(view, group("web", 4, wish(cpus=1, spread=["node.labels.zone"])))

    assert sorted(placed) == ["n1", "n2", "n2", "n2"]


def test_five_failures_in_five_minutes_put_a_node_last() -> None:
    view = cluster(node("n1"), node("n2"))
    running(view, "web", "n2", "n2")
    for seconds in range(5):
        view.record_failure("n1", "web", 1, NOW - timedelta(seconds=seconds))

    assert placed_on(view, group("web", 1)) == ["n2"]
    assert placed_on(view, group("web", 1, version=2)) == ["n1"]
    assert place(view, [group("api", 1)], NOW)[0] == Placed("api.1", "n1")


@pytest.mark.parametrize("ages", [(0, 1, 2, 3), (0, 1, 2, 3, 301)])
def test_fewer_or_older_failures_are_forgiven(ages: tuple[int, ...]) -> None:
    view = cluster(node("n1"), node("n2"))
    for seconds in ages:
        view.record_failure("n1", "web", 1, NOW - timedelta(seconds=seconds))

    assert placed_on(view, group("web", 1)) == ["n1"]


def test_a_failing_node_is_used_when_there_is_no_other() -> None:
    view = cluster(node("n1", cpus=2), node("n2", cpus=1))
    for _ in range(5):
        view.record_failure("n1", "web", 1, NOW)

    assert placed_on(view, group("web", 3, wish(cpus=1))) == ["n2", "n1", "n1"]


def test_each_node_says_its_first_reason() -> None:
    view = cluster(
        node("n1", ready=False, message="no heartbeat since 12:00"),
        node("n2", availability=Availability.DRAIN),
        node("n3", availability=Availability.PAUSE),
        node("n4", arch="arm64"),
        node("n5", labels={"zone": "b"}),
        node("n6", labels={"zone": "a"}, memory=2 * GIB),
        node("n7", labels={"zone": "a"}),
        node("n8", labels={"zone": "a"}, plugins=[("Volume", "local"), ("Log", "json-file")]),
        node("n9", labels={"zone": "a"}, cpus=1),
    )
    running(view, "db", "n6", asked=wish(memory=1792 * MIB))
    running(view, "edge", "n7", asked=wish(host_ports=(("tcp", 8080),)))
    asked = wish(
        "node.labels.zone == a",
        cpus=1.5,
        memory=512 * MIB,
        host_ports=(("tcp", 8080),),
        platforms=(("linux", "amd64"),),
        plugins=(("Volume", "sshfs"), ("Log", "gelf")),
    )

    assert refused(view, group("web", 2, asked)) == Refused(
        ("web.1", "web.2"),
        "no suitable node (3 nodes not available for new tasks; insufficient resources on 2 nodes; "
        "unsupported platform on 1 node; scheduling constraints not satisfied on 1 node; "
        "host-mode port already in use on 1 node; missing plugin on 1 node)",
        {
            "n1": "down: no heartbeat since 12:00",
            "n2": "drained by the operator",
            "n3": "paused by the operator",
            "n4": "platform is linux/arm64: the image is for linux/amd64",
            "n5": "constraint node.labels.zone == a does not hold: zone is b",
            "n6": "lacks 256 MiB of memory: 512 MiB asked, 1.8 GiB of 2 GiB reserved",
            "n7": "host port 8080/tcp is taken by edge.0",
            "n8": "lacks the volume driver sshfs, the log driver gelf",
            "n9": "lacks 0.5 CPU: 1.5 asked, 0 of 1 reserved",
        },
    )


def test_max_replicas_per_node_refuses_the_rest_in_dockers_words() -> None:
    view = cluster(node("n1"), node("n2"))
    outcomes = place(view, [group("web", 3, wish(max_replicas=1))], NOW)

    assert outcomes[:2] == (Placed("web.1", "n1"), Placed("web.2", "n2"))
    assert outcomes[2] == Refused(
        ("web.3",),
        "no suitable node (max replicas per node limit exceed)",
        {"n1": "runs 1 of at most 1 replicas per node", "n2": "runs 1 of at most 1 replicas per node"},
    )


def test_without_nodes_there_is_nothing_to_explain() -> None:
    assert refused(cluster(), group("web", 1)) == Refused(("web.1",), "no suitable node", {})


def test_one_host_port_is_given_once_per_node() -> None:
    view = cluster(node("n1"), node("n2"))
    outcomes = place(view, [group("web", 3, wish(host_ports=(("tcp", 80),)))], NOW)

    assert [o.node_id for o in outcomes if isinstance(o, Placed)] == ["n1", "n2"]
    assert fits(view, "n1", wish(host_ports=(("udp", 80),))) is None


def test_generic_resources_are_handed_out_by_name_and_by_number() -> None:
    view = cluster(node("n1", generic=(named("gpu", "b"), named("gpu", "a"), named("gpu", "c"), number_of("ssd", 2))))

    first, second, third = place(view, [group("web", 3, wish(generic=(number_of("gpu", 1), number_of("ssd", 1))))], NOW)

    assert first == Placed("web.1", "n1", (named("gpu", "a"), number_of("ssd", 1)))
    assert second == Placed("web.2", "n1", (named("gpu", "b"), number_of("ssd", 1)))
    assert isinstance(third, Refused)
    assert third.nodes == {"n1": "lacks 1 ssd: 1 asked, 2 of 2 reserved"}


def test_a_generic_resource_given_back_is_free_again() -> None:
    view = cluster(node("n1", generic=(named("gpu", "a"),)))
    asked = wish(generic=(named("gpu", "a"),))
    placed_on(view, group("web", 1, asked))
    assert fits(view, "n1", asked) == "gpu a is taken"
    assert fits(view, "n1", wish(generic=(named("gpu", "z"),))) == "has no gpu named z"

    view.remove_task("web.1")

    assert fits(view, "n1", asked) is None


def test_a_group_with_a_given_node_goes_there_or_nowhere() -> None:
    view = cluster(node("n1", cpus=1), node("n2"))
    running(view, "db", "n1", asked=wish(cpus=1))

    assert placed_on(view, group("agent", 1, on="n1")) == ["n1"]
    refusal = refused(view, group("probe", 1, wish(cpus=1), on="n1"))
    assert refusal.text == "no suitable node (insufficient resources on 1 node)"
    assert refusal.nodes == {"n1": "lacks 1 CPU: 1 asked, 1 of 1 reserved"}
    assert refused(view, group("ghost", 1, on="n9")).nodes == {"n9": "not a node of this cluster"}


def test_only_the_rules_about_the_node_itself_decide_where_a_global_service_belongs() -> None:
    view = cluster(
        node("n3", labels={"zone": "a"}, cpus=1),
        node("n1", labels={"zone": "a"}),
        node("n2", labels={"zone": "b"}),
        node("n4", labels={"zone": "a"}, availability=Availability.PAUSE),
    )
    asked = wish("node.labels.zone == a", cpus=4)

    assert feasible_nodes(view, asked) == ("n1", "n3")
    assert eligible(view, "n3", asked) is None
    assert fits(view, "n3", asked) == "lacks 3 CPU: 4 asked, 0 of 1 reserved"
    assert eligible(view, "n4", asked) == "paused by the operator"
    assert breach(view, "n4", asked) is None
    assert breach(view, "n2", asked) == "constraint node.labels.zone == a does not hold: zone is b"
    assert fits(view, "n9", asked) == "not a node of this cluster"


def test_constraints_on_single_nodes_work_like_the_others() -> None:
    view = cluster(node("n1"), node("n2"), node("n3"))

    assert placed_on(view, group("web", 2, wish("node.hostname == host-n2"))) == ["n2", "n2"]
    assert feasible_nodes(view, wish("node.id != n1")) == ("n2", "n3")


def test_the_view_may_change_between_slices() -> None:
    view = cluster(node("n1"), node("n2"))
    slices = place_in_slices(view, [group("web", 4)], NOW, 2)

    assert [o.node_id for o in next(slices) if isinstance(o, Placed)] == ["n1", "n2"]
    view.drop_node("n1")
    view.put_node(node("n3"))
    assert [o.node_id for o in next(slices) if isinstance(o, Placed)] == ["n3", "n2"]


def test_an_empty_group_is_no_outcome() -> None:
    assert place(cluster(node("n1")), [TaskGroup("web", 1, wish(), ())], NOW) == ()


def test_a_log_driver_is_not_missed_on_an_engine_that_does_not_tell_its_log_drivers() -> None:
    view = cluster(node("n1", plugins=[("Volume", "local")]))

    assert fits(view, "n1", wish(plugins=(("Log", "gelf"),))) is None
    assert fits(view, "n1", wish(plugins=(("Volume", "sshfs"),))) == "lacks the volume driver sshfs"


def test_a_runtime_is_missed_on_an_engine_that_does_not_have_it() -> None:
    view = cluster(node("n1", plugins=[("Volume", "local"), ("Runtime", "runc")]), node("n2", plugins=[]))
    both = wish(plugins=(("Volume", "sshfs"), ("Runtime", "runsc")))

    assert fits(view, "n1", wish(plugins=(("Runtime", "runc"),))) is None
    assert fits(view, "n1", wish(plugins=(("Runtime", "runsc"),))) == "runtime runsc is not on this node"
    assert fits(view, "n2", wish(plugins=(("Runtime", "runc"),))) == "runtime runc is not on this node"
    assert fits(view, "n1", both) == "lacks the volume driver sshfs, runtime runsc is not on this node"


def test_a_reservation_of_nothing_fits_even_where_too_much_is_reserved() -> None:
    view = cluster(node("n1", cpus=1))
    running(view, "db", "n1", asked=wish(cpus=2))

    assert view.node("n1").free_cpus == -CPU
    assert placed_on(view, group("web", 1)) == ["n1"]
