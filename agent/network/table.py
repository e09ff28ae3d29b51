"""Packet rules as values: tables with chains and named lookups, and the scripts that bring the kernel from one ruleset
to another. Pure. What the rules say is not known here.

A script is one transaction of `nft -f -`: the kernel takes all of it or nothing, and no packet sees the half of it. Its
commands come in an order in which each finds what it names. One command takes one line.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

TABLE = "swarmpy"


@dataclass(frozen=True, slots=True)
class Chain:
    """Rules in their order. `hook` says where packets enter a base chain; without it others jump here."""

    rules: tuple[str, ...] = ()
    hook: str = ""


@dataclass(frozen=True, slots=True)
class Lookup:
    """A named set, or a map where the type says `key : value`. A set's elements have empty values."""

    type: str
    elements: Mapping[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return "map" if ":" in self.type else "set"


@dataclass(frozen=True, slots=True)
class Table:
    chains: Mapping[str, Chain] = field(default_factory=dict)
    lookups: Mapping[str, Lookup] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ruleset:
    """Our table of each family (`ip`, `bridge`) that has one."""

    tables: Mapping[str, Table] = field(default_factory=dict)


NO_RULES = Ruleset()


def render(ruleset: Ruleset) -> str:
    """The whole ruleset; tables of ours that are there, whatever is in them, make room for it."""
    return script(NO_RULES, ruleset)


def script(before: Ruleset, after: Ruleset) -> str:
    """What leads from one ruleset to the other, empty when they are equal. `before` has to be what the kernel has, or
    the kernel refuses the script as a whole: then `render` helps."""
    return "".join(f"{command}\n" for command in _commands(before, after))


def _commands(before: Ruleset, after: Ruleset) -> Iterator[str]:
    for family in sorted({*before.tables, *after.tables}):
        place = f"{family} {TABLE}"
        had, wanted = before.tables.get(family), after.tables.get(family)
        if wanted is None:
            yield from (f"add table {place}", f"delete table {place}")
        elif had is None or not _same_shape(had, wanted):
            yield from (f"add table {place}", f"delete table {place}", f"add table {place}")
            yield from _changes(place, Table(), wanted)
        else:
            yield from _changes(place, had, wanted)


def _same_shape(had: Table, wanted: Table) -> bool:
    """Where a chain is hooked in, and the type of a lookup, cannot be changed while they are there."""
    hooks = all(had.chains[name].hook == chain.hook for name, chain in wanted.chains.items() if name in had.chains)
    types = all(had.lookups[name].type == look.type for name, look in wanted.lookups.items() if name in had.lookups)
    return hooks and types


def _changes(place: str, had: Table, wanted: Table) -> Iterator[str]:
    """First what is to be pointed at, then the pointers; what goes is deleted when nothing points at it any more."""
    new_chains = [name for name in sorted(wanted.chains) if name not in had.chains]
    old_chains = [name for name in sorted(had.chains) if name not in wanted.chains]
    new_lookups = [name for name in sorted(wanted.lookups) if name not in had.lookups]
    old_lookups = [name for name in sorted(had.lookups) if name not in wanted.lookups]
    for name in new_lookups:
        lookup = wanted.lookups[name]
        yield f"add {lookup.kind} {place} {name} {{ type {lookup.type}; }}"
    for name in new_chains:
        hook = wanted.chains[name].hook
        yield f"add chain {place} {name}" + (f" {{ {hook} }}" if hook else "")
    yield from _deleted_elements(place, had, wanted)
    yield from _rules(place, had, wanted)
    yield from _added_elements(place, had, wanted)
    yield from (f"flush chain {place} {name}" for name in old_chains)
    yield from (f"delete chain {place} {name}" for name in old_chains)
    yield from (f"delete {had.lookups[name].kind} {place} {name}" for name in old_lookups)


def _rules(place: str, had: Table, wanted: Table) -> Iterator[str]:
    for name, chain in sorted(wanted.chains.items()):
        known = had.chains.get(name, Chain())
        if known.rules == chain.rules:
            continue
        if known.rules:
            yield f"flush chain {place} {name}"
        yield from (f"add rule {place} {name} {rule}" for rule in chain.rules)


def _deleted_elements(place: str, had: Table, wanted: Table) -> Iterator[str]:
    for name, lookup in sorted(had.lookups.items()):
        kept = wanted.lookups.get(name, Lookup(lookup.type)).elements
        gone = (item for item in sorted(lookup.elements.items()) if kept.get(item[0]) != item[1])
        yield from _elements(f"delete element {place} {name}", gone)


def _added_elements(place: str, had: Table, wanted: Table) -> Iterator[str]:
    for name, lookup in sorted(wanted.lookups.items()):
        known = had.lookups.get(name, Lookup(lookup.type)).elements
        new = (item for item in sorted(lookup.elements.items()) if known.get(item[0]) != item[1])
        yield from _elements(f"add element {place} {name}", new)


def _elements(command: str, elements: Iterable[tuple[str, str]]) -> Iterator[str]:
    listed = ", ".join(f"{key} : {value}" if value else key for key, value in elements)
    if listed:
        yield f"{command} {{ {listed} }}"
