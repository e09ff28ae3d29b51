"""One agent's session, message by message: who is let in, what is told, what is heard."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TypeVar

import pytest
from support.cluster import Cluster, ManagerProcess, cluster_of
from support.picture import a_node
from support.scripted_agent import MemoryChannel, description

from manager.store.codec import put
from manager.store.port import Delete, Unit
from swarmpy.clock import ManualClock
from swarmpy.labels import NODE_GRACE
from swarmpy.models.node import EngineDescription
from swarmpy.models.task import ContainerStatus, TaskStatus
from swarmpy.states import Availability, NodeState, Role, TaskState
from swarmpy.wire import (
    PROTOCOL,
    Applied,
    Bearings,
    Beat,
    Beaten,
    Changes,
    Described,
    FromAgent,
    FromManager,
    Full,
    Goodbye,
    Hello,
    Refused,
    Reports,
    TaskReport,
    Welcome,
)

M = TypeVar("M")


class Caller:
    """An agent's end of a connection, with no will of its own."""

    def __init__(self, cluster: Cluster, manager: ManagerProcess, node: str = "n1") -> None:
        self.node = node
        self.channel = MemoryChannel()
        self.heard: list[FromManager] = []
        self._cluster = cluster
        self._serving = asyncio.create_task(manager.serve(self.channel, node))
        self._hearing = asyncio.create_task(self._hear())

    async def say(self, message: FromAgent) -> None:
        self.channel.say(message)
        await self._cluster.settle()

    async def hello(self, **fields: object) -> None:
        await self.say(Hello.model_validate({"description": description(self.node), **fields}))

    @property
    def session_id(self) -> str:
        return self.only(Welcome).session_id

    def only(self, kind: type[M]) -> M:
        found = [message for message in self.heard if isinstance(message, kind)]
        assert len(found) == 1, f"{len(found)} messages {kind.__name__}"
        return found[0]

    @property
    def is_over(self) -> bool:
        return self._serving.done()

    async def hang_up(self) -> None:
        self.channel.drop()
        await asyncio.gather(self._serving, self._hearing, return_exceptions=True)

    async def _hear(self) -> None:
        while True:
            self.heard.append(await self.channel.hear())


@asynccontextmanager
async def calling(*, managers: int = 1) -> AsyncIterator[tuple[Cluster, Caller]]:
    async with cluster_of(managers=managers, agents=0) as cluster:
        cluster.join("n1")
        await cluster.settle()
        caller = Caller(cluster, cluster.leader)
        try:
            yield cluster, caller
        finally:
            await caller.hang_up()


async def calling_too(cluster: Cluster, node: str) -> Caller:
    """One more node, whose agent has said hello."""
    cluster.join(node)
    await cluster.settle()
    caller = Caller(cluster, cluster.leader, node)
    await caller.hello()
    return caller


async def test_an_agent_that_says_hello_becomes_a_ready_node_and_is_told_everything() -> None:
    async with calling() as (cluster, caller):
        await caller.hello(address="10.9.9.9:2377")

        node = cluster.node("n1")
        assert (node.state, node.addr, node.spec.role) == (NodeState.READY, "10.9.9.9", Role.WORKER)
        assert node.description == description("n1")
        assert [type(message) for message in caller.heard[:3]] == [Welcome, Bearings, Full]


async def test_a_node_that_is_no_member_is_told_so() -> None:
    async with cluster_of(agents=0) as cluster:
        stranger = Caller(cluster, cluster.leader, "n9")
        await stranger.hello()

        assert stranger.only(Refused).removed
        assert "n9" not in cluster.state.nodes
        await stranger.hang_up()


async def test_an_agent_is_told_its_role_and_the_managers_and_again_when_they_change() -> None:
    async with calling() as (cluster, caller):
        await caller.hello(address="10.0.0.1:2377")
        assert caller.only(Bearings) == Bearings(role=Role.WORKER, managers=())
        await cluster.set_role("n1", Role.MANAGER)

        told = [message for message in caller.heard if isinstance(message, Bearings)]
        assert told[1:] == [Bearings(role=Role.MANAGER, managers=("10.0.0.1:2377",))]


async def test_a_known_node_keeps_what_operators_said_of_it() -> None:
    async with calling() as (cluster, caller):
        await caller.hello()
        await cluster.set_availability("n1", Availability.DRAIN)
        again = Caller(cluster, cluster.leader)
        await again.hello(address="10.1.1.1:2377")

        assert (cluster.node("n1").spec.availability, cluster.node("n1").addr) == (Availability.DRAIN, "10.1.1.1")
        await again.hang_up()


