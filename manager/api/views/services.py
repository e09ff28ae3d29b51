"""Services as Docker shows them. Pure."""

from collections.abc import Iterable
from typing import Any

from manager.admission.defaults import with_shown_defaults
from manager.admission.revisions import present_revision, revisions_of, wish_of
from manager.allocator.ports import had_ports
from manager.objects import Service, Task
from manager.state import State
from swarmpy.models import service as docker
from swarmpy.models.base import Version, rfc3339
from swarmpy.states import TaskState


def service_document(
    service: Service, state: State, *, with_status: bool = False, insert_defaults: bool = False
) -> dict[str, Any]:
    """`insert_defaults` writes out what applies where the user said nothing."""
    spec = service.spec
    return docker.Service(
        id=service.id,
        version=Version(index=service.version),
        created_at=service.created_at,
        updated_at=service.updated_at,
        spec=with_shown_defaults(spec) if insert_defaults else spec,
        previous_spec=service.previous_spec,
        endpoint=_endpoint(service, state),
        update_status=service.update,
        service_status=service_status(service, state.tasks_of_service(service.id)) if with_status else None,
        job_status=_job_status(service),
    ).to_docker()


def _endpoint(service: Service, state: State) -> docker.Endpoint:
    """Ports with their numbers, and addresses with the length of their network's subnet."""
    vips = tuple(
        docker.VirtualIP(network_id=vip.network_id, addr=f"{vip.address}/{_prefix(state, vip.network_id)}")
        for vip in service.virtual_ips
    )
    return docker.Endpoint(spec=service.spec.endpoint_spec, ports=had_ports(service) or None, virtual_ips=vips or None)


def _prefix(state: State, network_id: str) -> str:
    network = state.networks.get(network_id)
    return (network.subnet.partition("/")[2] if network else "") or "32"


def revision_documents(service: Service, state: State) -> list[dict[str, Any]]:
    """The wishes that are kept, newest first; `Current` is the one that the service follows."""
    revisions = revisions_of(state, service)
    present = present_revision(service, revisions)
    return [
        {
            "Number": revision.number,
            "CreatedAt": rfc3339(revision.created_at),
            "Current": revision is present,
            "SpecVersion": revision.spec_version,
            "Spec": wish_of(state, revision).to_docker(),
        }
        for revision in reversed(revisions)
    ]


def service_status(service: Service, tasks: Iterable[Task]) -> docker.ServiceStatus:
    """Counts behind the REPLICAS column. Of a job only the current run counts."""
    counts = TaskCounts(service)
    for task in tasks:
        counts.add(task)
    return counts.status()


class TaskCounts:
    """The counts of a service, added up task by task."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._running = self._wanted = self._completed = 0

    def add(self, task: Task) -> None:
        if task.job_iteration != self._service.job_iteration:
            return
        state, wanted = task.state, task.is_wanted
        self._running += task.is_seen_running
        self._wanted += wanted
        self._completed += state is TaskState.COMPLETE and self._service.job_iteration is not None

    def status(self) -> docker.ServiceStatus:
        return docker.ServiceStatus(
            running_tasks=self._running,
            desired_tasks=_desired(self._service, self._wanted, self._completed),
            completed_tasks=self._completed,
        )


def _desired(service: Service, wanted: int, completed: int) -> int:
    mode = service.spec.mode
    if mode.replicated is not None:
        return mode.replicated.replicas or 0
    if mode.replicated_job is not None:
        left = (mode.replicated_job.total_completions or 0) - completed
        return max(0, min(mode.replicated_job.max_concurrent or left, left))
    return wanted


def _job_status(service: Service) -> docker.JobStatus | None:
    """Its presence is how the CLI knows a job."""
    if service.job_iteration is None:
        return None
    return docker.JobStatus(job_iteration=Version(index=service.job_iteration), last_execution=service.job_started_at)
