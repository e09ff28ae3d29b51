"""A stack file as a tree whose every node knows its file and line; and what is wrong with it, in words. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from swarmpy.errors import BadRequest

Value = None | bool | int | float | str
Plain = Value | list["Plain"] | dict[str, "Plain"]
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file, lines counted from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Scalar:
    """`is_filled` says that a variable's value stands in the text, so its type is not what YAML saw."""

    value: Value
    mark: Mark
    is_filled: bool = False


@dataclass(frozen=True, slots=True)
class List:
    items: tuple["Node", ...]
    mark: Mark


# Tags of the Compose Spec: what earlier files say of this key is taken back, or replaced as a whole.
RESET, OVERRIDE = "!reset", "!override"


@dataclass(frozen=True, slots=True)
class Entry:
    """`tag` is empty, `RESET` or `OVERRIDE`."""

    key: str
    mark: Mark
    node: "Node"
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Map:
    entries: tuple[Entry, ...]
    mark: Mark

    def get(self, key: str) -> "Node | None":
        return next((entry.node for entry in self.entries if entry.key == key), None)


Node = Scalar | List | Map


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a file. `where` is empty for the file as a whole."""

    mark: Mark | None
    where: Path
    text: str

    def __str__(self) -> str:
        place = f"{self.mark}: " if self.mark else ""
        return f"{place}{show(self.where)}: {self.text}" if self.where else f"{place}{self.text}"


class StackError(BadRequest):
    """A stack file that cannot be deployed, with everything that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in in_order(problems)))


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """By place, each sentence once."""
    unique = dict.fromkeys(problems)
    return sorted(unique, key=lambda problem: (problem.mark.file, problem.mark.line) if problem.mark else ("", 0))


def show(path: Path) -> str:
    """`services.web.ports[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def plain(node: Node) -> Plain:
    match node:
        case Scalar():
            return node.value
        case List():
            return [plain(item) for item in node.items]
        case Map():
            return {entry.key: plain(entry.node) for entry in node.entries}


def children(node: Node) -> Iterator[tuple[str | int, Mark, Node]]:
    """What a node holds: the name, the place of the name, the node below it."""
    match node:
        case List():
            yield from ((index, item.mark, item) for index, item in enumerate(node.items))
        case Map():
            yield from ((entry.key, entry.mark, entry.node) for entry in node.entries)


def locate(node: Node, path: Path) -> tuple[int, Mark]:
    """The place of the path in the tree, or of the deepest part of it that is there; and how deep that is."""
    mark, depth = node.mark, 0
    for part in path:
        step = next(((place, below) for name, place, below in children(node) if name == part), None)
        if step is None:
            break
        mark, node = step
        depth += 1
    return depth, mark


def marked(trees: Sequence[Node], path: Path, text: str) -> Problem:
    """The problem with the place it comes from: the last of the files that knows the path best."""
    _, mark = max((locate(tree, path) for tree in reversed(trees)), key=lambda found: found[0])
    return Problem(mark, path, text)
