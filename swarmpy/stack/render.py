"""Plain values as YAML, for `stack config`. Pure. Texts are quoted wherever some reader could take them for more."""

import json
import re
from typing import Any

# Letters, digits and such, not beginning like a number, a sign or an indicator.
_SAFE = re.compile(r"[A-Za-z/][A-Za-z0-9 _./@=+,()*$-]*(?::[A-Za-z0-9_./@=+,()*$-]+)*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def render(value: Any) -> str:
    return "\n".join(_lines(value, "")) + "\n"


def _lines(value: Any, indent: str) -> list[str]:
    if isinstance(value, dict) and value:
        lines: list[str] = []
        for key, item in value.items():
            lines.extend(_entry(f"{indent}{_text(key)}:", item, indent))
        return lines
    if isinstance(value, list) and value:
        lines = []
        for item in value:
            below = _lines(item, indent + "  ")
            lines.extend([f"{indent}- {below[0].lstrip()}", *below[1:]])
        return lines
    return [indent + _scalar(value)]


def _entry(head: str, item: Any, indent: str) -> list[str]:
    if isinstance(item, dict | list) and item:
        return [head, *_lines(item, indent + "  ")]
    return [f"{head} {_scalar(item)}"]


def _scalar(value: Any) -> str:
    match value:
        case str():
            return _text(value)
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
    # Numbers, and the empty list and mapping.
    return str(value)


def _text(value: str) -> str:
    if _SAFE.fullmatch(value) and value.lower() not in _WORDS and not value.endswith(" "):
        return value
    return json.dumps(value, ensure_ascii=False)
