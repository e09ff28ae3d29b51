"""What the store holds, one class a kind. Frozen values; `version` and `birth` are the key's mod and create revision,
set on reading.

Docker's form, which clients see, is made from these by `manager.api.views`.
"""

from enum import StrEnum

from pydantic import Field

from swarmpy.models.base import Document, TaskStateName, Timestamp
from swarmpy.models.cluster import ClusterSpec
from swarmpy.models.config import ConfigSpec
from swarmpy.models.network import NetworkCreate
from swarmpy.models.node import NodeDescription, NodeSpec
from swarmpy.models.port import PortConfig
from swarmpy.models.resources import GenericResource
from swarmpy.models.secret import SecretSpec
from swarmpy.models.service import ServiceSpec, UpdateStatus
from swarmpy.models.stack import StackOutcome, StackWish
from swarmpy.models.task import TaskSpec, TaskStatus
from swarmpy.states import NodeState, Role, TaskState
from swarmpy.tokens import host_of


class ReasonCode(StrEnum):
    """Why something does not run; stable words for machines."""

    NO_NODE = "no-node"
    NO_ADDRESS = "no-address"
    WAITING_RESTART_DELAY = "waiting-restart-delay"
    WAITING_OLD_TASK = "waiting-old-task"
    WAITING_DEPENDENCY = "waiting-dependency"
    WAITING_AGENT = "waiting-agent"
    WAITING_ENGINE = "waiting-engine"
    NODE_DOWN = "node-down"
    NODE_DRAINED = "node-drained"
    ENGINE = "engine"
    EXITED = "exited"
    UNHEALTHY = "unhealthy"
    REPLACED = "replaced"
    SCALED_DOWN = "scaled-down"
    SERVICE_REMOVED = "service-removed"
    GAVE_UP = "gave-up"


class Reason(Document):
    """`text` is one sentence for people; `nodes` says per node id why it was refused; `since` does not move
    while the code stays the same."""

    code: ReasonCode
    text: str
    since: Timestamp
    nodes: dict[str, str] = Field(default_factory=dict)


class Object(Document):
    id: str
    version: int = Field(default=0, exclude=True)
    birth: int = Field(default=0, exclude=True)
    created_at: Timestamp
    updated_at: Timestamp


class JoinSecrets(Document):
    """The secret halves of the join tokens, encrypted."""

    worker: str
    manager: str


class Cluster(Object):
    """`ca_certificate` (PEM) is what every member trusts; its key and the join tokens' secrets are encrypted.
    `address_pools` (CIDR) are where networks that name no subnet get theirs, of `subnet_size` bits; empty and 0 are as
    the allocator has it."""

    spec: ClusterSpec
    address_pools: tuple[str, ...] = ()
    subnet_size: int = 0
    ca_certificate: str = ""
    sealed_ca_key: str = Field(default="", repr=False)
    sealed_join_secrets: JoinSecrets | None = Field(default=None, repr=False)


class VirtualIP(Document):
    """One address of a service for all its tasks on a network, without a prefix."""

    network_id: str
    address: str


class Repair(Document):
    at: Timestamp
    what: tuple[str, ...]


class Node(Object):
    """`state` and `since` are what the leader saw last. `address` (`host:port`) is where its manager is reached when it
    is one, and `is_equipped` once it was given what a manager needs. `key_digest` is the SHA-256 of the public key that
    its certificates are made for. `volumes` are names of the engine's that tasks must be with, known also
    while the node is away. `features` are words for what its kernel can beyond what every node must, `routes` the
    subnets that it reaches otherwise than over our networks, `limits` sentences on what of networks does not work
    there. `wireguard_key` is public: by it peers reach the node in encrypted networks. `repaired` is what of its
    networks the node last found changed by others and mended."""

    spec: NodeSpec
    description: NodeDescription
    state: NodeState = NodeState.UNKNOWN
    message: str = ""
    since: Timestamp
    address: str = ""
    key_digest: str = ""
    is_equipped: bool = False
    volumes: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    wireguard_key: str = ""
    repaired: Repair | None = None

    @property
    def addr(self) -> str:
        """The address without the port."""
        return host_of(self.address) if self.address else ""

    @property
    def is_manager(self) -> bool:
        """Is to be one; whether it is yet, the store's members tell."""
        return self.spec.role is Role.MANAGER


