"""Keys that are not carried out: the schema knows them, and the page tells them as the code does."""

from pathlib import Path

import pytest

from swarmpy.stack import schema
from swarmpy.stack.keys import STANDINGS, Ignored, standing_of
from swarmpy.stack.shapes import Anything, Either, Fields, ListOf, MapOf, Shape

PAGE = Path(__file__).parents[2] / "docs" / "stack-files.md"
SECTIONS = {"services": schema.SERVICE, "networks": schema.NETWORK, "volumes": schema.VOLUME}


def is_known(shape: Shape, path: list[str]) -> bool:
    if not path:
        return True
    match shape:
        case Either(shapes=shapes):
            return any(is_known(one, path) for one in shapes)
        case Fields(known=known):
            return path[0] in known and is_known(known[path[0]], path[1:])
        case MapOf(value=inner) | ListOf(item=inner):
            return path[0] == "*" and is_known(inner, path[1:])
        case Anything():
            return True
    return False


@pytest.mark.parametrize("pattern", STANDINGS)
def test_each_key_that_is_not_carried_out_is_one_of_the_schema(pattern: str) -> None:
    # An extension key by form, a meaning by name.
    assert is_known(schema.FILE, pattern.split(".")) or pattern == "volumes.*.x-cluster-spec"


def test_the_page_has_a_row_for_each_and_no_more() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `") and line.count("|") == 4]
    wished = [
        f"| `{pattern}` | {'ignored' if isinstance(standing, Ignored) else 'refused'} | {standing.because} |"
        for pattern, standing in sorted(STANDINGS.items())
    ]
    assert rows == wished


@pytest.mark.parametrize("section", SECTIONS)
def test_the_page_names_every_key_that_is_carried_out(section: str) -> None:
    carried_out = PAGE.read_text().partition("## What is carried out")[2].partition("With these limits")[0]
    for key in SECTIONS[section].known:
        assert (f"`{key}`" in carried_out) or standing_of((section, "x", key)) is not None, key


def test_a_standing_is_found_by_the_shape_of_the_path() -> None:
    assert standing_of(("services", "web", "build")) is STANDINGS["services.*.build"]
    assert standing_of(("services", "web", "networks", "n", "ipv4_address")) is not None
    assert standing_of(("services", "web", "volumes", 0, "cluster")) is not None
    assert standing_of(("services", "web", "image")) is None
    assert standing_of(("services",)) is None
