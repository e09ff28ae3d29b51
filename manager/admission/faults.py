"""Where in a wish a fault is: a sentence about a value becomes one that names its field. Pure."""

from collections.abc import Iterator
from contextlib import contextmanager

from swarmpy.errors import BadRequest


@contextmanager
def at(where: str) -> Iterator[None]:
    """A `BadRequest` from inside says where the value stands."""
    try:
        yield
    except BadRequest as fault:
        raise type(fault)(f"{where}: {fault}") from None
