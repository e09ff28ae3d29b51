"""Random Docker documents: a hypothesis strategy for any `DockerModel`, every field set or absent."""

from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from hypothesis import strategies as st

from swarmpy.models.base import DockerModel

_WORDS = st.text("abcXYZ019-_./ é", max_size=8)
_SCALARS: dict[type, st.SearchStrategy[Any]] = {
    str: _WORDS,
    int: st.integers(-(2**53), 2**53),
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False, width=32),
    datetime: st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
}


def documents(model: type[DockerModel]) -> st.SearchStrategy[Any]:
    """Instances of the model; a field that may be absent is absent about half the time."""
    fields = {name: _values(field.annotation) for name, field in model.model_fields.items() if field.is_required()}
    maybe = {name: _values(field.annotation) for name, field in model.model_fields.items() if not field.is_required()}
    return st.fixed_dictionaries(fields, optional=maybe).map(lambda chosen: model(**chosen))


def _values(annotation: Any) -> st.SearchStrategy[Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _values(arguments[0])
    if origin in (Union, UnionType):
        return st.one_of(*(_values(argument) for argument in arguments if argument is not NoneType))
    if origin is tuple:
        return st.lists(_values(arguments[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(_WORDS, _values(arguments[1]), max_size=2)
    if isinstance(annotation, type) and issubclass(annotation, DockerModel):
        return st.deferred(lambda: documents(annotation))
    if isinstance(annotation, type) and issubclass(annotation, StrEnum | IntEnum):
        return st.sampled_from(list(annotation))
    return _SCALARS[annotation]
