"""Reading stack files: from paths to one checked, merged configuration. Decides nothing itself."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from swarmpy.errors import BadRequest
from swarmpy.stack import schema
from swarmpy.stack.canonical import Config, Surroundings, canonical_file, conflicts_of, env_files_of, version_of
from swarmpy.stack.interpolate import Filler, interpolate_file
from swarmpy.stack.merge import merge
from swarmpy.stack.parse import parse_stack
from swarmpy.stack.plan import StackPlan, plan_stack
from swarmpy.stack.shapes import check
from swarmpy.stack.shortforms import parse_env_file
from swarmpy.stack.tree import Map, Problem, Scalar, StackError, marked

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Loaded:
    """`config` is canonical; `trees` are the files as they were, for places and refusals; `unset` are variables that
    had no value and became empty."""

    config: Config
    trees: tuple[Map, ...]
    unset: tuple[str, ...]


def load(files: Sequence[str], environment: Mapping[str, str]) -> Loaded:
    """Raises `StackError` with everything that is wrong, `BadRequest` when a file cannot be read."""
    if not files:
        raise BadRequest("no stack file: give one with -c FILE, or - for standard input")
    texts = [(_named(file), _read(file)) for file in files]
    directory = str(Path.cwd() if files[0] == STDIN else Path(files[0]).absolute().parent)
    filler = Filler(environment)
    trees: list[Map] = []
    problems: list[Problem] = []
    for name, text in texts:
        tree, unfilled = interpolate_file(parse_stack(text, name), filler)
        trees.append(tree)
        problems += [*unfilled, *_problems_of(tree)]
    if problems:
        raise StackError(problems)
    configs = [canonical_file(tree, _surroundings(tree, environment, directory)) for tree in trees]
    return Loaded(merge(configs), tuple(trees), tuple(filler.unset))


def plan_files(name: str, loaded: Loaded, environment: Mapping[str, str]) -> StackPlan:
    """What a deployment of the files is to bring about; reads what their secrets and configs hold. Raises as `load`."""
    return plan_stack(name, loaded.config, loaded.trees, _contents(loaded, environment))


def _contents(loaded: Loaded, environment: Mapping[str, str]) -> dict[tuple[str, str], bytes]:
    """No sentence of a problem shows what is read."""
    contents: dict[tuple[str, str], bytes] = {}
    problems: list[Problem] = []
    for section in ("secrets", "configs"):
        for key, given in (loaded.config.get(section) or {}).items():
            if given.get("external") or given.get("driver"):
                continue
            try:
                contents[section, key] = _content(given, environment)
            except (OSError, BadRequest) as error:
                reason = f"{given['file']}: {error.strerror}" if isinstance(error, OSError) else str(error)
                problems.append(marked(loaded.trees, (section, key), reason))
    if problems:
        raise StackError(problems)
    return contents


def _content(given: Config, environment: Mapping[str, str]) -> bytes:
    if "content" in given:
        return str(given["content"]).encode()
    if variable := given.get("environment"):
        if variable not in environment:
            raise BadRequest(f"the variable {variable} is not set")
        return environment[variable].encode()
    if Path(given["file"]).is_dir():
        raise BadRequest("names no file that holds it")
    return Path(given["file"]).read_bytes()


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
    for name, path, node in env_files_of(tree):
        try:
            contents[name] = (Path(directory) / name).read_text()
            parse_env_file(contents[name], environment)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            problems.append(Problem(node.mark, path, f"{name}: {reason}"))
    if problems:
        raise StackError(problems)
    return Surroundings(environment, directory, contents)


def _named(file: str) -> str:
    return "standard input" if file == STDIN else file


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == STDIN else Path(file).read_text()
    except OSError as error:
        raise BadRequest(f"{_named(file)}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadRequest(f"{_named(file)}: is no UTF-8 text") from error
