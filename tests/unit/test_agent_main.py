"""The agent as a process: what it says to settings that it cannot use."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "settings {path} cannot be read: No such file or directory"),
        ('{"node_id": "n"}', "settings {path}: hostname: Field required"),
    ],
)
def test_settings_that_cannot_be_used_are_named_in_one_sentence(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "agent.json"
    if content is not None:
        path.write_text(content)

    ended = subprocess.run(
        [sys.executable, "-m", "agent", "--settings", str(path)], capture_output=True, text=True, timeout=30
    )

    assert ended.returncode == 2
    assert ended.stderr == f"agent: {said.format(path=path)}\n"
