"""What a machine lacks is said, not hidden: tests that need it are skipped with a reason, or fail with `--no-skips`."""

import shutil
import signal
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import settings
from support.dockerd import why_not as why_no_engine

from swarmpy.errors import BadRequest
from swarmpy.node.etcd import find_etcd

# Whoever runs the tests in the background may have taken Ctrl-C from them, and so from the programs that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("quick", max_examples=50, deadline=None, print_blob=True)
settings.register_profile("deep", max_examples=2000, deadline=None, print_blob=True)
settings.load_profile("quick")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="fail where the machine lacks what a test needs")
    parser.addoption("--long", action="store_true", help="also the tests that take minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        long = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if item not in long]
        config.hook.pytest_deselected(items=long)
    places = _places(Counter(item.path for item in items))
    items.sort(key=lambda item: places[item.path])
    missing = {name: reason for name, reason in lacking().items() if reason}
    for item in items:
        reasons = [reason for name, reason in missing.items() if item.get_closest_marker(name)]
        if reasons and config.getoption("--no-skips"):
            raise pytest.UsageError(f"{item.nodeid} cannot run here: {'; '.join(reasons)}")
        if reasons:
            item.add_marker(pytest.mark.skip(reason="; ".join(reasons)))


def _places(tests: Mapping[Path, int]) -> Mapping[Path, float]:
    """File -> its place among all, by how many tests each has. Whole files are dealt out in this order: labs have many
    processes and mostly wait, so they are spread among the rest, the longest first."""
    labs = sorted((path for path in tests if path.parent.name == "lab"), key=lambda path: -tests[path])
    others = [path for path in tests if path.parent.name != "lab"]
    apart = len(others) / max(len(labs), 1)
    return {path: number * apart for number, path in enumerate(labs)} | {
        path: number + 0.5 for number, path in enumerate(others)
    }


def lacking() -> dict[str, str | None]:
    """Marker -> why its tests cannot run here, None when they can."""
    etcd, engine = why_no_etcd(), why_no_engine()
    browser = None if shutil.which("chromium") else "chromium is not installed"
    return {"etcd": etcd, "docker": engine, "lab": etcd or engine, "browser": browser}


def why_no_etcd() -> str | None:
    try:
        find_etcd()
    except BadRequest as reason:
        return str(reason)
    return None
