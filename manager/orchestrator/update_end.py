"""How a rolling update ends: completed, or failed for a reason and then paused or rolled back. Says not when."""

from manager.admission.host import allowed_words, words_needed
from manager.attached import first_gone
from manager.objects import Service
from manager.orchestrator.keep import View
from swarmpy.errors import BadRequest
from swarmpy.models.container import ContainerSpec
from swarmpy.models.service import FailureAction, ServiceSpec, UpdateState, UpdateStatus


def failed(view: View, status: UpdateStatus, blamed: str) -> Service:
    """By the failure action: rolled back, where something may be gone back to; else paused, saying why."""
    service = view.service
    rolling_back = status.state is UpdateState.ROLLBACK_STARTED
    config = service.spec.rollback_config if rolling_back else service.spec.update_config
    wants_rollback = config is not None and config.failure_action is FailureAction.ROLLBACK
    barred = ""
    if wants_rollback and not rolling_back and service.previous_spec is not None and _has_other_wish(service):
        barred = _barred(view, service.previous_spec)
        if not barred:
            return _rolled_back(view, f"update rolled back due to {blamed}")
    state = UpdateState.ROLLBACK_PAUSED if rolling_back else UpdateState.PAUSED
    message = f"{'rollback' if rolling_back else 'update'} paused due to {blamed}{barred}"
    return service.model_copy(update={"update": status.model_copy(update={"state": state, "message": message})})


def _has_other_wish(service: Service) -> bool:
    """To go back to."""
    return service.previous_spec_version != service.spec_version


def _barred(view: View, former: ServiceSpec) -> str:
    """Why nothing leads back to the former wish by itself; empty where it may. What the cluster let services ask for
    then, it may let nobody start any more."""
    if name := first_gone(view.state, former.task_template):
        return f"; not rolled back: network {name}, which the former spec is on, does not exist any more"
    cluster = view.state.cluster
    container = former.task_template.container_spec or ContainerSpec()
    try:
        lacking = words_needed(container) - allowed_words(cluster.spec if cluster else None)
    except BadRequest as error:
        return f"; not rolled back: {error}"
    if not lacking:
        return ""
    words = ", ".join(sorted(lacking))
    return f"; not rolled back: the former spec asks for {words}, which this cluster does not let services ask for"


def _rolled_back(view: View, message: str) -> Service:
    service = view.service
    update = UpdateStatus(state=UpdateState.ROLLBACK_STARTED, started_at=view.now, message=message)
    return service.model_copy(
        update={
            "spec": service.previous_spec,
            "spec_version": service.previous_spec_version,
            "previous_spec": None,
            "previous_spec_version": None,
            "update": update,
            "rollback_cause": message,
        }
    )


def completed(view: View, but: str = "") -> Service:
    """`but` names what did not come to run; failures that do not hold an update up end it all the same."""
    status = view.service.update or UpdateStatus()
    rolling_back = status.state is UpdateState.ROLLBACK_STARTED
    message = "update completed"
    if rolling_back:
        # Who comes later must still see why.
        cause = view.service.rollback_cause
        message = f"rollback completed; {cause}" if cause else "rollback completed"
    done = status.model_copy(
        update={
            "state": UpdateState.ROLLBACK_COMPLETED if rolling_back else UpdateState.COMPLETED,
            "completed_at": view.now,
            "message": f"{message}, but for {but}" if but else message,
        }
    )
    return view.service.model_copy(update={"update": done})
