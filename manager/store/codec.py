"""Objects to bytes and back: JSON with a format number first, so that a later format can be told apart."""

from manager.objects import AnyObject
from manager.store.keys import key_of, model_of
from manager.store.port import Entry, Put
from swarmpy.errors import BrokenInvariant

FORMAT = 1
_HEAD = b'{"format":%d,' % FORMAT


def encode(value: AnyObject) -> bytes:
    """`version` is left out: it is the key's own revision."""
    body = value.model_dump_json(by_alias=True, exclude_none=True).encode()
    return _HEAD + body[1:]


def decode(entry: Entry) -> AnyObject | None:
    """The object at an entry, with its version and birth set; None for keys that hold none.

    Raises `BrokenInvariant` for a format this code does not know: a newer swarmpy wrote it.
    """
    model = model_of(entry.key)
    if model is None:
        return None
    if not entry.value.startswith(_HEAD):
        raise BrokenInvariant(f"{entry.key} has a format this version does not read; upgrade this manager")
    value = model.model_validate_json(b"{" + entry.value[len(_HEAD) :])
    return value.model_copy(update={"version": entry.modified, "birth": entry.created})


def put(value: AnyObject, *, create: bool = False) -> Put:
    """A write of the object that fails if it changed since it was read (or, with `create`, exists already)."""
    return Put(key_of(value), encode(value), modified=0 if create else value.version)
