"""From a decision to units of writing: whole records, and nothing torn that belongs together."""

from datetime import timedelta

from support.picture import NOW, a_network, a_service, a_task, a_template, a_wish, picture

from manager.control.draft import Draft
from manager.objects import AnyObject, Reason, ReasonCode, Task
from manager.orchestrator.decision import AdoptTask, Decision, DropTask, NewTask, SetDesired, SetReason, SetState
from manager.store.codec import decode
from manager.store.port import Batch, Change, Delete, Entry, Put, Unit, Write
from swarmpy.idgen import CountingIds
from swarmpy.models.port import EndpointSpec, PortConfig, PublishMode
from swarmpy.models.task import NetworkAttachmentConfig
from swarmpy.states import TaskState

LATER = NOW + timedelta(seconds=30)
WHY = Reason(code=ReasonCode.REPLACED, text="another takes its place", since=LATER)


def drafted(decision: Decision, *objects: AnyObject) -> list[Unit]:
    draft = Draft(picture(*objects), CountingIds(), LATER)
    draft.add(decision)
    return list(draft.units())


def task_in(write: Write) -> Task:
    assert isinstance(write, Put)
    value = decode(Entry(write.key, write.value, 1, 1))
    assert isinstance(value, Task)
    return value


def test_a_new_task_is_a_whole_record_that_must_not_exist_yet() -> None:
    template = a_template(networks=(NetworkAttachmentConfig(target="net", aliases=("db",)),))
    port = PortConfig(target_port=80, published_port=8080, publish_mode=PublishMode.HOST)
    service = a_service(endpoint_spec=EndpointSpec(ports=(port,)))
    new = NewTask("web", 1, slot=3, desired_state=TaskState.READY, start_after=LATER, reason=WHY)
    (unit,) = drafted(Decision(create=(new,)), service, a_wish(template=template))
    (write,) = unit.writes
    task = task_in(write)

    assert isinstance(write, Put)
    assert write.modified == 0
    assert (task.service_id, task.service_name, task.spec_version, task.slot) == ("web", "web", 1, 3)
    assert (task.state, task.desired_state, task.start_after) == (TaskState.NEW, TaskState.READY, LATER)
    assert (task.reason, task.created_at, task.ports) == (WHY, LATER, (port,))
    assert [(n.network_id, n.aliases) for n in task.networks] == [("net", ("db",))]


def test_the_end_of_one_task_and_the_start_of_the_next_in_its_slot_are_one_unit() -> None:
    decision = Decision(
        create=(NewTask("web", 1, slot=1), NewTask("web", 1, slot=2)),
        desire=(SetDesired("old", TaskState.SHUTDOWN, WHY),),
    )
    units = drafted(decision, a_service(), a_wish(), a_task("old", slot=1))

    assert sorted(len(unit.writes) for unit in units) == [1, 2]


def test_a_global_service_s_places_are_its_nodes() -> None:
    decision = Decision(
        create=(NewTask("web", 1, node_id="n1"), NewTask("web", 1, node_id="n2")),
        desire=(SetDesired("old", TaskState.SHUTDOWN, WHY),),
    )
    units = drafted(decision, a_service(), a_wish(), a_task("old", slot=0, node="n2"))

    assert sorted(len(unit.writes) for unit in units) == [1, 2]


def test_a_changed_task_is_written_only_over_the_version_it_was_decided_from() -> None:
    (unit,) = drafted(Decision(desire=(SetDesired("t1", TaskState.SHUTDOWN, WHY),)), a_task())
    (write,) = unit.writes

    assert isinstance(write, Put)
    assert write.modified == 7
    assert (task_in(write).desired_state, task_in(write).reason) == (TaskState.SHUTDOWN, WHY)


def test_wishes_and_states_only_grow() -> None:
    decision = Decision(
        desire=(SetDesired("t1", TaskState.RUNNING),), states=(SetState("t1", TaskState.PENDING, "back"),)
    )

    assert not drafted(decision, a_task(desired_state=TaskState.SHUTDOWN))


def test_the_manager_s_word_on_a_lost_task_ends_it() -> None:
    (unit,) = drafted(Decision(states=(SetState("t1", TaskState.ORPHANED, "node gone"),)), a_task())
    task = task_in(unit.writes[0])

    assert (task.state, task.status.message, task.finished_at) == (TaskState.ORPHANED, "node gone", LATER)


