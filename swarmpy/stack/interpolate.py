"""Variables in the texts of a stack file: `$NAME`, `${NAME}`, defaults, required ones, `$$`. Pure.

`:-` and `-` give a default, `:?` and `?` demand a value, `:+` and `+` replace one; with the colon an empty value counts
as none. What stands behind the sign may hold variables itself; one without braces that is not set is left there as it
stands, as docker leaves all of them. As with docker, the signs work without braces too: `$TAG-alpine` is TAG, or
`alpine` where TAG is not set. Keys are left alone.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from swarmpy.stack.tree import Entry, List, Map, Node, Path, Problem, Scalar

# The sections whose values are filled in.
SECTIONS = ("name", "include", "services", "networks", "volumes", "secrets", "configs")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SIGN = re.compile(r":?[-?+]")


# As deep as values may stand inside values.
_DEEPEST = 100


class BadTemplate(ValueError):
    """A text whose variables cannot be filled in; says why."""


@dataclass(slots=True)
class Filler:
    """Fills texts from one environment and remembers, in order, which variables had no value."""

    environment: Mapping[str, str]
    unset: dict[str, None] = field(default_factory=dict)
    left: dict[str, None] = field(default_factory=dict)
    demanded: dict[str, None] = field(default_factory=dict)
    _depth: int = field(default=0, init=False)

    def take_over(self, other: "Filler") -> None:
        """Remembers too what the other remembers."""
        self.unset |= other.unset
        self.left |= other.left
        self.demanded |= other.demanded

    def fill(self, text: str) -> str:
        """Raises `BadTemplate`."""
        self._depth = 0
        return self._fill(text, is_word=False)

    def _word(self, text: str) -> str:
        """What stands behind a sign."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise BadTemplate(f"variables are nested more than {_DEEPEST} levels deep; no value needs that")
        filled = self._fill(text, is_word=True)
        self._depth -= 1
        return filled

    def _fill(self, text: str, *, is_word: bool) -> str:
        filled, at = [], 0
        while (dollar := text.find("$", at)) >= 0:
            filled.append(text[at:dollar])
            name = _NAME.match(text, dollar + 1)
            if is_word and name is not None and name[0] not in self.environment:
                self.left[name[0]] = None
                value, at = text[dollar : name.end()], name.end()
            else:
                value, at = self._variable(text, dollar)
            filled.append(value)
        return "".join((*filled, text[at:]))

    def _variable(self, text: str, dollar: int) -> tuple[str, int]:
        """The value of what begins at the dollar sign, and where the text goes on."""
        start = dollar + 1
        if text.startswith("$", start):
            return "$", start + 1
        if text.startswith("{", start):
            end = _closing_brace(text, start)
            return self._value(text[start + 1 : end], text), end + 1
        name = _NAME.match(text, start)
        if name is None:
            raise BadTemplate(f"{text!r} has a $ that begins no variable; write $$ for a dollar sign")
        end = name.end()
        if (sign := _SIGN.match(text, end)) and not sign[0].endswith("+"):
            stop = text.find("}", end)
            end = len(text) if stop < 0 else stop
        return self._value(text[start:end], text), end

    def _value(self, expression: str, text: str) -> str:
        name = _NAME.match(expression)
        sign = _SIGN.match(expression, name.end()) if name else None
        if name is None or (sign is None and name.end() != len(expression)):
            raise BadTemplate(f"{text!r}: ${{{expression}}} is no variable; write $$ for a dollar sign")
        known = self.environment.get(name[0])
        if sign is None:
            if known is None:
                self.unset[name[0]] = None
            return known or ""
        return self._chosen(name[0], known, sign[0], expression[sign.end() :])

    def _chosen(self, name: str, known: str | None, sign: str, word: str) -> str:
        is_there = known is not None and (known != "" or not sign.startswith(":"))
        match sign[-1]:
            case "+":
                return self._word(word) if is_there else ""
            case "-":
                return known or "" if is_there else self._word(word)
            case _:
                if is_there:
                    return known or ""
                self.demanded[name] = None
                raise BadTemplate(f"the variable {name} must have a value{': ' + word if word else ''}")


def _closing_brace(text: str, opening: int) -> int:
    """Braces inside count only as part of `${`."""
    depth, at = 1, opening + 1
    while at < len(text):
        if text.startswith("${", at):
            depth += 1
            at += 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                return at
        at += 1
    raise BadTemplate(f"{text!r}: a ${{ is not closed; write $$ for a dollar sign")


def interpolate_file(tree: Map, filler: Filler) -> tuple[Map, list[Problem]]:
    """The file with its variables filled in, and what could not be."""
    problems: list[Problem] = []
    entries = tuple(
        replace(entry, node=_filled(entry.node, (entry.key,), filler, problems)) if entry.key in SECTIONS else entry
        for entry in tree.entries
    )
    return replace(tree, entries=entries), problems


def _filled(node: Node, path: Path, filler: Filler, problems: list[Problem]) -> Node:
    match node:
        case Scalar(value=str() as text) if "$" in text:
            try:
                return replace(node, value=filler.fill(text), is_filled=True)
            except BadTemplate as error:
                problems.append(Problem(node.mark, path, str(error)))
                return node
        case List():
            items = (_filled(item, (*path, index), filler, problems) for index, item in enumerate(node.items))
            return replace(node, items=tuple(items))
        case Map():
            return replace(node, entries=tuple(_entry(entry, path, filler, problems) for entry in node.entries))
    return node


def _entry(entry: Entry, path: Path, filler: Filler, problems: list[Problem]) -> Entry:
    return replace(entry, node=_filled(entry.node, (*path, entry.key), filler, problems))
