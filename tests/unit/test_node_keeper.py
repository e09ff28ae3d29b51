"""Keepers and the supervisor with real child processes: small shell scripts in place of etcd, manager and agent."""

import asyncio
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from swarmpy.clock import SystemClock
from swarmpy.errors import BadRequest
from swarmpy.node.keeper import Keeper
from swarmpy.node.plan import Child
from swarmpy.node.process import environment
from swarmpy.node.supervisor import supervise

FOREVER = "echo up; exec sleep 1000"
BOUND = 10


class Stage:
    """Children written in shell, and what was heard from them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.heard: list[tuple[str, str]] = []
        self.stop = asyncio.Event()
        self.ready = asyncio.Event()

    def keeper(self, name: str, script: str, *, sockets: tuple[Path, ...] = (), can_refuse: bool = True) -> Keeper:
        child = Child(name, ("/bin/sh", "-c", script), self.directory, sockets)
        return Keeper(child, partial(self.has_said, name, "up"), self.hear, SystemClock(), can_refuse=can_refuse)

    async def has_said(self, name: str, line: str, times: int = 1) -> bool:
        return self.heard.count((name, line)) >= times

    async def until(self, name: str, line: str, times: int = 1) -> None:
        async with asyncio.timeout(BOUND):
            while not await self.has_said(name, line, times):
                await asyncio.sleep(0.01)

    async def announce(self) -> None:
        self.ready.set()

    def hear(self, name: str, line: str) -> None:
        self.heard.append((name, line))


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


async def end(stage: Stage, running: asyncio.Task[None]) -> None:
    stage.stop.set()
    async with asyncio.timeout(BOUND):
        await running


async def test_a_child_that_is_killed_is_started_again_at_once(stage: Stage) -> None:
    keeper = stage.keeper("manager", f"echo $$; {FOREVER}")
    running = asyncio.create_task(supervise([], [keeper], stage.stop, stage.announce))
    await stage.until("manager", "up")
    os.kill(int(stage.heard[0][1]), signal.SIGKILL)
    await stage.until("manager", "up", times=2)
    await end(stage, running)


async def test_children_end_in_reverse_order(stage: Stage) -> None:
    script = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    etcd, manager, agent = (stage.keeper(name, script) for name in ("etcd", "manager", "agent"))
    running = asyncio.create_task(supervise([etcd], [manager, agent], stage.stop, stage.announce))
    await stage.until("manager", "up")
    await stage.until("agent", "up")
    await end(stage, running)
    assert [name for name, line in stage.heard if line == "bye"] == ["agent", "manager", "etcd"]


async def test_the_foundation_serves_before_the_others_start(stage: Stage) -> None:
    etcd = stage.keeper("etcd", f"sleep 0.3; {FOREVER}")
    manager = stage.keeper("manager", FOREVER)
    running = asyncio.create_task(supervise([etcd], [manager], stage.stop, stage.announce))
    await stage.until("manager", "up")
    await end(stage, running)
    assert [name for name, _ in stage.heard] == ["etcd", "manager"]


async def test_a_child_that_refuses_to_start_ends_the_node_with_its_words(stage: Stage) -> None:
    manager = stage.keeper("manager", "echo the settings are wrong; exit 2")
    agent = stage.keeper("agent", FOREVER)
    async with asyncio.timeout(BOUND):
        with pytest.raises(BadRequest, match="the manager refused to start: the settings are wrong"):
            await supervise([], [manager, agent], stage.stop, stage.announce)


async def test_a_program_that_cannot_be_run_is_tried_again(stage: Stage) -> None:
    child = Child("etcd", (str(stage.directory / "none"),), stage.directory)
    keeper = Keeper(child, partial(stage.has_said, "etcd", "up"), stage.hear, SystemClock())
    running = asyncio.create_task(keeper.run())
    await stage.until("etcd", f"cannot run {stage.directory / 'none'}: No such file or directory", times=2)
    keeper.stop.set()
    async with asyncio.timeout(BOUND):
        assert await running is None


async def test_what_an_earlier_child_left_is_cleared_away_before_a_start(stage: Stage) -> None:
    left = stage.directory / "client.sock"
    left.touch()
    keeper = stage.keeper("etcd", f"test -e {left} && echo stale; {FOREVER}", sockets=(left,))
    running = asyncio.create_task(supervise([keeper], [], stage.stop, stage.announce))
    await stage.until("etcd", "up")
    await end(stage, running)
    assert ("etcd", "stale") not in stage.heard


async def test_very_long_lines_do_not_stop_the_output(stage: Stage) -> None:
    keeper = stage.keeper("agent", f"head -c 300000 /dev/zero | tr '\\0' x; echo; {FOREVER}")
    running = asyncio.create_task(supervise([], [keeper], stage.stop, stage.announce))
    await stage.until("agent", "up")
    await end(stage, running)
    assert sum(len(line) for _, line in stage.heard) == 300_000 + len("up")


def test_children_get_neither_etcd_variables_nor_our_secrets() -> None:
    given = {"PATH": "/bin", "ETCD_NAME": "x", "SWARMPY_ETCD_PASSWORD": "y", "HTTPS_PROXY": "z"}
    assert environment(given) == {"PATH": "/bin", "HTTPS_PROXY": "z"}


PARENT = """
import asyncio, pathlib, sys
from swarmpy.node.process import Process

async def main():
    process = await Process.start(("/bin/sleep", "1000"), pathlib.Path("/"), print)
    print(process.pid, flush=True)
    await process.ended

asyncio.run(main())
"""


async def test_children_die_with_a_supervisor_that_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_running(child)
        parent.kill()
    async with asyncio.timeout(BOUND):
        while is_running(child):
            await asyncio.sleep(0.01)


def is_running(pid: int) -> bool:
    """Alive, and not a zombie that nobody has collected yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
