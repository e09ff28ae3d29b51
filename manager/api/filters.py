"""The `filters` and truth values of Docker's query strings, in both dialects. Pure."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from swarmpy.errors import BadRequest
from swarmpy.shown import shown

_TRUE = frozenset({"1", "true", "True", "TRUE"})
_FALSE = frozenset({"", "0", "false", "False", "FALSE"})


def parse_flag(name: str, text: str | None) -> bool:
    """The CLI writes 1 or true, docker-py True."""
    if text is None or text in _FALSE:
        return False
    if text in _TRUE:
        return True
    raise BadRequest(f"invalid value {shown(text)} for {name}: use true or false")


@dataclass(frozen=True, slots=True)
class Filters:
    """Keys are ANDed, the values of one key ORed; of labels all must be there. An absent key lets everything pass."""

    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def get(self, key: str) -> tuple[str, ...]:
        return self.values.get(key, ())

    def passes(self, key: str, *candidates: str | None) -> bool:
        """Some candidate is exactly what was asked for."""
        wanted = self.get(key)
        return not wanted or any(candidate in wanted for candidate in candidates)

    def passes_prefix(self, key: str, *candidates: str | None) -> bool:
        wanted = self.get(key)
        return not wanted or any(candidate.startswith(wanted) for candidate in candidates if candidate)

    def passes_part(self, key: str, candidate: str) -> bool:
        wanted = self.get(key)
        return not wanted or any(part in candidate for part in wanted)

    def passes_labels(self, key: str, labels: Mapping[str, str] | None) -> bool:
        """`name` or `name=value`."""
        have = labels or {}
        return all(_has_label(have, wanted) for wanted in self.get(key))

    def passes_flag(self, key: str, value: bool) -> bool:
        wanted = self.get(key)
        return not wanted or any(parse_flag(key, text) is value for text in wanted)


def parse_filters(text: str | None, allowed: Iterable[str]) -> Filters:
    """`{"name": {"web": true}}` as Go clients write, or `{"name": ["web"]}` as docker-py does."""
    if not text:
        return Filters()
    try:
        document = json.loads(text)
    except RecursionError as cause:
        raise BadRequest("filters is nested too deeply") from cause
    except ValueError as cause:
        raise BadRequest(f"filters is no valid JSON: {cause}") from cause
    if not isinstance(document, dict):
        raise BadRequest("filters must be a JSON object of names and values")
    known = frozenset(allowed)
    for key in document:
        if key not in known:
            raise BadRequest(f"Invalid filter '{key}'")
    return Filters({key: _values(key, value) for key, value in document.items()})


def _values(key: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, dict):
        chosen = [name for name, is_set in value.items() if is_set]
    elif isinstance(value, list):
        chosen = value
    else:
        chosen = [value]
    if not all(isinstance(item, str) for item in chosen):
        raise BadRequest(f"the values of filter '{key}' must be strings")
    return tuple(chosen)


def _has_label(labels: Mapping[str, str], wanted: str) -> bool:
    name, equals, value = wanted.partition("=")
    return name in labels and (not equals or labels[name] == value)
