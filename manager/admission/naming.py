"""What a refusal is about, said in it: who sends many wishes must learn which one is at fault. Pure."""

from collections.abc import Iterator
from contextlib import contextmanager

from swarmpy.errors import SwarmpyError


@contextmanager
def naming(kind: str, name: str | None) -> Iterator[None]:
    """A refusal within begins with the thing's kind and name."""
    try:
        yield
    except SwarmpyError as error:
        thing = f"{kind} {name}"
        if not name or str(error).startswith((f"{thing} ", f"{thing}:")):
            raise
        raise type(error)(f"{thing}: {error}") from error
