"""A whole agent and its tasks' secrets: laid out before the start, there as long as the task, never on a disk."""

import base64
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from support.agents import FakeManager, agent_settings, running_agent, wait_until
from support.assignments import an_assignment, desired

from agent.cache import FILE_NAME
from agent.daemon import places_of_files
from agent.engine.fake import FakeEngine
from swarmpy.clock import SystemClock
from swarmpy.ids import id_from_number
from swarmpy.models.container import ReferenceFile, SecretReference
from swarmpy.settings import AgentSettings
from swarmpy.states import TaskState
from swarmpy.wire import Changes, FileAssignment, TaskAssignment, in_frames

SECRET = FileAssignment(id="s1", name="key", is_secret=True, data=base64.b64encode(b"hunter2").decode())


@pytest.fixture
def settings(tmp_path: Path) -> AgentSettings:
    return agent_settings(tmp_path, node_id=id_from_number(4711))


@pytest.fixture
async def engine() -> AsyncGenerator[FakeEngine, None]:
    engine = FakeEngine(SystemClock())
    yield engine
    await engine.close()


@pytest.fixture
def manager() -> FakeManager:
    return FakeManager()


def a_task(settings: AgentSettings, number: int = 1) -> TaskAssignment:
    own = ReferenceFile(name="key", uid="0", gid="0", mode=0o444)
    return an_assignment(number, node_id=settings.node_id, secrets=(SecretReference(secret_id="s1", file=own),))


def laid_out(settings: AgentSettings, task: TaskAssignment) -> list[Path]:
    return [place / task.id for place in places_of_files(settings) if (place / task.id).is_dir()]


async def test_a_task_finds_its_secret_and_nothing_is_left_when_it_has_ended(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    task = a_task(settings)
    async with running_agent(settings, engine, manager):
        await wait_until(lambda: manager.hellos)
        manager.assign(task, files=(SECRET,))
        await manager.wait_until_states("running")
        (folder,) = laid_out(settings, task)
        assert (folder / "0").read_bytes() == b"hunter2"

        manager.assign(desired(task, TaskState.SHUTDOWN))
        await wait_until(lambda: not laid_out(settings, task))
    assert SECRET.data not in (settings.data_dir / FILE_NAME).read_text()
    await wait_until(lambda: not any(place.exists() for place in places_of_files(settings)))


async def test_with_no_manager_an_agent_started_again_leaves_what_runs_its_files_and_begins_nothing_that_needs_some(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    runs = a_task(settings, 1)
    async with running_agent(settings, engine, manager):
        await wait_until(lambda: manager.hellos)
        manager.assign(runs, files=(SECRET,))
        await manager.wait_until_states("running")
    before = engine.running()
    manager.go_away()
    async with running_agent(settings, engine, manager):
        await wait_until(lambda: engine.container_of(runs.id))
        assert laid_out(settings, runs)
        assert engine.running() == before
        # A manager comes, and another task with it.
        manager.come_back()
        manager.assign(a_task(settings, 2))
        await manager.wait_until_states("running", "running")
        manager.drop(runs.id, id_from_number(2))
        await wait_until(lambda: not laid_out(settings, runs))


async def test_what_an_earlier_agent_left_is_swept_once_a_manager_said_what_belongs_here(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    stale = a_task(settings, 9)
    async with running_agent(settings, engine, manager):
        await wait_until(lambda: manager.hellos)
        manager.assign(stale, files=(SECRET,))
        await manager.wait_until_states("running")
    manager.tasks.clear()
    async with running_agent(settings, engine, manager):
        await wait_until(lambda: len(manager.hellos) == 2 and not laid_out(settings, stale))


async def test_what_is_too_much_for_one_frame_comes_ahead(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    others = [SECRET.model_copy(update={"id": f"c{n}", "data": "eHh4" * (1 << 20)}) for n in range(4)]
    task = a_task(settings)
    whole = Changes(after=0, revision=1, tasks=(task,), files=(*others, SECRET))
    frames = in_frames(whole)
    assert [len(frame.files) for frame in frames] == [2, 2, 1]
    async with running_agent(settings, engine, manager):
        await wait_until(lambda: manager.hellos)
        for frame in frames:
            manager.say(frame)
        await manager.wait_until_states("running")
        manager.say(Changes(after=1, revision=2, dropped_tasks=(task.id,)))
        await wait_until(lambda: not laid_out(settings, task))


async def test_a_task_whose_secret_is_gone_says_so(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    task = a_task(settings)
    async with running_agent(settings, engine, manager):
        await wait_until(lambda: manager.hellos)
        manager.assign(task)
        await manager.wait_until_states("rejected")
    assert "secret s1 is not there" in (manager.reports[task.id].status.err or "")
