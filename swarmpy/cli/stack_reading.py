"""Files that name other files: env files, `include`, `extends`. Reads them; what they come to is decided elsewhere."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from swarmpy.stack import schema
from swarmpy.stack.canonical import Config, Surroundings, canonical_file, conflicts_of, env_files_of, version_of
from swarmpy.stack.dotenv import parse_dotenv
from swarmpy.stack.interpolate import Filler, interpolate_file
from swarmpy.stack.layers import extended, included, only_service, stacked, untagged
from swarmpy.stack.parse import parse_stack
from swarmpy.stack.shapes import check
from swarmpy.stack.shortforms import parse_env_file
from swarmpy.stack.tree import List, Map, Mark, Problem, Scalar, StackError, marked, plain
from swarmpy.stack.tree import Path as Where


@dataclass(frozen=True, slots=True)
class Opened:
    """A checked file; `directory` is where its relative paths start, `above` are the files that led here, with it."""

    tree: Map
    directory: str
    above: tuple[str, ...]
    taken_back: tuple[Where, ...]


@dataclass(slots=True)
class Reading:
    environment: Mapping[str, str]
    filler: Filler = field(init=False)
    trees: list[Map] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.filler = Filler(self.environment)

    def open_all(self, texts: Sequence[tuple[str, str, str]], above: tuple[str, ...] = ()) -> list[Opened]:
        """Name, text and directory of each. Raises `StackError` with what is wrong in all of them."""
        opened, problems = [], []
        for name, text, directory in texts:
            bare, taken_back = untagged(parse_stack(text, name))
            tree, unfilled = interpolate_file(bare, self.filler)
            problems += [*unfilled, *_problems_of(tree)]
            opened.append(Opened(tree, directory, (*above, _absolute(name)), taken_back))
        if problems:
            raise StackError(problems)
        return opened

    def config_of(self, file: Opened) -> Config:
        """Canonical, with what the file includes and what its services extend."""
        self.trees.append(file.tree)
        config = self._own(file)
        for name in config["services"]:
            if "extends" in config["services"][name]:
                service = self._extended(file, config, name, ())
                config = {**config, "services": {**config["services"], name: service}}
        parts = [self._included(file, node, index) for index, node in enumerate(_items(file.tree.get("include")))]
        whole, doubled = included(config, parts)
        if doubled:
            text = "is in an included file as well, and says something else there"
            raise StackError([marked([file.tree], where, text) for where in doubled])
        return whole

    def _own(self, file: Opened) -> Config:
        around = _surroundings(file.tree, self.environment, file.directory)
        return canonical_file(file.tree, around)

    def _included(self, file: Opened, node: Map | Scalar | List, index: int) -> Config:
        given = plain(node)
        said = given if isinstance(given, dict) else {"path": given}
        where: Where = ("include", index)
        paths = [str(Path(file.directory, str(path))) for path in _texts(said["path"])]
        directory = str(Path(file.directory, str(said.get("project_directory") or Path(paths[0]).parent)))
        inner = Reading(self._with_files(said.get("env_file"), directory, node.mark, where))
        texts = [(path, self._read(path, file, node.mark, where), directory) for path in paths]
        try:
            opened = inner.open_all(texts, file.above)
            config = stacked([(inner.config_of(one), one.taken_back) for one in opened])
        finally:
            # Also when a variable is missing there: where it is set is told at the end.
            self.filler.take_over(inner.filler)
        self.trees.extend(inner.trees)
        return config

    def _with_files(self, names: object, directory: str, mark: Mark, where: Where) -> Mapping[str, str]:
        variables: dict[str, str] = {}
        for name in _texts(names):
            try:
                variables |= parse_dotenv(Path(directory, str(name)).read_text())
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                raise StackError([Problem(mark, (*where, "env_file"), f"{name}: {reason}")]) from None
        return variables | dict(self.environment)

    def _read(self, path: str, file: Opened, mark: Mark, where: Where) -> str:
        if (known := _absolute(path)) in file.above:
            circle = " -> ".join(Path(one).name for one in (*file.above[file.above.index(known) :], known))
            raise StackError([Problem(mark, where, f"names itself in a circle: {circle}")])
        try:
            return Path(path).read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is no UTF-8 text"
            raise StackError([Problem(mark, where, f"{path}: {reason}")]) from None

    def _extended(self, file: Opened, config: Config, name: str, above: tuple[tuple[str, str], ...]) -> Config:
        """The service on top of those that it extends."""
        service: Config = config["services"][name]
        given = service.get("extends")
        if given is None:
            return service
        here, where = (file.above[-1], name), ("services", name, "extends")
        if here in above:
            raise StackError([marked([file.tree], where, f"the service {name} extends itself")])
        said: Config = given if isinstance(given, dict) else {"service": given}
        other = said["service"]
        base_file, base_config = file, config
        if said.get("file"):
            base_file = self._opened(str(Path(file.directory, said["file"])), file, where)
            base_config = self._own(base_file)
        if other not in base_config["services"]:
            raise StackError([marked([file.tree], where, f"there is no service {other} in {base_file.tree.mark.file}")])
        if base_file is not file:
            self.trees.append(only_service(base_file.tree, other))
        base = self._extended(base_file, base_config, other, (*above, here))
        return extended(base, service, name, file.taken_back)

    def _opened(self, path: str, file: Opened, where: Where) -> Opened:
        """Another file whose service is extended; a circle of services shows by itself."""
        mark = marked([file.tree], where, "").mark or file.tree.mark
        try:
            text = Path(path).read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is no UTF-8 text"
            raise StackError([Problem(mark, where, f"{path}: {reason}")]) from None
        return self.open_all([(path, text, str(Path(path).parent))])[0]


def _absolute(path: str) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - unlike Path.absolute it takes out `..`


def _items(node: object) -> Sequence[Map | Scalar | List]:
    return node.items if isinstance(node, List) else ()


def _texts(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else () if value is None else (value,)


def _problems_of(tree: Map) -> list[Problem]:
    problems = [*check(schema.FILE, tree, ()), *conflicts_of(tree)]
    version = tree.get("version")
    if isinstance(version, Scalar) and isinstance(version.value, str) and version_of(tree) not in schema.VERSIONS:
        text = f"{version.value!r} is no version of stack files; leave the key out"
        problems.append(Problem(version.mark, ("version",), text))
    return problems


def _surroundings(tree: Map, environment: Mapping[str, str], directory: str) -> Surroundings:
    contents: dict[str, str] = {}
    problems: list[Problem] = []
    for file in env_files_of(tree):
        try:
            contents[file.name] = (Path(directory) / file.name).read_text()
            parse_env_file(contents[file.name], environment)
        except (OSError, ValueError) as error:
            if isinstance(error, FileNotFoundError) and not file.is_required:
                contents[file.name] = ""
                continue
            reason = error.strerror if isinstance(error, OSError) else str(error)
            problems.append(Problem(file.mark, file.where, f"{file.name}: {reason}"))
    if problems:
        raise StackError(problems)
    return Surroundings(environment, directory, contents)
