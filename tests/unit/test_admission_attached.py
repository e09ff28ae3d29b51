"""Services and the networks that they are on: what is held, what is gone, and what is done in the same moment."""

import pytest
from support.builders import T0, a_network, a_service, a_state, a_template

from manager.admission.network import admit_removal
from manager.admission.service import admit_rollback
from manager.objects import Service
from swarmpy.errors import InUse, NotFound
from swarmpy.models.service import FailureAction, UpdateConfig, UpdateState, UpdateStatus
from swarmpy.models.task import NetworkAttachmentConfig, TaskSpec

OLD, NEW = a_network("old"), a_network("new")


def on(*networks: str) -> TaskSpec:
    return a_template(networks=tuple(NetworkAttachmentConfig(target=network) for network in networks))


def moved(action: FailureAction, state: UpdateState) -> Service:
    """A service that was on the network `old` before its update, and is on `new`."""
    before = a_service(template=on("old")).spec
    status, config = UpdateStatus(state=state), UpdateConfig(failure_action=action)
    return a_service(template=on("new"), update=config, status=status, previous_spec=before, spec_version=2)


def may_remove(service: Service) -> bool:
    try:
        admit_removal(a_state(OLD, NEW, service), OLD, now=T0)
    except InUse:
        return False
    return True


@pytest.mark.parametrize(
    ("action", "state", "free"),
    [
        (FailureAction.ROLLBACK, UpdateState.UPDATING, False),
        (FailureAction.ROLLBACK, UpdateState.PAUSED, False),
        (FailureAction.ROLLBACK, UpdateState.COMPLETED, True),
        (FailureAction.PAUSE, UpdateState.UPDATING, True),
    ],
)
def test_the_network_of_before_is_held_while_an_update_may_turn_back_by_itself(
    action: FailureAction, state: UpdateState, free: bool
) -> None:
    assert may_remove(moved(action, state)) is free


@pytest.mark.parametrize("there", [(), (OLD.model_copy(update={"removed": True}),)], ids=["gone", "removed"])
def test_no_rollback_leads_to_a_network_that_is_gone(there: tuple[()]) -> None:
    service = moved(FailureAction.PAUSE, UpdateState.COMPLETED)
    state = a_state(NEW, service, *there)
    known = state.services["web"]
    with pytest.raises(NotFound, match="network old, which the former spec is on, does not exist any more"):
        admit_rollback(state, known, version=known.version, now=T0)
