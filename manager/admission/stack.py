"""Revisions of stacks: which are kept, and which are forgotten. Pure."""

import json
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256

from manager.admission.admitted import Admitted, unchanged
from manager.admission.service import means_any
from manager.objects import Service, StackRevision
from manager.state import State
from manager.store.codec import encode, put
from manager.store.keys import key_of
from manager.store.port import Delete, Unit
from swarmpy.errors import BadRequest, NotFound
from swarmpy.models.service import ServiceSpec, UpdateState
from swarmpy.models.stack import OutcomeState, StackOutcome, StackWish
from swarmpy.stack.names import fault_of_name

KEPT = 10
LARGEST = 1 << 20
# The wish from before such an update is not gone back to any more, or is the present one again.
_SETTLED = frozenset({UpdateState.COMPLETED, UpdateState.ROLLBACK_STARTED, UpdateState.ROLLBACK_PAUSED,
                      UpdateState.ROLLBACK_COMPLETED})  # fmt: skip
_ENDS = frozenset({OutcomeState.CONVERGED, OutcomeState.FAILED})


def admit_revision(state: State, stack: str, wish: StackWish, *, now: datetime) -> Admitted[StackRevision]:
    """The next number; the oldest beyond ten go in the same write, but not the one that runs, nor the one that its
    services would go back to by themselves, nor the newest that is known to be good: after deployments that all failed
    it is the oldest. A wish equal to the newest revision's is that revision."""
    if (fault := fault_of_name(stack)) is not None:
        raise BadRequest(f"stack name {fault}")
    known = revisions_of(state, stack)
    if known and known[-1].wish == wish:
        return unchanged(known[-1])
    number = known[-1].number + 1 if known else 1
    revision = StackRevision(
        id=f"{stack}.{number}", created_at=now, updated_at=now, stack=stack, number=number, wish=wish,
        wish_digest=digest_of(wish),
    )  # fmt: skip
    size = len(encode(revision))
    if size > LARGEST:
        raise BadRequest(
            f"the stack {stack} takes {size >> 10} KiB, and a revision takes {LARGEST >> 10} KiB at most: "
            "it is not kept, so nothing can go back to it"
        )
    return Admitted(revision, (Unit((put(revision, create=True), *_deleted(_beyond(state, known, wish)))),))


def admit_outcome(
    state: State, stack: str, number: int, outcome: StackOutcome, *, now: datetime
) -> Admitted[StackRevision]:
    """What is known stays when a later deployment of the same wish tells of nothing, or of no end yet."""
    known = find_revision(state, stack, number)
    is_news = outcome.state in _ENDS or known.outcome.state not in _ENDS
    if outcome == known.outcome or not is_news:
        return unchanged(known)
    after = known.model_copy(update={"outcome": outcome, "updated_at": now})
    return Admitted(after, (Unit((put(after),)),))


def missing_of(state: State, wish: StackWish) -> tuple[str, ...]:
    """What must be there for the wish to be carried out again, and is not; as `secret NAME`."""
    needed = (("secret", wish.secrets), ("config", wish.configs), ("network", wish.external))
    return tuple(f"{word} {name}" for word, names in needed for name in names if state.named(f"{word}s", name) is None)


def digest_of(wish: StackWish) -> str:
    """The same for the same wish, and for no other. Of a large wish it takes its time."""
    return sha256(json.dumps(wish.to_docker(), sort_keys=True).encode()).hexdigest()


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


def _beyond(state: State, known: Sequence[StackRevision], wish: StackWish) -> tuple[StackRevision, ...]:
    """Those that go when one more comes, which has this wish."""
    surplus = len(known) + 1 - KEPT
    if surplus <= 0:
        return ()
    needed = {
        _newest_that_runs(state, known, or_ran=False),
        _newest_that_runs(state, known, or_ran=True),
        _newest_good(state, known, wish),
    }
    return tuple(revision for revision in known if revision.number not in needed)[:surplus]


def _newest_good(state: State, known: Sequence[StackRevision], wish: StackWish) -> int | None:
    """The one that a rollback from the wish goes to."""
    good = (
        one
        for one in reversed(known)
        if one.outcome.state is OutcomeState.CONVERGED and not missing_of(state, one.wish) and one.wish != wish
    )
    return next((one.number for one in good), None)


def _newest_that_runs(state: State, known: Sequence[StackRevision], *, or_ran: bool) -> int | None:
    """The number of the newest revision all of whose services are as it says or, with `or_ran`, were before an update
    that is not over."""
    for revision in reversed(known):
        if revision.wish.services and all(_is_so(state, spec, or_ran=or_ran) for spec in revision.wish.services):
            return revision.number
    return None


def _is_so(state: State, spec: ServiceSpec, *, or_ran: bool) -> bool:
    service = state.services.get(state.named("services", spec.name or "") or "")
    if service is None:
        return False
    return means_any(state, spec, (service.spec, *(_fallback(service) if or_ran else ())))


def _fallback(service: Service) -> tuple[ServiceSpec, ...]:
    is_settled = service.update is not None and service.update.state in _SETTLED
    return () if is_settled or service.previous_spec is None else (service.previous_spec,)


def _deleted(revisions: tuple[StackRevision, ...]) -> tuple[Delete, ...]:
    return tuple(Delete(key_of(revision), modified=revision.version) for revision in revisions)
