"""Docker's JSON as plain dicts and lists. Pure.

Documents of `swarmpy.models` say the same; a command that only sends them does without: building the models takes
longer than all the rest of it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

Object = dict[str, Any]


def stated(fields: Mapping[str, Any]) -> Object:
    """Without the fields that are None: absent is how Docker writes them."""
    return {name: value for name, value in fields.items() if value is not None}


def listed(values: Iterable[Any] | None) -> list[Any] | None:
    """None for an empty list, which says no more than an absent one."""
    return list(values or ()) or None
