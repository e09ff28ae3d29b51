"""Nodes: Docker's `Node`, `NodeSpec`, `NodeDescription` (Engine API 1.45)."""

from swarmpy.models.base import DockerModel, Labels, Timestamp, Version
from swarmpy.models.cluster import TLSInfo
from swarmpy.models.resources import Resources
from swarmpy.states import Availability, NodeState, Role


class NodeSpec(DockerModel):
    name: str | None = None
    labels: Labels | None = None
    role: Role = Role.WORKER
    availability: Availability = Availability.ACTIVE


class Platform(DockerModel):
    architecture: str | None = None
    os: str | None = None


# A type of plugins that is ours: what the engine can run containers with.
RUNTIME = "Runtime"


class Plugin(DockerModel):
    type: str | None = None
    name: str | None = None


class EngineDescription(DockerModel):
    engine_version: str | None = None
    labels: Labels | None = None
    plugins: tuple[Plugin, ...] | None = None


class NodeDescription(DockerModel):
    """What the agent tells of its machine."""

    hostname: str = ""
    platform: Platform = Platform()
    resources: Resources = Resources()
    engine: EngineDescription = EngineDescription()
    tls_info: TLSInfo | None = None


class NodeStatus(DockerModel):
    state: NodeState = NodeState.UNKNOWN
    message: str | None = None
    addr: str | None = None


class ManagerStatus(DockerModel):
    leader: bool | None = None
    reachability: str | None = None
    addr: str | None = None


class Node(DockerModel):
    id: str
    version: Version = Version()
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    spec: NodeSpec = NodeSpec()
    description: NodeDescription = NodeDescription()
    status: NodeStatus = NodeStatus()
    manager_status: ManagerStatus | None = None
