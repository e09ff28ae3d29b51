"""What of a file can be read on when something is wrong with it, so that the rest is said in the same round. Pure."""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from swarmpy.stack import schema
from swarmpy.stack.canonical import conflicts_of, version_of
from swarmpy.stack.shapes import check
from swarmpy.stack.tree import List, Map, Path, Problem, Scalar

_SECTIONS = ("services", "networks", "volumes", "secrets", "configs")


def sound_part(tree: Map, unfilled: Sequence[Problem]) -> tuple[Map | None, list[Problem]]:
    """The file without what is wrong in it, and what that is; `unfilled` is known already. No file is left where a
    whole section, service or other object would be missing: much would be said that is not so."""
    if not all(_is_inner(problem.where) for problem in unfilled):
        return None, [*unfilled, *_problems_of(tree)]
    problems = list(unfilled)
    cut = [problem.where for problem in unfilled]
    sound = _without(tree, cut)
    found = _found_in(sound, cut)
    # Of what holds an unfilled value the schema may say that the value is missing.
    problems += [one for one in found if not any(_holds(one.where, other.where) for other in unfilled)]
    while found:
        if not all(_is_inner(problem.where) for problem in found):
            return None, problems
        cut += [problem.where for problem in found]
        sound = _without(tree, cut)
        # Without a part that is wrong, what held it may lack a part that it must have.
        found = _found_in(sound, cut)
    return sound, problems


def in_whole(paths: Sequence[Path], cut: Iterable[Path]) -> list[Path]:
    """Where things of what is sound stand in the file as it is, without what was `cut`: in lists they were further
    behind."""
    items = {path for path in map(_up_to_an_item, cut) if path and isinstance(path[-1], int)}
    lists: dict[Path, list[int]] = {}
    for *before, index in sorted(items, key=lambda path: int(path[-1])):
        here = lists.setdefault(tuple(before), [])
        # How many are left before it.
        here.append(int(index) - len(here))
    return [_shifted(path, lists) for path in paths]


def _shifted(path: Path, lists: Mapping[Path, Sequence[int]]) -> Path:
    at = next((at for at, part in enumerate(path) if isinstance(part, int)), len(path))
    if at == len(path) or path[:at] not in lists:
        return path
    index = int(path[at])
    return (*path[:at], index + bisect_right(lists[path[:at]], index), *path[at + 1 :])


def _found_in(sound: Map, cut: Sequence[Path]) -> list[Problem]:
    found = _problems_of(sound)
    places = in_whole([problem.where for problem in found], cut)
    return [replace(problem, where=where) for problem, where in zip(found, places, strict=True)]


def _problems_of(tree: Map) -> list[Problem]:
    problems = [*check(schema.FILE, tree, ()), *conflicts_of(tree)]
    version = tree.get("version")
    if isinstance(version, Scalar) and isinstance(version.value, str) and version_of(tree) not in schema.VERSIONS:
        text = f"{version.value!r} is no version of stack files; leave the key out"
        problems.append(Problem(version.mark, ("version",), text))
    return problems


def _is_inner(path: Path) -> bool:
    """Services and other objects keep their names, and what they say of other files."""
    if path in (("name",), ("version",)):
        return True
    return len(path) > 2 and path[0] in _SECTIONS and path[2] != "extends"


def _holds(outer: Path, inner: Path) -> bool:
    return inner[: len(outer)] == outer


def _without(tree: Map, paths: Iterable[Path]) -> Map:
    return _cut(tree, (), frozenset(map(_up_to_an_item, paths)))


def _up_to_an_item(path: Path) -> Path:
    """Items of lists go as a whole."""
    return path[: next((at + 1 for at, part in enumerate(path) if isinstance(part, int)), len(path))]


def _cut(node: Map, path: Path, gone: Collection[Path]) -> Map:
    entries = []
    for entry in node.entries:
        here: Path = (*path, entry.key)
        if here in gone:
            continue
        match entry.node:
            case Map() as below:
                entry = replace(entry, node=_cut(below, here, gone))
            case List(items=items) as below:
                kept = tuple(item for index, item in enumerate(items) if (*here, index) not in gone)
                entry = replace(entry, node=replace(below, items=kept))
        entries.append(entry)
    return replace(node, entries=tuple(entries))
