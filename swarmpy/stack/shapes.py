"""What a part of a stack file may look like, and what is wrong with one that does not. Pure."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from math import isfinite

from swarmpy.stack.scalars import text_of
from swarmpy.stack.tree import List, Map, Node, Path, Plain, Problem, Scalar, Value, plain
from swarmpy.stack.wishes import WISHES

_TRUE, _FALSE = ("y", "yes", "true", "on"), ("n", "no", "false", "off")
# No longer than the longest that could fit, with room for zeros.
_INTEGER = re.compile(r"[-+]?[0-9]{1,100}")
EXTENSION = "x-"
# The API's numbers are signed and have 64 bits.
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Text:
    """`reads` raises `ValueError` with the reason for a text that is none of its kind."""

    reads: Callable[[str], object] | None = None
    choices: tuple[str, ...] = ()
    word: str = "a string"


@dataclass(frozen=True, slots=True)
class Whole:
    least: int | None = None
    most: int | None = None
    word: str = "a whole number"


@dataclass(frozen=True, slots=True)
class Number:
    word: str = "a number"


@dataclass(frozen=True, slots=True)
class Truth:
    word: str = "true or false"


@dataclass(frozen=True, slots=True)
class Nothing:
    word: str = "empty"


@dataclass(frozen=True, slots=True)
class Anything:
    word: str = "anything"


@dataclass(frozen=True, slots=True)
class ListOf:
    item: "Shape"
    unique: bool = False
    word: str = "a list"


@dataclass(frozen=True, slots=True)
class MapOf:
    """Keys are names that the file chooses."""

    value: "Shape"
    key: str = ".+"
    word: str = "a mapping"


@dataclass(frozen=True, slots=True)
class Fields:
    """Keys are known. `elsewhere` says of keys that people know from other places why they are none here."""

    known: Mapping[str, "Shape"]
    required: tuple[str, ...] = ()
    extensible: bool = False
    is_open: bool = False
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    word: str = "a mapping"


@dataclass(frozen=True, slots=True)
class Either:
    """The first that is of the node's kind decides."""

    shapes: tuple["Shape", ...]

    @property
    def word(self) -> str:
        words = list(dict.fromkeys(shape.word for shape in self.shapes))
        return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


Shape = Text | Whole | Number | Truth | Nothing | Anything | ListOf | MapOf | Fields | Either


def check(shape: Shape, node: Node, path: Path) -> Iterator[Problem]:
    """Everything about the node that does not fit the shape."""
    fitting = next((one for one in _alternatives(shape) if _is_of_kind(one, node)), None)
    if fitting is None:
        yield Problem(node.mark, path, f"must be {shape.word}, and {_described(node, shape)}")
        return
    match fitting:
        case Text() | Whole():
            yield from _check_scalar(fitting, node, path)
        case ListOf(item=item) if isinstance(node, List):
            for index, part in enumerate(node.items):
                yield from check(item, part, (*path, index))
            if fitting.unique:
                yield from _check_unique(node, path)
        case MapOf(value, key) if isinstance(node, Map):
            for entry in node.entries:
                if not entry.key:
                    yield Problem(entry.mark, path, "a name here is empty")
                elif re.fullmatch(key, entry.key) is None:
                    yield Problem(entry.mark, (*path, entry.key), "this name has characters that names do not have")
                yield from check(value, entry.node, (*path, entry.key))
        case Fields() if isinstance(node, Map):
            yield from _check_fields(fitting, node, path)


def _alternatives(shape: Shape) -> Iterator[Shape]:
    if isinstance(shape, Either):
        for one in shape.shapes:
            yield from _alternatives(one)
    else:
        yield shape


def _is_of_kind(shape: Shape, node: Node) -> bool:
    match shape, node:
        case Anything(), _:
            return True
        case (ListOf(), List()) | (MapOf() | Fields(), Map()):
            return True
        case _, Scalar(value, _, is_filled):
            return _takes(shape, filled_value(shape, value) if is_filled else value)
    return False


def _takes(shape: Shape, value: Value) -> bool:
    match shape:
        case Text():
            return isinstance(value, str)
        case Whole():
            return isinstance(value, int) and not isinstance(value, bool)
        case Number():
            return isinstance(value, int | float) and not isinstance(value, bool)
        case Truth():
            return isinstance(value, bool)
        case Nothing():
            return value is None
    return False


def filled_value(shape: Shape, value: Value) -> Value:
    """A text that came out of a variable, as the number or truth value that the shape asks for, if it is one."""
    if not isinstance(value, str):
        return value
    match shape:
        case Whole() if _INTEGER.fullmatch(value):
            return int(value)
        case Number() if _INTEGER.fullmatch(value):
            return int(value)
        case Number():
            try:
                number = float(value)
            except ValueError:
                return value
            return number if isfinite(number) else value
        case Truth() if value.lower() in _TRUE + _FALSE:
            return value.lower() in _TRUE
    return value


