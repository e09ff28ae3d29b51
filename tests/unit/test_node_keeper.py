"""Keepers and the supervisor with real child processes: small shell scripts in place of etcd, manager and agent."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from support.addresses import TCP, a_free_port, is_free
from support.waits import BOUND

from swarmpy.clock import SystemClock
from swarmpy.errors import BadRequest
from swarmpy.node.keeper import SLOWEST_PROBE, Keeper
from swarmpy.node.plan import Child
from swarmpy.node.process import environment
from swarmpy.node.supervisor import supervise

FOREVER = "echo up; exec sleep 1000"
ROOT = Path(__file__).resolve().parents[2]


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


LEAVES_A_SOCKET = """
import os, socket, time
from agent.descriptors import heirlooms_of

before = {name for name in os.environ if "DESCRIPTORS" in name or "NOTIFY" in name}
heirlooms = heirlooms_of(os.environ)
left = heirlooms.take("one")
one = socket.socket() if left is None else socket.socket(fileno=left)
if left is None:
    one.bind(("127.0.0.1", 0))
    heirlooms.keep("one", one)
print("address", one.getsockname()[1], flush=True)
print("others inherit it:", os.get_inheritable(one.fileno()), flush=True)
print(sorted(before), heirlooms_of(os.environ).take("one"), flush=True)
print("up", flush=True)
time.sleep(1000)
"""
BESIDE = f"readlink /proc/self/fd/* | grep -c socket; {FOREVER}"


async def test_a_child_that_is_started_again_has_what_it_left_and_no_other_child_has(stage: Stage) -> None:
    place = stage.directory / "agent" / "notify.sock"
    child = Child("agent", (sys.executable, "-c", LEAVES_A_SOCKET), ROOT, store=place)
    agent = Keeper(child, partial(stage.has_said, "agent", "up"), stage.hear, SystemClock())
    manager = stage.keeper("manager", BESIDE)
    running = asyncio.create_task(supervise([], [agent, manager], stage.stop, stage.announce))
    for times in (1, 2, 3):
        await stage.until("agent", "up", times)
        assert agent.pid is not None
        os.kill(agent.pid, signal.SIGKILL)
    await stage.until("agent", "up", times=4)
    await stage.until("manager", "up")
    assert manager.pid is not None
    os.kill(manager.pid, signal.SIGKILL)
    await stage.until("manager", "up", times=2)
    addresses = [line for name, line in stage.heard if name == "agent" and line.startswith("address")]
    assert len(addresses) == 4
    assert len(set(addresses)) == 1
    assert stage.heard.count(("agent", "others inherit it: False")) == 4
    assert ("agent", "['NOTIFY_SOCKET', 'SWARMPY_DESCRIPTORS'] None") in stage.heard
    assert [line for name, line in stage.heard if name == "manager" and line != "up"] == ["0", "0"]
    assert not is_free("127.0.0.1", int(addresses[0].split()[1]), TCP)
    await end(stage, running)
    assert is_free("127.0.0.1", int(addresses[0].split()[1]), TCP)
    assert not place.exists()


LEAVES_A_SOCKET_AND_IS_KILLED = """
import os, signal, socket, sys
from agent.descriptors import heirlooms_of

