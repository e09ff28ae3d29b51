"""Units packed into transactions: as few as the database's limits allow, no unit ever cut.

Owns the limits and what makes two units unfit for one transaction. Writes nothing.
"""

from collections.abc import Callable, Iterable, Sequence

from manager.store.port import Check, Delete, Put, Revision, Unit, Write
from swarmpy.errors import BadRequest

Transaction = tuple[Unit, ...]

# etcd's defaults: --max-txn-ops counts conditions and writes apart; --max-request-bytes is 1.5 MiB.
MAX_WRITES = 128
# One condition is the fence's.
MAX_CONDITIONS = 127
MAX_BYTES = 1_500_000
# What a condition or write adds around its key and value on the wire, generously.
_FRAME = 64


def is_condition(write: Write) -> bool:
    return write.modified is not None


def pack(units: Iterable[Unit]) -> tuple[Transaction, ...]:
    """In order. A unit that names a key which the transaction at hand already writes opens the next one: within one
    transaction its condition would be held against the key's value of before.

    Raises `BadRequest` for a unit that fits no transaction alone or names a key twice.
    """
    transactions: list[Transaction] = []
    current: list[Unit] = []
    writes = conditions = size = 0
    written: set[str] = set()
    for unit in units:
        _require_one_mention(unit)
        more_writes, more_conditions, more_size = _weight(unit.writes)
        if more_writes > MAX_WRITES or more_conditions > MAX_CONDITIONS or more_size > MAX_BYTES:
            raise BadRequest(
                f"one change of {more_writes} keys and {more_size} bytes is more than the store takes at once "
                f"({MAX_WRITES} keys, {MAX_BYTES} bytes); make it smaller"
            )
        fits = (
            writes + more_writes <= MAX_WRITES
            and conditions + more_conditions <= MAX_CONDITIONS
            and size + more_size <= MAX_BYTES
            and not any(write.key in written for write in unit.writes)
        )
        if not fits:
            transactions.append(tuple(current))
            current, written = [], set()
            writes = conditions = size = 0
        current.append(unit)
        written.update(write.key for write in unit.writes if not isinstance(write, Check))
        writes, conditions, size = writes + more_writes, conditions + more_conditions, size + more_size
    if current:
        transactions.append(tuple(current))
    return tuple(transactions)


def refused_units(units: Iterable[Unit], modified_of: Callable[[str], Revision]) -> tuple[Unit, ...]:
    """The units with a condition that does not hold. `modified_of` says how a key stands (0: not there)."""
    return tuple(
        unit
        for unit in units
        if any(write.modified is not None and write.modified != modified_of(write.key) for write in unit.writes)
    )


def _require_one_mention(unit: Unit) -> None:
    if len({write.key for write in unit.writes}) != len(unit.writes):
        keys = ", ".join(write.key for write in unit.writes)
        raise BadRequest(f"one change names a key twice: {keys}")


def _weight(writes: Sequence[Write]) -> tuple[int, int, int]:
    operations = conditions = size = 0
    for write in writes:
        conditions += is_condition(write)
        operations += isinstance(write, Put | Delete)
        size += _FRAME + 2 * len(write.key) + (len(write.value) if isinstance(write, Put) else 0)
    return operations, conditions, size
