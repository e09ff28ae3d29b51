"""The agent's networks on its engine: made when a task needs them, taken away when none does any more."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from support.agents import FakeManager, agent_settings, running_agent, settled, wait_until
from support.assignments import NODE_ID, a_network, an_assignment, desired

from agent.engine.fake import FakeEngine
from agent.network.addresses import REST
from agent.runner import Runner
from agent.task.assign import AssignedSet
from agent.task.facts import Life, ListedContainer
from agent.task.names import network_name
from agent.task.records import TaskRecord
from agent.task.run import Phase
from swarmpy.clock import ManualClock, SystemClock
from swarmpy.models.task import TaskStatus
from swarmpy.settings import AgentSettings
from swarmpy.states import TaskState
from swarmpy.wire import NetworkAssignment, TaskAssignment

NETWORK = a_network()
# The same, back on the node with another share.
MOVED = NETWORK.model_copy(update={"subnet": "10.200.9.0/24", "gateway": "10.200.9.1"})


class SlowToRemove(FakeEngine):
    """Its networks go when `may_go` is set, and not before."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.removing: list[str] = []
        self.may_go = asyncio.Event()

    async def remove_network(self, name: str) -> None:
        self.removing.append(name)
        await self.may_go.wait()
        await super().remove_network(name)


@pytest.fixture
def settings(tmp_path: Path) -> AgentSettings:
    """No listing comes by itself."""
    return agent_settings(tmp_path).model_copy(update={"relist_every": timedelta(hours=1)})


@pytest.fixture
def manager() -> FakeManager:
    return FakeManager()


@pytest.fixture
async def engine() -> AsyncGenerator[SlowToRemove, None]:
    engine = SlowToRemove()
    yield engine
    await engine.close()


async def running_and_dropped(engine: SlowToRemove, manager: FakeManager) -> None:
    """A task ran on the network, and both are gone from the assignment; the network is being removed."""
    task = an_assignment(1, networks=(NETWORK.id,))
    await wait_until(lambda: manager.hellos)
    manager.assign(task, networks=(NETWORK,))
    await manager.wait_until_states("running")
    manager.drop(task.id, networks=(NETWORK.id,))
    await wait_until(lambda: engine.removing)


async def ran_and_ended(manager: FakeManager, task: TaskAssignment) -> None:
    """The task ran on the network, and its container is kept though it has ended."""
    await wait_until(lambda: manager.hellos)
    manager.assign(task, networks=(NETWORK,))
    await manager.wait_until_states("running")
    manager.assign(desired(task, TaskState.SHUTDOWN))
    await manager.wait_until_states("shutdown")


async def test_a_network_goes_as_soon_as_no_task_needs_it(
    settings: AgentSettings, engine: SlowToRemove, manager: FakeManager
) -> None:
    engine.may_go.set()
    async with running_agent(settings, engine, manager):
        await running_and_dropped(engine, manager)
        await settled()

        assert engine.removing == [network_name(NETWORK)]
        assert await engine.networks(settings.node_id) == ()


async def test_a_network_stays_while_a_task_that_was_dropped_is_still_on_it(
    settings: AgentSettings, engine: SlowToRemove, manager: FakeManager
) -> None:
    staying, leaving = an_assignment(1, networks=(NETWORK.id,)), an_assignment(2, networks=(NETWORK.id,))
    async with running_agent(settings, engine, manager):
        await wait_until(lambda: manager.hellos)
        manager.assign(staying, leaving, networks=(NETWORK,))
        await manager.wait_until_states("running", "running")
        manager.drop(leaving.id)
        await wait_until(lambda: engine.container_of(leaving.id) is None)
        await settled()

        assert engine.removing == []
        assert await engine.networks(settings.node_id) == (network_name(NETWORK),)


