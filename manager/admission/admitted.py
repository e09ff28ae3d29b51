"""What admission answers: the object as it will stand, and the writes that make it so. Pure."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from manager.objects import AnyObject
from manager.store.keys import key_of
from manager.store.port import Check, Unit

Value = TypeVar("Value", bound=AnyObject)


@dataclass(frozen=True, slots=True)
class Admitted(Generic[Value]):
    value: Value
    units: tuple[Unit, ...]


def unchanged(value: Value) -> Admitted[Value]:
    """Nothing is written, but only while the object is what it was taken for: a leader that does not know yet that it
    was replaced must not say that a wish holds which another has overwritten."""
    return Admitted(value, (Unit((Check(key_of(value), value.version),)),))
