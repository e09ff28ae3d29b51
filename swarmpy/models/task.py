"""Tasks as Docker shows them: `TaskSpec`, `TaskStatus`, `Task` (Engine API 1.45).

The store holds tasks in a smaller form (`manager.objects.Task`) that refers to its spec by version.
"""

from enum import StrEnum

from pydantic import Field

from swarmpy.models.base import DockerModel, Driver, Labels, Nanoseconds, TaskStateName, Timestamp, Version
from swarmpy.models.container import ContainerSpec
from swarmpy.models.network import IPAMOptions
from swarmpy.models.node import Platform
from swarmpy.models.port import PortConfig
from swarmpy.models.resources import GenericResource, ResourceRequirements
from swarmpy.states import TaskState


class RestartCondition(StrEnum):
    NONE = "none"
    ON_FAILURE = "on-failure"
    ANY = "any"


class RestartPolicy(DockerModel):
    """`max_attempts` 0 or absent is unlimited; `window` is the time over which attempts count, 0 for ever."""

    condition: RestartCondition | None = None
    delay: Nanoseconds | None = None
    max_attempts: int | None = None
    window: Nanoseconds | None = None


class SpreadOver(DockerModel):
    spread_descriptor: str


class PlacementPreference(DockerModel):
    spread: SpreadOver | None = None


class Placement(DockerModel):
    constraints: tuple[str, ...] | None = None
    preferences: tuple[PlacementPreference, ...] | None = None
    max_replicas: int | None = None
    platforms: tuple[Platform, ...] | None = None


class PluginPrivilege(DockerModel):
    name: str | None = None
    description: str | None = None
    value: tuple[str, ...] | None = None


class PluginSpec(DockerModel):
    name: str | None = None
    remote: str | None = None
    disabled: bool | None = None
    plugin_privilege: tuple[PluginPrivilege, ...] | None = None
    env: tuple[str, ...] | None = None


class NetworkAttachmentSpec(DockerModel):
    container_id: str | None = None


class NetworkAttachmentConfig(DockerModel):
    """A wish to join a network: `target` is its id (clients may send its name)."""

    target: str | None = None
    aliases: tuple[str, ...] | None = None
    driver_opts: dict[str, str] | None = None


class TaskSpec(DockerModel):
    plugin_spec: PluginSpec | None = None
    container_spec: ContainerSpec | None = None
    network_attachment_spec: NetworkAttachmentSpec | None = None
    resources: ResourceRequirements | None = None
    restart_policy: RestartPolicy | None = None
    placement: Placement | None = None
    force_update: int | None = None
    runtime: str | None = None
    networks: tuple[NetworkAttachmentConfig, ...] | None = None
    log_driver: Driver | None = None


class ContainerStatus(DockerModel):
    container_id: str | None = None
    pid: int | None = None
    exit_code: int | None = None


class PortStatus(DockerModel):
    ports: tuple[PortConfig, ...] | None = None


class TaskStatus(DockerModel):
    """Observed by the agent (or by the manager before a node is chosen)."""

    timestamp: Timestamp | None = None
    state: TaskStateName = TaskState.NEW
    message: str | None = None
    err: str | None = None
    container_status: ContainerStatus | None = None
    port_status: PortStatus | None = None


class AttachedNetworkSpec(DockerModel):
    name: str | None = None
    labels: Labels | None = None
    driver_configuration: Driver | None = None
    attachable: bool | None = None
    internal: bool | None = None
    ingress: bool | None = None
    ipam_options: IPAMOptions | None = None
    scope: str | None = None


class AttachedNetwork(DockerModel):
    id: str
    version: Version = Version()
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    spec: AttachedNetworkSpec = AttachedNetworkSpec()
    driver_state: Driver | None = None
    ipam_options: IPAMOptions | None = None


class NetworkAttachment(DockerModel):
    network: AttachedNetwork
    addresses: tuple[str, ...] | None = None


class VolumeAttachment(DockerModel):
    id: str | None = None
    source: str | None = None
    target: str | None = None


class TaskReason(DockerModel):
    """Beyond Docker: why a task does not run. `code` is a stable word, `nodes` says per node id why it was refused."""

    code: str
    text: str
    since: Timestamp
    nodes: dict[str, str] | None = None


class Task(DockerModel):
    """Answer of `GET /tasks/{id}`."""

    id: str
    version: Version = Version()
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    name: str | None = None
    labels: Labels = Field(default_factory=dict)
    spec: TaskSpec = TaskSpec()
    service_id: str | None = None
    slot: int | None = None
    node_id: str | None = None
    assigned_generic_resources: tuple[GenericResource, ...] | None = None
    status: TaskStatus = TaskStatus()
    desired_state: TaskStateName = TaskState.RUNNING
    networks_attachments: tuple[NetworkAttachment, ...] | None = None
    generic_resources: tuple[GenericResource, ...] | None = None
    job_iteration: Version | None = None
    volumes: tuple[VolumeAttachment, ...] | None = None
    reason: TaskReason | None = None
