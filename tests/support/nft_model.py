"""What a kernel makes of our scripts: a small model of nft objects. It takes a script whole or refuses it, as the
kernel does: for what is not there, what is there already, and what something still points at."""

import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field

from agent.network.table import TABLE, Chain, Lookup, Ruleset, Table

# `@th,` and a place is no name, but bits of the packet.
_LOOKUP = re.compile(r"@(?!th,)(\w+)")
_TARGET = re.compile(r"\b(?:goto|jump) (\w+)")


class Refused(Exception):
    pass


@dataclass
class ModelTable:
    hooks: dict[str, str] = field(default_factory=dict)
    rules: dict[str, list[str]] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    elements: dict[str, dict[str, str]] = field(default_factory=dict)

    def pointers(self) -> Iterator[str]:
        """All texts that name chains and lookups."""
        for rules in self.rules.values():
            yield from rules
        for elements in self.elements.values():
            yield from elements.values()


@dataclass
class Kernel:
    tables: dict[str, ModelTable] = field(default_factory=dict)

    def apply(self, script: str) -> None:
        draft = Kernel(deepcopy(self.tables))
        for line in script.splitlines():
            draft._command(line)
        self.tables = draft.tables

    def ruleset(self) -> Ruleset:
        return Ruleset({family: _as_table(table) for family, table in self.tables.items()})

    def _command(self, line: str) -> None:
        verb, kind, family, table, *rest = line.split(" ", 5)
        _must(table == TABLE, line)
        if kind == "table":
            _must(verb == "add" or family in self.tables, line)
            self.tables.setdefault(family, ModelTable()) if verb == "add" else self.tables.pop(family)
            return
        _must(family in self.tables, line)
        name, text = rest[0], rest[1] if len(rest) > 1 else ""
        if kind == "element":
            _elements(self.tables[family], verb, name, text, line)
        elif kind in ("set", "map"):
            _lookup(self.tables[family], verb, name, text, line)
        else:
            _chain_or_rule(self.tables[family], f"{verb} {kind}", name, text, line)


def _chain_or_rule(table: ModelTable, command: str, name: str, text: str, line: str) -> None:
    if command == "add chain":
        _must(name not in table.rules, line)
        table.rules[name], table.hooks[name] = [], text.removeprefix("{ ").removesuffix(" }")
        return
    _must(name in table.rules, line)
    if command == "add rule":
        _points_at_what_is_there(table, text, line)
        table.rules[name].append(text)
    elif command == "flush chain":
        table.rules[name] = []
    else:
        _must(command == "delete chain" and not table.rules[name], line)
        _must(all(name not in _TARGET.findall(one) for one in table.pointers()), line)
        del table.rules[name], table.hooks[name]


def _lookup(table: ModelTable, verb: str, name: str, text: str, line: str) -> None:
    if verb == "add":
        _must(name not in table.types, line)
        table.types[name], table.elements[name] = text.removeprefix("{ type ").removesuffix("; }"), {}
    else:
        _must(name in table.types and all(name not in _LOOKUP.findall(one) for one in table.pointers()), line)
        del table.types[name], table.elements[name]


def _elements(table: ModelTable, verb: str, name: str, text: str, line: str) -> None:
    _must(name in table.types, line)
    known = table.elements[name]
    for one in text.removeprefix("{ ").removesuffix(" }").split(", "):
        key, _, value = one.partition(" : ")
        if verb == "add":
            _must(key not in known, line)
            _points_at_what_is_there(table, value, line)
            known[key] = value
        else:
            _must(known.get(key) == value, line)
            del known[key]


def _points_at_what_is_there(table: ModelTable, text: str, line: str) -> None:
    _must({*_TARGET.findall(text)} <= {*table.rules} and {*_LOOKUP.findall(text)} <= {*table.types}, line)


def _must(so: bool, line: str) -> None:
    if not so:
        raise Refused(line)


def _as_table(table: ModelTable) -> Table:
    chains = {name: Chain(tuple(rules), table.hooks[name]) for name, rules in table.rules.items()}
    return Table(chains, {name: Lookup(kind, table.elements[name]) for name, kind in table.types.items()})
