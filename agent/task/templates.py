"""What the placeholders of `swarmpy.templating` stand for in a task on this node. Pure."""

from dataclasses import dataclass

from agent.task.names import container_name
from swarmpy.templating import LABELS, Value
from swarmpy.wire import TaskAssignment


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What templates and requests may know of the node. `api_version` is the engine's."""

    hostname: str
    os: str
    architecture: str
    api_version: tuple[int, int] = (1, 41)


def fields_of(task: TaskAssignment, node: NodeFacts) -> dict[str, Value]:
    """All of `swarmpy.templating.FIELDS`."""
    return {
        ".Service.ID": task.service_id,
        ".Service.Name": task.service_name,
        LABELS: task.service_labels,
        ".Node.ID": task.node_id,
        ".Node.Hostname": node.hostname,
        ".Node.Platform.OS": node.os,
        ".Node.Platform.Architecture": node.architecture,
        ".Task.ID": task.id,
        ".Task.Name": container_name(task),
        # Docker names a global task after its node here too.
        ".Task.Slot": str(task.slot) if task.slot else task.node_id,
    }
