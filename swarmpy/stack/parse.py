"""YAML to a tree with lines. The only place that knows the YAML library."""

import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as YamlNode

from swarmpy.stack.scalars import parse_scalar, text_of
from swarmpy.stack.tree import OVERRIDE, RESET, Entry, List, Map, Mark, Node, Path, Problem, Scalar, StackError, Value

DEEPEST = 100

_TOO_DEEP = f"the file is nested more than {DEEPEST} levels deep here; no stack needs that"
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_MERGE = "<<"
_TEXT = "tag:yaml.org,2002:str"
# No honest stack file comes near this many nodes. Aliases may repeat a part many times over: as many again, and this
# many characters. How many the file itself has, whoever reads it bounds.
_MOST_NODES = 200_000
_MOST_CHARACTERS = 16_000_000


class _Composer(Composer):
    """The library's goes down into nested parts by calling itself, as far as the file makes it."""

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader=loader)
        # YAML allows an anchor to be set anew.
        self.warn_double_anchors = False
        self.levels = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.levels += 1
        try:
            if self.levels > DEEPEST:
                raise ComposerError(None, None, _TOO_DEEP, self.parser.peek_event().start_mark)
            return super().compose_node(parent, index)
        finally:
            self.levels -= 1


def parse_stack(text: str, file: str) -> Map:
    """The file's tree. Raises `StackError` with file and line."""
    root = _composed(text, file)
    if root is None:
        raise _refusal(Mark(file, 1), (), "the file is empty; a stack file has at least `services:`")
    tree = _Reader(file).node(root, ())
    if not isinstance(tree, Map):
        raise _refusal(tree.mark, (), "the top level must be a mapping, such as `services:`")
    return tree


def _composed(text: str, file: str) -> YamlNode | None:
    try:
        documents = list(_yaml().compose_all(text))
    except MarkedYAMLError as error:
        place = error.problem_mark or error.context_mark
        # What the end of the file breaks off is placed behind its last line.
        mark = Mark(file, max(1, min(place.line + 1, len(text.splitlines()))) if place else 1)
        if error.problem == _TOO_DEEP:
            raise _refusal(mark, (), _TOO_DEEP) from error
        detail = " ".join(str(part) for part in (error.context, error.problem) if part)
        raise _refusal(mark, (), f"not valid YAML in line {mark.line}: {detail or error}") from error
    except (YAMLError, ValueError, OverflowError) as error:
        raise _refusal(Mark(file, 1), (), f"not valid YAML: {' '.join(str(error).split())}") from error
    if len(documents) > 1:
        raise _refusal(_mark(file, documents[1]), (), "a second document begins here; a stack is one document")
    return documents[0] if documents else None


def _yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer = _Composer
    return yaml


