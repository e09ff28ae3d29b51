"""What a deployment would do, as people and programs read it. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

from swarmpy.cli.render import json_line
from swarmpy.stack.changes import Act, Operation, changes_something
from swarmpy.stack.diff import FieldChange

_SIGNS = {Act.CREATE: "+", Act.UPDATE: "~", Act.REMOVE: "-"}


def change_lines(operations: Sequence[Operation]) -> Iterator[str]:
    """`~ service web`, and below it each field with its old and new value; of lists, what goes and what comes."""
    for operation in filter(changes_something, operations):
        yield f"{_SIGNS[operation.act]} {operation.kind} {operation.name}"
        for field in operation.fields:
            yield from (f"    {line}" for line in _field_lines(field))


def change_documents(operations: Sequence[Operation]) -> Iterator[dict[str, Any]]:
    for operation in filter(changes_something, operations):
        yield {
            "Kind": operation.kind.value,
            "Name": operation.name,
            "Action": operation.act.value,
            "Fields": [{"Path": field.path, "Old": field.old, "New": field.new} for field in operation.fields],
        }


def _field_lines(field: FieldChange) -> Iterator[str]:
    old, new = field.old, field.new
    if not isinstance(old, list) and not isinstance(new, list):
        # Words about data, which itself is never shown.
        yield f"{field.path}: {new}" if field.path == "Data" else f"{field.path}: {_shown(old)} -> {_shown(new)}"
        return
    before, after = old or [], new or []
    gone, come = [item for item in before if item not in after], [item for item in after if item not in before]
    if not gone and not come:
        yield f"{field.path}: {_shown(before)} -> {_shown(after)}"
        return
    yield f"{field.path}:"
    yield from (f"  - {_shown(item)}" for item in gone)
    yield from (f"  + {_shown(item)}" for item in come)


def _shown(value: Any) -> str:
    return "(default)" if value is None else json_line(value)
