"""Services: Docker's `ServiceSpec` and `Service` (Engine API 1.45)."""

from enum import StrEnum

from pydantic import Field

from swarmpy.models.base import DockerModel, Labels, Nanoseconds, Timestamp, Version
from swarmpy.models.port import EndpointSpec, PortConfig
from swarmpy.models.task import NetworkAttachmentConfig, TaskSpec


class Replicated(DockerModel):
    replicas: int | None = None


class Global(DockerModel):
    pass


class ReplicatedJob(DockerModel):
    max_concurrent: int | None = None
    total_completions: int | None = None


class GlobalJob(DockerModel):
    pass


class ServiceMode(DockerModel):
    """Exactly one is set; none means replicated."""

    replicated: Replicated | None = None
    global_: Global | None = Field(default=None, alias="Global")
    replicated_job: ReplicatedJob | None = None
    global_job: GlobalJob | None = None


class FailureAction(StrEnum):
    PAUSE = "pause"
    CONTINUE = "continue"
    ROLLBACK = "rollback"


class UpdateOrder(StrEnum):
    STOP_FIRST = "stop-first"
    START_FIRST = "start-first"


class UpdateConfig(DockerModel):
    """`parallelism` 0 is all at once. Times in nanoseconds."""

    parallelism: int | None = None
    delay: Nanoseconds | None = None
    failure_action: FailureAction | None = None
    monitor: Nanoseconds | None = None
    max_failure_ratio: float | None = None
    order: UpdateOrder | None = None


class ServiceSpec(DockerModel):
    name: str | None = None
    labels: Labels | None = None
    task_template: TaskSpec = TaskSpec()
    mode: ServiceMode = ServiceMode()
    update_config: UpdateConfig | None = None
    rollback_config: UpdateConfig | None = None
    networks: tuple[NetworkAttachmentConfig, ...] | None = None
    endpoint_spec: EndpointSpec | None = None


class VirtualIP(DockerModel):
    network_id: str | None = None
    addr: str | None = None


class Endpoint(DockerModel):
    spec: EndpointSpec | None = None
    ports: tuple[PortConfig, ...] | None = None
    virtual_ips: tuple[VirtualIP, ...] | None = None


class UpdateState(StrEnum):
    UPDATING = "updating"
    PAUSED = "paused"
    COMPLETED = "completed"
    ROLLBACK_STARTED = "rollback_started"
    ROLLBACK_PAUSED = "rollback_paused"
    ROLLBACK_COMPLETED = "rollback_completed"


class UpdateStatus(DockerModel):
    state: UpdateState | None = None
    started_at: Timestamp | None = None
    completed_at: Timestamp | None = None
    message: str | None = None


class ServiceStatus(DockerModel):
    running_tasks: int = 0
    desired_tasks: int = 0
    completed_tasks: int = 0


class JobStatus(DockerModel):
    job_iteration: Version = Version()
    last_execution: Timestamp | None = None


class Service(DockerModel):
    """Answer of `GET /services/{id}`."""

    id: str
    version: Version = Version()
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    spec: ServiceSpec = ServiceSpec()
    previous_spec: ServiceSpec | None = None
    endpoint: Endpoint | None = None
    update_status: UpdateStatus | None = None
    service_status: ServiceStatus | None = None
    job_status: JobStatus | None = None
