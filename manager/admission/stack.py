"""Revisions of stacks: which are kept, and which are forgotten. Pure."""

from datetime import datetime

from manager.admission.admitted import Admitted, unchanged
from manager.objects import StackRevision
from manager.state import State
from manager.store.codec import encode, put
from manager.store.keys import key_of
from manager.store.port import Delete, Unit
from swarmpy.errors import BadRequest, NotFound
from swarmpy.models.stack import StackWish
from swarmpy.stack.names import fault_of_name

KEPT = 10
LARGEST = 1 << 20


def admit_revision(state: State, stack: str, wish: StackWish, *, now: datetime) -> Admitted[StackRevision]:
    """The next number; the oldest beyond the newest ten go in the same write. A wish equal to the newest revision's is
    that revision."""
    if (fault := fault_of_name(stack)) is not None:
        raise BadRequest(f"stack name {fault}")
    known = revisions_of(state, stack)
    if known and known[-1].wish == wish:
        return unchanged(known[-1])
    number = known[-1].number + 1 if known else 1
    revision = StackRevision(
        id=f"{stack}.{number}", created_at=now, updated_at=now, stack=stack, number=number, wish=wish
    )
    size = len(encode(revision))
    if size > LARGEST:
        raise BadRequest(
            f"the stack {stack} takes {size >> 10} KiB, and a revision takes {LARGEST >> 10} KiB at most: "
            "it is not kept, so nothing can go back to it"
        )
    return Admitted(revision, (Unit((put(revision, create=True), *_deleted(known[: 1 - KEPT]))),))


def admit_forgetting(state: State, stack: str) -> Admitted[StackRevision]:
    """All of them. Raises `NotFound` when there are none."""
    known = revisions_of(state, stack)
    if not known:
        raise NotFound(f"stack {stack} has no revisions")
    return Admitted(known[-1], (Unit(_deleted(known)),))


def find_revision(state: State, stack: str, number: int) -> StackRevision:
    revision = state.stacks.get(f"{stack}.{number}")
    if revision is None:
        raise NotFound(f"stack {stack} has no revision {number}")
    return revision


def revisions_of(state: State, stack: str) -> tuple[StackRevision, ...]:
    """Oldest first."""
    found = (revision for revision in state.stacks.values() if revision.stack == stack)
    return tuple(sorted(found, key=lambda revision: revision.number))


def _deleted(revisions: tuple[StackRevision, ...]) -> tuple[Delete, ...]:
    return tuple(Delete(key_of(revision), modified=revision.version) for revision in revisions)
