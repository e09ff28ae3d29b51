"""Which wishes of a service hold what they refer to against removal. Pure."""

from manager.objects import Service
from swarmpy.models.service import FailureAction, ServiceSpec, UpdateState

_MAY_TURN_BACK = (UpdateState.UPDATING, UpdateState.PAUSED)


def specs_in_use(service: Service) -> tuple[ServiceSpec, ...]:
    """As docker, the present spec alone counts; but an update under way that rolls back by itself needs the one
    before, and so does a paused one: continued, it may fail yet."""
    if service.removed:
        return ()
    config, update = service.spec.update_config, service.update
    turns_back = config is not None and config.failure_action is FailureAction.ROLLBACK
    if turns_back and update is not None and update.state in _MAY_TURN_BACK and service.previous_spec is not None:
        return service.spec, service.previous_spec
    return (service.spec,)
