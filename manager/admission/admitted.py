"""What admission answers: the object as it will stand, and the writes that make it so. Pure."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from manager.admission.naming import naming
from manager.objects import AnyObject
from manager.store.keys import key_of
from manager.store.pack import pack
from manager.store.port import Check, Unit, Write

Value = TypeVar("Value", bound=AnyObject)


@dataclass(frozen=True, slots=True)
class Admitted(Generic[Value]):
    value: Value
    units: tuple[Unit, ...]


def written(kind: str, name: str | None, value: Value, *writes: Write) -> Admitted[Value]:
    """All of them, or none. What the store would refuse is refused here: it knows no kinds and names, and could not say
    what is too large."""
    unit = Unit(writes)
    with naming(kind, name):
        pack((unit,))
    return Admitted(value, (unit,))


def unchanged(value: Value) -> Admitted[Value]:
    """Nothing is written, but only while the object is what it was taken for: a leader that does not know yet that it
    was replaced must not say that a wish holds which another has overwritten."""
    return Admitted(value, (Unit((Check(key_of(value), value.version),)),))
