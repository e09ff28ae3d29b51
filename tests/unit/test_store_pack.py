"""Packing: every unit once, in order, whole, in as few transactions as the limits allow."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manager.store.pack import MAX_BYTES, MAX_CONDITIONS, MAX_WRITES, Transaction, pack, refused_units
from manager.store.port import Check, Delete, Put, Unit, Write
from swarmpy.errors import BadRequest

KEYS = 5_000
SHAPES: tuple[Callable[[str], Write], ...] = (
    *(partial(Put, value=bytes(size), modified=seen) for size in (0, 1, 400_000) for seen in (None, 0, 7)),
    *(partial(Delete, modified=seen) for seen in (None, 7)),
    *(partial(Check, modified=seen) for seen in (0, 7)),
)
# One number each, for there are many.
WRITES = st.integers(0, KEYS * len(SHAPES) - 1).map(lambda drawn: SHAPES[drawn % len(SHAPES)](f"k/{drawn % KEYS}"))
UNITS = st.lists(WRITES, min_size=1, max_size=3, unique_by=lambda write: write.key).map(
    lambda writes: Unit(tuple(writes))
)
MANY = st.one_of(st.lists(UNITS, max_size=20), st.lists(UNITS, min_size=80, max_size=100))


def writes_of(transaction: Transaction) -> list[Write]:
    return [write for unit in transaction for write in unit.writes if not isinstance(write, Check)]


def conditions_of(transaction: Transaction) -> list[Write]:
    return [write for unit in transaction for write in unit.writes if write.modified is not None]


def size_of(transaction: Transaction) -> int:
    return sum(len(write.value) for write in writes_of(transaction) if isinstance(write, Put))


@settings(max_examples=25, deadline=None)
@given(MANY)
def test_every_unit_is_packed_once_and_in_order(units: list[Unit]) -> None:
    assert [unit for transaction in pack(units) for unit in transaction] == units


@settings(max_examples=25, deadline=None)
@given(MANY)
def test_no_transaction_exceeds_what_the_database_takes(units: list[Unit]) -> None:
    for transaction in pack(units):
        assert transaction
        assert len(writes_of(transaction)) <= MAX_WRITES
        assert len(conditions_of(transaction)) <= MAX_CONDITIONS
        assert size_of(transaction) <= MAX_BYTES


@settings(max_examples=25, deadline=None)
@given(MANY)
def test_no_transaction_names_a_key_after_writing_it(units: list[Unit]) -> None:
    for transaction in pack(units):
        written: set[str] = set()
        for unit in transaction:
            assert written.isdisjoint(write.key for write in unit.writes)
            written.update(write.key for write in unit.writes if not isinstance(write, Check))


@settings(max_examples=25, deadline=None)
@given(MANY)
def test_a_transaction_ends_only_where_the_next_unit_does_not_fit(units: list[Unit]) -> None:
    transactions = pack(units)
    for transaction, following in pairwise(transactions):
        assert len(pack((*transaction, following[0]))) == 2


def test_a_full_load_of_simple_units_is_packed_to_the_limit() -> None:
    plain = [Unit((Put(f"k/{number}", b"x"),)) for number in range(2 * MAX_WRITES)]
    guarded = [Unit((Put(f"k/{number}", b"x", modified=0),)) for number in range(2 * MAX_CONDITIONS)]

    assert [len(transaction) for transaction in pack(plain)] == [MAX_WRITES] * 2
    assert [len(transaction) for transaction in pack(guarded)] == [MAX_CONDITIONS] * 2


def test_checks_of_one_key_share_a_transaction() -> None:
    units = [Unit((Check("service", 7), Put(f"tasks/{number}", b"x", modified=0))) for number in range(10)]

    assert len(pack(units)) == 1


def test_a_unit_of_too_many_conditions_is_refused() -> None:
    with pytest.raises(BadRequest, match="more than the store takes at once"):
        pack([Unit(tuple(Check(f"k/{number}", 1) for number in range(MAX_CONDITIONS + 1)))])


def test_refused_are_the_units_with_a_condition_that_does_not_hold() -> None:
    stands = {"a": 5, "b": 6}
    sound = Unit((Check("a", 5), Put("b", b"", 6), Put("c", b"", 0), Delete("d")))
    refused = [Unit((Put("a", b"", 4),)), Unit((Put("c", b""), Delete("b", 5))), Unit((Check("c", 1),))]

    assert refused_units([refused[0], sound, *refused[1:]], lambda key: stands.get(key, 0)) == tuple(refused)
