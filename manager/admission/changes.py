"""What a change of a service asks anew, beside what it has already. Pure."""

from manager.objects import Service
from manager.published_ports import host_ports, publishes, same_ports
from swarmpy.models.service import ServiceMode, ServiceSpec


def moves_tasks(service: Service, wish: ServiceSpec, spec_version: int) -> bool:
    """Whether tasks of the service, as it stands, are not what is wished. `spec_version` is that of the wish."""
    before = service.spec
    same_endpoint = same_ports(host_ports(before), host_ports(wish)) and publishes(before) == publishes(wish)
    return spec_version != service.spec_version or not same_endpoint


def asks_for_new_tasks(service: Service, wish: ServiceSpec, spec_version: int) -> bool:
    """Whether tasks are made that would not be made without the change."""
    before, after = _counts(service.spec.mode), _counts(wish.mode)
    grows = any(new > old for old, new in zip(before, after, strict=True))
    return grows or moves_tasks(service, wish, spec_version)


def _counts(mode: ServiceMode) -> tuple[int, int]:
    """Of tasks side by side, and of runs to complete. A global service has what its nodes are."""
    job = mode.replicated_job
    if job is not None:
        side_by_side = 1 if job.max_concurrent is None else job.max_concurrent
        return side_by_side, side_by_side if job.total_completions is None else job.total_completions
    if mode.replicated is None:
        return 0, 0
    return 1 if mode.replicated.replicas is None else mode.replicated.replicas, 0
