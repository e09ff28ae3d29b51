"""What an agent makes of containers that end while their engine is not there to tell."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from support.agents import wait_until
from support.assignments import NODE_ID, an_assignment

from agent.ends import Ends
from agent.engine.fake import FakeEngine
from agent.processes import KernelProcesses
from agent.runner import Runner
from agent.task.assign import AssignedSet
from agent.task.run import Phase, TaskRun
from agent.watcher import Watcher
from swarmpy.clock import SystemClock
from swarmpy.settings import AgentSettings
from swarmpy.states import TaskState

TASK = an_assignment()


class PlayedProcesses:
    """All end at a word."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.watched: list[tuple[int, str]] = []

    async def until_ended(self, pid: int, container_id: str) -> bool:
        self.watched.append((pid, container_id))
        await self.ended.wait()
        return True


class Stage:
    """A node with one task, which runs."""

    def __init__(self) -> None:
        clock = SystemClock()
        self.engine, self.processes = FakeEngine(clock), PlayedProcesses()
        self.runner = Runner(self.engine, clock, NODE_ID)
        self.watcher = Watcher(
            self.engine, clock, NODE_ID, self.runner, AgentSettings.model_fields["relist_every"].default
        )
        self.runner.on_change = Ends(self.engine, clock, self.runner, self.processes).follow

    @property
    def run(self) -> TaskRun:
        return self.runner.runs[TASK.id]


@asynccontextmanager
async def a_running_task() -> AsyncIterator[Stage]:
    stage = Stage()
    works = [asyncio.ensure_future(work) for work in (stage.runner.run(), stage.watcher.run())]
    try:
        stage.runner.attend(True)
        stage.runner.apply(AssignedSet(1, {TASK.id: TASK}, {}), full=True)
        await wait_until(lambda: stage.run.phase is Phase.RUNNING)
        yield stage
    finally:
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)
        await stage.engine.close()


async def test_a_container_that_ends_while_the_engine_is_away_is_known_to_have_ended() -> None:
    async with a_running_task() as stage:
        stage.engine.go_away()
        await wait_until(lambda: stage.runner.trouble)
        assert stage.run.phase is Phase.RUNNING
        stage.processes.ended.set()
        await wait_until(lambda: stage.run.phase is Phase.DONE)
        assert stage.run.status.state is TaskState.FAILED
        assert stage.run.status.err == "task: non-zero exit (255): it ended while the engine did not answer"


async def test_each_process_is_watched_once() -> None:
    async with a_running_task() as stage:
        for _ in range(3):
            stage.runner.on_change()
        await wait_until(lambda: stage.processes.watched)
        (container,) = stage.engine.running()
        assert stage.processes.watched == [(container.pid, container.id)]


async def test_an_engine_that_answers_tells_how_it_ended() -> None:
    async with a_running_task() as stage:
        stage.processes.ended.set()
        (container,) = stage.engine.running()
        stage.engine.crash(container.id, 3)
        await wait_until(lambda: stage.run.phase is Phase.DONE)
        assert stage.run.status.err == "task: non-zero exit (3)"


async def test_the_end_of_a_process_of_the_kernel_is_told() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        group = Path(f"/proc/{process.pid}/cgroup").read_text().split()[0]
        told = asyncio.ensure_future(KernelProcesses().until_ended(process.pid, group))
        assert not await KernelProcesses().until_ended(process.pid, "another container")
        assert not told.done()
        process.kill()
        assert await told
        process.wait()
    assert not await KernelProcesses().until_ended(process.pid, group)
