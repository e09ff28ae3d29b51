"""Which members of the database should be, compared with those that are. Pure: no clock, no I/O.

Should be: the nodes whose record says manager. Owns also what follows from that for who may lead, and which manager
may be missed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from manager.members.port import Member, MemberID
from manager.objects import Node
from manager.state import State
from swarmpy.states import NodeState, Role

# A new member fetches all data before it can vote.
PATIENCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Removal:
    member: Member
    because: str


@dataclass(frozen=True, slots=True)
class MemberPlan:
    """One change at a time. `resign`: this node's own member has to go, and only another leader can do that. `held`
    says what should go but cannot now. `is_settled`: the members are those that should be. Until then it is worth
    looking often, for no record tells that a member has started."""

    remove: Removal | None = None
    promote: Member | None = None
    resign: bool = False
    held: str = ""
    is_settled: bool = True


def reconcile_members(
    state: State,
    members: Sequence[Member],
    own_node_id: str,
    new_since: Mapping[MemberID, datetime],
    now: datetime,
    patience: timedelta = PATIENCE,
) -> MemberPlan:
    """What the leader does next. `members` must have been read before `state`: a node becomes a manager in its record
    first and in the list second, so that whoever is in the list without a record has lost it.

    `new_since`: when each member that does not vote yet, or never started, was first seen so.
    """
    if not may_lead(state, own_node_id):
        return MemberPlan(resign=True)
    if all(member.name != own_node_id for member in members):
        # Not the list of the database that this manager uses, or one too old to be decided upon.
        return MemberPlan(is_settled=False)
    unwanted = [
        Removal(member, because)
        for member in members
        if member.name != own_node_id
        and (because := _why_unwanted(state, member, new_since.get(member.id, now), now, patience))
    ]
    # The dead first: without them the rest can spare more.
    unwanted.sort(key=lambda removal: (_is_healthy(state, removal.member, own_node_id), removal.member.id))
    removable = [removal for removal in unwanted if _is_spared(state, members, removal.member, own_node_id)]
    learned = [one for one in members if not one.votes and one.is_started and _is_manager(state, one.name)]
    return MemberPlan(
        remove=removable[0] if removable else None,
        promote=learned[0] if learned and not removable else None,
        held=_held(unwanted) if unwanted and not removable else "",
        is_settled=not unwanted and all(member.votes for member in members) and _have_all(state, members),
    )


def may_lead(state: State, node_id: str) -> bool:
    """Whether this node's manager may lead: not one whose record says worker, nor one whose record was removed.

    The first manager of a cluster has no record until its agent comes: without a record it leads as long as no other
    node is a manager.
    """
    node = state.nodes.get(node_id)
    if node is not None:
        return node.spec.role is Role.MANAGER
    return not _managers(state)


def why_not_fewer_managers(state: State, leaving: str, members: Sequence[Member] | None = None) -> str | None:
    """The sentence with which this node's demotion or removal is refused; None when the cluster can miss it.

    A manager that was not equipped yet, or with `members` does not vote yet, counts as not ready: it cannot carry on
    alone, and nobody could help it.
    """
    if not _is_manager(state, leaving):
        return None
    rest = [node for node in _managers(state) if node.id != leaving]
    if not rest:
        return f"{_name(state.nodes[leaving])} is the last manager: promote another node first, then repeat"
    voting = None if members is None else {member.name for member in members if member.votes}
    if voting is not None and (going := [name for name in voting if name and not _is_manager(state, name)]):
        whose = ", ".join(_name(state.nodes[name]) if name in state.nodes else name for name in going)
        return f"{whose} is just being removed from the managers: try again when that is done"
    away = [
        node
        for node in rest
        if node.state is not NodeState.READY or (node.id not in voting if voting is not None else not node.is_equipped)
    ]
    ready = len(rest) - len(away)
    if 2 * ready > len(rest):
        return None
    return (
        f"without {_name(state.nodes[leaving])} only {ready} of {len(rest)} managers would be ready, no majority: "
        f"bring back or demote {', '.join(sorted(map(_name, away)))} first, then repeat"
    )


def _why_unwanted(state: State, member: Member, since: datetime, now: datetime, patience: timedelta) -> str:
    """Empty for a member that should be."""
    is_late = now - since >= patience
    if not member.is_started:
        return "its node never started it" if is_late else ""
    node = state.nodes.get(member.name)
    if node is None:
        return "its node is no part of the cluster"
    if node.spec.role is not Role.MANAGER:
        return "its node is no manager"
    if not member.votes and is_late and node.state is not NodeState.READY:
        return "its node was lost before it could vote"
    return ""


def _have_all(state: State, members: Sequence[Member]) -> bool:
    return {node.id for node in _managers(state)} <= {member.name for member in members}


def _is_spared(state: State, members: Sequence[Member], leaving: Member, own_node_id: str) -> bool:
    """Whether those that stay keep a majority that is healthy. Who does not vote counts for none."""
    if not leaving.votes:
        return True
    rest = [member for member in members if member.votes and member.id != leaving.id]
    healthy = [member for member in rest if _is_healthy(state, member, own_node_id)]
    return 2 * len(healthy) > len(rest)


def _is_healthy(state: State, member: Member, own_node_id: str) -> bool:
    """As far as the records tell; etcd has its own look before it removes."""
    if member.name == own_node_id:
        return True
    node = state.nodes.get(member.name)
    return node is not None and node.state is NodeState.READY


def _held(unwanted: Sequence[Removal]) -> str:
    whose = ", ".join(f"{removal.member.name or removal.member.peer_urls} ({removal.because})" for removal in unwanted)
    return f"cannot be removed before a majority of the others is ready: {whose}"


def _managers(state: State) -> list[Node]:
    return [node for node in state.nodes.values() if node.spec.role is Role.MANAGER]


def _is_manager(state: State, node_id: str) -> bool:
    node = state.nodes.get(node_id)
    return node is not None and node.spec.role is Role.MANAGER


def _name(node: Node) -> str:
    return node.description.hostname or node.id
