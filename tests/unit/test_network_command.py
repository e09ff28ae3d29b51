"""Commands of the machine: what came of one is a value, whatever it was."""

import asyncio
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from support.agents import settled, wait_until

from agent.network.command import Ended, Failure, run


async def test_what_a_command_says_and_how_it_ended_are_told() -> None:
    ended = await run(("sh", "-c", "cat; echo no >&2; exit 3"), limit=10, given="yes")
    assert ended == Ended(3, "yes", "no\n")


async def test_without_input_it_waits_for_none() -> None:
    assert await run(("cat",), limit=10) == Ended(0, "", "")


async def test_one_that_is_not_there_is_told_from_one_that_fails() -> None:
    ended = await run(("no-such-command-anywhere",), limit=10)
    assert (ended.code, ended.failure) == (127, Failure.NOT_THERE)
    assert (await run(("sh", "-c", "exit 127"), limit=10)).failure is None


async def test_one_that_takes_too_long_is_killed() -> None:
    ended = await run(("sleep", "60"), limit=0.05)
    assert (ended.code, ended.failure, ended.complaint) == (124, Failure.TOO_LONG, "sleep took longer than 0.05 s")


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize(
    "script",
    ["sleep 61 & echo $! >child; wait", "setsid sleep 61 & echo $! >child; wait", "sleep 61 & echo $! >child"],
    ids=["its child", "its child in another session", "its child though it has ended itself"],
)
async def test_what_it_has_started_is_not_waited_for(script: str, tmp_path: Path) -> None:
    held = descriptors()
    began = time.monotonic()
    try:
        ended = await run(("sh", "-c", f"cd {tmp_path}; {script}"), limit=0.3)
        assert ended.failure is Failure.TOO_LONG
        assert time.monotonic() - began < 5
        await wait_until(lambda: descriptors() == held)
    finally:
        with suppress(ProcessLookupError):
            os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


async def test_what_it_has_started_is_killed_with_it(tmp_path: Path) -> None:
    await run(with_a_child(tmp_path), limit=0.3)
    child = int((tmp_path / "child").read_text())
    await wait_until(lambda: has_ended(child))


@pytest.mark.parametrize("while_it_starts", [True, False])
async def test_it_is_killed_when_whoever_waits_is_cancelled(while_it_starts: bool, tmp_path: Path) -> None:
    waiting = asyncio.ensure_future(run(with_a_child(tmp_path), limit=60))
    # Two turns, and the process is there: nothing is heard of it before the loop goes on.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    child = written(tmp_path / "child")
    if not while_it_starts:
        await settled()
    waiting.cancel()
    began = time.monotonic()
    await asyncio.wait((waiting,))
    assert waiting.cancelled()
    assert time.monotonic() - began < 5
    await wait_until(lambda: has_ended(child))


def with_a_child(folder: Path) -> tuple[str, ...]:
    return "sh", "-c", f"sleep 61 & echo $! >{folder}/child; wait"


def written(file: Path) -> int:
    """The number in it, and the loop stands still until it is there."""
    give_up_at = time.monotonic() + 10
    while time.monotonic() < give_up_at:
        if file.exists() and (text := file.read_text()).endswith("\n"):
            return int(text)
    raise AssertionError(f"nobody has written {file}")


def has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