class Service(Object):
    """`spec_version` numbers the task template (`specs/ID/N`); an update that leaves the template equal keeps it.

    A service whose `removed` is set is shown to nobody; its tasks are being stopped, and it goes when they are gone.
    `virtual_ips` and `published_ports` (the wished ports, each with a number) are the allocator's. Ports are None until
    they were given, and empty where none could be.
    """

    spec: ServiceSpec
    spec_version: int
    previous_spec: ServiceSpec | None = None
    previous_spec_version: int | None = None
    update: UpdateStatus | None = None
    # When the update was last continued by hand.
    update_resumed_at: Timestamp | None = None
    # Why a rollback was begun that nobody asked for.
    rollback_cause: str = ""
    job_iteration: int | None = None
    job_started_at: Timestamp | None = None
    removed: bool = False
    virtual_ips: tuple[VirtualIP, ...] = ()
    published_ports: tuple[PortConfig, ...] | None = None


class SpecRevision(Object):
    """One wish, written once. `id` is `SERVICE/N`. `sealed_auth` is the registry credential, encrypted."""

    service_id: str
    number: int
    template: TaskSpec
    sealed_auth: str | None = None


class ServiceRevision(Object):
    """One of the last wishes of a service; `id` is `SERVICE/N`. Its template is `specs/SERVICE/SPEC_VERSION`, and the
    spec has none (in older ones it stands twice): see `admission.revisions.wish_of`."""

    service_id: str
    number: int
    spec: ServiceSpec
    spec_version: int


class TaskNetwork(Document):
    """One network of a task. `address` (CIDR) is what the agent reported, empty before. `is_ingress`: it is on it for
    the ports that its service publishes."""

    network_id: str
    aliases: tuple[str, ...] = ()
    address: str = ""
    is_ingress: bool = False


class Task(Object):
    """One attempt to run one container.

    `slot` is 0 for global services; `node_id` is empty until placed. While `start_after` lies ahead the task is
    desired READY, later RUNNING. `finished_at` is when a finished state was first seen.
    """

    service_id: str
    service_name: str
    spec_version: int
    slot: int = 0
    node_id: str = ""
    desired_state: TaskStateName = TaskState.RUNNING
    status: TaskStatus = TaskStatus()
    reason: Reason | None = None
    start_after: Timestamp | None = None
    # When its wait for other services was over, if it had to wait for any.
    held_until: Timestamp | None = None
    started_at: Timestamp | None = None
    finished_at: Timestamp | None = None
    networks: tuple[TaskNetwork, ...] = ()
    ports: tuple[PortConfig, ...] = ()
    # The generic resources that the scheduler gave it.
    generic: tuple[GenericResource, ...] = ()
    job_iteration: int | None = None
    local_restarts: int = 0

    @property
    def state(self) -> TaskState:
        return self.status.state

    @property
    def is_live(self) -> bool:
        """Neither finished nor forgotten: may hold a container, now or soon."""
        return self.status.state.is_live

    @property
    def is_seen_running(self) -> bool:
        """Wanted, and known to run. One whose node is down may run, but nobody knows."""
        lost = self.reason is not None and self.reason.code is ReasonCode.NODE_DOWN
        return self.status.state is TaskState.RUNNING and self.is_wanted and not lost

    @property
    def is_wanted(self) -> bool:
        """Live, and meant to go on."""
        return self.is_live and self.desired_state <= TaskState.RUNNING


class NodeSubnet(Document):
    node_id: str
    subnet: str
    gateway: str


class RestingShare(Document):
    subnet: str
    since: Timestamp


class Network(Object):
    """`spec` is the wish; `subnet`, `vni` and the other subnets are the allocator's: those of nodes for addresses of
    tasks, those of services for their virtual addresses. `resting_shares` were nodes' a while ago."""

    spec: NetworkCreate
    subnet: str = ""
    gateway: str = ""
    vni: int = 0
    node_subnets: tuple[NodeSubnet, ...] = ()
    service_subnets: tuple[str, ...] = ()
    resting_shares: tuple[RestingShare, ...] = ()
    reason: Reason | None = None
    removed: bool = False


class Secret(Object):
    """`spec.data` is always absent here; the value lies in `sealed`, encrypted."""

    spec: SecretSpec
    sealed: str = Field(repr=False)


class Config(Object):
    """Kept as a secret is."""

    spec: ConfigSpec
    sealed: str = Field(repr=False)


class StackRevision(Object):
    """What one deployment of a stack carried out. `id` is `STACK.N`; a stack's name has no dot. `wish_digest` is empty
    in those from before there was one."""

    stack: str
    number: int
    wish: StackWish
    wish_digest: str = ""
    outcome: StackOutcome = StackOutcome()


AnyObject = Cluster | Node | Service | SpecRevision | ServiceRevision | Task | Network | Secret | Config | StackRevision