async def test_a_session_opened_again_writes_nothing_when_nothing_changed() -> None:
    async with calling() as (cluster, caller):
        await caller.hello()
        revision = cluster.database.revision
        again = Caller(cluster, cluster.leader)
        await again.hello()

        assert cluster.database.revision == revision
        await again.hang_up()


async def test_a_new_session_ends_the_old_one_of_the_same_node() -> None:
    async with calling() as (cluster, caller):
        await caller.hello()
        again = Caller(cluster, cluster.leader)
        await again.hello()

        assert caller.is_over
        assert not again.is_over
        assert cluster.leader.manager.sessions.is_connected("n1")
        await again.hang_up()
        await cluster.settle()
        assert not cluster.leader.manager.sessions.is_connected("n1")


async def test_a_new_session_does_not_wait_for_the_old_connection_to_close() -> None:
    async with calling() as (cluster, caller):
        await caller.hello()
        caller.channel.awake.clear()
        again = Caller(cluster, cluster.leader)
        await again.hello()
        heard = list(again.heard)
        caller.channel.awake.set()

        assert [message for message in heard if isinstance(message, Welcome)]
        await again.hang_up()


async def test_an_agent_that_leaves_before_it_is_welcomed_leaves_no_session_behind() -> None:
    async with calling() as (cluster, caller):
        caller.channel.say(Hello(description=description("n1")))
        caller.channel.drop()
        await cluster.settle()

        assert cluster.node("n1").state is NodeState.READY
        assert not cluster.leader.manager.sessions.is_connected("n1")


async def test_a_node_removed_among_more_changes_than_can_be_followed_is_dismissed_all_the_same() -> None:
    cluster = Cluster(ManualClock())
    manager = cluster.add_manager("m1")
    manager.ledger.BACKLOG = 2
    await cluster.settle()
    for name in ("n1", "n2"):
        cluster.join(name)
    await cluster.settle()
    removed, kept = Caller(cluster, manager), Caller(cluster, manager, "n2")
    await removed.hello()
    await kept.hello()
    others = [put(a_node(f"other{number}"), create=True) for number in range(3)]
    await manager.ledger.commit([Unit((Delete("nodes/n1", modified=cluster.node("n1").version), *others))])
    await cluster.settle()

    assert removed.only(Refused).removed
    assert not kept.is_over
    for caller in (removed, kept):
        await caller.hang_up()
    await cluster.close()


async def test_a_manager_that_does_not_lead_sends_agents_on() -> None:
    async with cluster_of(managers=2, agents=0) as cluster:
        follower = next(process for process in cluster.managers.values() if not process.is_leading)
        caller = Caller(cluster, follower)
        await caller.hello()

        refusal = caller.only(Refused)
        assert refusal.retry
        assert caller.is_over
        await caller.hang_up()


async def test_another_protocol_is_refused_for_good_and_in_words() -> None:
    async with calling() as (_, caller):
        await caller.hello(protocol=99)

        refusal = caller.only(Refused)
        assert not refusal.retry
        assert f"protocol {PROTOCOL}" in refusal.reason


@pytest.mark.parametrize("address", ["a#b:1", "10.0.0.1", "bücher:2377", "10.0.0.1:2377/x"])
async def test_an_address_that_others_could_not_use_is_refused_in_words(address: str) -> None:
    async with calling() as (cluster, caller):
        known = cluster.node("n1")
        await caller.hello(address=address)

        assert "is no address" in caller.only(Refused).reason
        assert cluster.node("n1") == known
        assert caller.is_over


async def test_who_says_no_hello_is_not_waited_for() -> None:
    async with calling() as (cluster, caller):
        await cluster.advance(11)

        assert "no hello" in caller.only(Refused).reason
        assert caller.is_over


async def test_an_engine_with_more_labels_than_any_has_is_refused() -> None:
    async with calling() as (cluster, caller):
        labels = {str(number): "" for number in range(1001)}
        await caller.hello(
            description=description("n1").model_copy(update={"engine": EngineDescription(labels=labels)})
        )

        assert "1001 labels" in caller.only(Refused).reason
        assert cluster.node("n1").description.engine.labels is None


async def test_a_report_too_large_for_the_store_is_dropped_and_the_others_are_written() -> None:
    async with calling() as (cluster, caller):
        await caller.hello()
        await cluster.deploy("web", replicas=2)
        large, sound = cluster.tasks("web")
        status = TaskStatus(timestamp=cluster.clock.now(), state=TaskState.RUNNING)
        container = ContainerStatus(container_id="x" * 2_000_000)
        reports = (
            TaskReport(task_id=large.id, status=status.model_copy(update={"container_status": container})),
            TaskReport(task_id=sound.id, status=status),
        )
        await caller.say(Reports(session_id=caller.session_id, reports=reports))

        assert cluster.state.tasks[large.id].state is TaskState.ASSIGNED
        assert cluster.state.tasks[sound.id].state is TaskState.RUNNING
        assert cluster.leader.is_leading


