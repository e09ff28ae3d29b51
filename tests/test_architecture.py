"""The rules of the house, executed: who may import whom, what pure files may not touch, how large things may grow."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("swarmpy", "scheduler", "manager", "agent")

# Each package may import itself and these; nobody but `swarmpy/cli` imports `swarmpy.cli`.
MAY_IMPORT = {
    "swarmpy": set(),
    "scheduler": {"swarmpy"},
    "manager": {"swarmpy", "scheduler"},
    "agent": {"swarmpy"},
}

PURE = (
    "swarmpy/address_ranges.py",
    "swarmpy/container_values.py",
    "swarmpy/dependencies.py",
    "swarmpy/descriptors.py",
    "swarmpy/errors.py",
    "swarmpy/ids.py",
    "swarmpy/image_reference.py",
    "swarmpy/labels.py",
    "swarmpy/limits.py",
    "swarmpy/shown.py",
    "swarmpy/states.py",
    "swarmpy/membership.py",
    "swarmpy/templating.py",
    "swarmpy/tokens.py",
    "swarmpy/network_map.py",
    "swarmpy/ulimits.py",
    "swarmpy/wire.py",
    "swarmpy/models/*.py",
    "swarmpy/stack/*.py",
    "swarmpy/cli/changes_view.py",
    "swarmpy/cli/convergence.py",
    "swarmpy/cli/failures.py",
    "swarmpy/cli/held.py",
    "swarmpy/cli/render.py",
    "swarmpy/cli/service_flag*.py",
    "swarmpy/cli/service_pretty.py",
    "swarmpy/cli/slots.py",
    "swarmpy/health_wait.py",
    "swarmpy/lines.py",
    "swarmpy/cli/views.py",
    "swarmpy/cli/way_back.py",
    "swarmpy/lab/commands.py",
    "swarmpy/lab/network.py",
    "swarmpy/lab/plan.py",
    "swarmpy/lab/processes.py",
    "swarmpy/node/children.py",
    "swarmpy/node/plan.py",
    "swarmpy/node/unit.py",
    "scheduler/*.py",
    "manager/attached.py",
    "manager/deadline.py",
    "manager/node_grace.py",
    "manager/objects.py",
    "manager/published_ports.py",
    "manager/state.py",
    "manager/orchestrator/*.py",
    "manager/allocator/*.py",
    "manager/admission/*.py",
    "manager/api/views/*.py",
    "manager/api/events.py",
    "manager/api/filters.py",
    "manager/api/forwarding.py",
    "manager/api/log_lines.py",
    "manager/api/lookup.py",
    "manager/api/overview.py",
    "manager/api/status.py",
    "manager/api/steps.py",
    "manager/control/bootstrap.py",
    "manager/control/dirty.py",
    "manager/members/port.py",
    "manager/members/reconcile.py",
    "manager/store/port.py",
    "manager/store/errors.py",
    "manager/store/keys.py",
    "manager/store/codec.py",
    "manager/store/pack.py",
    "manager/ui/rows.py",
    "manager/name_book.py",
    "agent/dns/answer.py",
    "agent/dns/cache.py",
    "agent/dns/replies.py",
    "agent/dns/shares.py",
    "agent/dns/wire.py",
    "agent/dns/zone.py",
    "agent/engine/docker_wire.py",
    "agent/engine/ranges.py",
    "agent/network/addresses.py",
    "agent/network/departures.py",
    "agent/network/drawing.py",
    "agent/network/host_routes.py",
    "agent/network/links.py",
    "agent/network/messages.py",
    "agent/network/picture.py",
    "agent/network/rules*.py",
    "agent/network/table.py",
    "agent/network/tunnel.py",
    "agent/network/wanted.py",
    "agent/task/*.py",
    "manager/dispatcher/assignments.py",
    "manager/dispatcher/farewells.py",
    "manager/dispatcher/files.py",
    "manager/dispatcher/frames.py",
    "manager/dispatcher/map_entries.py",
    "manager/dispatcher/map_sheet.py",
    "manager/dispatcher/network_map.py",
    "manager/dispatcher/registration.py",
    "manager/dispatcher/reports.py",
    "manager/skydns.py",
)
# YAML is read there, and files that a stack file names.
IMPURE = {"swarmpy/stack/parse.py"}

# Packages that touch the world, or change between two calls.
WORLD = {
    "aetcd", "asyncio", "click", "docker", "fastapi", "fcntl", "grpc", "http", "httpcore2", "logging",
    "multiprocessing", "os", "random", "requests", "rich", "ruamel", "secrets", "select", "shutil", "signal",
    "socket", "ssl", "starlette", "structlog", "subprocess", "sys", "tempfile", "tenacity", "threading", "time",
    "urllib3", "uuid", "uvicorn", "websockets",
}  # fmt: skip
WORLD_OF_OURS = {"swarmpy.clock", "swarmpy.idgen", "swarmpy.logs", "swarmpy.retry", "swarmpy.client"}
WORLD_CALLS = {
    "open", "print", "input", "datetime.now", "datetime.utcnow", "datetime.today", "date.today",
    "datetime.datetime.now", "datetime.date.today",
}  # fmt: skip
WORLD_METHODS = {"read_text", "write_text", "read_bytes", "write_bytes", "mkdir", "unlink", "exists", "resolve"}

# One foreign package, one place.
ONE_PLACE = {
    "aetcd": "manager/store/etcd*.py",
    "grpc": "manager/store/etcd*.py",
    "httpcore2": "manager/api/leader_client.py",
    "dns": "agent/dns/*.py",
    "docker": "agent/engine/docker*.py",
    "pyroute2": "agent/network/*.py",
    "ruamel": "swarmpy/stack/parse.py",
    "yaml": "swarmpy/stack/parse.py",
    "tenacity": "swarmpy/retry.py",
    "structlog": "swarmpy/logs.py",
    "cryptography.x509": "swarmpy/pki.py",
}

DRAWERS = {"utils", "util", "common", "helpers", "helper", "misc", "shared", "tools"}
LINES, TEST_LINES, FUNCTION_LINES = 400, 500, 45
# Where this project was not made to be read: absolute paths of one machine.
MACHINE_PATH = re.compile(r"/work/|/tmp/w/|/home/\w+|/root/|\.pyenv")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def sources(*places: str) -> list[Path]:
    return sorted(path for place in places for path in (ROOT / place).rglob("*.py"))


def pure_files() -> list[Path]:
    found = {path for pattern in PURE for path in ROOT.glob(pattern)}
    return sorted(path for path in found if name_of(path) not in IMPURE)


CODE = sources(*PACKAGES)
TESTS = sources("tests", "benchmarks")


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of each module (or name in a module) that a file imports, wherever it does so."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def is_within(name: str, packages: set[str]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def calls_of(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func)


def functions_of(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_packages_import_only_those_below_them(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    forbidden = set(PACKAGES) - MAY_IMPORT[package] - {package}
    assert [(line, name) for line, name in imports_of(path) if is_within(name, forbidden)] == []


@pytest.mark.parametrize("path", sources("manager/orchestrator"), ids=name_of)
def test_what_is_decided_of_tasks_stands_below_what_is_allocated_for_them(path: Path) -> None:
    assert [(line, name) for line, name in imports_of(path) if is_within(name, {"manager.allocator"})] == []


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_only_the_command_line_imports_the_command_line(path: Path) -> None:
    if name_of(path).startswith("swarmpy/cli/"):
        return
    assert [(line, name) for line, name in imports_of(path) if is_within(name, {"swarmpy.cli"})] == []


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_a_foreign_package_is_imported_in_one_place(path: Path) -> None:
    elsewhere = {package for package, place in ONE_PLACE.items() if not path.relative_to(ROOT).match(place)}
    assert [(line, name) for line, name in imports_of(path) if is_within(name, elsewhere)] == []


@pytest.mark.parametrize("path", CODE + TESTS, ids=name_of)
def test_imports_are_absolute(path: Path) -> None:
    relative = [node.lineno for node in ast.walk(tree_of(path)) if isinstance(node, ast.ImportFrom) and node.level]
    assert relative == []


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_what_calls_itself_pure_is_held_to_it(path: Path) -> None:
    says_so = re.search(r"\bPure[.:]", ast.get_docstring(tree_of(path)) or "")
    assert path in pure_files() or not says_so


@pytest.mark.parametrize("path", pure_files(), ids=name_of)
def test_pure_files_import_nothing_of_the_world(path: Path) -> None:
    assert [(line, name) for line, name in imports_of(path) if is_within(name, WORLD | WORLD_OF_OURS)] == []


@pytest.mark.parametrize("path", pure_files(), ids=name_of)
def test_pure_files_read_no_clock_and_no_file(path: Path) -> None:
    touching = [
        (line, call)
        for line, call in calls_of(path)
        if call in WORLD_CALLS or ("." in call and call.rsplit(".", 1)[1] in WORLD_METHODS)
    ]
    assert touching == []


@pytest.mark.parametrize("path", pure_files(), ids=name_of)
def test_pure_files_have_no_coroutines(path: Path) -> None:
    assert [function.name for function in functions_of(path) if _awaits(function)] == []


def _awaits(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Coroutines with a body; a protocol may well speak of them."""
    return isinstance(function, ast.AsyncFunctionDef) and any(
        isinstance(node, ast.Await) for node in ast.walk(function)
    )


