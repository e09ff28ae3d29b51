"""The whole agent between a fake engine and a fake manager."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from support.agents import FakeManager, agent_settings, running_agent, settled, wait_until
from support.assignments import a_network, an_assignment, desired

from agent.cache import FILE_NAME
from agent.engine.fake import Behaviour, FakeEngine
from agent.task.container import create_request
from agent.task.templates import NodeFacts
from swarmpy.clock import ManualClock, SystemClock
from swarmpy.errors import BadRequest
from swarmpy.ids import id_from_number
from swarmpy.models.task import RestartPolicy
from swarmpy.settings import AgentSettings
from swarmpy.states import TaskState
from swarmpy.wire import Changes, CloseStream, LogOptions, OpenLogs, Refused, TaskAssignment

NODE = NodeFacts(hostname="host-a", os="linux", architecture="x86_64")


@pytest.fixture
def settings(tmp_path: Path) -> AgentSettings:
    return agent_settings(tmp_path)


@pytest.fixture
def manager() -> FakeManager:
    return FakeManager()


@pytest.fixture
async def engine() -> AsyncGenerator[FakeEngine, None]:
    engine = FakeEngine(SystemClock())
    yield engine
    await engine.close()


def container_id(engine: FakeEngine, task: TaskAssignment) -> str:
    found = engine.container_of(task.id)
    assert found is not None
    return found.id


async def test_an_assignment_becomes_a_running_container_and_a_report(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    network = a_network()
    async with running_agent(settings, engine, manager):
        await wait_until(lambda: manager.hellos)
        manager.assign(an_assignment(1, networks=(network.id,)), networks=(network,))
        await manager.wait_until_states("running")

        assert manager.applied == 1
        assert manager.hellos[0].description.hostname == "host-a"
        (report,) = manager.reports.values()
        assert report.addresses == {network.id: "10.200.1.2/24"}
        assert len(engine.running()) == 1


async def test_what_is_assigned_before_the_agent_comes_is_in_the_full_set(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    manager.assign(an_assignment(1), an_assignment(2))

    async with running_agent(settings, engine, manager):
        await manager.wait_until_states("running", "running")


async def test_a_dropped_task_leaves_nothing_behind(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    task = an_assignment(1, networks=(a_network().id,))
    async with running_agent(settings, engine, manager):
        manager.assign(task, networks=(a_network(),))
        await wait_until(lambda: engine.running())
        manager.drop(task.id)
        manager.networks.clear()
        manager.hang_up()

        await wait_until(lambda: engine.container_of(task.id) is None)
        assert await engine.containers(settings.node_id) == ()
        async with asyncio.timeout(5):
            while await engine.networks(settings.node_id):
                await asyncio.sleep(0.01)


async def test_a_crash_and_a_removal_by_hand_are_reported_with_their_reason(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    crashed, removed = an_assignment(1), an_assignment(2)
    async with running_agent(settings, engine, manager):
        manager.assign(crashed, removed)
        await manager.wait_until_states("running", "running")
        engine.crash(container_id(engine, crashed), 3)
        engine.remove_by_hand(container_id(engine, removed))
        await manager.wait_until_states("failed", "failed")

    assert manager.reports[crashed.id].status.err == "task: non-zero exit (3)"
    assert manager.reports[removed.id].status.err == "task: non-zero exit (137): container was removed by hand"


async def test_a_container_that_is_not_healthy_yet_is_reported_with_the_words_of_its_check(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    clock = ManualClock()
    engine.behaviours["app:1"] = Behaviour(has_health_check=True)
    task = an_assignment(1)
    async with running_agent(settings, engine, manager, clock):
        manager.assign(task)
        await wait_until(engine.running)
        engine.fail_check(container_id(engine, task), "no answer")
        for _ in range(3):
            await settled()
            clock.advance(timedelta(seconds=1))
        await settled()

    status = manager.reports[task.id].status
    assert (status.state, status.message) == (
        TaskState.STARTING, "starting: waiting to be healthy; its check said last: no answer"
    )  # fmt: skip


async def test_an_unhealthy_container_is_stopped_and_reported_with_its_last_words(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    engine.behaviours["app:1"] = Behaviour(has_health_check=True, healthy_after=0.01)
    task = an_assignment(1)
    async with running_agent(settings, engine, manager):
        manager.assign(task)
        await manager.wait_until_states("running")
        engine.turn_unhealthy(container_id(engine, task), "no answer")
        await manager.wait_until_states("failed")

    assert manager.reports[task.id].status.err == (
        "task: non-zero exit (143): dockerexec: unhealthy container: no answer"
    )
    assert engine.running() == ()


async def test_what_the_engine_has_no_image_for_is_rejected_with_the_cause(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    engine.behaviours["missing:1"] = Behaviour(missing=True)
    async with running_agent(settings, engine, manager):
        manager.assign(an_assignment(1, image="missing:1"))
        await manager.wait_until_states("rejected")

    (report,) = manager.reports.values()
    assert report.status.err == "No such image: missing:1 (pulling it failed: no registry answers)"


async def test_after_a_restart_of_the_agent_its_containers_are_adopted_and_none_is_started_again(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    manager.assign(*(an_assignment(number) for number in range(1, 6)))
    async with running_agent(settings, engine, manager):
        await manager.wait_until_states(*["running"] * 5)
    before = {facts.id for facts in engine.running()}
    manager.reports.clear()

    async with running_agent(settings, engine, manager):
        await wait_until(lambda: len(manager.hellos) == 2)
        await manager.wait_until_states(*["running"] * 5)

    assert {facts.id for facts in engine.running()} == before
    assert engine.starts == 5


async def test_containers_are_adopted_by_their_label_when_the_agent_has_lost_its_memory(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager, tmp_path: Path
) -> None:
    manager.assign(an_assignment(1))
    async with running_agent(settings, engine, manager):
        await manager.wait_until_states("running")
    manager.reports.clear()

    async with running_agent(agent_settings(tmp_path / "empty"), engine, manager):
        await manager.wait_until_states("running")

    assert engine.starts == 1


async def test_with_no_manager_a_restarted_agent_goes_on_with_what_it_knows(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    task = an_assignment(1)
    manager.assign(task)
    async with running_agent(settings, engine, manager):
        await manager.wait_until_states("running")
    manager.go_away()

    async with running_agent(settings, engine, manager):
        listings = engine.listings
        await wait_until(lambda: engine.listings > listings + 3)
        assert engine.starts == 1
        engine.crash(container_id(engine, task), 1)
        await wait_until(lambda: engine.starts == 2)
        manager.come_back()
        await wait_until(lambda: len(manager.hellos) == 2)

    assert manager.hellos[1].reports[0].restarts == 1


async def test_a_task_that_ended_while_the_agent_was_away_is_reported(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    ended, vanished = an_assignment(1), an_assignment(2)
    manager.assign(ended, vanished)
    async with running_agent(settings, engine, manager):
        await manager.wait_until_states("running", "running")
    engine.crash(container_id(engine, ended), 9)
    engine.remove_by_hand(container_id(engine, vanished))

    async with running_agent(settings, engine, manager):
        await manager.wait_until_states("failed", "failed")

    assert manager.reports[ended.id].status.err == "task: non-zero exit (9)"
    assert manager.reports[vanished.id].status.err == "container was removed by hand"


async def test_a_container_that_no_task_claims_is_removed_and_one_of_another_node_is_not(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    ours = await engine.create(create_request(an_assignment(8), NODE, {}))
    theirs = await engine.create(create_request(an_assignment(9, node_id=id_from_number(3)), NODE, {}))
    await engine.start(ours)
    await engine.start(theirs)

    async with running_agent(settings, engine, manager):
        await wait_until(lambda: len(engine.running()) == 1)

    assert engine.running()[0].id == theirs


async def test_strays_stay_while_no_manager_has_spoken(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    manager.reachable = False
    stray = await engine.create(create_request(an_assignment(8), NODE, {}))
    await engine.start(stray)

    async with running_agent(settings, engine, manager):
        listings = engine.listings
        await wait_until(lambda: engine.listings > listings + 3)

    assert len(engine.running()) == 1


async def test_reports_are_told_again_after_a_lost_connection(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    task = an_assignment(1)
    async with running_agent(settings, engine, manager):
        manager.assign(task)
        await manager.wait_until_states("running")
        manager.go_away()
        manager.reports.clear()
        manager.come_back()
        await manager.wait_until_states("running")

    assert engine.starts == 1


async def test_ten_tasks_are_reported_in_few_messages(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    async with running_agent(settings, engine, manager):
        await wait_until(lambda: manager.hellos)
        manager.assign(*(an_assignment(number) for number in range(1, 11)))
        await manager.wait_until_states(*["running"] * 10)

    assert len(manager.batches) <= 5


async def test_a_gap_in_the_changes_means_a_new_session_and_no_stopped_task(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    async with running_agent(settings, engine, manager):
        manager.assign(an_assignment(1))
        await manager.wait_until_states("running")
        manager.say(Changes(after=40, revision=41, dropped_tasks=(an_assignment(1).id,)))
        await wait_until(lambda: len(manager.hellos) == 2)
        await wait_until(lambda: manager.applied == 1)

    assert engine.starts == 1
    assert len(engine.running()) == 1


async def test_beats_come_at_the_pace_that_the_manager_sets(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    clock = ManualClock()
    manager.beat_every = 2.0
    async with running_agent(settings, engine, manager, clock):
        await wait_until(lambda: manager.beats == 1)
        manager.beat_every = 7.0
        # The answer to the second beat tells the pace after the third.
        for seconds, beats in ((1.9, 1), (0.1, 2), (2.0, 3), (6.9, 3), (0.1, 4)):
            await settled()
            clock.advance(timedelta(seconds=seconds))
            await settled()
            assert manager.beats == beats


async def test_a_manager_that_falls_silent_is_left(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    clock = ManualClock()
    manager.deaf = True
    async with running_agent(settings, engine, manager, clock):
        await wait_until(lambda: manager.beats == 1)
        for _ in range(8):
            clock.advance(timedelta(seconds=1))
            await settled()

    assert len(manager.hellos) == 2


async def test_an_agent_that_is_refused_for_good_ends_with_the_reason(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    manager.answer = Refused(reason="the node was removed", retry=False)

    with pytest.raises(BadRequest, match="the manager refuses this agent: the node was removed"):
        async with running_agent(settings, engine, manager) as work:
            await asyncio.wait((work,), timeout=5)


async def test_an_agent_that_is_refused_for_now_tries_again(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    manager.answer = Refused(reason="this manager does not lead the cluster")
    async with running_agent(settings, engine, manager):
        await wait_until(lambda: manager.hellos)
        manager.answer = None
        await wait_until(lambda: manager.beats)


async def test_an_engine_that_does_not_answer_is_named_and_the_node_does_not_register(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.go_away()
    async with running_agent(settings, engine, manager):
        await wait_until(lambda: "engine" in capsys.readouterr().out)
        assert manager.hellos == []
        engine.come_back()
        await wait_until(lambda: manager.hellos)


async def test_work_that_the_engine_did_not_answer_is_done_when_it_is_back(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    async with running_agent(settings, engine, manager):
        await wait_until(lambda: manager.hellos)
        engine.go_away()
        manager.assign(an_assignment(1))
        await wait_until(lambda: manager.reports)
        await wait_until(lambda: "not reachable" in (next(iter(manager.reports.values())).status.message or ""))
        engine.come_back()
        await manager.wait_until_states("running")


async def test_a_stopped_task_is_shut_down_and_keeps_its_container_for_its_logs(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    engine.behaviours["app:1"] = Behaviour(ignores_signals=True, output=(b"one\n", b"two\n"))
    task = an_assignment(1, stop_grace_period=10_000_000)
    async with running_agent(settings, engine, manager):
        manager.assign(task)
        await manager.wait_until_states("running")
        manager.assign(desired(task, TaskState.SHUTDOWN))
        await manager.wait_until_states("shutdown")
        manager.say(OpenLogs(stream_id="x", task_id=task.id, options=LogOptions(tail=1)))
        await wait_until(lambda: "x" in manager.ended_streams)

    assert manager.streams["x"] == [b"\x01two\n"]


async def test_a_log_stream_is_closed_when_the_manager_says_so(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    engine.behaviours["app:1"] = Behaviour(output=(b"one\n",))
    task = an_assignment(1)
    async with running_agent(settings, engine, manager):
        manager.assign(task)
        await manager.wait_until_states("running")
        manager.say(OpenLogs(stream_id="y", task_id=task.id, options=LogOptions(follow=True)))
        await wait_until(lambda: manager.streams.get("y") == [b"\x01one\n"])
        assert "y" not in manager.ended_streams
        manager.say(CloseStream(stream_id="y"))
        await wait_until(lambda: "y" in manager.ended_streams)


async def test_a_crash_loop_with_no_manager_ends_where_the_policy_ends_it(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    engine.behaviours["app:1"] = Behaviour(exits_after=0.02, exit_code=1)
    policy = RestartPolicy(max_attempts=2, delay=0)
    task = an_assignment(1, task_spec={"restart_policy": policy})
    async with running_agent(settings, engine, manager):
        manager.assign(task)
        await wait_until(lambda: engine.running())
        manager.go_away()
        await wait_until(lambda: engine.starts == 3 and not engine.running())
        manager.come_back()
        await manager.wait_until_states("failed")

    assert manager.reports[task.id].restarts == 2


async def test_a_lost_session_is_renewed_while_the_engine_is_away(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    async with running_agent(settings, engine, manager):
        manager.assign(an_assignment(1))
        await manager.wait_until_states("running")
        engine.go_away()
        manager.hang_up()
        await wait_until(lambda: len(manager.hellos) == 2)

    assert manager.hellos[1].description == manager.hellos[0].description
    assert [report.status.state for report in manager.hellos[1].reports] == [TaskState.RUNNING]


async def test_an_engine_that_changed_is_described_anew_in_the_next_session(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    async with running_agent(settings, engine, manager):
        await wait_until(lambda: manager.hellos)
        engine.info = replace(engine.info, version="26.1.5")
        manager.hang_up()
        await wait_until(lambda: manager.descriptions)

    assert manager.descriptions[0].description.engine.engine_version == "26.1.5"


async def test_the_manager_is_told_that_the_engine_is_away_and_that_it_is_back(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager
) -> None:
    async with running_agent(settings, engine, manager):
        manager.assign(an_assignment(1))
        await manager.wait_until_states("running")
        engine.go_away()
        await wait_until(lambda: len(manager.descriptions) == 1)
        engine.come_back()
        await wait_until(lambda: len(manager.descriptions) == 2)

    away, back = manager.descriptions
    assert "the Docker engine at fake is not reachable" in away.trouble
    assert (back.trouble, back.description) == ("", away.description)


async def test_a_disk_that_takes_nothing_more_stops_no_task(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager, capsys: pytest.CaptureFixture[str]
) -> None:
    # A folder where the file is to be written refuses every write, also to root.
    (settings.data_dir / FILE_NAME).with_suffix(".new").mkdir(parents=True)
    said, clock = "", ManualClock()

    def was_told() -> bool:
        nonlocal said
        clock.advance(timedelta(seconds=1))
        said += capsys.readouterr().out
        return "cache.not_written" in said

    def is_written() -> bool:
        clock.advance(timedelta(seconds=1))
        return (settings.data_dir / FILE_NAME).exists()

    async with running_agent(settings, engine, manager, clock):
        manager.assign(an_assignment(1))
        await wait_until(was_told)
        (settings.data_dir / FILE_NAME).with_suffix(".new").rmdir()
        await wait_until(is_written)
        await manager.wait_until_states("running")

    assert said.count("cache.not_written") == 1


async def test_an_engine_that_stays_away_is_told_of_once(
    settings: AgentSettings, engine: FakeEngine, manager: FakeManager, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = ManualClock()
    async with running_agent(settings, engine, manager, clock):
        await wait_until(lambda: manager.hellos)
        engine.go_away()
        for _ in range(20):
            clock.advance(settings.relist_every)
            await settled()

    assert capsys.readouterr().out.count("engine.listing_failed") == 1
