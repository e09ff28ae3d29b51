"""Names and labels that tasks, containers and networks carry on the engine: by them the agent knows its own. Pure."""

from swarmpy.wire import NetworkAssignment, TaskAssignment

TASK_LABEL = "swarmpy.task"
NODE_LABEL = "swarmpy.node"
NETWORK_LABEL = "swarmpy.network"


def container_name(task: TaskAssignment) -> str:
    """`web.2.<task id>`; a global service has the node in place of the slot."""
    return f"{task.service_name}.{task.slot or task.node_id}.{task.id}"


def container_labels(task: TaskAssignment) -> dict[str, str]:
    """The user's labels, those that Docker's Swarm sets (monitoring tools look for them), and ours."""
    container = task.spec.container_spec
    return {
        **((container.labels if container else None) or {}),
        "com.docker.swarm.node.id": task.node_id,
        "com.docker.swarm.service.id": task.service_id,
        "com.docker.swarm.service.name": task.service_name,
        "com.docker.swarm.task": "",
        "com.docker.swarm.task.id": task.id,
        "com.docker.swarm.task.name": container_name(task),
        TASK_LABEL: task.id,
        NODE_LABEL: task.node_id,
        "swarmpy.service": task.service_id,
        "swarmpy.slot": str(task.slot),
        "swarmpy.spec-version": str(task.spec_version),
    }


def network_name(network: NetworkAssignment) -> str:
    """The engine's name of our part of a network; never that of a network somebody made by hand."""
    return f"{network.name}.{network.id}"


def network_id_of(name: str) -> str | None:
    """The network id in a name made by `network_name`; None for other names."""
    _, dot, id = name.rpartition(".")
    return id if dot else None


def network_labels(network: NetworkAssignment, node_id: str) -> dict[str, str]:
    return {**network.labels, NETWORK_LABEL: network.id, NODE_LABEL: node_id}
