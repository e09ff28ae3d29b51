"""The world of a random walk: a cluster, its machines, its operators, chance, and the laws that are checked whenever
time passes."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from support.cluster import Cluster, ManagerProcess, cluster_of
from support.engine_agent import AtOnce, EngineAgent
from support.operators import Operators
from support.scripted_agent import ScriptedAgent
from support.walk_laws import WalkLaws
from support.walk_wishes import NETWORK

from manager.objects import Network
from manager.store.codec import put
from manager.store.port import Unit
from swarmpy.models.network import NetworkCreate
from swarmpy.states import TaskState

Machine = ScriptedAgent | EngineAgent

REAL = "real"


@dataclass
class World:
    cluster: Cluster
    chance: random.Random
    machines: dict[str, Machine]
    operators: Operators
    laws: WalkLaws
    # Not even one manager reaches the store.
    is_store_away: bool = False

    # passing time

    async def advance(self, seconds: float) -> None:
        self.note_whereabouts()
        await self.cluster.advance(seconds)
        self.operators.check()
        for node_id, machine in self.machines.items():
            if isinstance(machine, EngineAgent):
                machine.check_alive()
            else:
                self.laws.check_discarded(node_id, machine.discarded)
                machine.discarded.clear()
                machine.messages.clear()
                if machine.ended:
                    await self._join_again(machine)
        self._check_containers()

    async def _join_again(self, agent: ScriptedAgent) -> None:
        """The machine of a removed node is a new node, under the old name."""
        await agent.reboot()
        self.note_whereabouts()
        agent.ended = ""
        self.cluster.join(agent.node_id)
        agent.start()

    def note_whereabouts(self) -> None:
        processes = self.cluster.managers.values()
        waiting = sum(process.is_paused for process in processes)
        self.laws.whereabouts.note_waiting(is_waiting=waiting > 0)
        is_hindered = waiting > 1 or any(_lets_nobody_in(process) for process in processes)
        for node_id, machine in self.machines.items():
            self.laws.whereabouts.note(node_id, is_away=is_hindered or not machine.is_up or machine.is_cut)
        self.laws.whereabouts.forget(self.cluster.clock.now() - timedelta(minutes=2))

    def _check_containers(self) -> None:
        """Where agents are in touch with the leader, no slot has more containers than its update order allows."""
        leader = self.leader
        if leader is None:
            return
        up: dict[tuple[str, int, str], list[str]] = {}
        for node_id, machine in self.machines.items():
            if machine.is_cut or not machine.is_up or not leader.manager.sessions.is_connected(node_id):
                continue
            if isinstance(machine, ScriptedAgent) and (machine.is_stubborn or not machine.session_id):
                continue
            for task_id in machine.running:
                task = self.cluster.history.state.tasks.get(task_id)
                if task is not None and not task.state.is_finished:
                    up.setdefault((task.service_id, task.slot, "" if task.slot else node_id), []).append(task_id)
        for slot, ids in up.items():
            allowed = 2 if slot[0] in self.cluster.history.start_first else 1
            assert len(ids) <= allowed, f"slot {slot} has containers {ids}"

    def end_container(self, machine: Machine, task_id: str, state: TaskState) -> None:
        self.laws.ended.add(task_id)
        machine.finish(task_id, state)

    # choosing

    @property
    def leader(self) -> ManagerProcess | None:
        return next((process for process in self.cluster.managers.values() if process.is_leading), None)

    def some_process(self, where: Callable[[ManagerProcess], bool]) -> ManagerProcess | None:
        """Often the leader, since there most is under way."""
        fitting = [process for process in self.cluster.managers.values() if where(process)]
        leader = self.leader
        if leader in fitting and self.chance.random() < 0.4:
            return leader
        return self.chance.choice(fitting) if fitting else None

    def some_machine(self, where: Callable[[Machine], bool]) -> Machine | None:
        fitting = [machine for machine in self.machines.values() if where(machine)]
        return self.chance.choice(fitting) if fitting else None

    def whom_to_ask(self) -> ManagerProcess | None:
        """The leader, as a rule; others refuse."""
        if self.leader is not None and self.chance.random() < 0.9:
            return self.leader
        return self.some_process(lambda process: process.is_up)


def _lets_nobody_in(process: ManagerProcess) -> bool:
    """A leader without the store, or to which the store's answers do not come."""
    return process.is_up and (process.is_hard_of_hearing or (process.is_cut and process.is_leading))


@asynccontextmanager
async def world_of(seed: int, data_dir: Path, *, managers: int = 3, agents: int = 4) -> AsyncIterator[World]:
    """With scripted agents, and one that is real but for its engine."""
    asyncio.get_running_loop().set_default_executor(AtOnce())
    # Agents spread their retries by chance.
    former = random.getstate()
    random.seed(seed)
    try:
        async with cluster_of(managers=managers, agents=agents) as cluster:
            real = EngineAgent(cluster, REAL, data_dir)
            world = _world(cluster, seed, real)
            real.start()
            _make_network(cluster)
            # It shows what it is told, and never says so.
            cluster.agents["n2"].says_mapped = False
            await world.advance(5)
            try:
                yield world
            finally:
                for process in cluster.managers.values():
                    process.resume()
                    await world.operators.hang_up(process)
                await real.stop()
    finally:
        random.setstate(former)


def _make_network(cluster: Cluster) -> None:
    now = cluster.clock.now()
    network = Network(id=NETWORK, created_at=now, updated_at=now, spec=NetworkCreate(name="net"))
    cluster.database.transact((Unit((put(network, create=True),)),), None)


def _world(cluster: Cluster, seed: int, real: EngineAgent) -> World:
    state = cluster.history.state
    operators, laws = Operators(state, cluster.clock, cluster.mint), WalkLaws(state, cluster.clock)
    machines: dict[str, Machine] = {**cluster.agents, REAL: real}
    cluster.history.laws += [operators.note_rollbacks, laws.see]
    return World(cluster, random.Random(seed), machines, operators, laws)
