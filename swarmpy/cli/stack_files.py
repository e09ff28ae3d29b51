"""Reading stack files: from paths to one checked, merged configuration. Decides nothing itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from swarmpy.cli.bounded import LARGEST_DATA, STDIN, named, read_bytes, read_text
from swarmpy.cli.stack_reading import Reading
from swarmpy.errors import BadRequest
from swarmpy.stack.canonical import Config
from swarmpy.stack.depends import LeftOut, fault_of_circle, profile_option
from swarmpy.stack.dotenv import defined_in, parse_dotenv
from swarmpy.stack.interpolate import Filler
from swarmpy.stack.layers import left_out, stacked, tree_without, unknown_profiles, without_services
from swarmpy.stack.plan import StackPlan, plan_stack
from swarmpy.stack.tree import Map, Problem, StackError, marked


@dataclass(frozen=True, slots=True)
class Loaded:
    """`config` is canonical; `trees` are the files as they were, for places and refusals. What is wrong with them, the
    `problems`, is no part of `config`. `left_out` are services of profiles that are not enabled, with the profiles."""

    config: Config
    trees: tuple[Map, ...]
    warnings: tuple[str, ...]
    problems: tuple[Problem, ...] = ()
    left_out: LeftOut = field(default_factory=dict)


def environment_of(env_files: Sequence[str], environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of the files, later ones first; what the environment says counts more than any."""
    variables: dict[str, str] = {}
    for file in env_files:
        try:
            variables |= parse_dotenv(_read(file))
        except ValueError as error:
            raise BadRequest(f"{named(file)}: {error}") from None
    return variables | dict(environment)


def load(files: Sequence[str], environment: Mapping[str, str], profiles: Sequence[str] = ()) -> Loaded:
    """Raises `StackError` with everything that is wrong, `BadRequest` when a file cannot be read."""
    loaded = read(files, environment, profiles)
    if loaded.problems:
        raise StackError(loaded.problems)
    return loaded


def read(files: Sequence[str], environment: Mapping[str, str], profiles: Sequence[str] = ()) -> Loaded:
    """As far as the files can be read. Raises as `load` when they can be no further."""
    if not files:
        raise BadRequest("no stack file: give one with -c FILE, or - for standard input")
    directory = str(Path.cwd() if files[0] == STDIN else Path(files[0]).absolute().parent)
    reading = Reading(environment)
    texts = [(named(file), _read(file), directory) for file in files]
    try:
        layers = [(reading.config_of(file), file.taken_back) for file in reading.open_all(texts)]
    except StackError as error:
        raise StackError([*error.problems, *_hints(reading.filler, directory)]) from None
    problems = [*reading.problems, *_hints(reading.filler, directory)]
    config, trees = stacked(layers), tuple(reading.trees)
    warnings = [*_unset(reading.filler, directory), *unknown_profiles(config, profiles)]
    gone = left_out(config, profiles)
    config = without_services(config, gone)
    for name, wanted in gone.items():
        text = f"left out: it belongs to the profile {' and '.join(wanted)}; take it in with {profile_option(wanted)}"
        warnings.append(str(marked(trees, ("services", name), text)))
    if circle := fault_of_circle(config.get("services") or {}):
        problems.append(marked(trees, *circle))
    kept = tuple(tree_without(tree, gone) for tree in trees)
    return Loaded(config, kept, tuple(warnings), tuple(problems), gone)


def _hints(filler: Filler, directory: str) -> list[Problem]:
    """A file `.env` is not read; that it would have helped is said."""
    beside = Path(directory) / ".env"
    names = ", ".join(_beside(beside, filler.demanded))
    text = f"{beside} sets {names} and is not read: give --env-file {beside}"
    return [Problem(None, (), text)] if names else []


def _beside(beside: Path, names: Mapping[str, None]) -> tuple[str, ...]:
    try:
        return defined_in(read_text(beside), names) if names and beside.is_file() else ()
    except (OSError, ValueError):
        # It is for a hint only.
        return ()


def _unset(filler: Filler, directory: str) -> list[str]:
    beside = Path(directory) / ".env"
    known = _beside(beside, filler.unset | filler.left)

    def sentence(name: str, became: str) -> str:
        hint = f"; {beside} sets it and is not read: give --env-file {beside}" if name in known else ""
        return f"the variable {name} is not set and {became}{hint}"

    return [
        *(sentence(name, "became empty") for name in filler.unset),
        *(sentence(name, f"${name} was left as it stands") for name in filler.left),
    ]


def plan_files(name: str, loaded: Loaded, environment: Mapping[str, str]) -> StackPlan:
    """What a deployment of the files is to bring about; reads what their secrets and configs hold. Raises `StackError`
    with everything that is wrong, also with what was known when they were read."""
    contents, problems = _contents(loaded, environment)
    known = [*loaded.problems, *problems]
    return plan_stack(name, loaded.config, loaded.trees, contents, known, loaded.left_out)


def _contents(loaded: Loaded, environment: Mapping[str, str]) -> tuple[dict[tuple[str, str], bytes], list[Problem]]:
    """No sentence of a problem shows what is read."""
    contents: dict[tuple[str, str], bytes] = {}
    problems: list[Problem] = []
    for section in ("secrets", "configs"):
        for key, given in (loaded.config.get(section) or {}).items():
            if given.get("external") or given.get("driver"):
                continue
            try:
                contents[section, key] = _content(given, environment, LARGEST_DATA[section])
            except (OSError, BadRequest, ValueError) as error:
                reason = f"{given['file']}: {error.strerror}" if isinstance(error, OSError) else str(error)
                problems.append(marked(loaded.trees, (section, key), reason))
    return contents, problems


def _content(given: Config, environment: Mapping[str, str], largest: int) -> bytes:
    if "content" in given:
        return str(given["content"]).encode()
    if variable := given.get("environment"):
        if variable not in environment:
            raise BadRequest(f"the variable {variable} is not set")
        return environment[variable].encode()
    if Path(given["file"]).is_dir():
        raise BadRequest("names no file that holds it")
    try:
        return read_bytes(Path(given["file"]), largest)
    except ValueError as error:
        raise BadRequest(f"{given['file']}: {error}") from None


def _read(file: str) -> str:
    try:
        return read_text(file)
    except OSError as error:
        raise BadRequest(f"{named(file)}: {error.strerror}") from error
    except ValueError as error:
        raise BadRequest(f"{named(file)}: {error}") from error