class _Reader:
    """From the library's nodes to ours; resolves merges, refuses doubled keys and keys that are no text."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._resolver = YAML(typ="safe", pure=True).resolver
        self._open: set[int] = set()
        self._seen: set[int] = set()
        self._repeated = 0
        self._characters = 0
        # The line of the top-level key that is being read: aliases lead back from it, to lines that are not to blame.
        self._top = Mark(file, 1)

    def node(self, node: YamlNode, path: Path) -> Node:
        mark = _mark(self._file, node)
        if id(node) in self._open:
            raise _refusal(mark, path, "an alias refers to the part that it stands in")
        self._count(node)
        if len(self._open) >= DEEPEST:
            raise _refusal(self._top, (), _TOO_DEEP)
        if str(node.tag) == RESET:
            return Scalar(None, mark)
        if isinstance(node, ScalarNode):
            return Scalar(self._value(node, path), mark)
        if str(node.tag).startswith("!") and str(node.tag) != OVERRIDE:
            raise _refusal(mark, path, f"the tag {node.tag} is not carried out")
        self._open.add(id(node))
        try:
            if isinstance(node, SequenceNode):
                return List(tuple(self.node(item, (*path, index)) for index, item in enumerate(node.value)), mark)
            assert isinstance(node, MappingNode)
            return Map(self._entries(node, path), mark)
        finally:
            self._open.discard(id(node))

    def _count(self, node: YamlNode) -> None:
        """What is met again stands behind an alias."""
        if id(node) not in self._seen:
            self._seen.add(id(node))
            if len(self._seen) > _MOST_NODES:
                raise _refusal(self._top, (), f"the file has more than {_MOST_NODES} values; divide it")
            return
        self._repeated += 1
        if self._repeated > _MOST_NODES:
            raise _refusal(self._top, (), f"aliases unfold to more than {_MOST_NODES} values; repeat less")
        self._characters += len(node.value) if isinstance(node, ScalarNode) else 0
        if self._characters > _MOST_CHARACTERS:
            raise _refusal(self._top, (), f"aliases unfold to more than {_MOST_CHARACTERS} characters; repeat less")

    def _value(self, node: ScalarNode, path: Path) -> Value:
        tag = str(node.tag)
        if _HALF_CHARACTER.search(node.value):
            raise _refusal(
                _mark(self._file, node), path, "holds half of a character, such as \\ud800, which is no text"
            )
        if tag.startswith("!") and tag != OVERRIDE:
            raise _refusal(_mark(self._file, node), path, f"the tag {tag} is not carried out")
        if node.style or (tag == _TEXT and tag != self._guessed_tag(node)):
            return str(node.value)
        return parse_scalar(node.value)

    def _guessed_tag(self, node: ScalarNode) -> str:
        """The tag that the library gives to such a text where the file says none; ours to ignore, `!!str` is not."""
        return str(self._resolver.resolve(ScalarNode, node.value, (True, False)))

    def _entries(self, node: MappingNode, path: Path) -> tuple[Entry, ...]:
        own: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        merge_seen = False
        for key_node, value_node in node.value:
            mark = _mark(self._file, key_node)
            self._top = self._top if path else mark
            if isinstance(key_node, ScalarNode) and key_node.value == _MERGE and not key_node.style:
                if merge_seen:
                    raise _refusal(mark, (*path, _MERGE), "stands twice in this mapping; merge a list: `<<: [*a, *b]`")
                merge_seen = True
                for entry in self._merged(value_node, path):
                    merged.setdefault(entry.key, entry)
                continue
            key = self._key(key_node, path)
            if key in own:
                raise _refusal(mark, (*path, key), f"is there twice, first in line {own[key].mark.line}")
            tag = str(value_node.tag) if str(value_node.tag) in (RESET, OVERRIDE) else ""
            own[key] = Entry(key, mark, self.node(value_node, (*path, key)), tag)
        return (*own.values(), *(entry for key, entry in merged.items() if key not in own))

    def _merged(self, node: YamlNode, path: Path) -> tuple[Entry, ...]:
        """What `<<` brings; of several mappings the first that has a key counts."""
        parts = node.value if isinstance(node, SequenceNode) else [node]
        entries: list[Entry] = []
        for part in parts:
            tree = self.node(part, path)
            if not isinstance(tree, Map):
                raise _refusal(tree.mark, (*path, _MERGE), "merges mappings, and this is none")
            entries.extend(tree.entries)
        return tuple(entries)

    def _key(self, node: YamlNode, path: Path) -> str:
        mark = _mark(self._file, node)
        if not isinstance(node, ScalarNode):
            raise _refusal(mark, path, "a key must be text; quote it if it begins with { or [")
        key = self._value(node, path)
        if not isinstance(key, str):
            shown = node.value or "null"
            where = "" if path else " of the top-level mapping"
            raise _refusal(
                mark, path, f"the key {shown}{where} is no text but {_kind(key)}; quote it: {text_of(shown)!r}"
            )
        return key


def _kind(value: Value) -> str:
    if isinstance(value, bool):
        return "a truth value"
    return "nothing" if value is None else "a number"


def _mark(file: str, node: YamlNode) -> Mark:
    return Mark(file, node.start_mark.line + 1)


def _refusal(mark: Mark, path: Path, text: str) -> StackError:
    return StackError((Problem(mark, path, text),))