@pytest.mark.parametrize(
    "wanted",
    [NETWORK, a_network(2, subnet=NETWORK.subnet, gateway=NETWORK.gateway)],
    ids=["the same network", "another network with its range"],
)
async def test_a_task_that_needs_what_is_just_being_removed_waits_and_runs(
    settings: AgentSettings, engine: SlowToRemove, manager: FakeManager, wanted: NetworkAssignment
) -> None:
    later = an_assignment(2, networks=(wanted.id,))
    async with running_agent(settings, engine, manager):
        await running_and_dropped(engine, manager)
        manager.assign(later, networks=(wanted,))
        await manager.wait_until_states("shutdown", "preparing")
        await settled()
        assert engine.container_of(later.id) is None
        engine.may_go.set()

        await manager.wait_until_states("shutdown", "running")
        assert await engine.networks(settings.node_id) == (network_name(wanted),)


async def test_a_network_that_came_back_with_another_range_is_made_anew_once_its_last_container_has_gone(
    settings: AgentSettings, engine: SlowToRemove, manager: FakeManager
) -> None:
    """The node was away for so long that its share was given to others, and it has a new one."""
    engine.may_go.set()
    old, new = an_assignment(1, networks=(NETWORK.id,)), an_assignment(2, networks=(NETWORK.id,))
    async with running_agent(settings, engine, manager):
        await wait_until(lambda: manager.hellos)
        manager.assign(old, networks=(NETWORK,))
        await manager.wait_until_states("running")
    manager.go_away()
    manager.tasks = {old.id: desired(old, TaskState.SHUTDOWN), new.id: new}
    manager.networks = {MOVED.id: MOVED}
    manager.come_back()
    async with running_agent(settings, engine, manager):
        await manager.wait_until_states("shutdown", "running")

    assert manager.reports[new.id].addresses[NETWORK.id].startswith("10.200.9.")


async def test_a_network_goes_though_a_container_that_has_ended_is_kept_and_comes_back_with_another_range(
    settings: AgentSettings, engine: SlowToRemove, manager: FakeManager
) -> None:
    engine.may_go.set()
    old, new = an_assignment(1, networks=(NETWORK.id,)), an_assignment(2, networks=(NETWORK.id,))
    async with running_agent(settings, engine, manager):
        await ran_and_ended(manager, old)
        manager.drop(networks=(NETWORK.id,))
        await wait_until(lambda: engine.removing)
        await settled()
        assert await engine.networks(settings.node_id) == ()

        manager.assign(new, networks=(MOVED,))
        await manager.wait_until_states("shutdown", "running")

    assert manager.reports[new.id].addresses[NETWORK.id].startswith("10.200.9.")


async def test_a_network_that_has_another_range_at_once_is_made_anew(
    settings: AgentSettings, engine: SlowToRemove, manager: FakeManager
) -> None:
    """It left and came back before anybody could take it away."""
    engine.may_go.set()
    old, new = an_assignment(1, networks=(NETWORK.id,)), an_assignment(2, networks=(NETWORK.id,))
    async with running_agent(settings, engine, manager):
        await ran_and_ended(manager, old)
        manager.assign(new, networks=(MOVED,))
        await manager.wait_until_states("shutdown", "running")

    assert manager.reports[new.id].addresses[NETWORK.id].startswith("10.200.9.")


async def test_after_a_restart_what_waits_to_be_started_keeps_its_address(
    settings: AgentSettings, engine: SlowToRemove, manager: FakeManager
) -> None:
    waiting = an_assignment(1, networks=(NETWORK.id,), desired=TaskState.READY)
    other = an_assignment(2, networks=(NETWORK.id,))
    async with running_agent(settings, engine, manager):
        await wait_until(lambda: manager.hellos)
        manager.assign(waiting, networks=(NETWORK,))
        await manager.wait_until_states("ready")
    async with running_agent(settings, engine, manager):
        await wait_until(lambda: len(manager.hellos) == 2)
        manager.assign(other)
        await manager.wait_until_states("ready", "running")
        manager.assign(desired(waiting, TaskState.RUNNING))
        await manager.wait_until_states("running", "running")

    addresses = [manager.reports[task.id].addresses[NETWORK.id] for task in (waiting, other)]
    assert addresses == ["10.200.1.2/24", "10.200.1.3/24"]


