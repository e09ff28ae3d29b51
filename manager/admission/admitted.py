"""What admission answers: the object as it will stand, and the writes that make it so. Pure."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from manager.objects import AnyObject
from manager.store.port import Unit

Value = TypeVar("Value", bound=AnyObject)


@dataclass(frozen=True, slots=True)
class Admitted(Generic[Value]):
    """No units: nothing would change."""

    value: Value
    units: tuple[Unit, ...]
