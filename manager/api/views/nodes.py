"""Nodes as Docker shows them. Pure."""

from typing import Any

from manager.objects import Node
from manager.state import State
from swarmpy.models import node as docker
from swarmpy.models.base import Version
from swarmpy.states import NodeState, Role


def node_document(node: Node, state: State) -> dict[str, Any]:
    """`Labels` is an object even when empty: docker-py compares it with what it sent."""
    return docker.Node(
        id=node.id,
        version=Version(index=node.version),
        created_at=node.created_at,
        updated_at=node.updated_at,
        spec=node.spec.model_copy(update={"labels": node.spec.labels or {}}),
        description=node.description,
        status=docker.NodeStatus(state=node.state, message=message_of(node) or None, addr=node.addr or None),
        manager_status=_manager_status(node, state),
    ).to_docker()


def message_of(node: Node) -> str:
    """Why it is not ready; of one that is, what of networks does not work there."""
    return node.message or "; ".join(node.limits)


def _manager_status(node: Node, state: State) -> docker.ManagerStatus | None:
    if node.spec.role is not Role.MANAGER:
        return None
    reachable = "reachable" if node.state is NodeState.READY else "unreachable"
    # Absent rather than false: so Docker's clients tell the leader.
    return docker.ManagerStatus(
        leader=True if state.leader == node.id else None, reachability=reachable, addr=node.address or None
    )
