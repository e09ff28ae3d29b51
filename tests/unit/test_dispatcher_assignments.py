"""What an agent is told: its own tasks and networks, whole or as differences."""

from support.picture import a_network, a_node, a_service, a_task, a_wish, picture

from manager.dispatcher.assignments import (
    AssignmentSet,
    assignment_set,
    changes_between,
    nodes_told_of,
    revised,
    with_node,
)
from manager.objects import AnyObject
from manager.state import State
from swarmpy.models.service import GlobalJob, ServiceMode
from swarmpy.states import Availability, TaskState


def plain(sealed: str) -> str | None:
    return f"opened {sealed}"


def on_n1(*objects: AnyObject) -> AssignmentSet:
    return assignment_set(picture(a_node(), a_service(), a_wish(), *objects), "n1", plain)


def test_a_node_is_told_of_its_own_tasks_only() -> None:
    told = on_n1(a_task("mine"), a_task("theirs", node="n2"))

    assert set(told.tasks) == {"mine"}


def test_a_task_is_told_with_the_wish_it_was_made_from() -> None:
    task = on_n1(a_task()).tasks["t1"]

    assert task.spec == a_wish().template
    assert (task.service_name, task.slot, task.spec_version) == ("web", 1, 1)


def test_a_global_task_that_awaits_a_check_of_its_node_is_not_told_yet() -> None:
    assert not on_n1(a_task(state=TaskState.PENDING)).tasks


def test_a_task_to_be_stopped_is_told_so() -> None:
    told = on_n1(a_task(desired_state=TaskState.SHUTDOWN))

    assert told.tasks["t1"].desired_state is TaskState.SHUTDOWN


def test_a_finished_task_stays_but_is_never_asked_to_run_again() -> None:
    told = on_n1(a_task(state=TaskState.FAILED, desired_state=TaskState.RUNNING))

    assert told.tasks["t1"].desired_state is TaskState.SHUTDOWN


def test_a_task_of_a_removed_service_is_still_told() -> None:
    told = assignment_set(picture(a_node(), a_wish(), a_task()), "n1", plain)

    assert told.tasks["t1"].service_name == "web"


def test_the_pull_credential_is_opened_for_a_task_that_is_to_run() -> None:
    state = picture(a_service(), a_wish(sealed_auth="xyz"), a_task("runs"), a_task("stops", desired_state=640))
    told = assignment_set(state, "n1", plain)

    assert told.tasks["runs"].pull_auth == "opened xyz"
    assert told.tasks["stops"].pull_auth is None


def test_a_credential_that_cannot_be_opened_is_left_out() -> None:
    state = picture(a_service(), a_wish(sealed_auth="xyz"), a_task())

    assert assignment_set(state, "n1", lambda sealed: None).tasks["t1"].pull_auth is None


def test_a_task_of_a_job_is_marked() -> None:
    job = a_service(mode=ServiceMode(global_job=GlobalJob()))
    told = assignment_set(picture(job, a_wish(), a_task()), "n1", plain)

    assert told.tasks["t1"].is_job


def test_a_network_is_told_to_the_nodes_that_have_a_part_of_it() -> None:
    network = a_network(subnets={"n1": "10.0.1.0/24"}, options={"com.docker.network.driver.mtu": "1400"}, internal=True)
    told = on_n1(network, a_network("other", subnets={"n2": "10.1.1.0/24"}))

    assert set(told.networks) == {"net"}
    assert told.networks["net"].subnet == "10.0.1.0/24"
    assert told.networks["net"].gateway == "10.0.1.1"
    assert (told.networks["net"].mtu, told.networks["net"].internal) == (1400, True)


def test_an_encrypted_network_is_told_with_all_its_ranges_and_again_when_it_gets_one_more() -> None:
    parts = {"n1": "10.0.1.0/24", "n2": "10.7.2.0/24"}
    sealed = a_network(subnets=parts, options={"encrypted": ""}).model_copy(update={"subnet": "10.0.0.0/16"})
    less = sealed.model_copy(update={"node_subnets": sealed.node_subnets[:1]})
    told = on_n1(sealed).networks["net"]

    assert (told.encrypted, told.ranges) == (True, ("10.0.0.0/16", "10.7.2.0/24"))
    assert nodes_told_of(less, sealed) == {"n1", "n2"}
    assert on_n1(a_network(subnets=parts)).networks["net"].ranges == ()


