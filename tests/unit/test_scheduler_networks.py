"""A task goes only where each of its networks has an address left."""

from support.scheduling import NOW, cluster, group, node, placed_on, refused, running, wish

from scheduler.place import place
from scheduler.reasons import fits, stays
from scheduler.view import ClusterView, NetworkRoom

ON_FRONT = wish(networks=("front",))


def crowded(**rooms: int) -> ClusterView:
    view = cluster(node("n1"), node("n2"))
    view.put_network(NetworkRoom("front", "front", rooms, elsewhere=13))
    return view


def test_a_node_whose_share_is_full_is_passed_over() -> None:
    view = crowded(n1=1, n2=13)
    running(view, "db", "n1", asked=ON_FRONT)

    assert placed_on(view, group("web", 2, ON_FRONT)) == ["n2", "n2"]


def test_a_full_network_is_explained_by_its_numbers_and_by_node() -> None:
    view = crowded(n1=1, n2=0)
    running(view, "db", "n1", asked=ON_FRONT)
    outcome = refused(view, group("web", 1, ON_FRONT))

    assert outcome.text == "no suitable node (no address left on a network on 2 nodes)"
    assert outcome.nodes == {
        "n1": "network front has no address left on host-n1: 1 of 1 are used",
        "n2": "network front has no share left for host-n2: all of its range is given to others",
    }


def test_an_address_is_free_again_when_its_task_is_gone() -> None:
    view = crowded(n1=1, n2=0)
    running(view, "db", "n1", asked=ON_FRONT)
    view.remove_task("db@0")

    assert placed_on(view, group("web", 1, ON_FRONT)) == ["n1"]
    assert view.node("n1").addresses == {"front": 1}


def test_a_node_without_a_share_is_taken_to_get_one() -> None:
    view = crowded(n1=0)

    assert placed_on(view, group("web", 2, ON_FRONT)) == ["n2", "n2"]


def test_a_node_that_is_put_anew_still_counts_what_its_tasks_hold() -> None:
    view = crowded(n1=1, n2=0)
    running(view, "db", "n1", asked=ON_FRONT)
    view.put_node(node("n1", cpus=99))

    assert not [outcome for outcome in place(view, [group("web", 1, ON_FRONT)], NOW) if hasattr(outcome, "node_id")]


def test_what_runs_keeps_its_address_whatever_the_share_is_by_now() -> None:
    assert stays(crowded(n1=0), "n1", ON_FRONT, 0) is None


def test_networks_of_which_nothing_is_known_refuse_nobody() -> None:
    view = crowded()
    view.drop_network("front")

    assert fits(view, "n1", ON_FRONT) is None


def test_an_encrypted_network_needs_a_kernel_that_can() -> None:
    view = crowded()
    view.put_network(NetworkRoom("front", "front", elsewhere=13, feature="wireguard"))

    assert fits(view, "n1", ON_FRONT) == "the kernel of host-n1 has no wireguard, which network front needs"
