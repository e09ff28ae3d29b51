"""Services and the networks that they are on: what is held, what is gone, and what is done in the same moment."""

import pytest
from support.builders import T0, a_network, a_service, a_state, a_template

from manager.admission.network import admit_network, admit_removal
from manager.admission.service import admit_rollback, admit_service, admit_update
from manager.objects import Service
from manager.state import State
from manager.store.errors import CommitConflict
from manager.store.memory import MemoryDatabase
from manager.store.port import Delete, Unit
from swarmpy.clock import ManualClock
from swarmpy.errors import InUse, NotFound
from swarmpy.models.network import NetworkCreate
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


async def test_of_a_removal_and_a_new_service_in_the_same_moment_the_second_is_refused() -> None:
    store = MemoryDatabase(ManualClock()).open()
    await store.commit(admit_network(a_state(), NetworkCreate(name="old"), network_id="old", now=T0).units)
    state = State()
    state.reset(await store.load())
    removal = admit_removal(state, state.networks["old"], now=T0)
    created = admit_service(state, a_service(template=on("old")).spec, service_id="web", now=T0, sealed_auth=None)

    await store.commit(removal.units)
    with pytest.raises(CommitConflict):
        await store.commit(created.units)


async def test_nor_does_an_update_or_a_rollback_come_through_beside_the_removal() -> None:
    store = MemoryDatabase(ManualClock()).open()
    for name in ("old", "new"):
        await store.commit(admit_network(a_state(), NetworkCreate(name=name), network_id=name, now=T0).units)
    state = State()
    state.reset(await store.load())
    wish = a_service(template=on("old")).spec
    await store.commit(admit_service(state, wish, service_id="web", now=T0, sealed_auth=None).units)
    for network in ("new", "old", "new"):
        state.reset(await store.load())
        known, spec = state.services["web"], a_service(template=on(network)).spec
        update = admit_update(state, known, spec, version=known.version, now=T0, sealed_auth=None)
        await store.commit(update.units)

    state.reset(await store.load())
    known = state.services["web"]
    removal = admit_removal(state, state.networks["old"], now=T0)
    rollback = admit_rollback(state, known, version=known.version, now=T0)
    update = admit_update(state, known, wish, version=known.version, now=T0, sealed_auth=None)
    await store.commit(removal.units)
    for late in (rollback, update):
        with pytest.raises(CommitConflict):
            await store.commit(late.units)


@pytest.mark.parametrize("joined_before", [False, True])
async def test_the_removal_is_the_second_where_the_service_was_written_first(joined_before: bool) -> None:
    store = MemoryDatabase(ManualClock()).open()
    await store.commit(admit_network(a_state(), NetworkCreate(name="old"), network_id="old", now=T0).units)
    state = State()
    state.reset(await store.load())
    if joined_before:
        first = admit_service(
            state, a_service("api", template=on("old")).spec, service_id="api", now=T0, sealed_auth=None
        )
        await store.commit(first.units)
        await store.commit([Unit((Delete("services/api"),))])
        state.reset(await store.load())
    removal = admit_removal(state, state.networks["old"], now=T0)
    wish = a_service(template=on("old")).spec
    await store.commit(admit_service(state, wish, service_id="web", now=T0, sealed_auth=None).units)

    with pytest.raises(CommitConflict):
        await store.commit(removal.units)


async def test_services_that_join_one_network_at_one_time_do_not_get_in_each_others_way() -> None:
    store = MemoryDatabase(ManualClock()).open()
    await store.commit(admit_network(a_state(), NetworkCreate(name="old"), network_id="old", now=T0).units)
    state = State()
    state.reset(await store.load())
    wishes = {name: a_service(name, template=on("old")).spec for name in ("web", "api", "db")}
    for name, wish in wishes.items():
        await store.commit(admit_service(state, wish, service_id=name, now=T0, sealed_auth=None).units)
