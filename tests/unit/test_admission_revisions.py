"""The last ten wishes of a service, and the way back to each; updates paused and continued by hand."""

from typing import Any

import pytest
from support.builders import T0, a_job, a_service, a_state, at

from manager.admission.admitted import Admitted
from manager.admission.revisions import KEPT, present_revision, revisions_of, wish_of
from manager.admission.service import admit_rollback, admit_rollback_to, admit_service, admit_update
from manager.admission.update_control import admit_continue, admit_pause, lifted
from manager.objects import Service
from manager.orchestrator.keep import View
from manager.orchestrator.reaper import reap_removed_service, reap_specs
from manager.orchestrator.update_end import failed
from manager.state import State
from manager.store.codec import put
from manager.store.port import Batch, Change, Delete, Entry, Put, Unit
from swarmpy.errors import BadRequest, Conflict, NotFound, OutOfSequence
from swarmpy.labels import PROGRESS_DEADLINE
from swarmpy.models.service import FailureAction, ServiceSpec, UpdateConfig, UpdateState, UpdateStatus
from swarmpy.models.task import TaskSpec
from swarmpy.states import PAUSED_BY_HAND

ID = "web-id"


def a_wish(image: str = "web:1", **fields: Any) -> ServiceSpec:
    return ServiceSpec.model_validate({"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": image}}, **fields})


def fold(state: State, admitted: Admitted[Any]) -> None:
    revision = state.revision + 1
    changes = []
    for unit in admitted.units:
        for write in unit.writes:
            assert write.modified is None or state.version_of(write.key) == write.modified, write
            if isinstance(write, Put):
                entry = Entry(write.key, write.value, state.version_of(write.key) or revision, revision)
                changes.append(Change(write.key, entry))
            elif isinstance(write, Delete):
                changes.append(Change(write.key, None))
    state.apply(Batch(revision, tuple(changes)))


def created(wish: ServiceSpec | None = None, auth: str | None = None) -> State:
    state = a_state()
    fold(state, admit_service(state, wish or a_wish(), service_id=ID, now=T0, sealed_auth=auth))
    return state


def update(state: State, wish: ServiceSpec, auth: str | None = None) -> None:
    service = state.services[ID]
    fold(state, admit_update(state, service, wish, version=service.version, now=at(1), sealed_auth=auth))


def back_to(state: State, number: int) -> Service:
    fold(state, admit_rollback_to(state, state.services[ID], number, version=None, now=at(2)))
    return state.services[ID]


def fold_back(state: State) -> None:
    """As the cluster does it when an update fails."""
    service = state.services[ID]
    rolled_back = service.model_copy(
        update={"spec": service.previous_spec, "spec_version": service.previous_spec_version, "previous_spec": None}
    )
    fold(state, Admitted(rolled_back, (Unit((put(rolled_back),)),)))


def numbers(state: State) -> list[int]:
    return [revision.number for revision in revisions_of(state, state.services[ID])]


def present_number(state: State) -> int | None:
    present = present_revision(state.services[ID], revisions_of(state, state.services[ID]))
    return present.number if present else None


def test_every_wish_is_kept_whole_and_no_more_than_ten() -> None:
    state = created()
    for number in range(2, 15):
        update(state, a_wish(f"web:{number}"))

    assert numbers(state) == list(range(15 - KEPT, 15))
    newest = revisions_of(state, state.services[ID])[-1]
    assert wish_of(state, newest) == state.services[ID].spec
    # The template, which is most of it, is kept once.
    assert newest.spec.task_template == TaskSpec()


def test_the_wish_that_runs_is_kept_however_many_after_it_failed() -> None:
    state = created()
    for number in range(2, 15):
        update(state, a_wish(f"web:{number}"))
        fold_back(state)

    assert numbers(state) == [1, *range(6, 15)]
    assert state.services[ID].spec_version == back_to(state, 1).spec_version == 1


def test_the_same_wish_again_or_another_credential_is_no_new_revision() -> None:
    state = created()
    update(state, a_wish())
    update(state, a_wish(), auth="other")

    assert numbers(state) == [1]


def test_a_service_from_before_there_were_revisions_begins_with_the_wish_it_had() -> None:
    service = a_service("web").model_copy(update={"id": ID})
    state = a_state(service)
    update(state, a_wish("web:9"))

    wishes = [wish_of(state, revision) for revision in revisions_of(state, state.services[ID])]
    assert [wish.task_template.container_spec.image for wish in wishes] == [  # type: ignore[union-attr]
        "web:1",
        "web:9",
    ]


