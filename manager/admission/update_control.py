"""An update stopped and taken up again by hand. Pure."""

from datetime import datetime

from manager.admission.admitted import Admitted
from manager.admission.changes import moves_tasks
from manager.objects import Service
from manager.store.codec import put
from manager.store.port import Unit
from swarmpy.errors import Conflict
from swarmpy.models.service import ServiceSpec, UpdateState
from swarmpy.states import PAUSED_BY_HAND

_PAUSES = {UpdateState.UPDATING: UpdateState.PAUSED, UpdateState.ROLLBACK_STARTED: UpdateState.ROLLBACK_PAUSED}
_RESUMES = {paused: moving for moving, paused in _PAUSES.items()}


def is_paused_by_hand(service: Service) -> bool:
    """Only a hand, or another template, takes it up again."""
    status = service.update
    return status is not None and status.state in _RESUMES and status.message == PAUSED_BY_HAND


def stays_paused(service: Service, wish: ServiceSpec, spec_version: int) -> bool:
    """What moves nothing new leaves a pause by hand as it is."""
    return is_paused_by_hand(service) and not moves_tasks(service, wish, spec_version)


def lifted(before: Service, after: Service) -> tuple[str, ...]:
    """What to tell whoever changed a service whose update a hand had paused, and so set it going again."""
    if not is_paused_by_hand(before) or is_paused_by_hand(after):
        return ()
    name = after.spec.name
    return (
        f"service {name}: its {_what(before)} was paused by hand, and this change begins another update, which is not "
        f"paused: `swarmpy service pause {name}` holds that one, too",
    )


def admit_pause(service: Service, *, now: datetime) -> Admitted[Service]:
    """What moves already goes on to run; no further slot is begun."""
    if service.update is not None and service.update.state in _RESUMES:
        name = service.spec.name
        raise Conflict(
            f"service {name}: its {_what(service)} is already paused ({service.update.message}); "
            f"`swarmpy service continue {name}` takes it up again"
        )
    return _turned(
        service, _PAUSES, PAUSED_BY_HAND, "no update or rollback of it is under way; there is nothing to pause", now
    )


def admit_continue(service: Service, *, now: datetime) -> Admitted[Service]:
    """Also of one that failures have paused: those do not count any more."""
    admitted = _turned(
        service,
        _RESUMES,
        "continued by hand",
        "no update or rollback of it is paused; there is nothing to continue",
        now,
    )
    resumed = admitted.value.model_copy(update={"update_resumed_at": now})
    return Admitted(resumed, (Unit((put(resumed),)),))


def _turned(
    service: Service, turns: dict[UpdateState, UpdateState], message: str, refusal: str, now: datetime
) -> Admitted[Service]:
    status = service.update
    if status is None or status.state not in turns:
        raise Conflict(f"service {service.spec.name}: {refusal}")
    turned = status.model_copy(update={"state": turns[status.state], "message": message})
    after = service.model_copy(update={"update": turned, "updated_at": now})
    return Admitted(after, (Unit((put(after),)),))


def _what(paused: Service) -> str:
    is_rollback = paused.update is not None and paused.update.state is UpdateState.ROLLBACK_PAUSED
    return "rollback" if is_rollback else "update"
