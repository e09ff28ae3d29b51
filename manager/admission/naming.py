"""What a refusal is about, said in it: who sends many wishes must learn which one is at fault. Pure."""

from collections.abc import Iterator
from contextlib import contextmanager

from swarmpy.errors import OutOfSequence, SwarmpyError

# Of a name, in sentences: more than any of a service, network, secret or config may have.
_LONGEST = 128


@contextmanager
def naming(kind: str, name: str | None) -> Iterator[None]:
    """A refusal within begins with the thing's kind and name, once. That of an old version is told in Docker's words
    alone, by which clients know it."""
    try:
        yield
    except OutOfSequence:
        raise
    except SwarmpyError as error:
        thing = f"{kind} {name}" if len(name or "") <= _LONGEST else f"{kind} {(name or '')[:_LONGEST]}..."
        if not name or str(error).startswith((f"{thing} ", f"{thing}:")):
            raise
        raise type(error)(f"{thing}: {error}") from error