def test_a_revision_that_was_stored_with_its_template_is_known_again() -> None:
    state = created()
    first = state.services[ID].spec
    older = state.revisions[f"{ID}/1"].model_copy(update={"spec": first})
    fold(state, Admitted(older, (Unit((put(older),)),)))

    present = present_revision(state.services[ID], revisions_of(state, state.services[ID]))
    assert present is not None
    assert (present.number, present.spec) == (1, first)
    update(state, a_wish("web:2"))
    assert back_to(state, 1).spec == first


def test_rolling_back_to_a_revision_brings_its_whole_wish_its_number_and_its_credential() -> None:
    state = created(a_wish(Mode={"Replicated": {"Replicas": 4}}), auth="sealed")
    first = state.services[ID].spec
    for number in (2, 3):
        update(state, a_wish(f"web:{number}"), auth="other")
    service = back_to(state, 1)

    assert (service.spec, service.spec_version) == (first, 1)
    assert state.specs[f"{ID}/1"].sealed_auth == "sealed"
    assert service.update is not None
    assert service.update.state is UpdateState.ROLLBACK_STARTED
    assert service.update.message == "manually requested rollback to revision 1"
    assert numbers(state) == [1, 2, 3, 4]
    assert service.previous_spec is not None
    assert service.previous_spec.task_template.container_spec.image == "web:3"  # type: ignore[union-attr]


def test_the_present_revision_is_the_newest_with_the_services_wish() -> None:
    state = created()
    update(state, a_wish("web:2"))

    assert present_number(state) == 2
    fold_back(state)
    assert present_number(state) == 1


def test_a_revision_that_is_not_kept_is_refused_with_those_that_are() -> None:
    state = created()
    update(state, a_wish("web:2"))

    with pytest.raises(NotFound, match="service web has no revision 7; kept are 1, 2"):
        back_to(state, 7)
    with pytest.raises(OutOfSequence):
        admit_rollback_to(state, state.services[ID], 1, version=99, now=T0)


def test_a_rollback_to_the_previous_wish_is_a_revision_too() -> None:
    state = created()
    update(state, a_wish("web:2"))
    service = state.services[ID]
    fold(state, admit_rollback(state, service, version=service.version, now=at(2)))

    assert numbers(state) == [1, 2, 3]


def test_templates_of_kept_revisions_are_not_reaped_and_those_of_others_are() -> None:
    state = created()
    for number in range(2, 15):
        update(state, a_wish(f"web:{number}"))

    assert set(reap_specs(state).drop_specs) == {f"{ID}/{n}" for n in range(1, 5)}


def test_revisions_go_with_their_service() -> None:
    state = created()
    update(state, a_wish("web:2"))

    assert set(reap_removed_service(state, state.services[ID], T0).drop_revisions) == {f"{ID}/1", f"{ID}/2"}
    del state.services[ID]
    swept = reap_specs(state)
    assert set(swept.drop_revisions) == {f"{ID}/1", f"{ID}/2"}
    assert set(swept.drop_specs) == {f"{ID}/1", f"{ID}/2"}


def test_a_job_goes_back_to_a_revision_as_a_new_iteration_and_without_steps() -> None:
    state = created(a_wish(Mode={"ReplicatedJob": {"TotalCompletions": 2}}))
    update(state, a_wish("web:2", Mode={"ReplicatedJob": {"TotalCompletions": 2}}))
    service = back_to(state, 1)

    assert (service.job_iteration, service.update) == (2, None)


# the deadline


@pytest.mark.parametrize("text", ["soon", "0s", "-1m", ""])
def test_a_progress_deadline_that_is_none_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadRequest, match=r"label swarmpy\.progress-deadline: "):
        created(a_wish(Labels={PROGRESS_DEADLINE: text}))


# by hand


def updating(state: UpdateState | None) -> Service:
    return a_service(status=UpdateStatus(state=state, started_at=T0, message="m") if state else None)


@pytest.mark.parametrize(
    ("moving", "paused"),
    [(UpdateState.UPDATING, UpdateState.PAUSED), (UpdateState.ROLLBACK_STARTED, UpdateState.ROLLBACK_PAUSED)],
)
def test_what_moves_is_paused_by_hand_and_continued(moving: UpdateState, paused: UpdateState) -> None:
    held = admit_pause(updating(moving), now=at(5)).value
    assert held.update == UpdateStatus(state=paused, started_at=T0, message="paused by hand")
    goes_on = admit_continue(held, now=at(9)).value

    assert goes_on.update == UpdateStatus(state=moving, started_at=T0, message="continued by hand")
    assert goes_on.update_resumed_at == at(9)


@pytest.mark.parametrize("state", [None, UpdateState.COMPLETED, UpdateState.ROLLBACK_COMPLETED])
def test_pausing_when_nothing_moves_is_refused_with_a_sentence(state: UpdateState | None) -> None:
    with pytest.raises(Conflict, match="service web: no update or rollback of it is under way"):
        admit_pause(updating(state), now=T0)