async def test_an_address_that_was_given_back_before_a_restart_is_not_the_next_tasks(
    settings: AgentSettings, engine: SlowToRemove, manager: FakeManager
) -> None:
    first, second = (an_assignment(number, networks=(NETWORK.id,)) for number in (1, 2))
    async with running_agent(settings, engine, manager):
        await ran_and_ended(manager, first)
    async with running_agent(settings, engine, manager):
        await wait_until(lambda: len(manager.hellos) == 2)
        manager.assign(second)
        await manager.wait_until_states("shutdown", "running")

    assert manager.reports[second.id].addresses[NETWORK.id] == "10.200.1.3/24"


async def test_a_task_that_finds_a_share_full_waits_no_longer_than_the_rest() -> None:
    clock = ManualClock()
    engine = FakeEngine(clock)
    runner = Runner(engine, clock, NODE_ID)
    network = a_network(subnet="10.200.1.0/30")
    before, waiting = (an_assignment(number, networks=(network.id,)) for number in (1, 2))
    runner.shares.learn((network,))
    runner.shares.take(before)
    runner.shares.give_back(before.id)
    began = clock.now()

    runner.apply(AssignedSet(1, {waiting.id: waiting}, {network.id: network}), full=False)
    while runner.runs[waiting.id].phase < Phase.STARTING and clock.now() - began < 10 * REST:
        await settled()
        if (due := clock.next_wake()) is not None:
            clock.advance(due - clock.now())
    assert clock.now() - began == REST
    await runner.work.close()
    await engine.close()


async def test_the_address_of_a_container_that_went_while_no_agent_ran_rests_before_the_next_one_has_it(
    settings: AgentSettings, engine: SlowToRemove, manager: FakeManager
) -> None:
    """The task was on its way out, and is among none that the manager names."""
    runner = Runner(engine, SystemClock(), settings.node_id)
    gone = TaskRecord(
        task_id="gone", status=TaskStatus(state=TaskState.RUNNING), container_id="c1", taken={NETWORK.id: "10.200.1.2"}
    )
    await runner.adopt(AssignedSet(0, {}, {NETWORK.id: NETWORK}), {"gone": gone}, {})
    changes: list[None] = []
    runner.on_change = lambda: changes.append(None)

    runner.see_addresses([])

    assert (list(runner.shares.resting() or ()), changes) == ([IPv4Address("10.200.1.2")], [None])


async def test_addresses_of_strays_are_free_again_once_they_have_gone(
    settings: AgentSettings, engine: SlowToRemove, manager: FakeManager
) -> None:
    await engine.ensure_network(NETWORK, settings.node_id)
    runner = Runner(engine, SystemClock(), settings.node_id)
    runner.shares.learn((NETWORK,))
    stray = ListedContainer("c1", "gone", Life.CREATED, addresses={NETWORK.id: "10.200.1.9/32"})

    runner.see_addresses([stray])
    assert runner.shares.addresses_of("gone") != {}
    runner.see_addresses([])

    assert runner.shares.addresses_of("gone") == {}


async def test_a_network_of_another_version_is_made_anew_when_nobody_sits_in_it_and_is_told_when_somebody_does(
    settings: AgentSettings, engine: SlowToRemove, manager: FakeManager
) -> None:
    engine.may_go.set()
    first, second, third = (an_assignment(number, networks=(NETWORK.id,)) for number in (1, 2, 3))
    async with running_agent(settings, engine, manager):
        await wait_until(lambda: manager.hellos)
        manager.assign(first, networks=(NETWORK,))
        await manager.wait_until_states("running")
    engine.outdate_networks("network front lacks an option")
    async with running_agent(settings, engine, manager):
        await wait_until(lambda: len(manager.hellos) == 2)
        manager.assign(second)
        await manager.wait_until_states("running", "running")
        await wait_until(lambda: manager.descriptions)
        assert manager.descriptions[-1].limits == ("network front lacks an option",)
        manager.assign(*(desired(task, TaskState.SHUTDOWN) for task in (first, second)))
        await manager.wait_until_states("shutdown", "shutdown")
    async with running_agent(settings, engine, manager):
        await wait_until(lambda: len(manager.hellos) == 3)
        manager.assign(third)
        await manager.wait_until_states("shutdown", "shutdown", "running")
        assert await engine.ensure_network(NETWORK, settings.node_id) == ""
