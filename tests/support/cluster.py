"""A whole control plane in one process: a store in memory, one to three managers, agents without engines.

Time is a `ManualClock`. Nothing sleeps: `settle` lets everything happen that needs no time, `advance` lets time pass.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from support.history import HistoryChecker
from support.scripted_agent import MemoryChannel, ScriptedAgent
from support.stepping import advance, settle

from manager.ca.sealing import Sealer
from manager.control.bootstrap import first_cluster
from manager.dispatcher.channel import Channel
from manager.ledger import Ledger
from manager.manager import Manager
from manager.objects import Node, Service, SpecRevision, Task
from manager.state import State
from manager.store.codec import put
from manager.store.errors import CommitConflict
from manager.store.keys import name_key
from manager.store.memory import MemoryDatabase, MemoryStore
from manager.store.port import Batch, Delete, Fence, Put, Revision, Unit
from swarmpy.clock import Clock, ManualClock
from swarmpy.errors import SwarmpyError, Unavailable
from swarmpy.idgen import CountingIds
from swarmpy.models.container import ContainerSpec
from swarmpy.models.node import NodeDescription, NodeSpec
from swarmpy.models.service import Global, Replicated, ServiceMode, ServiceSpec
from swarmpy.models.task import TaskSpec
from swarmpy.settings import EtcdSettings, ManagerSettings
from swarmpy.states import Availability, Role, TaskState


class PausableClock(Clock):
    """The common time as one process sees it: while it is paused, none of its sleeps ends."""

    def __init__(self, common: Clock) -> None:
        self.running = asyncio.Event()
        self.running.set()
        self._common = common

    def now(self) -> datetime:
        return self._common.now()

    def monotonic(self) -> float:
        return self._common.monotonic()

    async def sleep(self, duration: timedelta) -> None:
        await self._common.sleep(duration)
        await self.running.wait()


class SignedStore(MemoryStore):
    """Notes who wrote what, for the laws that `support.history` checks. `lateness` is for how long writes are under
    way after their answer was given up."""

    def __init__(self, database: MemoryDatabase, name: str, writers: dict[Revision, str], clock: Clock) -> None:
        super().__init__(database)
        self.lateness: timedelta | None = None
        self._name = name
        self._writers = writers
        self._clock = clock
        self._under_way: set[asyncio.Task[None]] = set()

    def mend(self) -> None:
        self.lateness = None
        super().mend()

    async def commit(self, units: Sequence[Unit], fence: Fence | None = None) -> tuple[Batch, ...]:
        if self.lateness is None:
            return await self._commit(units, fence)
        arriving = asyncio.create_task(self._arrive(units, fence, self.lateness))
        self._under_way.add(arriving)
        arriving.add_done_callback(self._under_way.discard)
        await asyncio.sleep(0)
        raise Unavailable("the store in memory did not answer; the write may still arrive")

    async def _arrive(self, units: Sequence[Unit], fence: Fence | None, lateness: timedelta) -> None:
        """By a connection of its own: what became of the sender does not matter any more."""
        packet = SignedStore(self._database, self._name, self._writers, self._clock)
        try:
            await self._clock.sleep(lateness)
            with suppress(SwarmpyError):
                await packet.commit(units, fence)
        finally:
            await packet.close()

    async def _commit(self, units: Sequence[Unit], fence: Fence | None) -> tuple[Batch, ...]:
        written: tuple[Batch, ...] = ()
        try:
            written = await super().commit(units, fence)
        except CommitConflict as conflict:
            written = conflict.written
            raise
        finally:
            for batch in written:
                self._writers[batch.revision] = self._name
        return written


class ManagerProcess:
    """One manager that can be paused (SIGSTOP), killed, stopped and cut off from the store."""

    def __init__(
        self, name: str, database: MemoryDatabase, clock: Clock, mint: CountingIds, history: HistoryChecker
    ) -> None:
        self.name = name
        self._history = history
        self.clock = PausableClock(clock)
        self.is_cut = False
        # Its writes arrive, now or later, and their answers are lost.
        self.is_hard_of_hearing = False
        self._common = clock
        self._database = database
        self._mint = mint
        self._channels: list[MemoryChannel] = []
        self._task: asyncio.Task[None] | None = None
        self.store: SignedStore
        self.manager: Manager
        self._assemble()

    def _assemble(self) -> None:
        self.is_hard_of_hearing = False
        self.store = SignedStore(self._database, self.name, self._history.writers, self._common)
        if self.is_cut:
            self.store.cut()
        self.manager = Manager(
            _settings(self.name),
            self.store,
            Sealer(bytes(32)),
            self.clock,
            self._mint,
            first_objects=lambda now: (first_cluster("cluster", now),),
        )

    @property
    def ledger(self) -> Ledger:
        return self.manager.ledger

    @property
    def is_leading(self) -> bool:
        """And able to act on it."""
        return self.ledger.is_leading and self.clock.running.is_set()

    @property
    def is_up(self) -> bool:
        """Paused or not."""
        return self._task is not None

    @property
    def is_paused(self) -> bool:
        return not self.clock.running.is_set()

    def start(self) -> None:
        self._task = asyncio.create_task(self.manager.run())

    async def serve(self, channel: Channel, node_id: str) -> None:
        """What an agent's connection reaches. A process that is not there drops it."""
        assert isinstance(channel, MemoryChannel)
        if self._task is None:
            channel.drop()
            return
        if not self.clock.running.is_set():
            channel.awake.clear()
        self._channels.append(channel)
        try:
            await self.manager.sessions.serve(channel, node_id)
        finally:
            self._channels.remove(channel)

    def pause(self) -> None:
        self.clock.running.clear()
        self.store.stall()
        for channel in self._channels:
            channel.awake.clear()

    def resume(self) -> None:
        self.clock.running.set()
        self.is_hard_of_hearing = False
        self.store.mend()
        if self.is_cut:
            self.store.cut()
        for channel in self._channels:
            channel.awake.set()

    def lose_store(self) -> None:
        """Until it is found, over pauses and restarts."""
        self.is_cut = True
        self.store.cut()

    def find_store(self) -> None:
        """And hear its answers at once again."""
        self.is_cut = self.is_hard_of_hearing = False
        self.store.mend()
        if self.is_paused:
            self.store.stall()

    def lose_answers(self, lateness: timedelta | None = None) -> None:
        self.is_hard_of_hearing = True
        if lateness is None:
            self.store.deafen()
        else:
            self.store.lateness = lateness

    def lose_watch(self) -> None:
        """The connection breaks and is there again at once."""
        self.store.cut()
        if not self.is_cut:
            self.find_store()

    async def stop(self) -> None:
        """Gracefully: the lease is given back. Raises what the process died of, if it did."""
        self.resume()
        await self._end()

    async def _end(self) -> None:
        task, self._task = self._task, None
        for channel in tuple(self._channels):
            channel.drop()
        if task is not None:
            task.cancel()
            result = (await asyncio.gather(task, return_exceptions=True))[0]
            if isinstance(result, Exception):
                raise result
        await self.store.close()

    async def kill(self) -> None:
        """kill -9: what it holds in the store stays until its lease ends."""
        self.resume()
        self.store.cut()
        await self._end()

    def restart(self) -> None:
        self._assemble()
        self.start()

    def check_alive(self) -> None:
        """A manager that crashed raises here what it died of."""
        if self._task is not None and self._task.done():
            self._task.result()
            raise AssertionError(f"manager {self.name} ended by itself")


