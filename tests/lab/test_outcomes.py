"""How deployments end: each with its exit code and its words, by the real command against a real engine.

The table stands in `support.outcome_table` and `support.outcome_changes`. All of it is played side by side on one node.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.node import Node
from support.outcome_changes import CHANGES
from support.outcome_table import FIRST
from support.outcomes import Outcome, Played, check

TABLE = (*FIRST, *CHANGES)


@pytest.fixture(scope="module")
def played(node: Node, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Played]:
    """Those rows that are asked for in this run."""
    asked = {item.name for item in request.session.items if item.path == Path(__file__)}
    rows = [row for row in TABLE if any(f"[{row.stack}]" in name for name in asked)]
    play = Played(node, rows, tmp_path_factory.mktemp("outcomes"))
    yield play
    play.close()


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.stack)
def test_a_deployment_ends_as_it_must(played: Played, row: Outcome) -> None:
    check(row, played.scene(row).result)
