"""Short ways to say nodes, wishes and clusters in tests of the scheduler."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from scheduler.constraints import parse_constraints
from scheduler.node import find_attribute
from scheduler.place import Placed, Refused, TaskGroup, place
from scheduler.requirements import HostPort
from scheduler.view import ClusterView, NodeInfo, PlacedTask, Requirements
from swarmpy.models.resources import DiscreteResource, GenericResource, NamedResource, Resources
from swarmpy.states import Availability

NOW = datetime(2030, 1, 1, tzinfo=UTC)
CPU = 10**9
MIB = 1 << 20
GIB = 1 << 30


def node(
    node_id: str,
    *,
    cpus: int = 8,
    memory: int = 16 * GIB,
    generic: tuple[GenericResource, ...] = (),
    labels: Mapping[str, str] | None = None,
    ready: bool = True,
    availability: Availability = Availability.ACTIVE,
    message: str = "",
    os: str = "linux",
    arch: str = "amd64",
    plugins: Iterable[tuple[str, str]] = (),
) -> NodeInfo:
    return NodeInfo(
        node_id,
        hostname=f"host-{node_id}",
        os=os,
        arch=arch,
        labels=labels or {},
        plugins=frozenset(plugins),
        ready=ready,
        availability=availability,
        state_message=message,
        capacity=Resources(nano_cpus=cpus * CPU, memory_bytes=memory, generic_resources=generic),
    )


def wish(
    *constraints: str,
    spread: Iterable[str] = (),
    cpus: float = 0,
    memory: int = 0,
    generic: tuple[GenericResource, ...] = (),
    host_ports: tuple[HostPort, ...] = (),
    platforms: tuple[tuple[str, str], ...] = (),
    plugins: tuple[tuple[str, str], ...] = (),
    max_replicas: int = 0,
    networks: tuple[str, ...] = (),
) -> Requirements:
    attributes = tuple(a for text in spread if (a := find_attribute(text)) is not None)
    return Requirements(
        constraints=parse_constraints(constraints),
        platforms=platforms,
        plugins=plugins,
        spread=attributes,
        nano_cpus=int(cpus * CPU),
        memory_bytes=memory,
        generic=generic,
        host_ports=host_ports,
        max_replicas=max_replicas,
        networks=networks,
    )


def number_of(kind: str, value: int) -> GenericResource:
    return GenericResource(discrete_resource_spec=DiscreteResource(kind=kind, value=value))


def named(kind: str, value: str) -> GenericResource:
    return GenericResource(named_resource_spec=NamedResource(kind=kind, value=value))


def group(service: str, tasks: int, asked: Requirements | None = None, *, version: int = 1, on: str = "") -> TaskGroup:
    """Tasks `web.1`, `web.2` ... of service `web`."""
    ids = tuple(f"{service}.{number}" for number in range(1, tasks + 1))
    return TaskGroup(service, version, asked or Requirements(), ids, on)


def cluster(*nodes: NodeInfo) -> ClusterView:
    view = ClusterView()
    for info in nodes:
        view.put_node(info)
    return view


def running(view: ClusterView, service: str, *node_ids: str, asked: Requirements | None = None) -> None:
    """Tasks `service@0`, `service@1` ... that run already, one on each of the nodes."""
    for number, node_id in enumerate(node_ids):
        task_id = f"{service}@{number}"
        view.add_task(PlacedTask(task_id, service, 1, node_id, asked or Requirements(), name=f"{service}.{number}"))


def placed_on(view: ClusterView, *groups: TaskGroup) -> list[str]:
    """The nodes chosen, in the order of the tasks. Fails when a task was refused."""
    outcomes = place(view, groups, NOW)
    assert not [o for o in outcomes if isinstance(o, Refused)]
    return [o.node_id for o in outcomes if isinstance(o, Placed)]


def refused(view: ClusterView, one: TaskGroup) -> Refused:
    """The group's refusal. Fails when there is none."""
    (refusal,) = (o for o in place(view, (one,), NOW) if isinstance(o, Refused))
    return refusal
