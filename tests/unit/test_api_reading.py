"""A document is judged alike, whether it comes as text or was read already as a part of another."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.documents import documents
from support.effort import examples

from manager.admission.check import MODELS
from manager.api.problems import parse_document, parse_object
from swarmpy.errors import BadRequest
from swarmpy.models.base import DockerModel
from swarmpy.models.service import ServiceSpec

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=4),
    st.sampled_from(["1", "1.0", "true", "rollback", 1e300, 1.0, 1 << 70, "2030-01-01T00:00:00Z"]),
)  # fmt: skip
ODD = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2)
)


def outcome(read: Any, given: Any, model: type[DockerModel]) -> Any:
    try:
        return read(given, model)
    except BadRequest as error:
        return str(error)


def agree(value: Any, model: type[DockerModel]) -> None:
    text = json.dumps(value)
    assert outcome(parse_object, json.loads(text), model) == outcome(parse_document, text.encode(), model)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


def put_at(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put_at(value[path[0]], path[1:], new)
    return copy


@settings(max_examples=examples(25, 500))
@given(documents(ServiceSpec), ODD, st.data())
def test_a_spec_with_something_odd_in_it_is_judged_alike(spec: ServiceSpec, odd: Any, data: st.DataObject) -> None:
    document = spec.to_docker()
    path = data.draw(st.sampled_from([place for place in places(document) if place] or [("Name",)]))
    agree(put_at(document, path, odd) if document else {"Name": odd}, ServiceSpec)


@pytest.mark.parametrize("kind", MODELS)
@given(ODD)
def test_whatever_is_sent_is_judged_alike(kind: str, value: Any) -> None:
    agree(value, MODELS[kind])
    agree({"Name": value, "Labels": {"a": value}}, MODELS[kind])
