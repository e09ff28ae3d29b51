"""Is a task template something that could ever run? Says field and cause when not. Pure."""

from manager.admission.container import check_container
from manager.admission.faults import at
from manager.admission.names import check_domain
from scheduler.requirements import requirements
from swarmpy.errors import BadRequest
from swarmpy.models.resources import GenericResource, ResourceRequirements
from swarmpy.models.task import Placement, RestartPolicy, TaskSpec

# What engines make a limit, or a soft limit, of at least.
_LEAST_MEMORY = 6 << 20
# The kernel's: a hundredth of a CPU as a limit; a reservation is for the scheduler alone.
_LEAST_CPU_LIMIT = 10_000_000
_LEAST_CPU = 1_000_000
_MOST_PIDS = 4_194_304


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
    for network in template.networks or ():
        for alias in network.aliases or ():
            with at("TaskTemplate.Networks.Aliases"):
                check_domain(alias)
    # The scheduler reads constraints, preferences and reservations itself; what it cannot read is refused here.
    requirements(template)


def _check_restart(policy: RestartPolicy) -> None:
    for field in ("delay", "window", "max_attempts"):
        value = getattr(policy, field)
        if value is not None and value < 0:
            raise BadRequest(f"TaskTemplate.RestartPolicy.{field.title().replace('_', '')} must not be negative")


def _check_resources(wish: ResourceRequirements) -> None:
    limits, reserved = wish.limits, wish.reservations
    for kind, what, least_cpu in (
        ("Limits", limits, _LEAST_CPU_LIMIT),
        ("Reservations", reserved, _LEAST_CPU),
    ):
        if what is not None:
            _check_amounts(f"Resources.{kind}", what.nano_cpus or 0, least_cpu, what.memory_bytes or 0)
    if limits is not None and not 0 <= (limits.pids or 0) <= _MOST_PIDS:
        raise BadRequest(f"Resources.Limits.Pids must be between 0 and {_MOST_PIDS}, and {limits.pids} is not")
    if reserved is not None:
        for resource in reserved.generic_resources or ():
            _check_generic(resource)
    if limits is None or reserved is None:
        return
    for field, name in (("nano_cpus", "NanoCPUs"), ("memory_bytes", "MemoryBytes")):
        most, least = getattr(limits, field) or 0, getattr(reserved, field) or 0
        if most and least > most:
            raise BadRequest(f"Resources: the reservation of {name} ({least}) exceeds its limit ({most})")


def _check_amounts(where: str, nano_cpus: int, least_cpu: int, memory: int) -> None:
    if nano_cpus < 0 or 0 < nano_cpus < least_cpu:
        raise BadRequest(f"{where}: invalid cpu value {nano_cpus / 1e9:.9g}: must be at least {least_cpu / 1e9:g}")
    if memory < 0 or 0 < memory < _LEAST_MEMORY:
        raise BadRequest(f"{where}: invalid memory value {memory}: must be at least {_LEAST_MEMORY >> 20} MiB")


def _check_generic(resource: GenericResource) -> None:
    if (resource.named_resource_spec is None) == (resource.discrete_resource_spec is None):
        raise BadRequest("Resources.Reservations.GenericResources: give either a named or a discrete resource")


def _check_preferences(placement: Placement) -> None:
    for preference in placement.preferences or ():
        if preference.spread is None:
            raise BadRequest("TaskTemplate.Placement.Preferences: the only preference is Spread")