async def test_a_connection_must_begin_with_hello() -> None:
    async with calling() as (_, caller):
        await caller.say(Beat(session_id="x"))

        assert isinstance(caller.only(Refused), Refused)
        assert caller.is_over


async def test_words_of_another_session_end_this_one() -> None:
    async with calling() as (_, caller):
        await caller.hello()
        await caller.say(Beat(session_id="another"))

        assert caller.is_over


async def test_a_beat_is_answered_at_once() -> None:
    async with calling() as (_, caller):
        await caller.hello()
        await caller.say(Beat(session_id=caller.session_id))

        assert caller.only(Beaten) == Beaten(beat_every=1.0)


async def test_silence_makes_the_node_down_and_a_beat_makes_it_ready_again() -> None:
    async with calling() as (cluster, caller):
        await caller.hello()
        await cluster.advance(8)
        assert cluster.node("n1").state is NodeState.DOWN
        await caller.say(Beat(session_id=caller.session_id))
        await cluster.advance(1)

        assert cluster.node("n1").state is NodeState.READY


async def test_what_changes_is_told_as_a_difference_from_what_was_told_before() -> None:
    async with calling() as (cluster, caller):
        await caller.hello()
        await cluster.deploy("web")
        full, changes = caller.only(Full), caller.only(Changes)

        assert changes.after == full.revision
        assert changes.revision > full.revision
        assert [task.service_name for task in changes.tasks] == ["web"]


async def test_what_does_not_concern_the_node_is_not_told() -> None:
    async with calling() as (cluster, caller):
        await caller.hello()
        other = await calling_too(cluster, "n2")
        count = len(caller.heard)
        await cluster.set_availability("n2", Availability.PAUSE)

        assert len(caller.heard) == count
        await other.hang_up()


async def test_changed_availability_of_the_node_is_told_with_a_full_set() -> None:
    async with calling() as (cluster, caller):
        await caller.hello()
        await cluster.set_availability("n1", Availability.DRAIN)
        fulls = [message for message in caller.heard if isinstance(message, Full)]

        assert [full.node_availability for full in fulls] == ["active", "drain"]


async def test_reports_are_written_and_the_revision_applied_is_known() -> None:
    async with calling() as (cluster, caller):
        await caller.hello()
        await cluster.deploy("web")
        (task,) = cluster.tasks("web")
        status = TaskStatus(timestamp=cluster.clock.now(), state=TaskState.RUNNING, message="started")
        report = TaskReport(task_id=task.id, status=status)
        await caller.say(Reports(session_id=caller.session_id, reports=(report,)))
        await caller.say(Applied(session_id=caller.session_id, revision=17))

        assert cluster.state.tasks[task.id].state is TaskState.RUNNING
        assert cluster.leader.manager.sessions.applied_revision("n1") == 17


async def test_a_node_cannot_report_on_the_task_of_another() -> None:
    async with calling() as (cluster, caller):
        await caller.hello()
        await cluster.deploy("web")
        (task,) = cluster.tasks("web")
        intruder = await calling_too(cluster, "n2")
        status = TaskStatus(timestamp=cluster.clock.now(), state=TaskState.FAILED)
        report = TaskReport(task_id=task.id, status=status)
        await intruder.say(Reports(session_id=intruder.session_id, reports=(report,)))

        assert cluster.state.tasks[task.id].state is TaskState.ASSIGNED
        await intruder.hang_up()


async def test_a_false_report_does_not_take_the_place_of_the_honest_one_that_waits_to_be_written() -> None:
    async with calling() as (cluster, caller):
        await caller.hello()
        await cluster.deploy("web")
        (task,) = cluster.tasks("web")
        intruder = await calling_too(cluster, "n2")
        for teller, state in ((caller, TaskState.RUNNING), (intruder, TaskState.FAILED)):
            report = TaskReport(task_id=task.id, status=TaskStatus(timestamp=cluster.clock.now(), state=state))
            teller.channel.say(Reports(session_id=teller.session_id, reports=(report,)))
        await cluster.settle()

        assert cluster.state.tasks[task.id].state is TaskState.RUNNING
        await intruder.hang_up()


