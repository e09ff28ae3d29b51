"""How commands show things: tables, JSON lines, times, sizes, states. Pure."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

Row = Mapping[str, Any]
SHORT_ID = 12


def table(columns: Mapping[str, str], rows: Sequence[Row]) -> str:
    """`columns` is row key -> heading; columns are three spaces apart and as wide as they must be."""
    lines = [list(columns.values()), *([str(row[key]) for key in columns] for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def json_line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def json_block(value: Any) -> str:
    return json.dumps(value, indent=4, ensure_ascii=False)


def short_id(text: str, *, whole: bool = False) -> str:
    return text if whole else text[:SHORT_ID]


def clipped(text: str, width: int) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= width else text[: width - 1] + "…"


def parse_time(text: str) -> datetime:
    """RFC 3339 with any number of digits after the second, as Go writes it."""
    head, dot, tail = text.partition(".")
    if dot:
        digits = len(tail) - len(tail.lstrip("0123456789"))
        head, text = f"{head}.{tail[:digits][:6].ljust(6, '0')}", tail[digits:]
        return datetime.fromisoformat(head + text.replace("Z", "+00:00"))
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def ago(since: datetime, now: datetime) -> str:
    """How long since, in the largest unit that gives at least 2, as people say it."""
    seconds = max(0, int((now - since).total_seconds()))
    if seconds < 1:
        return "less than a second ago"
    for size, unit in ((86400 * 365, "year"), (86400 * 30, "month"), (86400 * 7, "week"), (86400, "day")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}s ago"
    for size, unit in ((3600, "hour"), (60, "minute")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}s ago"
        if seconds >= size:
            return f"about {'an' if unit == 'hour' else 'a'} {unit} ago"
    return f"{seconds} second{'s' if seconds != 1 else ''} ago"


def memory(size: float) -> str:
    """Bytes in the binary unit that leaves less than 1024 of it."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.4g}{unit}"
        size /= 1024
    return f"{size:.4g}TiB"


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
