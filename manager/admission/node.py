"""A wish about a node, checked and turned into writes: update, remove. Pure."""

from collections.abc import Sequence
from datetime import datetime

from manager.admission.admitted import Admitted, unchanged
from manager.admission.coverage import refuse_unsupported
from manager.admission.texts import check_texts
from manager.members.port import Member
from manager.members.reconcile import why_not_fewer_managers
from manager.objects import Node
from manager.state import State
from manager.store.codec import put
from manager.store.keys import key_of
from manager.store.port import Delete, Unit
from swarmpy.errors import BadRequest, OutOfSequence
from swarmpy.models.node import NodeSpec
from swarmpy.states import NodeState, Role


def admit_node_update(
    state: State,
    node: Node,
    spec: NodeSpec,
    *,
    version: int,
    now: datetime,
    members: Sequence[Member] | None = None,
) -> Admitted[Node]:
    """`members` of etcd are None where the operators bring it. Raises `BadRequest` when the managers that stay could
    not go on."""
    if version != node.version:
        raise OutOfSequence()
    refuse_unsupported(spec)
    check_texts(spec)
    is_demoted = node.is_manager and spec.role is Role.WORKER
    if is_demoted and (obstacle := why_not_fewer_managers(state, node.id, members)):
        raise BadRequest(obstacle)
    wish = spec.model_copy(update={"labels": spec.labels or {}})
    if wish == node.spec.model_copy(update={"labels": node.spec.labels or {}}):
        return unchanged(node)
    equipped = node.is_equipped and not is_demoted
    after = node.model_copy(update={"spec": wish, "is_equipped": equipped, "updated_at": now})
    return Admitted(after, (Unit((put(after),)),))


def admit_node_removal(node: Node, *, force: bool) -> Admitted[Node]:
    """A manager is never removed this way; a worker that is up only by force."""
    name = node.description.hostname or node.id
    if node.spec.role is Role.MANAGER:
        raise BadRequest(f"node {name} is a manager and can't be removed: demote it first")
    if node.state is not NodeState.DOWN and not force:
        raise BadRequest(f"node {name} is not down and can't be removed")
    return Admitted(node, (Unit((Delete(key_of(node), modified=node.version),)),))
