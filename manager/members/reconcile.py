"""Which members the store is to have: those nodes that are managers, and no others. Pure.

A node becomes a member by asking (`Registrar.add_member`); here it is given its vote when it has caught up, and here it
is removed when its node is a manager no more. One step at a time: the next look sees what became of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from manager.members.port import Member
from manager.objects import Node
from manager.state import State
from swarmpy.states import NodeState
from swarmpy.tokens import host_of


@dataclass(frozen=True, slots=True)
class MemberPlan:
    """`promote` and `remove` are ids of members."""

    promote: tuple[int, ...] = ()
    remove: int | None = None


def reconcile_members(state: State, members: Sequence[Member], own_node_id: str) -> MemberPlan:
    """The leader's own member is never removed: a leader that is to be a worker leads no more."""
    unwanted = next(
        (member for member in members if _node_of(state, member) is None and member.name != own_node_id), None
    )
    learners = tuple(member.id for member in members if member.is_learner and member.has_started)
    return MemberPlan(promote=learners, remove=unwanted.id if unwanted else None)


def _node_of(state: State, member: Member) -> Node | None:
    """The manager that a member belongs to. One that has not started has no name yet, only an address."""
    if member.has_started:
        node = state.nodes.get(member.name)
        return node if node is not None and node.is_manager else None
    host = host_of(member.peer_url.removeprefix("https://"))
    return next((node for node in state.nodes.values() if node.is_manager and node.addr == host), None)


def why_not_fewer_managers(state: State, leaving: str) -> str | None:
    """Why the cluster cannot do without this manager, in words; None when it can, or the node is no manager."""
    node = state.nodes.get(leaving)
    if node is None or not node.is_manager:
        return None
    name = node.description.hostname or node.id
    staying = [other for other in state.nodes.values() if other.is_manager and other.id != leaving]
    if not staying:
        return f"node {name} is the last manager: without it the cluster would be lost; promote another node first"
    ready = [other for other in staying if other.state is NodeState.READY]
    quorum = len(staying) // 2 + 1
    if len(ready) < quorum:
        return (
            f"node {name} is needed: of the {len(staying)} managers that would stay, {len(ready)} are ready, and "
            f"{quorum} must be for the cluster to go on; bring the others back, or remove those first that are down"
        )
    return None
