"""The examples can be deployed as they are."""

from pathlib import Path

import pytest

from swarmpy.cli.stack_files import load
from swarmpy.stack.plan import plan_stack

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "stacks").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_carried_out_whole(path: Path) -> None:
    loaded = load([str(path)], {})
    plan = plan_stack("example", loaded.config, loaded.trees)
    assert plan.services
    assert (plan.warnings, loaded.warnings) == ((), ())
