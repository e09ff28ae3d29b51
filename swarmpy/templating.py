"""Placeholders such as `{{.Task.Slot}}` in env, hostname, mounts and files: the part of Go templates that services use.

Fields and `index` of the label map are filled in; in files also functions of one text. Other functions, pipes and
control words are refused by name. Whoever takes a template in checks it by the rules that will fill it in. Pure.
"""

import re
from collections.abc import Callable, Iterator, Mapping

from swarmpy.errors import BadRequest, Unsupported
from swarmpy.shown import shown

Value = str | Mapping[str, str]
Functions = Mapping[str, Callable[[str], str]]

# As Docker calls what fills such placeholders in.
DRIVER = "golang"
BEGIN, _END = "{{", "}}"
LABELS = ".Service.Labels"
FIELDS = (
    ".Service.ID",
    ".Service.Name",
    LABELS,
    ".Node.ID",
    ".Node.Hostname",
    ".Node.Platform.OS",
    ".Node.Platform.Architecture",
    ".Task.ID",
    ".Task.Name",
    ".Task.Slot",
)
# In the files of secrets and configs only.
FILE_FUNCTIONS = ("env", "secret", "config")

_LONGEST_QUOTE = 100
_NO_FUNCTIONS: Functions = {}
_ANY: Mapping[str, Value] = {name: {} if name == LABELS else "" for name in FIELDS}
_ANY_FUNCTION: Functions = dict.fromkeys(FILE_FUNCTIONS, lambda _: "")

_FIELD = re.compile(r"\.(Service\.Labels)\.([A-Za-z_][A-Za-z0-9_]*)|(\.[A-Za-z]+(?:\.[A-Za-z]+)*)")
_TEXT = r'(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`)'
_INDEX = re.compile(rf"index\s+(\.[A-Za-z.]+)\s+{_TEXT}")
_CALL = re.compile(rf"([a-z]+)\s+{_TEXT}")


def check_template(text: str, *, in_file: bool = True) -> None:
    """Raise `BadRequest` for a text that no node could fill in. The sentence gives the line and never the text, which
    may be a secret's. `in_file` says that it is what a secret or config holds: there is more to ask for there."""
    functions = _ANY_FUNCTION if in_file else _NO_FUNCTIONS
    for begin, end in _actions(text):
        if end < 0:
            raise BadRequest(f"{_line_of(text, begin)} has a {{{{ that no }}}} ends")
        try:
            _value(text[begin + len(BEGIN) : end], _ANY, "", functions)
        except BadRequest:
            known = ", ".join((*FIELDS, "an index of the labels", *functions))
            raise BadRequest(
                f"{_line_of(text, begin)} holds a {{{{...}}}} that cannot be filled in; there are {known}"
            ) from None


def check_driver(name: str) -> None:
    """Raise `Unsupported` for a template driver that there is not."""
    if name != DRIVER:
        raise Unsupported(f"the only template driver is {DRIVER}, and {shown(name)} is none")


def is_template(text: str) -> bool:
    return BEGIN in text


def placeholders(text: str) -> tuple[str, ...]:
    """What stands between the braces of each; one that nothing ends is none."""
    return tuple(text[begin + len(BEGIN) : end] for begin, end in _actions(text) if end >= 0)


def filled(text: str, fill: Callable[[str], str]) -> str:
    """The text with `fill` of what is between the braces in each placeholder's stead."""
    pieces: list[str] = []
    at = 0
    for begin, end in _actions(text):
        if end >= 0:
            pieces += (text[at:begin], fill(text[begin + len(BEGIN) : end]))
            at = end + len(_END)
    return "".join((*pieces, text[at:]))


def expand(text: str, fields: Mapping[str, Value], where: str, functions: Functions = _NO_FUNCTIONS) -> str:
    """The text with its placeholders filled in; `where` names it in errors."""
    if not is_template(text):
        return text
    expanded = filled(text, lambda action: _value(action, fields, where, functions))
    if any(end < 0 for _, end in _actions(text)):
        # Not the text itself: it may be a password.
        raise BadRequest(f"{where}: a template begins with {{{{ and does not end")
    return expanded


def _line_of(text: str, at: int) -> str:
    line = 1 + text.count("\n", 0, at)
    return f"the template's line {line}"


def _actions(text: str) -> Iterator[tuple[int, int]]:
    """Where each placeholder begins and where its end mark does; -1 for the last one if nothing ends it. Each character
    is looked at once, for a text may be of many kilobytes and nothing but braces."""
    begin = text.find(BEGIN)
    while begin >= 0:
        end = text.find(_END, begin + len(BEGIN))
        yield begin, end
        begin = text.find(BEGIN, end + len(_END)) if end >= 0 else -1


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
            raise BadRequest(
                f"{where}: the template {as_written(inner)} is unknown; there are {', '.join(sorted(fields))}"
            )
        return value if isinstance(value, str) else _as_go_prints(value)
    raise BadRequest(f"{where}: the template {as_written(inner)} is more than a field or an index of labels")


def as_written(inner: str) -> str:
    """A placeholder as sentences have it."""
    return f"{{{{{inner}}}}}" if len(inner) <= _LONGEST_QUOTE else f"{{{{{inner[:_LONGEST_QUOTE]}...}}}}"


def _text(quoted: str, raw: str | None) -> str:
    return raw if raw is not None else re.sub(r"\\(.)", r"\1", quoted)


def _labels(name: str, fields: Mapping[str, Value], where: str) -> Mapping[str, str]:
    value = fields.get(name)
    if value is None or isinstance(value, str):
        raise BadRequest(f"{where}: {name} is no map of labels; {LABELS} is")
    return value


def _as_go_prints(labels: Mapping[str, str]) -> str:
    return "map[" + " ".join(f"{key}:{labels[key]}" for key in sorted(labels)) + "]"
