"""A node that leaves: all that it ran goes, and an engine that does not answer is not waited for without end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest
from support.agents import FakeManager, agent_settings, running_agent, wait_until
from support.assignments import an_assignment
from support.stepping import advance, settle

from agent import daemon
from agent.engine.fake import FakeEngine
from swarmpy.clock import ManualClock, SystemClock
from swarmpy.errors import TimedOut
from swarmpy.settings import AgentSettings


@pytest.fixture
def leaving(tmp_path: Path) -> AgentSettings:
    return agent_settings(tmp_path).model_copy(update={"is_leaving": True})


@pytest.fixture
async def engine() -> AsyncIterator[FakeEngine]:
    engine = FakeEngine(SystemClock())
    yield engine
    await engine.close()


async def outcome_of(work: Awaitable[None], clock: ManualClock, seconds: float) -> BaseException | None:
    task = asyncio.ensure_future(work)
    await settle(clock)
    await advance(clock, seconds)
    assert task.done()
    return task.exception()


async def one_that_runs_a_task(engine: FakeEngine, folder: Path) -> FakeManager:
    """The manager of a node whose agent has ended, and whose container has not."""
    manager = FakeManager()
    async with running_agent(agent_settings(folder), engine, manager):
        manager.assign(an_assignment(1))
        await manager.wait_until_states("running")
    return manager


async def test_what_runs_here_is_stopped_and_removed(
    leaving: AgentSettings, engine: FakeEngine, tmp_path: Path
) -> None:
    manager = await one_that_runs_a_task(engine, tmp_path)
    await asyncio.wait_for(daemon.run(leaving, SystemClock(), engine, manager.connect), 10)
    assert not await engine.containers(leaving.node_id)
    assert manager.hellos


async def test_an_engine_that_never_answers_is_given_up(leaving: AgentSettings, engine: FakeEngine) -> None:
    engine.go_away("no such file")
    clock = ManualClock()
    error = await outcome_of(daemon.run(leaving, clock, engine, FakeManager().connect), clock, 70)
    assert isinstance(error, TimedOut)
    assert "the engine was waited for 60 s, and what ran here is not removed" in str(error)
    assert "is not reachable (no such file)" in str(error)


async def test_an_engine_that_goes_away_meanwhile_is_given_up_too(
    leaving: AgentSettings, engine: FakeEngine, tmp_path: Path
) -> None:
    manager = await one_that_runs_a_task(engine, tmp_path)
    clock = ManualClock()
    asked = engine.listings
    task = asyncio.ensure_future(daemon.run(leaving, clock, engine, manager.connect))
    await wait_until(lambda: engine.listings > asked)
    engine.go_away()
    error = await outcome_of(task, clock, 130)
    assert isinstance(error, TimedOut)
    assert "is not reachable" in str(error)
