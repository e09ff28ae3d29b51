"""What of a file can be read on when something is wrong with it, so that the rest is said in the same round. Pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from itertools import count, islice

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
    found = [replace(problem, where=place_in_whole(problem.where, cut)) for problem in _problems_of(sound)]
    # Of what holds an unfilled value the schema may say that the value is missing.
    problems += [one for one in found if not any(_holds(one.where, other.where) for other in unfilled)]
    while found:
        if not all(_is_inner(problem.where) for problem in found):
            return None, problems
        cut += [problem.where for problem in found]
        sound = _without(tree, cut)
        # Without a part that is wrong, what held it may lack a part that it must have.
        found = [replace(problem, where=place_in_whole(problem.where, cut)) for problem in _problems_of(sound)]
    return sound, problems


def place_in_whole(path: Path, cut: Iterable[Path]) -> Path:
    """Where a thing of what is sound stands in the file as it is, without what was `cut`: in lists it was further
    behind."""
    paths = frozenset(map(_up_to_an_item, cut))
    at = next((at for at, part in enumerate(path) if isinstance(part, int)), None)
    if at is None:
        return path
    gone = {one[-1] for one in paths if len(one) == at + 1 and one[:at] == path[:at]}
    left = (index for index in count() if index not in gone)
    return (*path[:at], next(islice(left, int(path[at]), None)), *path[at + 1 :])


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
