"""Real stack files and what docker makes of them, where `SWARMPY_CORPUS` names such a collection and its scorer."""

import os
import re
import subprocess
import sys
from pathlib import Path

FOLDER = os.environ.get("SWARMPY_CORPUS")
# The one valid case that rests on a defect of docker, which leaves the inside of ${A:-${B}} as it stands.
DEFECTS = 1


def every_file_of_the_collection_is_understood_as_docker_does() -> None:
    command = f"{sys.executable} -m swarmpy.cli stack config -c {{file}}"
    ran = subprocess.run(
        [sys.executable, str(Path(FOLDER or "") / "score.py"), command, "--canonical", "--keep-env", "PYTHONPATH"],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    counts = re.findall(r"(\d+)/(\d+)", "\n".join(ran.stdout.splitlines()[-2:]))
    assert len(counts) == 3, ran.stdout + ran.stderr
    named, valid, invalid = ((int(ours), int(all_of_them)) for ours, all_of_them in counts)
    assert valid[0] >= valid[1] - DEFECTS, ran.stdout
    assert invalid[0] == invalid[1], ran.stdout
    assert named[0] == named[1], ran.stdout


if FOLDER:
    test_every_file_of_the_collection_is_understood_as_docker_does = (
        every_file_of_the_collection_is_understood_as_docker_does
    )