def value_for(shape: Shape, node: Scalar) -> Value:
    """The scalar's value in the type that the shape asks for; the node has passed `check`."""
    if not node.is_filled:
        return node.value
    values = (filled_value(one, node.value) for one in _alternatives(shape) if _is_of_kind(one, node))
    return next(values, node.value)


def _check_scalar(shape: Text | Whole, node: Node, path: Path) -> Iterator[Problem]:
    if not isinstance(node, Scalar):
        return
    value = value_for(shape, node)
    means: object = value if isinstance(shape, Whole) else None
    if isinstance(shape, Whole) and shape.least is not None and isinstance(value, int) and value < shape.least:
        yield Problem(node.mark, path, f"must be at least {shape.least}, and {value} is less")
    if isinstance(shape, Whole) and shape.most is not None and isinstance(value, int) and value > shape.most:
        yield Problem(node.mark, path, f"must be at most {shape.most}, and {value} is more")
    if isinstance(shape, Text) and shape.choices and value not in shape.choices:
        yield Problem(node.mark, path, f"{value!r} is none of {', '.join(shape.choices)}")
    if isinstance(shape, Text) and shape.reads is not None:
        try:
            means = shape.reads(str(value))
        except ValueError as error:
            yield Problem(node.mark, path, str(error))
    if isinstance(means, int) and not -_LARGEST <= means <= _LARGEST:
        yield Problem(node.mark, path, f"{value} is more than fits in 64 bits")


def _check_unique(node: List, path: Path) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, item in enumerate(node.items):
        # Python would take 1, 1.0 and true for one.
        value = json.dumps(plain(item), sort_keys=True)
        if value in seen:
            yield Problem(item.mark, (*path, index), f"{_shown(item)} stands twice in this list")
        seen.add(value)


def _shown(node: Node) -> str:
    value = plain(node)
    return repr(value) if isinstance(value, str) else json.dumps(value)


def typed(shape: Shape, node: Node) -> Plain:
    """The node as plain values, those from variables in the type that the shape asks for; it has passed `check`."""
    fitting = next((one for one in _alternatives(shape) if _is_of_kind(one, node)), shape)
    match fitting, node:
        case _, Scalar():
            return value_for(fitting, node)
        case ListOf(item=item), List():
            return [typed(item, part) for part in node.items]
        case MapOf(value=value), Map():
            return {entry.key: typed(value, entry.node) for entry in node.entries}
        case Fields(known=known), Map():
            return {entry.key: typed(known.get(entry.key, Anything()), entry.node) for entry in node.entries}
    return plain(node)


def _check_fields(shape: Fields, node: Map, path: Path) -> Iterator[Problem]:
    for entry in node.entries:
        below = (*path, entry.key)
        if entry.key in shape.known:
            yield from check(shape.known[entry.key], entry.node, below)
        elif entry.key == WISHES:
            yield Problem(
                entry.mark, below, "goes with services, their update_config and volumes, and is not read here"
            )
        elif not shape.is_open and not (shape.extensible and entry.key.startswith(EXTENSION)):
            yield Problem(entry.mark, below, _unknown(entry.key, shape))
    for key in shape.required:
        if node.get(key) is None:
            yield Problem(node.mark, path, f"{key} is missing")


def _unknown(key: str, shape: Fields) -> str:
    if key in shape.elsewhere:
        return shape.elsewhere[key]
    near = get_close_matches(key, shape.known, n=1, cutoff=0.6)
    return f"unknown key; did you mean {near[0]}?" if near else "unknown key"


def _described(node: Node, wanted: Shape) -> str:
    """What it is instead; how to make it what is wanted only where that would be all."""
    takes = {type(one) for one in _alternatives(wanted)}
    match node:
        case List():
            return "it is a list"
        case Map():
            return "it is a mapping"
        case Scalar(value=None):
            return "it is empty"
        case Scalar(value=bool() as value):
            return f"{str(value).lower()} is a truth value"
        case Scalar(value=str() as value) if Truth in takes and value.lower() in _TRUE + _FALSE:
            return f"{value!r} is text; write true or false"
        case Scalar(value=str() as value):
            return f"{value!r} is text"
        case Scalar(value=value) if Text in takes:
            return f"{value} is a number; quote it to make it text"
        case Scalar(value=float() as value) if Whole in takes:
            return _described_float(value)
        case Scalar(value=value):
            return f"{value} is a number"


def _described_float(value: float) -> str:
    """Where a whole number is wanted. One with too many digits is a float by now."""
    if not value.is_integer():
        return f"{text_of(value)} is one with a fraction"
    if abs(value) > _LARGEST:
        return f"{text_of(value)} is more than fits in 64 bits"
    return f"it is written with a point or an exponent; write {int(value)}"
