"""Objects as the store holds them, and a `State` that shows them."""

from datetime import UTC, datetime
from typing import Any

from manager.objects import AnyObject, Network, Node, NodeSubnet, Service, SpecRevision, Task, TaskNetwork
from manager.state import State
from manager.store.codec import encode
from manager.store.keys import key_of
from manager.store.port import Entry, Snapshot
from swarmpy.models.container import ContainerSpec
from swarmpy.models.network import NetworkCreate
from swarmpy.models.node import NodeDescription, NodeSpec
from swarmpy.models.service import Replicated, ServiceMode, ServiceSpec
from swarmpy.models.task import TaskSpec, TaskStatus
from swarmpy.states import Availability, NodeState, Role, TaskState

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
_TIMES = {"created_at": NOW, "updated_at": NOW}


def picture(*objects: AnyObject, revision: int = 7) -> State:
    """A state that shows these objects, all written at one revision."""
    entries = tuple(Entry(key_of(value), encode(value), revision, revision) for value in objects)
    state = State()
    state.reset(Snapshot(revision, entries))
    return state


def a_template(image: str = "app:1", **fields: Any) -> TaskSpec:
    return TaskSpec(container_spec=ContainerSpec(image=image), **fields)


def a_service(name: str = "web", *, replicas: int = 1, **fields: Any) -> Service:
    mode = fields.pop("mode", ServiceMode(replicated=Replicated(replicas=replicas)))
    spec = ServiceSpec(name=name, mode=mode, task_template=fields.pop("template", a_template()), **fields)
    return Service(id=name, spec=spec, spec_version=1, **_TIMES)


def a_wish(service: str = "web", number: int = 1, **fields: Any) -> SpecRevision:
    template = fields.pop("template", a_template())
    return SpecRevision(
        id=f"{service}/{number}", service_id=service, number=number, template=template, **_TIMES, **fields
    )


def a_task(
    id: str = "t1",
    *,
    service: str = "web",
    node: str = "n1",
    state: TaskState = TaskState.RUNNING,
    networks: tuple[str, ...] = (),
    **fields: Any,
) -> Task:
    return Task(
        id=id,
        service_id=service,
        service_name=service,
        spec_version=1,
        node_id=node,
        slot=fields.pop("slot", 1),
        status=fields.pop("status", TaskStatus(state=state, timestamp=NOW)),
        networks=tuple(TaskNetwork(network_id=network) for network in networks),
        **_TIMES,
        **fields,
    )


def a_node(id: str = "n1", **fields: Any) -> Node:
    spec = NodeSpec(
        labels=fields.pop("labels", None),
        role=fields.pop("role", Role.WORKER),
        availability=fields.pop("availability", Availability.ACTIVE),
    )
    state = fields.pop("state", NodeState.READY)
    return Node(id=id, spec=spec, description=NodeDescription(hostname=id), state=state, since=NOW, **_TIMES, **fields)


def a_network(id: str = "net", *, subnets: dict[str, str] | None = None, **spec: Any) -> Network:
    parts = tuple(
        NodeSubnet(node_id=node, subnet=subnet, gateway=subnet.replace(".0/", ".1/").split("/")[0])
        for node, subnet in (subnets or {}).items()
    )
    return Network(id=id, spec=NetworkCreate(name=id, **spec), vni=4097, node_subnets=parts, **_TIMES)
