"""What changes make the control loop look at, and what they need not."""

from datetime import timedelta

import pytest
from support.picture import NOW, a_network, a_node, a_service, a_task, picture

from manager.control.bootstrap import first_cluster
from manager.control.dirty import DirtySet
from manager.objects import AnyObject
from manager.state import Changed
from swarmpy.models.port import EndpointSpec
from swarmpy.models.service import Global, ServiceMode
from swarmpy.states import NodeState, TaskState

STATE = picture(
    a_service("web"),
    a_service("db"),
    a_service("every", mode=ServiceMode(global_=Global())),
    a_task("t1", service="db", node="n1"),
)


def marked(before: AnyObject | None, after: AnyObject | None) -> set[str]:
    dirty = DirtySet()
    dirty.mark([Changed("", before, after)], STATE)
    return set(dirty.take(STATE, 100))


def test_a_changed_service_is_looked_at() -> None:
    assert marked(None, a_service("web")) == {"web"}


def test_a_task_s_end_concerns_its_service() -> None:
    assert marked(a_task(), a_task(state=TaskState.FAILED)) == {"web"}


def test_a_dropped_task_concerns_its_service() -> None:
    assert marked(a_task(), None) == {"web"}


def test_progress_on_the_way_up_needs_no_decision() -> None:
    assert not marked(a_task(state=TaskState.ASSIGNED), a_task(state=TaskState.PREPARING))


@pytest.mark.parametrize("state", [TaskState.READY, TaskState.RUNNING])
def test_a_step_that_others_wait_for_is_looked_at(state: TaskState) -> None:
    assert marked(a_task(state=TaskState.PREPARING), a_task(state=state)) == {"web"}


def test_a_changed_node_concerns_what_runs_there_and_what_runs_everywhere() -> None:
    assert marked(a_node("n1"), None) == {"db", "every"}


def test_a_changed_cluster_concerns_everything() -> None:
    assert marked(None, first_cluster("c", NOW)) == {"web", "db", "every"}


def test_networks_are_marked_once_and_taken_once() -> None:
    dirty = DirtySet()
    dirty.mark([Changed("", None, a_network())], STATE)

    assert (dirty.take_networks(), dirty.take_networks()) == (True, False)


def test_services_are_taken_in_portions_in_the_order_of_marking() -> None:
    dirty = DirtySet()
    for name in ("web", "db", "every"):
        dirty.mark_service(name)

    assert dirty.take(STATE, 2) == ("web", "db")
    assert dirty
    assert dirty.take(STATE, 2) == ("every",)
    assert not dirty


def test_a_service_that_is_due_again_is_marked_then_and_not_before() -> None:
    dirty = DirtySet()
    dirty.look_again("web", NOW + timedelta(seconds=5))
    dirty.mark_due(NOW)
    assert not dirty
    assert dirty.next_due == NOW + timedelta(seconds=5)
    dirty.mark_due(NOW + timedelta(seconds=5))

    assert dirty.take(STATE, 9) == ("web",)
    assert dirty.next_due is None


def test_a_later_look_replaces_what_an_earlier_one_asked_for() -> None:
    dirty = DirtySet()
    dirty.look_again("web", NOW)
    dirty.look_again("web", None)

    assert dirty.next_due is None


def test_a_service_that_is_gone_is_not_looked_at_nor_remembered() -> None:
    dirty = DirtySet()
    dirty.mark_service("gone")
    dirty.look_again("gone", NOW)

    assert dirty.take(STATE, 9) == ()
    assert dirty.next_due is None


def test_what_addresses_follow_from_is_marked_and_the_rest_of_a_service_is_not() -> None:
    dirty, before = DirtySet(), a_service("web")
    scaled = before.model_copy(update={"spec": before.spec.model_copy(update={"labels": {"a": "b"}})})
    dirty.mark([Changed("", before, scaled)], STATE)
    assert not dirty.take_addresses()
    opened = before.model_copy(update={"spec": before.spec.model_copy(update={"endpoint_spec": EndpointSpec()})})
    dirty.mark([Changed("", before, opened)], STATE)
    assert (dirty.take_addresses(), dirty.take_addresses()) == (True, False)


def test_a_node_that_comes_goes_or_has_other_routes_concerns_networks() -> None:
    node = a_node("n1")
    for before, after, concerns in (
        (None, node, True),
        (node, a_node("n1", state=NodeState.DOWN), True),
        (node, node.model_copy(update={"routes": ("10.0.0.0/24",)}), True),
        (node, node.model_copy(update={"message": "trouble"}), False),
    ):
        dirty = DirtySet()
        dirty.mark([Changed("", before, after)], STATE)
        assert dirty.take_networks() is concerns
