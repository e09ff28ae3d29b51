"""How a store commits units through transactions of a database: the part that is the same for all databases.

Owns packing, the retry without the units that were refused, and what the caller is told. A database brings one
function that carries out one transaction.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from manager.store.errors import CommitConflict
from manager.store.pack import Transaction, pack
from manager.store.port import Batch, Fence, Unit
from swarmpy.errors import BrokenInvariant, LeadershipLost


@dataclass(frozen=True, slots=True)
class Written:
    """`batch` is None when nothing changed: conditions only, or deletes of what was not there."""

    batch: Batch | None


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was written. `units`: those with a condition that did not hold; none when it was the fence."""

    units: tuple[Unit, ...]
    fence_holds: bool


Transact = Callable[[Transaction, Fence | None], Awaitable[Written | Refused]]


async def commit_units(units: Sequence[Unit], fence: Fence | None, transact: Transact) -> tuple[Batch, ...]:
    """As `Store.commit` promises."""
    batches: list[Batch] = []
    refused: list[Unit] = []
    for transaction in pack(units):
        # Each round either writes or sheds a unit, so this ends.
        while transaction:
            outcome = await transact(transaction, fence)
            if isinstance(outcome, Written):
                if outcome.batch is not None:
                    batches.append(outcome.batch)
                break
            if not outcome.fence_holds:
                raise LeadershipLost("another manager leads the cluster now; nothing more was written")
            if not outcome.units:
                raise BrokenInvariant(f"the store refused a transaction without a reason: {transaction}")
            refused.extend(outcome.units)
            transaction = tuple(unit for unit in transaction if unit not in outcome.units)
    if refused:
        raise CommitConflict(batches, refused)
    return tuple(batches)