def test_what_is_decided_about_one_task_is_one_write() -> None:
    decision = Decision(
        desire=(SetDesired("t1", TaskState.SHUTDOWN, WHY),),
        states=(SetState("t1", TaskState.SHUTDOWN, "stopped before it was placed"),),
        reasons=(SetReason("t1", WHY),),
    )
    (unit,) = drafted(decision, a_task(state=TaskState.PENDING))

    assert len(unit.writes) == 1
    assert task_in(unit.writes[0]).state is TaskState.SHUTDOWN


def test_a_reason_keeps_its_since_while_the_code_stays() -> None:
    old = WHY.model_copy(update={"since": NOW})
    decision = Decision(reasons=(SetReason("t1", WHY.model_copy(update={"text": "in other words"})),))
    (unit,) = drafted(decision, a_task(reason=old))
    reason = task_in(unit.writes[0]).reason

    assert reason is not None
    assert (reason.since, reason.text) == (NOW, "in other words")


def test_a_reason_that_says_the_same_is_not_written_again() -> None:
    assert not drafted(Decision(reasons=(SetReason("t1", WHY),)), a_task(reason=WHY))


def test_a_task_that_may_start_forgets_what_it_waited_for() -> None:
    waiting = a_task(state=TaskState.READY, desired_state=TaskState.READY, reason=WHY)
    (unit,) = drafted(Decision(desire=(SetDesired("t1", TaskState.RUNNING),)), waiting)

    assert task_in(unit.writes[0]).reason is None


def test_when_a_wait_for_other_services_is_over_is_written_down() -> None:
    wait = Reason(code=ReasonCode.WAITING_DEPENDENCY, text="waits until db is healthy", since=NOW)
    held = a_task(desired_state=TaskState.READY, state=TaskState.READY, reason=wait)
    let_go, stop = (SetDesired("t1", desired) for desired in (TaskState.RUNNING, TaskState.SHUTDOWN))

    assert task_in(drafted(Decision(desire=(let_go,)), held)[0].writes[0]).held_until == LATER
    assert task_in(drafted(Decision(desire=(stop,)), held)[0].writes[0]).held_until is None


def test_a_dropped_record_is_deleted_at_the_version_known_whatever_else_was_said() -> None:
    decision = Decision(drop=(DropTask("t1"),), reasons=(SetReason("t1", WHY),))

    assert drafted(decision, a_task()) == [Unit((Delete("tasks/t1", modified=7),))]


def test_words_on_tasks_that_are_gone_are_left_out() -> None:
    decision = Decision(
        desire=(SetDesired("gone", TaskState.SHUTDOWN),),
        states=(SetState("gone", TaskState.ORPHANED, ""),),
        reasons=(SetReason("gone", WHY),),
        drop=(DropTask("gone"),),
    )

    assert not drafted(decision)


def test_a_removed_service_goes_with_its_wishes() -> None:
    units = drafted(Decision(drop_services=("web",), drop_specs=("web/1",)), a_service(), a_wish())

    assert [write.key for unit in units for write in unit.writes] == ["services/web", "specs/web/1"]


def test_a_removed_network_goes_at_the_version_known() -> None:
    assert drafted(Decision(drop_networks=("net",)), a_network()) == [Unit((Delete("networks/net", modified=7),))]


def test_a_network_claims_the_vni_that_it_is_given_and_gives_it_back_with_its_record() -> None:
    (unit,) = drafted(Decision(replace=(a_network("net"),)), a_network("net").model_copy(update={"vni": 0}))
    assert unit.writes[1:] == (Put("names/vnis/4097", b"net", modified=0),)

    state = picture(a_network("net"))
    state.apply(Batch(8, (Change("names/vnis/4097", Entry("names/vnis/4097", b"net", 8, 8)),)))
    draft = Draft(state, CountingIds(), LATER)
    draft.add(Decision(replace=(a_network("net"),)))
    draft.add(Decision(drop_networks=("net",)))
    again, gone = draft.units()
    assert len(again.writes) == 1
    assert gone.writes == (Delete("networks/net", modified=7), Delete("names/vnis/4097", modified=8))


def test_objects_are_written_before_the_tasks_that_refer_to_them() -> None:
    decision = Decision(create=(NewTask("web", 1, slot=1),), replace=(a_network("other"),))
    units = drafted(decision, a_service(), a_wish(), a_network("other"))

    assert [unit.writes[0].key.split("/")[0] for unit in units] == ["networks", "tasks"]


def test_an_adopted_task_is_the_same_task_by_another_wish() -> None:
    ((write,),) = [unit.writes for unit in drafted(Decision(adopt=(AdoptTask("t1", 2),)), a_service(), a_task())]
    task = task_in(write)

    assert task == a_task().model_copy(update={"spec_version": 2, "updated_at": LATER, "version": 1, "birth": 1})