heirlooms = heirlooms_of(os.environ)
print("taken over" if heirlooms.left() else "up", flush=True)
open(sys.argv[1]).close()
heirlooms.keep("one", socket.socket())
os.kill(os.getpid(), signal.SIGKILL)
"""


async def test_what_a_child_said_last_is_heard_even_if_its_supervisor_had_no_time(stage: Stage) -> None:
    told = stage.directory / "told"
    os.mkfifo(told)
    command = (sys.executable, "-c", LEAVES_A_SOCKET_AND_IS_KILLED, str(told))
    child = Child("agent", command, ROOT, store=stage.directory / "agent" / "notify.sock")
    agent = Keeper(child, partial(stage.has_said, "agent", "up"), stage.hear, SystemClock())
    running = asyncio.create_task(agent.run())
    await stage.until("agent", "up")
    assert agent.pid is not None
    told.open("w").close()
    with suppress(ChildProcessError):
        os.waitid(os.P_PID, agent.pid, os.WEXITED | os.WNOWAIT)
    await stage.until("agent", "taken over")
    agent.stop.set()
    async with asyncio.timeout(BOUND):
        await running


async def test_a_place_that_was_lost_is_there_for_the_next_child(stage: Stage) -> None:
    place = stage.directory / "agent" / "notify.sock"
    child = Child("agent", ("/bin/sh", "-c", f"test -S {place} && echo there; {FOREVER}"), ROOT, store=place)
    agent = Keeper(child, partial(stage.has_said, "agent", "up"), stage.hear, SystemClock())
    running = asyncio.create_task(agent.run())
    await stage.until("agent", "up")
    place.unlink()
    assert agent.pid is not None
    os.kill(agent.pid, signal.SIGKILL)
    await stage.until("agent", "up", times=2)
    assert stage.heard.count(("agent", "there")) == 2
    agent.stop.set()
    async with asyncio.timeout(BOUND):
        await running


LEAVES_A_PORT_AND_CRASHES = """
import os, socket, sys
from agent.descriptors import heirlooms_of

heirlooms = heirlooms_of(os.environ)
left = heirlooms.take("one")
one = socket.socket() if left is None else socket.socket(fileno=left)
if left is None:
    one.bind(("127.0.0.1", int(sys.argv[1])))
    heirlooms.keep("one", one)
print("bound anew" if left is None else "taken over", flush=True)
sys.exit(1)
"""


class HastyClock(SystemClock):
    """Nobody sleeps by it, and it notes what is so at those times."""

    def __init__(self, is_so: Callable[[], bool]) -> None:
        self._is_so = is_so
        self.noted: dict[float, bool] = {}

    async def sleep(self, duration: timedelta) -> None:
        # Not between two looks whether a child serves: it may be about to bind.
        if duration > SLOWEST_PROBE:
            self.noted[duration.total_seconds()] = self._is_so()
        await asyncio.sleep(0)


async def test_nothing_is_held_for_a_child_that_is_long_away(stage: Stage) -> None:
    port = a_free_port("127.0.0.1", TCP)
    clock = HastyClock(lambda: is_free("127.0.0.1", port, TCP))
    command = (sys.executable, "-c", LEAVES_A_PORT_AND_CRASHES, str(port))
    child = Child("agent", command, ROOT, store=stage.directory / "agent" / "notify.sock")
    agent = Keeper(child, partial(stage.has_said, "agent", "bound anew", times=3), stage.hear, clock)
    running = asyncio.create_task(agent.run())
    await stage.until("agent", "bound anew", times=3)
    agent.stop.set()
    async with asyncio.timeout(BOUND):
        await running
    assert [line for _, line in stage.heard][:7] == ["bound anew", *["taken over"] * 4, *["bound anew"] * 2]
    assert [clock.noted[pause] for pause in (2, 4, 8, 16)] == [False, False, True, True]


async def test_a_child_runs_where_nothing_can_be_kept_for_it(stage: Stage) -> None:
    child = Child("agent", ("/bin/sh", "-c", FOREVER), stage.directory, store=stage.directory / ("x" * 200) / "socket")
    agent = Keeper(child, partial(stage.has_said, "agent", "up"), stage.hear, SystemClock())
    running = asyncio.create_task(supervise([], [agent], stage.stop, stage.announce))
    await stage.until("agent", "up")
    await end(stage, running)


def test_children_get_neither_etcd_variables_nor_our_secrets_nor_what_our_own_supervisor_says() -> None:
    ours = {"NOTIFY_SOCKET": "/run/systemd/notify", "LISTEN_FDS": "1", "WATCHDOG_USEC": "1"}
    given = {**ours, "PATH": "/bin", "ETCD_NAME": "x", "SWARMPY_ETCD_PASSWORD": "y", "HTTPS_PROXY": "z"}
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