class Cluster:
    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.database = MemoryDatabase(clock)
        self.agents: dict[str, ScriptedAgent] = {}
        self.managers: dict[str, ManagerProcess] = {}
        self.history = HistoryChecker(self.database)
        # Operators do not wait for what follows from their writes: the test breaks in right in the middle.
        self.is_hasty = False
        self.mint = CountingIds()

    # who is there

    def add_manager(self, name: str) -> ManagerProcess:
        process = self.managers[name] = ManagerProcess(name, self.database, self.clock, self.mint, self.history)
        process.start()
        return process

    def add_agent(self, name: str, node: NodeDescription | None = None) -> ScriptedAgent:
        serves = [process.serve for process in self.managers.values()]
        self.join(name)
        agent = self.agents[name] = ScriptedAgent(name, self.clock, *serves, node=node)
        agent.start()
        return agent

    def join(self, name: str, role: Role = Role.WORKER) -> None:
        """The node is a member from now on, if it was none before."""
        now = self.clock.now()
        node = Node(
            id=name, created_at=now, updated_at=now, spec=NodeSpec(role=role), description=NodeDescription(), since=now
        )
        self.database.transact((Unit((put(node, create=True),)),), None)

    @property
    def leader(self) -> ManagerProcess:
        leading = [process for process in self.managers.values() if process.is_leading]
        assert len(leading) == 1, f"{len(leading)} managers lead"
        return leading[0]

    @property
    def state(self) -> State:
        """What the leader sees; in between leaders, what any manager sees."""
        leading = [process for process in self.managers.values() if process.is_leading]
        return (leading or list(self.managers.values()))[0].ledger.state

    # time

    async def settle(self) -> None:
        await settle(self.clock)
        self.check()

    async def advance(self, seconds: float) -> None:
        await advance(self.clock, seconds)
        self.check()

    def check(self) -> None:
        """Every write so far kept the laws, and no manager has crashed."""
        self.history.check()
        for process in self.managers.values():
            process.check_alive()

    # what operators do, as the API would write it

    async def deploy(self, name: str, *, replicas: int | None = 1, image: str = "app:1", **spec: Any) -> str:
        """A new service (`replicas` None: a global one; or in another `mode`), placed and started as far as that needs
        no time."""
        mode = spec.pop("mode", None) or (
            ServiceMode(global_=Global()) if replicas is None else ServiceMode(replicated=Replicated(replicas=replicas))
        )
        template = spec.pop("template", TaskSpec(container_spec=ContainerSpec(image=image)))
        now = self.clock.now()
        wish = ServiceSpec(name=name, mode=mode, task_template=template, **spec)
        is_job = mode.replicated_job is not None or mode.global_job is not None
        service = Service(
            id=f"service-{name}",
            created_at=now,
            updated_at=now,
            spec=wish,
            spec_version=1,
            job_iteration=0 if is_job else None,
        )
        writes = (
            put(service, create=True),
            put(_wish(service, now), create=True),
            Put(name_key("services", name), service.id.encode(), modified=0),
        )
        await self._write(*writes)
        return service.id

    async def scale(self, name: str, replicas: int) -> None:
        mode = ServiceMode(replicated=Replicated(replicas=replicas))
        service = self.service(name)
        await self._write(self._put(service, spec=service.spec.model_copy(update={"mode": mode})))

    async def update(self, name: str, *, image: str, **spec: Any) -> None:
        """A new wish for the service's tasks."""
        await self.reshape(name, container_spec=ContainerSpec(image=image), spec=spec)

    async def reshape(
        self, name: str, *, spec: Mapping[str, Any] = MappingProxyType({}), **template_fields: Any
    ) -> None:
        """The same, by fields of the template, and of the service's spec."""
        old = self.service(name)
        template = old.spec.task_template.model_copy(update=template_fields)
        new = old.model_copy(
            update={
                "spec": old.spec.model_copy(update={"task_template": template, **spec}),
                "spec_version": old.spec_version + 1,
                "previous_spec": old.spec,
                "previous_spec_version": old.spec_version,
                "update": None,
                "job_iteration": None if old.job_iteration is None else old.job_iteration + 1,
            }
        )
        await self._write(put(new), put(_wish(new, self.clock.now()), create=True))

    async def remove(self, name: str) -> None:
        service = self.service(name)
        await self._write(self._put(service, removed=True))

    async def set_availability(self, node: str, availability: Availability) -> None:
        known = self.node(node)
        await self._write(self._put(known, spec=known.spec.model_copy(update={"availability": availability})))

    async def set_role(self, node: str, role: Role) -> None:
        known = self.node(node)
        await self._write(self._put(known, spec=known.spec.model_copy(update={"role": role})))

    async def remove_node(self, node: str) -> None:
        await self._write(Delete(f"nodes/{node}", modified=self.node(node).version))

    async def _write(self, *writes: Any) -> None:
        await self.leader.ledger.commit([Unit(writes)])
        if not self.is_hasty:
            await self.settle()

    def _put(self, value: Node | Service, **fields: object) -> Put:
        return put(value.model_copy(update={**fields, "updated_at": self.clock.now()}))

    # what there is to see

    def service(self, name: str) -> Service:
        return next(service for service in self.state.services.values() if service.spec.name == name)

    def node(self, name: str) -> Node:
        return self.state.nodes[name]

    def tasks(self, name: str, where: Callable[[Task], bool] = lambda task: True) -> list[Task]:
        found = (task for task in self.state.tasks.values() if task.service_name == name and where(task))
        return sorted(found, key=lambda task: (task.slot, task.created_at, task.id))

    def running(self, name: str) -> list[Task]:
        return self.tasks(name, lambda task: task.is_wanted and task.state is TaskState.RUNNING)

    def running_slots(self, name: str) -> list[int]:
        return [task.slot for task in self.running(name)]

    def nodes_of(self, name: str) -> set[str]:
        return {task.node_id for task in self.running(name)}

    def containers(self, name: str) -> list[tuple[str, str]]:
        """(node, task) of each container of the service that is really up."""
        return [
            (agent.node_id, run.task.id)
            for agent in self.agents.values()
            for run in agent.runs.values()
            if run.task.service_name == name and run.task.id in agent.running
        ]

    async def close(self) -> None:
        for agent in self.agents.values():
            await agent.crash()
        for process in self.managers.values():
            await process.stop()
        for agent in self.agents.values():
            await agent.close()


