"""Is a task template something that could ever run? Says field and cause when not. Pure."""

from manager.admission.container import check_container
from scheduler.requirements import requirements
from swarmpy.errors import BadRequest
from swarmpy.models.resources import GenericResource, ResourceRequirements
from swarmpy.models.task import Placement, RestartPolicy, TaskSpec

_LEAST_MEMORY = 4 * 1024 * 1024
_LEAST_CPU = 1_000_000


def check_template(template: TaskSpec) -> None:
    """Raise `BadRequest` for the first wish that cannot be met on any machine."""
    if template.container_spec is None:
        raise BadRequest("TaskTemplate: ContainerSpec is required")
    check_container(template.container_spec)
    if template.force_update is not None and template.force_update < 0:
        raise BadRequest("TaskTemplate.ForceUpdate must not be negative")
    if template.resources is not None:
        _check_resources(template.resources)
    if template.restart_policy is not None:
        _check_restart(template.restart_policy)
    if template.placement is not None:
        _check_preferences(template.placement)
    # The scheduler reads constraints, preferences and reservations itself; what it cannot read is refused here.
    requirements(template)


def _check_restart(policy: RestartPolicy) -> None:
    for field in ("delay", "window", "max_attempts"):
        value = getattr(policy, field)
        if value is not None and value < 0:
            raise BadRequest(f"TaskTemplate.RestartPolicy.{field.title().replace('_', '')} must not be negative")


def _check_resources(wish: ResourceRequirements) -> None:
    limits, reserved = wish.limits, wish.reservations
    for kind, what in (("Limits", limits), ("Reservations", reserved)):
        if what is not None:
            _check_amounts(f"Resources.{kind}", what.nano_cpus or 0, what.memory_bytes or 0)
    if limits is not None and (limits.pids or 0) < 0:
        raise BadRequest("Resources.Limits.Pids must not be negative")
    if reserved is not None:
        for resource in reserved.generic_resources or ():
            _check_generic(resource)
    if limits is None or reserved is None:
        return
    for field, name in (("nano_cpus", "NanoCPUs"), ("memory_bytes", "MemoryBytes")):
        most, least = getattr(limits, field) or 0, getattr(reserved, field) or 0
        if most and least > most:
            raise BadRequest(f"Resources: the reservation of {name} ({least}) exceeds its limit ({most})")


def _check_amounts(where: str, nano_cpus: int, memory: int) -> None:
    if nano_cpus < 0 or 0 < nano_cpus < _LEAST_CPU:
        raise BadRequest(f"{where}: invalid cpu value {nano_cpus / 1e9:g}: must be at least {_LEAST_CPU / 1e9:g}")
    if memory < 0 or 0 < memory < _LEAST_MEMORY:
        raise BadRequest(f"{where}: invalid memory value {memory}: must be at least 4 MiB")


def _check_generic(resource: GenericResource) -> None:
    if (resource.named_resource_spec is None) == (resource.discrete_resource_spec is None):
        raise BadRequest("Resources.Reservations.GenericResources: give either a named or a discrete resource")


def _check_preferences(placement: Placement) -> None:
    for preference in placement.preferences or ():
        if preference.spread is None:
            raise BadRequest("TaskTemplate.Placement.Preferences: the only preference is Spread")
