"""A node that asks to join or to leave, checked and turned into writes. Pure; who asks was proved before."""

from dataclasses import dataclass
from datetime import datetime

from manager.admission.admitted import Admitted, unchanged
from manager.objects import Node
from manager.state import State
from manager.store.codec import put
from manager.store.keys import key_of
from manager.store.port import Delete, Unit
from swarmpy.errors import BadRequest, Conflict
from swarmpy.ids import is_id
from swarmpy.models.node import NodeDescription, NodeSpec
from swarmpy.states import Role
from swarmpy.tokens import parse_address

_LONGEST_HOSTNAME = 253


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that showed a good token: `role` is the token's, `key_digest` names the key that it holds."""

    node_id: str
    role: Role
    hostname: str
    address: str
    key_digest: str


def admit_join(state: State, candidate: Candidate, now: datetime) -> Admitted[Node]:
    """A node that asks again, because it heard no answer or its certificate has ended, is the same node."""
    if not is_id(candidate.node_id):
        raise BadRequest("a node's id is 25 lower-case letters and digits")
    if not 0 < len(candidate.hostname) <= _LONGEST_HOSTNAME:
        raise BadRequest(f"a node's host name has 1 to {_LONGEST_HOSTNAME} characters")
    parse_address(candidate.address, "--advertise-address", 0)
    known = state.nodes.get(candidate.node_id)
    if known is None:
        node = Node(
            id=candidate.node_id,
            created_at=now,
            updated_at=now,
            spec=NodeSpec(role=candidate.role),
            description=NodeDescription(hostname=candidate.hostname),
            since=now,
            message="has not connected yet",
            address=candidate.address,
            key_digest=candidate.key_digest,
        )
        return Admitted(node, (Unit((put(node, create=True),)),))
    if known.key_digest != candidate.key_digest:
        raise Conflict(
            f"node id {candidate.node_id} is taken by another node: `swarmpy leave --force`, then join again"
        )
    if known.spec.role is not candidate.role:
        # A token is no way around the checks of a promotion or demotion.
        raise Conflict(f"this node is a {known.spec.role} on record: join with `swarmpy token {known.spec.role}`")
    after = known.model_copy(update={"address": candidate.address})
    if after == known:
        return unchanged(known)
    after = after.model_copy(update={"updated_at": now})
    return Admitted(after, (Unit((put(after),)),))


def admit_equipped(node: Node, now: datetime) -> Admitted[Node]:
    """The node was given what a manager needs."""
    if node.is_equipped:
        return unchanged(node)
    after = node.model_copy(update={"is_equipped": True, "updated_at": now})
    return Admitted(after, (Unit((put(after),)),))


def admit_leave(node: Node) -> Admitted[Node]:
    """Nothing of the node stays; what it ran is placed elsewhere."""
    return Admitted(node, (Unit((Delete(key_of(node), modified=node.version),)),))
