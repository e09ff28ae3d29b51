"""From the state to the documents of `GET /status`. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from manager.api.lookup import visible_networks, visible_services
from manager.api.status import (
    ClusterStatus,
    LeaderStatus,
    NetworkLine,
    NodeLine,
    ReasonLine,
    ServiceLine,
    StatusDocument,
    StoreStatus,
)
from manager.api.steps import Steps, each
from manager.api.views.network_usage import NetworkUse, Used, addresses_used, usage_of
from manager.api.views.nodes import message_of
from manager.api.views.services import TaskCounts
from manager.api.views.stacks import stack_of
from manager.api.views.tasks import status_of
from manager.objects import Network, Node, ReasonCode, Service, Task
from manager.state import State
from swarmpy import __version__
from swarmpy.states import NodeState, TaskState

MODES = {
    "replicated": "replicated",
    "global_": "global",
    "replicated_job": "replicated-job",
    "global_job": "global-job",
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the state does not hold: this manager's view of etcd, of its own leading, and of the agents' sessions."""

    etcd: StoreStatus
    is_leading: bool
    is_connected: Callable[[str], bool]
    applied_revision: Callable[[str], int | None]
    mapped_revision: Callable[[str], int | None]


@dataclass(frozen=True, slots=True)
class Trouble:
    """As `manager.objects.Reason`, and cheap: a page may need ten thousand."""

    code: ReasonCode
    text: str
    since: datetime
    nodes: Mapping[str, str] = field(default_factory=dict)


def overview(
    state: State, around: Surroundings, services: Iterable[ServiceLine], networks: Iterable[NetworkLine]
) -> StatusDocument:
    """`services` and `networks` are the lines of all: there may be many tasks and shares behind them, so the caller
    makes them in portions that block nobody."""
    leader = state.nodes.get(state.leader)
    cluster = state.cluster
    return StatusDocument(
        cluster=ClusterStatus(
            id=cluster.id if cluster else "",
            name=(cluster.spec.name if cluster else None) or "",
            created_at=cluster.created_at if cluster else None,
            version=__version__,
        ),
        leader=LeaderStatus(
            node_id=state.leader, hostname=leader.description.hostname if leader else "", is_this=around.is_leading
        ),
        etcd=around.etcd,
        nodes=tuple(_node_line(node, state, around) for node in sorted(state.nodes.values(), key=_hostname)),
        services=tuple(sorted(services, key=lambda line: line.name)),
        networks=tuple(sorted(networks, key=lambda line: line.name)),
    )


def service_line(service: Service, state: State) -> Steps[ServiceLine]:
    """A step a task: there may be ten thousand."""
    counts, healthy = TaskCounts(service), 0
    groups: dict[tuple[str, str, str], list[tuple[str, Trouble]]] = {}
    for task in tuple(state.tasks_of_service(service.id)):
        counts.add(task)
        if is_healthy(task, state):
            healthy += 1
        elif is_trouble(task, state):
            trouble = trouble_of(task, state)
            groups.setdefault((trouble.code, trouble.text, task.state.label), []).append((task.id, trouble))
        yield
    reasons = []
    for key, group in groups.items():
        reasons.append((yield from _reason_line(*key, group, state)))
    status = counts.status()
    container, update = service.spec.task_template.container_spec, service.update
    return ServiceLine(
        id=service.id,
        name=service.spec.name or "",
        stack=stack_of(service.spec.labels),
        mode=next((word for field, word in MODES.items() if getattr(service.spec.mode, field) is not None), ""),
        image=(container.image if container else None) or "",
        desired=status.desired_tasks,
        running=status.running_tasks,
        healthy=healthy,
        completed=status.completed_tasks,
        update_state=update.state.value if update and update.state else "",
        update_message=(update.message if update else None) or "",
        reasons=tuple(sorted(reasons, key=lambda line: (line.since, line.text))),
    )


