"""What of a file can be read on when something is wrong with it, so that the rest is said in the same round. Pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from swarmpy.stack import schema
from swarmpy.stack.canonical import conflicts_of, version_of
from swarmpy.stack.shapes import check
from swarmpy.stack.tree import Map, Path, Problem, Scalar

_SECTIONS = ("services", "networks", "volumes", "secrets", "configs")


def sound_part(tree: Map, unfilled: Sequence[Problem]) -> tuple[Map | None, list[Problem]]:
    """The file without what is wrong in it, and what that is; `unfilled` is known already. No file is left where a
    whole section, service or other object would be missing: much would be said that is not so."""
    if not all(_is_inner(problem.where) for problem in unfilled):
        return None, [*unfilled, *_problems_of(tree)]
    problems = list(unfilled)
    sound = _without(tree, [problem.where for problem in unfilled])
    found = _problems_of(sound)
    # Of what holds an unfilled value the schema may say that the value is missing.
    problems += [one for one in found if not any(_holds(one.where, other.where) for other in unfilled)]
    while found:
        if not all(_is_inner(problem.where) for problem in found):
            return None, problems
        sound = _without(sound, [problem.where for problem in found])
        # Without a part that is wrong, what held it may lack a part that it must have.
        found = _problems_of(sound)
    return sound, problems


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
    return _cut(tree, (), frozenset(map(_up_to_a_list, paths)))


def _up_to_a_list(path: Path) -> Path:
    """Lists go as a whole: the places of the others in them would shift."""
    return path[: next((at for at, part in enumerate(path) if isinstance(part, int)), len(path))]


def _cut(node: Map, path: Path, gone: Collection[Path]) -> Map:
    kept = [entry for entry in node.entries if (*path, entry.key) not in gone]
    entries = (
        replace(entry, node=_cut(entry.node, (*path, entry.key), gone)) if isinstance(entry.node, Map) else entry
        for entry in kept
    )
    return replace(node, entries=tuple(entries))
