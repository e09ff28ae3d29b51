"""An update stopped and taken up again by hand. Pure."""

from datetime import datetime

from manager.admission.admitted import Admitted
from manager.objects import Service
from manager.store.codec import put
from manager.store.port import Unit
from swarmpy.errors import Conflict
from swarmpy.models.service import UpdateState

PAUSED_BY_HAND = "paused by hand"
_PAUSES = {UpdateState.UPDATING: UpdateState.PAUSED, UpdateState.ROLLBACK_STARTED: UpdateState.ROLLBACK_PAUSED}
_RESUMES = {paused: moving for moving, paused in _PAUSES.items()}


def admit_pause(service: Service, *, now: datetime) -> Admitted[Service]:
    """What moves already goes on to run; no further slot is begun."""
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
