"""What the agent says of the network map that its node shows."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.agents import FakeManager, agent_settings, running_agent, settled, wait_until
from support.assignments import an_assignment

from agent.engine.fake import FakeEngine
from agent.place import Place
from agent.runner import Runner
from agent.session import MOST_REPAIRS_KEPT, Portrait, Session
from agent.streams import LogStreams
from swarmpy.clock import SystemClock
from swarmpy.models.node import NodeDescription
from swarmpy.together import together
from swarmpy.wire import MOST_NOTES, Full


class Keeper:
    """Hears of each set, and shows its map when the test says so."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    def note_assigned(self, revision: int) -> None:
        self.heard.append(revision)


@pytest.fixture
def manager() -> FakeManager:
    """One whose store has been written to before."""
    manager = FakeManager()
    manager.revision = 40
    return manager


@asynccontextmanager
async def a_session(folder: Path, manager: FakeManager, keeper: Keeper) -> AsyncGenerator[Session, None]:
    settings, clock = agent_settings(folder), SystemClock()
    engine = FakeEngine(clock)
    runner = Runner(engine, clock, settings.node_id)

    async def describe() -> Portrait:
        return Portrait(NodeDescription())

    streams = LogStreams(engine, runner, manager.connect)
    place = Place(folder, settings.managers, settings.ready_file)
    session = Session(settings, clock, runner, describe, manager.connect, streams, place)
    session.on_assigned = keeper.note_assigned

    working = asyncio.ensure_future(together(runner.run(), session.run()))
    try:
        yield session
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await engine.close()


async def test_an_agent_that_keeps_no_networks_shows_every_map_at_once(tmp_path: Path, manager: FakeManager) -> None:
    engine = FakeEngine(SystemClock())
    async with running_agent(agent_settings(tmp_path), engine, manager):
        await wait_until(lambda: manager.mapped == [40])
        manager.assign(an_assignment(1))
        await wait_until(lambda: manager.mapped == [40, 41])
    await engine.close()


async def test_a_map_counts_as_shown_when_its_keeper_says_so(tmp_path: Path, manager: FakeManager) -> None:
    keeper = Keeper()
    async with a_session(tmp_path, manager, keeper) as session:
        await wait_until(lambda: keeper.heard == [40])
        manager.assign()
        await wait_until(lambda: keeper.heard == [40, 41])
        assert manager.mapped == []
        session.note_mapped(41)
        await wait_until(lambda: manager.mapped == [41])


async def test_what_is_none_of_this_sessions_sets_is_not_told(tmp_path: Path, manager: FakeManager) -> None:
    keeper = Keeper()
    async with a_session(tmp_path, manager, keeper) as session:
        await wait_until(lambda: keeper.heard == [40])
        for revision in (0, 39, 41):
            session.note_mapped(revision)
        session.note_mapped(40)
        session.note_mapped(40)
        await wait_until(lambda: manager.mapped)
        await settled()

        assert manager.mapped == [40]


async def test_a_map_of_the_last_session_says_nothing_to_the_next(tmp_path: Path, manager: FakeManager) -> None:
    keeper = Keeper()
    async with a_session(tmp_path, manager, keeper) as session:
        await wait_until(lambda: keeper.heard == [40])
        manager.revision = 50
        manager.hang_up()
        await wait_until(lambda: keeper.heard == [40, 50])
        session.note_mapped(40)
        session.note_mapped(50)
        await wait_until(lambda: manager.mapped)

        assert manager.mapped == [50]


async def test_a_set_told_anew_is_shown_anew(tmp_path: Path, manager: FakeManager) -> None:
    keeper = Keeper()
    async with a_session(tmp_path, manager, keeper) as session:
        await wait_until(lambda: keeper.heard == [40])
        session.note_mapped(40)
        await wait_until(lambda: manager.mapped == [40])
        manager.hang_up()
        await wait_until(lambda: keeper.heard == [40, 40])
        session.note_mapped(40)
        await wait_until(lambda: manager.mapped == [40, 40])


async def test_a_set_that_comes_whole_once_more_is_of_the_same_session(tmp_path: Path, manager: FakeManager) -> None:
    keeper = Keeper()
    async with a_session(tmp_path, manager, keeper) as session:
        await wait_until(lambda: keeper.heard == [40])
        manager.say(Full(revision=44, tasks=(), networks=()))
        await wait_until(lambda: keeper.heard == [40, 44])
        session.note_mapped(44)
        await wait_until(lambda: manager.mapped == [44])


async def test_what_the_node_mended_is_told_once(tmp_path: Path, manager: FakeManager) -> None:
    async with a_session(tmp_path, manager, Keeper()) as session:
        await wait_until(lambda: manager.hellos != [])
        session.note_repairs(["route 1 was missing", "x" * 10_000])
        await wait_until(lambda: bool(manager.descriptions and manager.descriptions[-1].repaired))
        assert [len(sentence) for sentence in manager.descriptions[-1].repaired] == [19, 500]
        session.note_repairs(["rule 2 was missing"])
        await wait_until(lambda: manager.descriptions[-1].repaired == ("rule 2 was missing",))


async def test_all_that_the_node_mended_is_told_however_much_it_is(tmp_path: Path, manager: FakeManager) -> None:
    async with a_session(tmp_path, manager, Keeper()) as session:
        await wait_until(lambda: manager.hellos != [])
        sentences = tuple(f"route {number} was missing" for number in range(2 * MOST_NOTES + 1))
        session.note_repairs(sentences)
        await wait_until(lambda: tuple(one for told in manager.descriptions for one in told.repaired) == sentences)


async def test_without_a_manager_what_is_mended_is_not_kept_for_ever(tmp_path: Path, manager: FakeManager) -> None:
    manager.go_away()
    async with a_session(tmp_path, manager, Keeper()) as session:
        session.note_repairs([f"route {number} was missing" for number in range(10 * MOST_REPAIRS_KEPT)])
        manager.come_back()
        await wait_until(lambda: sum(len(told.repaired) for told in manager.descriptions) == MOST_REPAIRS_KEPT)
        await settled()
        assert sum(len(told.repaired) for told in manager.descriptions) == MOST_REPAIRS_KEPT
