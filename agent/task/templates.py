"""Placeholders such as `{{.Task.Slot}}` in env, hostname and mounts: the part of Go templates that services use. Pure.

Fields and `index` of the label map are filled in; in files also functions of one text. Other functions, pipes and
control words are refused by name.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent.task.names import container_name
from swarmpy.errors import BadRequest
from swarmpy.wire import TaskAssignment

Value = str | Mapping[str, str]
Functions = Mapping[str, Callable[[str], str]]

_NO_FUNCTIONS: Functions = {}

_ACTION = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_FIELD = re.compile(r"\.(Service\.Labels)\.([A-Za-z_][A-Za-z0-9_]*)|(\.[A-Za-z]+(?:\.[A-Za-z]+)*)")
_TEXT = r'(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`)'
_INDEX = re.compile(rf"index\s+(\.[A-Za-z.]+)\s+{_TEXT}")
_CALL = re.compile(rf"([a-z]+)\s+{_TEXT}")


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What templates and requests may know of the node. `api_version` is the engine's."""

    hostname: str
    os: str
    architecture: str
    api_version: tuple[int, int] = (1, 41)


def fields_of(task: TaskAssignment, node: NodeFacts) -> dict[str, Value]:
    return {
        ".Service.ID": task.service_id,
        ".Service.Name": task.service_name,
        ".Service.Labels": task.service_labels,
        ".Node.ID": task.node_id,
        ".Node.Hostname": node.hostname,
        ".Node.Platform.OS": node.os,
        ".Node.Platform.Architecture": node.architecture,
        ".Task.ID": task.id,
        ".Task.Name": container_name(task),
        # Docker names a global task after its node here too.
        ".Task.Slot": str(task.slot) if task.slot else task.node_id,
    }


def expand(text: str, fields: Mapping[str, Value], where: str, functions: Functions = _NO_FUNCTIONS) -> str:
    """The text with its placeholders filled in; `where` names it in errors."""
    if "{{" not in text:
        return text
    expanded = _ACTION.sub(lambda action: _value(action.group(1), fields, where, functions), text)
    if "{{" in _ACTION.sub("", text):
        # Not the text itself: it may be a password.
        raise BadRequest(f"{where}: a template begins with {{{{ and does not end")
    return expanded


def _value(action: str, fields: Mapping[str, Value], where: str, functions: Functions) -> str:
    inner = action.strip()
    if index := _INDEX.fullmatch(inner):
        name, quoted, raw = index.groups()
        return _labels(name, fields, where).get(_text(quoted, raw), "")
    if (call := _CALL.fullmatch(inner)) and call.group(1) in functions:
        return functions[call.group(1)](_text(call.group(2), call.group(3)))
    if field := _FIELD.fullmatch(inner):
        labels, key, name = field.groups()
        if labels:
            return _labels(f".{labels}", fields, where).get(key, "<no value>")
        value = fields.get(name)
        if value is None:
            raise BadRequest(f"{where}: the template {{{{{inner}}}}} is unknown; there are {', '.join(sorted(fields))}")
        return value if isinstance(value, str) else _as_go_prints(value)
    raise BadRequest(f"{where}: the template {{{{{inner}}}}} is more than a field or an index of labels")


def _text(quoted: str, raw: str | None) -> str:
    return raw if raw is not None else re.sub(r"\\(.)", r"\1", quoted)


def _labels(name: str, fields: Mapping[str, Value], where: str) -> Mapping[str, str]:
    value = fields.get(name)
    if value is None or isinstance(value, str):
        raise BadRequest(f"{where}: {name} is no map of labels; .Service.Labels is")
    return value


def _as_go_prints(labels: Mapping[str, str]) -> str:
    return "map[" + " ".join(f"{key}:{labels[key]}" for key in sorted(labels)) + "]"
