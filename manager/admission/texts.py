"""What no text of any document may hold: a NUL ends it for the kernel, and an empty key names nothing. Pure."""

from collections.abc import Mapping

from manager.admission.coverage import alias_of
from swarmpy.errors import BadRequest
from swarmpy.models.base import DockerModel

# Of a map, in sentences.
_LONGEST_KEY = 64


def check_texts(value: object, where: str = "") -> None:
    """Raise `BadRequest` that names the field, and never what it holds: that may be a secret."""
    match value:
        case str():
            if "\0" in value:
                raise BadRequest(f"{where} has a NUL character (\\0) in it, which no program can be given; take it out")
        case Mapping():
            for key, inner in value.items():
                if not key:
                    raise BadRequest(f"{where}: a key is empty; give it a name before the = sign")
                check_texts(key, f"{where}: a key")
                check_texts(inner, f"{where}[{key[:_LONGEST_KEY]}]")
        case tuple():
            for index, inner in enumerate(value):
                check_texts(inner, f"{where}[{index}]")
        case DockerModel():
            _check_fields(value, where)
        case _:
            return


def _check_fields(document: DockerModel, where: str) -> None:
    for name in type(document).model_fields:
        alias = alias_of(type(document), name)
        check_texts(getattr(document, name), f"{where}.{alias}" if where else alias)