@asynccontextmanager
async def cluster_of(*, managers: int = 1, agents: int | Iterable[str] = 3) -> AsyncIterator[Cluster]:
    """Managers `m1`... of which the first leads, and agents `n1`..., all settled."""
    cluster = Cluster(ManualClock())
    try:
        for number in range(1, managers + 1):
            cluster.add_manager(f"m{number}")
            await cluster.settle()
        names = [f"n{number}" for number in range(1, agents + 1)] if isinstance(agents, int) else agents
        for name in names:
            cluster.add_agent(name)
        await cluster.settle()
        yield cluster
    finally:
        await cluster.close()


def _wish(service: Service, now: datetime) -> SpecRevision:
    return SpecRevision(
        id=f"{service.id}/{service.spec_version}",
        created_at=now,
        updated_at=now,
        service_id=service.id,
        number=service.spec_version,
        template=service.spec.task_template,
    )


def _settings(name: str) -> ManagerSettings:
    return ManagerSettings(
        node_id=name,
        hostname=name,
        data_dir=Path("/nowhere"),
        api_socket=Path("/nowhere/api.sock"),
        identity=Path("/nowhere/identity"),
        advertise_address="127.0.0.1:2377",
        status_address="127.0.0.1:0",
        etcd=EtcdSettings(endpoints=("unix:/nowhere/etcd.sock",)),
    )
