"""When a secret is in use, and what a first use writes."""

import pytest
from support.builders import T0, a_service, a_state

from manager.admission.secret import SECRET, admit_removal
from manager.admission.secret_references import holding, with_found_files
from manager.objects import Secret, Service
from manager.store.port import Check, Put
from swarmpy.errors import BadRequest, InUse
from swarmpy.models.container import ContainerSpec, ReferenceFile, SecretReference
from swarmpy.models.secret import SecretSpec
from swarmpy.models.service import FailureAction, UpdateConfig, UpdateState, UpdateStatus
from swarmpy.models.task import TaskSpec

KEY = Secret(id="s1", created_at=T0, updated_at=T0, spec=SecretSpec(name="key"), sealed="x")
REFERENCE = SecretReference(secret_id="s1", secret_name="key", file=ReferenceFile(name="key"))
USES = TaskSpec(container_spec=ContainerSpec(image="web:1", secrets=(REFERENCE,)))


def may_remove(*services: Service) -> bool:
    try:
        admit_removal(a_state(KEY, *services), SECRET, KEY)
    except InUse:
        return False
    return True


def changed(action: FailureAction, state: UpdateState) -> Service:
    """A service that used the secret before its update."""
    before = a_service(template=USES).spec
    status, config = UpdateStatus(state=state), UpdateConfig(failure_action=action)
    return a_service(update=config, status=status, previous_spec=before)


def test_a_service_holds_what_it_refers_to_until_it_is_to_go() -> None:
    assert not may_remove(a_service(template=USES))
    assert may_remove(a_service(template=USES, removed=True))
    assert may_remove(a_service())


@pytest.mark.parametrize(
    ("action", "state", "free"),
    [
        (FailureAction.ROLLBACK, UpdateState.UPDATING, False),
        (FailureAction.ROLLBACK, UpdateState.PAUSED, False),
        (FailureAction.ROLLBACK, UpdateState.COMPLETED, True),
        (FailureAction.PAUSE, UpdateState.PAUSED, True),
        (FailureAction.PAUSE, UpdateState.UPDATING, True),
    ],
)
def test_the_spec_of_before_counts_only_while_an_update_may_turn_back_by_itself(
    action: FailureAction, state: UpdateState, free: bool
) -> None:
    assert may_remove(changed(action, state)) is free


def test_a_first_use_writes_the_claim_anew_and_a_further_one_writes_nothing() -> None:
    state, container = a_state(KEY), USES.container_spec
    assert holding(state, container, None) == (Check("secrets/s1", 1), Put("names/secrets/key", b"s1"))
    assert holding(state, container, container) == ()


def test_an_id_with_the_name_of_another_is_refused() -> None:
    wrong = REFERENCE.model_copy(update={"secret_name": "other"})
    with pytest.raises(BadRequest, match="s1 is key, and not other"):
        with_found_files(a_state(KEY), ContainerSpec(image="web:1", secrets=(wrong,)))
