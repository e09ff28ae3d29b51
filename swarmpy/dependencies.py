"""Which services a service waits for, as its label says it: the conditions, the label, and circles. Pure."""

import json
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType

from swarmpy.errors import BadRequest
from swarmpy.labels import DEPENDS_ON
from swarmpy.shown import shown

# Labels, and characters of one, that are not parsed anew each time.
_REMEMBERED = 8192
_LONGEST_REMEMBERED = 2048


class Condition(StrEnum):
    STARTED = "service_started"
    HEALTHY = "service_healthy"
    COMPLETED = "service_completed_successfully"


_NOTHING: Mapping[str, Condition] = MappingProxyType({})
CONDITIONS = tuple(condition.value for condition in Condition)


def parse_depends_on(label: str) -> dict[str, Condition]:
    """From service name to condition. Raises `BadRequest`."""
    try:
        found = json.loads(label)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise BadRequest(f"label {DEPENDS_ON}: it must be a JSON object from service names to conditions")
    for name, condition in found.items():
        if not name or condition not in CONDITIONS:
            raise BadRequest(
                f"label {DEPENDS_ON}: {shown(condition)} is no condition for service {shown(name)}; "
                f"use {', '.join(CONDITIONS)}"
            )
    return {name: Condition(condition) for name, condition in sorted(found.items())}


def depends_on(labels: Mapping[str, str] | None) -> Mapping[str, Condition]:
    """Of a stored service. Admission lets no broken label in; one of an older manager's time says nothing."""
    label = (labels or {}).get(DEPENDS_ON)
    if not label:
        return _NOTHING
    return _known(label) if len(label) <= _LONGEST_REMEMBERED else _said(label)


def _said(label: str) -> Mapping[str, Condition]:
    try:
        return MappingProxyType(parse_depends_on(label))
    except BadRequest:
        return _NOTHING


# Who looks for circles reads the same labels over and over: in a chain, each service's for all that come before it.
_known = lru_cache(_REMEMBERED)(_said)


def render_depends_on(conditions: Mapping[str, str]) -> dict[str, str]:
    """The label, in one spelling; none where there is nothing to wait for."""
    return {DEPENDS_ON: json.dumps(conditions, sort_keys=True, separators=(",", ":"))} if conditions else {}


def by_need(names: Iterable[str], needs: Callable[[str], Iterable[str]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names and all that they need, each after what it needs, else as they come; and the first circle that was met
    on the way, its first name again at the end; empty when there is none."""
    placed: dict[str, None] = {}
    circle: tuple[str, ...] = ()
    for start in names:
        # From the start down to where the search is, each with what of its needs is not looked at yet. A stack of its
        # own: a chain of services may be longer than the interpreter's.
        way = {start: iter(needs(start))} if start not in placed else {}
        while way:
            last = next(reversed(way))
            other = next(way[last], None)
            if other is None:
                way.popitem()
                placed[last] = None
            elif other in way:
                passed = tuple(way)
                circle = circle or (*passed[passed.index(other) :], other)
            elif other not in placed:
                way[other] = iter(needs(other))
    return tuple(placed), circle


def circle_through(start: str, needs: Callable[[str], Iterable[str]]) -> tuple[str, ...]:
    """A way from the name over what it needs back to itself; empty when there is none. Other circles do not count."""
    seen: set[str] = set()
    way = {start: iter(needs(start))}
    while way:
        last = next(reversed(way))
        other = next(way[last], None)
        if other is None:
            way.popitem()
        elif other == start:
            return (*way, start)
        elif other not in seen:
            seen.add(other)
            way[other] = iter(needs(other))
    return ()
