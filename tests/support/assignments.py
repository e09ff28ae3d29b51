"""Assignments as a manager would send them, with only what a test cares about spelled out."""

from typing import Any

from swarmpy.ids import id_from_number
from swarmpy.models.container import ContainerSpec
from swarmpy.models.task import TaskSpec
from swarmpy.states import TaskState
from swarmpy.wire import NetworkAssignment, TaskAssignment, TaskNetworkAssignment

NODE_ID = id_from_number(77)


def an_assignment(
    number: int = 1,
    *,
    image: str = "app:1",
    desired: TaskState = TaskState.RUNNING,
    node_id: str = NODE_ID,
    networks: tuple[str, ...] = (),
    task_spec: dict[str, Any] | None = None,
    service: str = "web",
    **container: Any,
) -> TaskAssignment:
    """Task `number` in that slot of a service; other arguments are fields of its container, or of the task."""
    fields = {name: container.pop(name) for name in list(container) if name in TaskAssignment.model_fields}
    spec = TaskSpec(container_spec=ContainerSpec(image=image, **container), **(task_spec or {}))
    return TaskAssignment(
        id=id_from_number(number),
        service_id=id_from_number(1000),
        service_name=service,
        slot=fields.pop("slot", number),
        node_id=node_id,
        spec_version=1,
        desired_state=desired,
        spec=spec,
        networks=tuple(TaskNetworkAssignment(network_id=id) for id in networks),
        **fields,
    )


def desired(task: TaskAssignment, state: TaskState) -> TaskAssignment:
    return task.model_copy(update={"desired_state": state})


def a_network(number: int = 1, **fields: Any) -> NetworkAssignment:
    return NetworkAssignment(
        id=id_from_number(5000 + number),
        name=fields.pop("name", "front"),
        subnet=fields.pop("subnet", f"10.200.{number}.0/24"),
        gateway=fields.pop("gateway", f"10.200.{number}.1"),
        vni=4096 + number,
        **fields,
    )