async def test_a_report_that_meets_a_changed_task_is_merged_again_and_not_lost() -> None:
    async with calling() as (cluster, caller):
        await caller.hello()
        await cluster.deploy("web")
        (task,) = cluster.tasks("web")
        status = TaskStatus(timestamp=cluster.clock.now(), state=TaskState.RUNNING)
        caller.channel.say(Reports(session_id=caller.session_id, reports=(TaskReport(task_id=task.id, status=status),)))
        await cluster.remove("web")
        await cluster.advance(1)

        assert cluster.state.tasks[task.id].state is TaskState.RUNNING
        assert cluster.state.tasks[task.id].desired_state is TaskState.REMOVE


async def test_reports_outlast_a_store_that_is_away_for_a_moment() -> None:
    async with cluster_of(agents=1) as cluster:
        await cluster.deploy("web")
        (task,) = cluster.running("web")
        cluster.leader.store.cut()
        cluster.agents["n1"].finish(task.id, TaskState.FAILED, "exit code 2")
        await cluster.advance(1)
        cluster.managers["m1"].store.mend()
        await cluster.advance(8)

        assert cluster.state.tasks[task.id].status.err == "exit code 2"
        assert cluster.running_slots("web") == [1]


async def test_a_changed_machine_is_described_anew() -> None:
    async with calling() as (cluster, caller):
        await caller.hello()
        bigger = description("n1", cpus=64)
        await caller.say(Described(session_id=caller.session_id, description=bigger))

        assert cluster.node("n1").description == bigger


async def test_what_troubles_a_node_is_on_record_until_it_is_over_and_the_node_stays_ready() -> None:
    async with calling() as (cluster, caller):
        await caller.hello()
        machine = description("n1")
        await caller.say(Described(session_id=caller.session_id, description=machine, trouble="the engine is away"))
        assert (cluster.node("n1").message, cluster.node("n1").state) == ("the engine is away", NodeState.READY)

        await caller.say(Described(session_id=caller.session_id, description=machine))
        assert cluster.node("n1").message == ""


async def test_what_a_nodes_network_lacks_and_what_it_mended_is_on_record() -> None:
    async with calling() as (cluster, caller):
        await caller.hello()
        machine = description("n1")
        news = Described(session_id=caller.session_id, description=machine, limits=("no fib",), repaired=("route 1",))
        await caller.say(news)
        node = cluster.node("n1")
        assert (node.limits, node.repaired and node.repaired.what) == (("no fib",), ("route 1",))

        await caller.say(Described(session_id=caller.session_id, description=machine, limits=()))
        assert (cluster.node("n1").limits, cluster.node("n1").repaired) == ((), node.repaired)


async def test_goodbye_ends_the_session_and_leaves_the_node_its_grace() -> None:
    async with calling() as (cluster, caller):
        await caller.hello()
        await caller.say(Goodbye(session_id=caller.session_id, reason="upgrade"))

        assert caller.is_over
        assert cluster.node("n1").state is NodeState.READY
        await cluster.advance(8)
        assert cluster.node("n1").state is NodeState.DOWN


async def test_when_the_leader_steps_down_its_agents_are_sent_away() -> None:
    async with calling() as (cluster, caller):
        await caller.hello()
        cluster.leader.store.cut()
        await cluster.advance(6)

        assert caller.is_over


async def test_in_a_big_cluster_agents_are_told_to_beat_more_slowly() -> None:
    async with calling() as (cluster, caller):
        sessions = cluster.leader.manager.sessions
        sessions.BEATS_PER_SECOND = 2
        callers = [await calling_too(cluster, f"n{number}") for number in range(2, 8)]
        await caller.hello()
        await caller.say(Beat(session_id=caller.session_id))

        assert caller.only(Beaten) == Beaten(beat_every=3.5)
        assert sessions.silence_allowed() >= timedelta(seconds=10.5)
        for other in callers:
            await other.hang_up()


@pytest.mark.parametrize(("label", "seconds"), [("40s", 40), ("3s", 3), ("soon", 5), ("2h", 5)])
async def test_the_cluster_says_how_long_a_node_may_be_silent(label: str, seconds: int) -> None:
    async with calling() as (cluster, _):
        sessions = cluster.leader.manager.sessions
        assert sessions.silence_allowed() == timedelta(seconds=5)
        known = cluster.state.cluster
        assert known is not None
        spec = known.spec.model_copy(update={"labels": {NODE_GRACE: label}})
        await cluster.leader.ledger.commit([Unit((put(known.model_copy(update={"spec": spec})),))])
        await cluster.settle()
        assert sessions.silence_allowed() == timedelta(seconds=seconds)
