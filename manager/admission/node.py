"""A wish about a node, checked and turned into writes: update, remove. Pure."""

from datetime import datetime

from manager.admission.admitted import Admitted, unchanged
from manager.admission.coverage import refuse_unsupported
from manager.objects import Node
from manager.store.codec import put
from manager.store.keys import key_of
from manager.store.port import Delete, Unit
from swarmpy.errors import BadRequest, OutOfSequence, Unsupported
from swarmpy.models.node import NodeSpec
from swarmpy.states import NodeState, Role


def admit_node_update(node: Node, spec: NodeSpec, *, version: int, now: datetime) -> Admitted[Node]:
    if version != node.version:
        raise OutOfSequence()
    refuse_unsupported(spec)
    if spec.role is not node.spec.role:
        raise Unsupported(f"Role {spec.role.value}: changing a node's role is not carried out yet")
    wish = spec.model_copy(update={"labels": spec.labels or {}})
    if wish == node.spec.model_copy(update={"labels": node.spec.labels or {}}):
        return unchanged(node)
    after = node.model_copy(update={"spec": wish, "updated_at": now})
    return Admitted(after, (Unit((put(after),)),))


def admit_node_removal(node: Node, *, force: bool) -> Admitted[Node]:
    """A manager is never removed this way; a worker that is up only by force."""
    name = node.description.hostname or node.id
    if node.spec.role is Role.MANAGER:
        raise BadRequest(f"node {name} is a manager and can't be removed")
    if node.state is not NodeState.DOWN and not force:
        raise BadRequest(f"node {name} is not down and can't be removed")
    return Admitted(node, (Unit((Delete(key_of(node), modified=node.version),)),))
