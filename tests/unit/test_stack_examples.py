"""The examples can be deployed as they are."""

from pathlib import Path

import pytest

from swarmpy.cli.stack_files import load, plan_files

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "stacks").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_carried_out_whole(path: Path) -> None:
    environment = {"SHOP_PASSWORD": "for a test"}
    loaded = load([str(path)], environment)
    plan = plan_files("example", loaded, environment)
    assert plan.services
    assert (plan.warnings, loaded.warnings) == ((), ())