def service_lines(state: State) -> Steps[list[ServiceLine]]:
    lines = []
    for service in visible_services(state):
        lines.append((yield from service_line(service, state)))
    return lines


def network_lines(state: State) -> Steps[list[NetworkLine]]:
    used = yield from addresses_used(state)
    return (yield from each(tuple(visible_networks(state)), lambda network: _network_line(network, used, state)))


def is_healthy(task: Task, state: State) -> bool:
    """Running, meant to, and on a node that is heard; what a lost node runs is not known."""
    node = state.nodes.get(task.node_id)
    running = task.state is TaskState.RUNNING and task.is_wanted
    return running and node is not None and node.state is NodeState.READY


def is_trouble(task: Task, state: State) -> bool:
    """Wanted and not known to run, or given up for good."""
    gave_up = task.reason is not None and task.reason.code is ReasonCode.GAVE_UP
    return gave_up or (task.is_wanted and not is_healthy(task, state))


def trouble_of(task: Task, state: State) -> Trouble:
    """Why a task in trouble does not run. One on its way has no reason to wait; then the agent's words tell where it
    stands."""
    if task.state is TaskState.RUNNING:
        node = state.nodes.get(task.node_id)
        where = f"{hostname_of(state, task.node_id)} is {node.state.value if node else 'gone'}"
        text = f"node {where}; this task was running when it was last heard of"
        return Trouble(ReasonCode.NODE_DOWN, text, node.since if node else task.updated_at)
    if task.reason is not None:
        return Trouble(task.reason.code, task.reason.text, task.reason.since, task.reason.nodes)
    status = status_of(task)
    text = status.err or status.message or task.state.label
    return Trouble(ReasonCode.WAITING_AGENT, text, status.timestamp or task.created_at)


def _reason_line(code: str, text: str, label: str, group: list[tuple[str, Trouble]], state: State) -> Steps[ReasonLine]:
    """One line for all tasks of a service in one state with one reason."""
    nodes: dict[str, str] = {}
    for _, trouble in group:
        # As a rule each task was refused by every node, and the first has told it all.
        if len(nodes) < len(state.nodes):
            nodes.update(trouble.nodes)
            yield
    return ReasonLine(
        code=code,
        text=text,
        state=label,
        since=min(trouble.since for _, trouble in group),
        tasks=tuple(sorted(task_id for task_id, _ in group)),
        nodes={hostname_of(state, node): why for node, why in sorted(nodes.items())},
    )


def hostname_of(state: State, node_id: str) -> str:
    node = state.nodes.get(node_id)
    return (node.description.hostname if node else "") or node_id


def _node_line(node: Node, state: State, around: Surroundings) -> NodeLine:
    return NodeLine(
        id=node.id,
        hostname=node.description.hostname,
        role=node.spec.role.value,
        availability=node.spec.availability.value,
        state=node.state.value,
        since=node.since,
        message=message_of(node),
        addr=node.addr,
        engine_version=node.description.engine.engine_version or "",
        connected=around.is_connected(node.id),
        applied_revision=around.applied_revision(node.id),
        mapped_revision=around.mapped_revision(node.id),
        running_tasks=sum(task.state is TaskState.RUNNING for task in state.tasks_of_node(node.id)),
    )


def _network_line(network: Network, used: Used, state: State) -> NetworkLine:
    use = usage_of(network, used, state)
    return NetworkLine(
        id=network.id,
        name=network.spec.name,
        stack=stack_of(network.spec.labels),
        subnet=network.subnet,
        reason=network.reason.text if network.reason else _lack(use),
        used=use.used,
        total=use.total,
        full=use.full,
    )


def _lack(use: NetworkUse) -> str:
    """Of addresses for services."""
    if not use.lacking:
        return ""
    who = "1 service has" if use.lacking == 1 else f"{use.lacking} services have"
    return f"{who} no virtual address: all {use.vips_total} are given; choose a wider subnet"


def _hostname(node: Node) -> tuple[str, str]:
    return node.description.hostname, node.id
