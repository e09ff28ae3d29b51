"""Objects for tests, with all that a test does not care about filled in, and a State that holds them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from manager.objects import AnyObject, Cluster, Network, Node, Reason, Service, SpecRevision, Task, TaskNetwork
from manager.state import State
from manager.store.codec import encode
from manager.store.keys import key_of
from manager.store.port import Entry, Snapshot
from swarmpy.models.cluster import ClusterSpec, OrchestrationConfig
from swarmpy.models.container import ContainerSpec
from swarmpy.models.network import IPAM, IPAMConfig, NetworkCreate
from swarmpy.models.node import NodeDescription, NodeSpec
from swarmpy.models.port import EndpointSpec, PortConfig
from swarmpy.models.service import (
    Global,
    GlobalJob,
    Replicated,
    ReplicatedJob,
    ServiceMode,
    ServiceSpec,
    UpdateConfig,
    UpdateStatus,
)
from swarmpy.models.task import Placement, RestartPolicy, TaskSpec, TaskStatus
from swarmpy.states import Availability, NodeState, Role, TaskState

T0 = datetime(2030, 1, 1, tzinfo=UTC)
SECOND = 1_000_000_000


def at(seconds: float) -> datetime:
    """So many seconds after the tests' zero."""
    return T0 + timedelta(seconds=seconds)


def a_cluster(*, history_limit: int | None = None) -> Cluster:
    orchestration = OrchestrationConfig(task_history_retention_limit=history_limit)
    return Cluster(id="cluster", created_at=T0, updated_at=T0, spec=ClusterSpec(orchestration=orchestration))


def a_node(
    node_id: str,
    *,
    state: NodeState = NodeState.READY,
    availability: Availability = Availability.ACTIVE,
    labels: Mapping[str, str] | None = None,
    since: datetime = T0,
    message: str = "",
    role: Role = Role.WORKER,
) -> Node:
    return Node(
        id=node_id,
        created_at=T0,
        updated_at=T0,
        spec=NodeSpec(role=role, availability=availability, labels=dict(labels or {})),
        description=NodeDescription(hostname=node_id),
        state=state,
        since=since,
        message=message,
    )


def a_manager(node_id: str, *, state: NodeState = NodeState.READY) -> Node:
    node = a_node(node_id, state=state)
    spec = node.spec.model_copy(update={"role": Role.MANAGER})
    return node.model_copy(update={"spec": spec, "is_equipped": True})


def a_template(
    *,
    image: str = "web:1",
    restart: RestartPolicy | None = None,
    constraints: tuple[str, ...] = (),
    grace: int | None = None,
    **fields: Any,
) -> TaskSpec:
    return TaskSpec(
        container_spec=ContainerSpec(image=image, stop_grace_period=grace),
        restart_policy=restart,
        placement=Placement(constraints=constraints) if constraints else None,
        **fields,
    )


def a_service(
    name: str = "web",
    *,
    replicas: int = 1,
    mode: ServiceMode | None = None,
    template: TaskSpec | None = None,
    restart: RestartPolicy | None = None,
    update: UpdateConfig | None = None,
    rollback: UpdateConfig | None = None,
    ports: tuple[PortConfig, ...] = (),
    spec_version: int = 1,
    status: UpdateStatus | None = None,
    **fields: Any,
) -> Service:
    """Its id is its name."""
    spec = ServiceSpec(
        name=name,
        task_template=template or a_template(restart=restart),
        mode=mode or ServiceMode(replicated=Replicated(replicas=replicas)),
        update_config=update,
        rollback_config=rollback,
        endpoint_spec=EndpointSpec(ports=ports) if ports else None,
    )
    return Service(id=name, created_at=T0, updated_at=T0, spec=spec, spec_version=spec_version, update=status, **fields)


def a_global_service(name: str = "agent", **fields: Any) -> Service:
    return a_service(name, mode=ServiceMode(global_=Global()), **fields)


def a_job(
    name: str = "job", *, total: int | None = None, at_once: int | None = None, iteration: int = 0, **fields: Any
) -> Service:
    mode = ServiceMode(replicated_job=ReplicatedJob(max_concurrent=at_once, total_completions=total))
    return a_service(name, mode=mode, job_iteration=iteration, **fields)


def a_global_job(name: str = "job", *, iteration: int = 0, **fields: Any) -> Service:
    return a_service(name, mode=ServiceMode(global_job=GlobalJob()), job_iteration=iteration, **fields)


def a_revision(service: Service, number: int | None = None, template: TaskSpec | None = None) -> SpecRevision:
    """The service's present wish, or another one."""
    number = service.spec_version if number is None else number
    return SpecRevision(
        id=f"{service.id}/{number}",
        created_at=T0,
        updated_at=T0,
        service_id=service.id,
        number=number,
        template=template or service.spec.task_template,
    )


def a_task(
    task_id: str,
    service: Service | str = "web",
    *,
    slot: int = 1,
    state: TaskState = TaskState.RUNNING,
    desired: TaskState = TaskState.RUNNING,
    node: str = "n1",
    version: int = 1,
    created: float = 0,
    started: float | None = None,
    finished: float | None = None,
    start_after: float | None = None,
    reason: Reason | None = None,
    error: str | None = None,
    networks: tuple[str, ...] = (),
    **fields: Any,
) -> Task:
    """Times are seconds after the tests' zero. A task that runs has started when it was created, unless said."""
    service_id = service if isinstance(service, str) else service.id
    if started is None and state is TaskState.RUNNING:
        started = created
    return Task(
        id=task_id,
        created_at=at(created),
        updated_at=at(max(moment for moment in (created, started, finished) if moment is not None)),
        service_id=service_id,
        service_name=service_id,
        spec_version=version,
        slot=slot,
        node_id=node,
        desired_state=desired,
        status=TaskStatus(state=state, err=error),
        reason=reason,
        start_after=None if start_after is None else at(start_after),
        started_at=None if started is None else at(started),
        finished_at=None if finished is None else at(finished),
        networks=tuple(TaskNetwork(network_id=network) for network in networks),
        **fields,
    )


def a_network(name: str = "net", *, wished_subnet: str | None = None, **fields: Any) -> Network:
    """Its id is its name."""
    ipam = IPAM(config=(IPAMConfig(subnet=wished_subnet),)) if wished_subnet else None
    fields.setdefault("created_at", T0)
    return Network(id=name, updated_at=T0, spec=NetworkCreate(name=name, driver="overlay", ipam=ipam), **fields)


def a_state(*objects: AnyObject) -> State:
    """A State of these objects. Wishes that services and tasks refer to are added where they are not given."""
    given = {key_of(value): value for value in objects}
    for value in objects:
        if isinstance(value, Service):
            revision = a_revision(value)
            given.setdefault(key_of(revision), revision)
    for value in objects:
        service = given.get(f"services/{value.service_id}") if isinstance(value, Task) else None
        if isinstance(value, Task) and isinstance(service, Service):
            template = service.spec.task_template.model_copy(update={"force_update": 1000 + value.spec_version})
            revision = a_revision(service, value.spec_version, template)
            given.setdefault(key_of(revision), revision)
    state = State()
    entries = tuple(Entry(key, encode(value), 1, 1) for key, value in given.items())
    state.reset(Snapshot(1, entries))
    return state