def test_every_pattern_of_pure_files_finds_some() -> None:
    assert [pattern for pattern in PURE if not list(ROOT.glob(pattern))] == []


@pytest.mark.parametrize("path", CODE + TESTS, ids=name_of)
def test_no_module_is_a_drawer(path: Path) -> None:
    assert DRAWERS.isdisjoint({path.stem, *path.relative_to(ROOT).parts[:-1]})


@pytest.mark.parametrize("path", CODE + TESTS, ids=name_of)
def test_files_stay_small_enough_to_read(path: Path) -> None:
    limit = LINES if path in CODE else TEST_LINES
    assert len(path.read_text().splitlines()) <= limit


@pytest.mark.parametrize("path", CODE + TESTS, ids=name_of)
def test_functions_stay_small_enough_to_read(path: Path) -> None:
    lengths = {function.name: (function.end_lineno or 0) - function.lineno + 1 for function in functions_of(path)}
    assert {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES} == {}


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_every_module_says_what_it_owns(path: Path) -> None:
    if path.name in ("__init__.py", "__main__.py"):
        return
    assert ast.get_docstring(tree_of(path)), "a module opens with a docstring: what it owns, what it does not"


@pytest.mark.parametrize("path", [*CODE, *TESTS, *sources("examples", "scripts")], ids=name_of)
def test_no_path_of_one_machine_is_written_down(path: Path) -> None:
    if path == Path(__file__):
        return
    assert MACHINE_PATH.findall(path.read_text()) == []


def test_tests_are_no_package() -> None:
    assert [name_of(path) for path in TESTS if path.name == "__init__.py"] == []


def test_test_files_have_names_of_their_own() -> None:
    names = [path.name for path in TESTS if path.name.startswith("test_")]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("path", [path for path in TESTS if path.name.startswith("test_")], ids=name_of)
def test_tests_neither_sleep_nor_patch(path: Path) -> None:
    """They wait for conditions, with bounds; only the helpers in `tests/support` that do so may pause between looks."""
    forbidden = {"time.sleep", "monkeypatch.setattr", "mock.patch", "patch", "patch.object", "unittest.mock.patch"}
    assert [(line, call) for line, call in calls_of(path) if call in forbidden] == []
