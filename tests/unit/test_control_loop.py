"""The loop's own part: what it looks at, whenever it begins and however far it fell behind."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from support.cluster import ManagerProcess
from support.history import HistoryChecker
from support.picture import a_network, a_node, a_service, a_task, a_template, a_wish
from support.stepping import advance, settle

from manager.allocator.vips import REST
from manager.control.loop import ControlLoop
from manager.dispatcher.sessions import Sessions
from manager.ledger import Ledger
from manager.objects import AnyObject, StackRevision
from manager.store.codec import encode, put
from manager.store.keys import LEADER
from manager.store.memory import MemoryDatabase
from manager.store.port import Delete, Fence, Put, Unit
from swarmpy.clock import ManualClock
from swarmpy.idgen import CountingIds
from swarmpy.models.node import NodeDescription
from swarmpy.models.resources import ResourceRequirements, Resources
from swarmpy.models.service import Global, ServiceMode
from swarmpy.models.stack import StackWish
from swarmpy.models.task import NetworkAttachmentConfig
from swarmpy.states import NodeState, TaskState


class Heard(Sessions):
    """All nodes in `heard` have just been heard."""

    heard: tuple[str, ...] = ()

    def heard_at(self) -> Mapping[str, datetime]:
        return dict.fromkeys(self.heard, self._clock.now())


class Bench:
    """A ledger that leads, and a control loop that was made and does not run yet."""

    def __init__(self, process: ManagerProcess, clock: ManualClock) -> None:
        self.process = process
        self.ledger: Ledger = process.ledger
        self.clock = clock
        manager, mint = process.manager, CountingIds()
        self.sessions = Heard(self.ledger, clock, mint, manager.settings, manager.reports, manager.sealer)
        self.loop = ControlLoop(self.ledger, clock, mint, self.sessions, manager.settings)

    async def write(self, *values: AnyObject) -> None:
        await self.ledger.commit([Unit(tuple(put(value, create=value.version == 0) for value in values))])

    def placed(self) -> list[str]:
        tasks = self.ledger.state.tasks.values()
        return [task.node_id for task in tasks if task.is_wanted and task.state is TaskState.ASSIGNED]


@asynccontextmanager
async def leading() -> AsyncIterator[Bench]:
    clock = ManualClock()
    database = MemoryDatabase(clock)
    process = ManagerProcess("m1", database, clock, CountingIds(), HistoryChecker(database))
    following = asyncio.create_task(process.ledger.follow())
    try:
        await settle(clock)
        (won,) = await process.store.commit([Unit((Put(LEADER, b"m1", modified=0),))])
        process.ledger.fence = Fence(LEADER, won.revision)
        await settle(clock)
        yield Bench(process, clock)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await process.store.close()


@asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[None]:
    task = asyncio.create_task(bench.loop.run())
    try:
        await settle(bench.clock)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_node_that_came_after_the_loop_was_made_and_before_it_runs_is_seen() -> None:
    async with leading() as bench:
        await bench.write(a_node("n1"), a_service(), a_wish())
        async with running(bench):
            assert bench.placed() == ["n1"]


async def test_the_pass_that_finds_a_node_to_be_back_stops_nothing_there() -> None:
    async with leading() as bench:
        service = a_service("log", mode=ServiceMode(global_=Global()))
        await bench.write(
            a_node("n1", state=NodeState.DOWN), service, a_wish("log"), a_task("t1", service="log", slot=0)
        )
        bench.sessions.heard = ("n1",)
        async with running(bench):
            assert bench.ledger.state.nodes["n1"].state is NodeState.READY
            assert bench.ledger.state.tasks["t1"].desired_state is TaskState.RUNNING


async def test_a_picture_that_lags_behind_makes_the_loop_wait_and_not_spin() -> None:
    async with leading() as bench:
        await bench.write(a_node("n1"), a_service(), a_wish(), a_task("t1"))
        async with running(bench):
            bench.process.lose_watch()
            report = a_task("t1", state=TaskState.FAILED)
            await bench.process.store.commit([Unit((Put("tasks/t1", encode(report)),))])
            service = bench.ledger.state.services["web"]
            await bench.write(service.model_copy(update={"removed": True}))
            await settle(bench.clock)
            assert bench.ledger.state.tasks["t1"].state is TaskState.RUNNING

            await advance(bench.clock, 2)
            assert not bench.ledger.state.tasks


async def test_revisions_of_a_stack_that_is_gone_go_too() -> None:
    async with leading() as bench:
        long_ago = bench.clock.now() - timedelta(days=2)
        await bench.write(
            StackRevision(
                id="shop.1", created_at=long_ago, updated_at=long_ago, stack="shop", number=1, wish=StackWish()
            )
        )
        async with running(bench):
            assert not bench.ledger.state.stacks


async def test_a_loop_that_fell_behind_looks_at_everything() -> None:
    async with leading() as bench:
        bench.ledger.BACKLOG = 2
        async with running(bench):
            failed = [a_task(f"t{number}", state=TaskState.FAILED) for number in range(3)]
            await bench.write(a_node("n1"), a_service(), a_wish(), *failed)
            await advance(bench.clock, 1)

            assert bench.placed() == ["n1"]


async def test_an_address_that_was_given_back_while_the_loop_fell_behind_rests_too() -> None:
    async with leading() as bench:
        bench.ledger.BACKLOG = 2
        template = a_template(networks=(NetworkAttachmentConfig(target="net"),))
        net = a_network("net").model_copy(update={"vni": 0})
        async with running(bench):
            for value in (net, a_service(replicas=0, template=template), a_wish(template=template)):
                await bench.write(value)
                await settle(bench.clock)
            (former,) = bench.ledger.state.services["web"].virtual_ips
            await advance(bench.clock, REST.total_seconds() + 1)
            others = [put(a_node(f"n{number}"), create=True) for number in range(3)]
            await bench.ledger.commit([Unit((Delete("services/web"), *others))])
            await settle(bench.clock)
            await bench.write(a_service("api", replicas=0, template=template), a_wish("api", template=template))
            await settle(bench.clock)

            (given,) = bench.ledger.state.services["api"].virtual_ips
            assert given.address != former.address


async def test_services_of_one_pass_never_adopt_more_than_a_node_has_room_for() -> None:
    """Eight CPUs, and both would have five from now on."""
    roomy = NodeDescription(hostname="n1", resources=Resources(nano_cpus=8 * 10**9))
    template = a_template(resources=ResourceRequirements(reservations=Resources(nano_cpus=5 * 10**9)))
    async with leading() as bench:
        await bench.write(
            a_node("n1").model_copy(update={"description": roomy}),
            *(
                value
                for name in ("web", "api")
                for value in (
                    a_service(name, template=template).model_copy(update={"spec_version": 2}),
                    a_wish(name),
                    a_wish(name, number=2, template=template),
                    a_task(f"{name}-1", service=name),
                )
            ),
        )
        async with running(bench):
            tasks = bench.ledger.state.tasks
            assert sorted(tasks[f"{name}-1"].spec_version for name in ("web", "api")) == [1, 2]