def test_the_node_itself_is_told_its_labels_and_availability() -> None:
    state = picture(a_node(labels={"zone": "a"}, availability=Availability.DRAIN))
    full = assignment_set(state, "n1", plain).as_full(9)

    assert (full.node_labels, full.node_availability, full.revision) == ({"zone": "a"}, "drain", 9)


def test_a_node_without_a_record_is_told_nothing() -> None:
    assert with_node(AssignmentSet(), State(), "n1") == AssignmentSet()


def test_equal_sets_need_no_message() -> None:
    told = on_n1(a_task())

    assert changes_between(told, on_n1(a_task()), 1, 2) is None


def test_differences_name_what_is_new_what_changed_and_what_went() -> None:
    before = on_n1(a_task("same"), a_task("changed"), a_task("gone"), a_network(subnets={"n1": "10.0.1.0/24"}))
    now = on_n1(a_task("same"), a_task("changed", desired_state=TaskState.SHUTDOWN), a_task("new"))
    changes = changes_between(before, now, 4, 6)

    assert changes is not None
    assert {task.id for task in changes.tasks} == {"changed", "new"}
    assert changes.dropped_tasks == ("gone",)
    assert changes.dropped_networks == ("net",)
    assert (changes.after, changes.revision) == (4, 6)


def test_revising_what_changed_gives_the_same_as_looking_at_everything() -> None:
    objects = (a_node(), a_service(), a_wish())
    old = picture(*objects, a_task("kept"), a_task("gone"), a_network(subnets={"n1": "10.0.1.0/24"}))
    new = picture(*objects, a_task("kept"), a_task("new"), a_network(subnets={"n1": "10.0.9.0/24"}))
    told = assignment_set(old, "n1", plain)

    assert revised(told, new, "n1", ["gone", "new"], ["net"], plain) == assignment_set(new, "n1", plain)


def test_a_further_node_in_a_network_concerns_that_node_alone() -> None:
    before = a_network(subnets={"n1": "10.0.1.0/24"})
    after = a_network(subnets={"n1": "10.0.1.0/24", "n2": "10.0.2.0/24"})

    assert nodes_told_of(before, after) == {"n2"}


def test_a_changed_option_of_a_network_concerns_all_its_nodes() -> None:
    subnets = {"n1": "10.0.1.0/24", "n2": "10.0.2.0/24"}

    assert nodes_told_of(a_network(subnets=subnets), a_network(subnets=subnets, internal=True)) == {"n1", "n2"}


def test_a_removed_network_concerns_all_the_nodes_it_had() -> None:
    assert nodes_told_of(a_network(subnets={"n1": "10.0.1.0/24"}), None) == {"n1"}


def test_a_node_knows_all_ranges_of_a_network_and_hears_of_a_further_one() -> None:
    subnets = {"n1": "10.0.1.0/24", "n2": "10.0.2.0/24"}
    given = {"subnet": "10.0.0.0/16", "service_subnets": ("10.0.0.0/24", "10.7.0.0/24")}
    before = a_network(subnets=subnets).model_copy(update=given)
    within = a_network(subnets={**subnets, "n3": "10.0.3.0/24"}).model_copy(update=given)
    beyond = a_network(subnets={**subnets, "n3": "10.9.3.0/24"}).model_copy(update=given)

    assert on_n1(before).networks["net"].ranges == ("10.0.0.0/16", "10.7.0.0/24")
    assert nodes_told_of(before, within) == {"n3"}
    assert on_n1(beyond).networks["net"].ranges == ("10.0.0.0/16", "10.7.0.0/24", "10.9.3.0/24")
    assert nodes_told_of(before, beyond) == {"n1", "n2", "n3"}
