"""Long random histories of a whole cluster: see `support.long_walk`. `make test-long` walks much further.

A failure says how to see it again.
"""

import os
from pathlib import Path

import pytest
from support.long_walk import run_walk

STEPS = int(os.environ.get("SWARMPY_WALK_STEPS", "500"))
SEEDS = [int(seed) for seed in os.environ.get("SWARMPY_WALK_SEEDS", "1 2 3").split()]


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_happens_no_law_is_broken_and_in_every_calm_all_runs(seed: int, tmp_path: Path) -> None:
    walk = await run_walk(seed, STEPS, tmp_path)

    assert walk.steps == STEPS
    assert walk.world.operators.acknowledged > STEPS / 50
