"""Files that name other files: env files, `include`, `extends`. Reads them; what they come to is decided elsewhere."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from swarmpy.cli.bounded import read_text
from swarmpy.stack.canonical import Config, Surroundings, canonical_file, env_files_of
from swarmpy.stack.dotenv import parse_dotenv
from swarmpy.stack.interpolate import Filler, interpolate_file
from swarmpy.stack.layers import extended, included, only_service, stacked, untagged
from swarmpy.stack.parse import parse_stack
from swarmpy.stack.shortforms import parse_env_file
from swarmpy.stack.sound import sound_part
from swarmpy.stack.tree import List, Map, Mark, Problem, Scalar, StackError, marked, plain
from swarmpy.stack.tree import Path as Where

# As many files may lead to each other, and as many services extend each other.
_MOST_STEPS = 100


@dataclass(frozen=True, slots=True)
class Opened:
    """A checked file; `tree` is all of it, `sound` without what is wrong. `directory` is where its relative paths
    start, `above` are the files that led here, with it."""

    tree: Map
    sound: Map
    directory: str
    above: tuple[str, ...]
    taken_back: tuple[Where, ...]


@dataclass(slots=True)
class Reading:
    """`problems` are what is wrong so far. What the rest can be read without is noted there and no more; what it cannot
    is raised, together with them."""

    environment: Mapping[str, str]
    filler: Filler = field(init=False)
    trees: list[Map] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.filler = Filler(self.environment)

    def open_all(self, texts: Sequence[tuple[str, str, str]], above: tuple[str, ...] = ()) -> list[Opened]:
        """Name, text and directory of each. Raises `StackError` when one of them can be read no further."""
        opened = []
        for name, text, directory in texts:
            try:
                bare, taken_back = untagged(parse_stack(text, name))
            except StackError as error:
                self.problems += error.problems
                continue
            tree, unfilled = interpolate_file(bare, self.filler)
            sound, problems = sound_part(tree, unfilled)
            self.problems += problems
            if sound is not None:
                opened.append(Opened(tree, sound, directory, (*above, _absolute(name)), taken_back))
        if len(opened) < len(texts):
            raise StackError(self.problems)
        return opened

    def _fail(self, problem: Problem) -> NoReturn:
        self.problems.append(problem)
        raise StackError(self.problems)

    def config_of(self, file: Opened) -> Config:
        """Canonical, with what the file includes and what its services extend."""
        self.trees.append(file.tree)
        own = self._own(file)
        services = {name: self._extended(file, own, name, ()) for name in own["services"]}
        parts = [self._included(file, node, index) for index, node in enumerate(_items(file.sound.get("include")))]
        whole, doubled = included({**own, "services": services}, parts)
        text = "is in an included file as well, and says something else there"
        self.problems += [marked([file.tree], where, text) for where in doubled]
        return whole

    def _own(self, file: Opened) -> Config:
        around, problems = _surroundings(file.sound, self.environment, file.directory)
        self.problems += problems
        return canonical_file(file.sound, around)

    def _included(self, file: Opened, node: Map | Scalar | List, index: int) -> Config:
        given = plain(node)
        said = given if isinstance(given, dict) else {"path": given}
        where: Where = ("include", index)
        paths = [str(Path(file.directory, str(path))) for path in _texts(said["path"])]
        if not paths:
            self._fail(Problem(node.mark, (*where, "path"), "names no file"))
        directory = str(Path(file.directory, str(said.get("project_directory") or Path(paths[0]).parent)))
        inner = Reading(self._with_files(said.get("env_file"), file, node.mark, where), problems=self.problems)
        texts = [(path, self._read(path, file, node.mark, where), directory) for path in paths]
        try:
            opened = inner.open_all(texts, file.above)
            config = stacked([(inner.config_of(one), one.taken_back) for one in opened])
        finally:
            # Also when a variable is missing there: where it is set is told at the end.
            self.filler.take_over(inner.filler)
        self.trees.extend(inner.trees)
        return config

    def _with_files(self, names: object, file: Opened, mark: Mark, where: Where) -> Mapping[str, str]:
        """Their paths start where those of the including file do, not at the included one."""
        variables: dict[str, str] = {}
        for name in _texts(names):
            path = Path(file.directory, str(name))
            try:
                variables |= parse_dotenv(read_text(path))
            except (OSError, ValueError) as error:
                self._fail(Problem(mark, (*where, "env_file"), f"{path}: {_reason(error)}"))
        return variables | dict(self.environment)

    def _read(self, path: str, file: Opened, mark: Mark, where: Where) -> str:
        if (known := _absolute(path)) in file.above:
            circle = " -> ".join(Path(one).name for one in (*file.above[file.above.index(known) :], known))
            self._fail(Problem(mark, where, f"names itself in a circle: {circle}"))
        if len(file.above) > _MOST_STEPS:
            self._fail(
                Problem(mark, where, f"more than {_MOST_STEPS} files include each other in a row; make it fewer")
            )
        return self._text(path, mark, where)

    def _text(self, path: str, mark: Mark, where: Where) -> str:
        try:
            return read_text(Path(path))
        except (OSError, ValueError) as error:
            self._fail(Problem(mark, where, f"{path}: {_reason(error)}"))

    def _extended(self, file: Opened, config: Config, name: str, above: tuple[tuple[str, str], ...]) -> Config:
        """The service on top of those that it extends."""
        service: Config = config["services"][name]
        given = service.get("extends")
        if given is None:
            return service
        here, where = (file.above[-1], name), ("services", name, "extends")
        if here in above:
            self._fail(marked([file.tree], where, f"the service {name} extends itself"))
        if len(above) > _MOST_STEPS:
            text = f"more than {_MOST_STEPS} services extend each other in a row; make it fewer"
            self._fail(marked([file.tree], where, text))
        said: Config = given if isinstance(given, dict) else {"service": given}
        other = said["service"]
        base_file, base_config = file, config
        if said.get("file"):
            base_file = self._opened(str(Path(file.directory, said["file"])), file, where)
            base_config = self._own(base_file)
        if other not in base_config["services"]:
            self._fail(marked([file.tree], where, f"there is no service {other} in {base_file.tree.mark.file}"))
        if base_file is not file:
            self.trees.append(only_service(base_file.tree, other))
        base = self._extended(base_file, base_config, other, (*above, here))
        return extended(base, service, name, file.taken_back)

    def _opened(self, path: str, file: Opened, where: Where) -> Opened:
        """Another file whose service is extended; a circle of services shows by itself."""
        mark = marked([file.tree], where, "").mark or file.tree.mark
        return self.open_all([(path, self._text(path, mark, where), str(Path(path).parent))])[0]


def _absolute(path: str) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - unlike Path.absolute it takes out `..`


def _items(node: object) -> Sequence[Map | Scalar | List]:
    return node.items if isinstance(node, List) else ()


def _texts(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else () if value is None else (value,)


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return error.strerror or "cannot be read"
    return str(error)


def _surroundings(tree: Map, environment: Mapping[str, str], directory: str) -> tuple[Surroundings, list[Problem]]:
    """A file of variables that cannot be read counts as empty."""
    contents: dict[str, str] = {}
    problems: list[Problem] = []
    for file in env_files_of(tree):
        try:
            contents[file.name] = read_text(Path(directory) / file.name)
            parse_env_file(contents[file.name], environment)
        except (OSError, ValueError) as error:
            contents[file.name] = ""
            if not isinstance(error, FileNotFoundError) or file.is_required:
                problems.append(Problem(file.mark, file.where, f"{file.name}: {_reason(error)}"))
    return Surroundings(environment, directory, contents), problems