@pytest.mark.parametrize("state", [None, UpdateState.COMPLETED, UpdateState.UPDATING])
def test_continuing_what_is_not_paused_is_refused_with_a_sentence(state: UpdateState | None) -> None:
    with pytest.raises(Conflict, match="service web: no update or rollback of it is paused"):
        admit_continue(updating(state), now=T0)


@pytest.mark.parametrize(("state", "what"), [(UpdateState.PAUSED, "update"), (UpdateState.ROLLBACK_PAUSED, "rollback")])
def test_pausing_what_is_paused_says_so_and_names_the_way_on(state: UpdateState, what: str) -> None:
    with pytest.raises(
        Conflict, match=rf"service web: its {what} is already paused \(m\); `swarmpy service continue web`"
    ):
        admit_pause(updating(state), now=T0)


def paused_by_hand(message: str = PAUSED_BY_HAND) -> State:
    state = created()
    update(state, a_wish("web:2"))
    status = UpdateStatus(state=UpdateState.PAUSED, started_at=T0, message=message)
    held = state.services[ID].model_copy(update={"update": status})
    fold(state, Admitted(held, (Unit((put(held),)),)))
    return state


@pytest.mark.parametrize(
    "change",
    [{"Labels": {"team": "shop"}}, {"Mode": {"Replicated": {"Replicas": 5}}}, {"UpdateConfig": {"Parallelism": 2}}],
)
def test_a_pause_by_hand_outlives_changes_that_move_nothing_new(change: dict[str, Any]) -> None:
    state = paused_by_hand()
    before = state.services[ID]
    update(state, a_wish("web:2", **change))
    after = state.services[ID]
    assert after.spec != before.spec
    assert after.update == before.update
    assert lifted(before, after) == ()


@pytest.mark.parametrize(
    "wish",
    [
        a_wish("web:3"),
        a_wish("web:2", EndpointSpec={"Ports": [{"TargetPort": 80, "PublishedPort": 80, "PublishMode": "host"}]}),
    ],
)
def test_what_moves_tasks_begins_another_update_and_says_that_the_pause_is_over(wish: ServiceSpec) -> None:
    state = paused_by_hand()
    before = state.services[ID]
    update(state, wish)
    assert state.services[ID].update is None
    (warning,) = lifted(before, state.services[ID])
    assert warning.startswith("service web: its update was paused by hand, and this change begins another update")


def test_that_a_rollback_was_paused_is_told_as_such() -> None:
    before = updating(UpdateState.ROLLBACK_PAUSED)
    assert before.update is not None
    before = before.model_copy(update={"update": before.update.model_copy(update={"message": PAUSED_BY_HAND})})
    (warning,) = lifted(before, before.model_copy(update={"update": None}))
    assert warning.startswith("service web: its rollback was paused by hand, and this change begins another update")


def scaled_while_paused() -> State:
    state = paused_by_hand()
    update(state, a_wish("web:2", Mode={"Replicated": {"Replicas": 5}}))
    return state


def test_a_paused_update_that_is_scaled_can_still_be_rolled_back_to_what_was_before_it() -> None:
    state = scaled_while_paused()
    service = state.services[ID]
    assert (service.spec_version, service.previous_spec_version) == (2, 1)
    fold(state, admit_rollback(state, service, version=service.version, now=at(2)))

    service = state.services[ID]
    container = service.spec.task_template.container_spec
    assert (service.spec_version, container and container.image) == (1, "web:1")
    assert service.update is not None
    assert service.update.state is UpdateState.ROLLBACK_STARTED


def test_a_paused_update_that_is_scaled_and_continued_still_fails_back() -> None:
    state = scaled_while_paused()
    service = admit_continue(state.services[ID], now=at(3)).value
    config = UpdateConfig(failure_action=FailureAction.ROLLBACK)
    service = service.model_copy(update={"spec": service.spec.model_copy(update={"update_config": config})})
    assert service.update is not None
    back = failed(View(state, service, at(9)), service.update, "task t")

    assert back.spec_version == 1
    assert back.update is not None
    assert back.update.state is UpdateState.ROLLBACK_STARTED


def test_a_rollback_that_moves_nothing_is_one_all_the_same_and_ends_a_pause() -> None:
    state = scaled_while_paused()
    service = back_to(state, 2)
    assert service.update is not None
    assert service.update.state is UpdateState.ROLLBACK_STARTED


def test_an_update_that_failures_paused_is_over_with_the_next_change() -> None:
    state = paused_by_hand("update paused due to failure or early termination of task t")
    before = state.services[ID]
    update(state, a_wish("web:2", Labels={"team": "shop"}))
    assert state.services[ID].update is None
    assert lifted(before, state.services[ID]) == ()


def test_a_job_has_nothing_to_pause() -> None:
    with pytest.raises(Conflict):
        admit_pause(a_job(), now=T0)
