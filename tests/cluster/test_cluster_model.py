"""Random histories of a whole cluster. Safety is checked at every write (`support.history`), and once the trouble is
over everything that is wanted runs.

A failure prints its seed and what was done; `SWARMPY_MODEL_STEPS` makes histories longer, `SWARMPY_MODEL_SEEDS` more.
"""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from support.cluster import Cluster, ManagerProcess, cluster_of

from manager.store.errors import CommitConflict
from swarmpy.errors import Unavailable
from swarmpy.models.service import UpdateConfig, UpdateOrder
from swarmpy.states import Availability, NodeState, TaskState

STEPS = int(os.environ.get("SWARMPY_MODEL_STEPS", "40"))
SEEDS = int(os.environ.get("SWARMPY_MODEL_SEEDS", "6"))
SERVICES = ("web", "db", "job", "log")


class Story:
    """One random history and the words for it."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self.cluster = cluster
        self.random = random.Random(seed)
        self.told: list[str] = []
        self.crashed: set[str] = set()

    async def step(self) -> None:
        actions: list[Callable[[], Awaitable[str]]] = [
            self.deploy, self.deploy, self.scale, self.scale, self.update, self.remove, self.change_availability,
            self.change_availability, self.crash_agent, self.crash_agent, self.cut_agent, self.fail_container,
            self.fail_container, self.hold_agent, self.pause_manager, self.restart_manager, self.lose_store,
            self.lose_watch, self.deafen_store, self.interrupt, self.interrupt, self.interrupt, self.interrupt,
            self.pass_time, self.pass_time, self.pass_time,
        ]  # fmt: skip
        action = self.random.choice(actions)
        try:
            self.told.append(await action())
        except (Unavailable, CommitConflict, AssertionError) as error:
            if isinstance(error, AssertionError) and "managers lead" not in str(error):
                raise
            self.told.append(f"{action.__name__}: no leader to ask")
        await self.cluster.advance(self.random.choice([0.01, 0.1, 0.5, 1.0, 2.5]))
        self.check_containers()

    # what operators do

    async def deploy(self) -> str:
        name = self.random.choice(SERVICES)
        if self.cluster.leader.ledger.state.named("services", name) is not None:
            return f"{name} is there already"
        replicas = None if name == "log" else self.random.randint(1, 5)
        order = self.random.choice(list(UpdateOrder))
        config = UpdateConfig(order=order, parallelism=self.random.randint(0, 2), monitor=10**9)
        await self.cluster.deploy(name, replicas=replicas, update_config=config)
        return f"deployed {name} x {replicas}, {order}"

    async def scale(self) -> str:
        name, replicas = self.random.choice(SERVICES[:-1]), self.random.randint(0, 6)
        if not self._has(name):
            return "nothing to scale"
        await self.cluster.scale(name, replicas)
        return f"scaled {name} to {replicas}"

    async def update(self) -> str:
        name = self.random.choice(SERVICES)
        if not self._has(name):
            return "nothing to update"
        await self.cluster.update(name, image=f"app:{self.random.randint(2, 99)}")
        return f"updated {name}"

    async def remove(self) -> str:
        name = self.random.choice(SERVICES)
        if not self._has(name):
            return "nothing to remove"
        await self.cluster.remove(name)
        return f"removed {name}"

    async def change_availability(self) -> str:
        node = self.random.choice(list(self.cluster.agents))
        availability = self.random.choice([*Availability, Availability.ACTIVE])
        await self.cluster.set_availability(node, availability)
        return f"{node} is now {availability}"

    # what goes wrong

    async def crash_agent(self) -> str:
        node = self.random.choice(list(self.cluster.agents))
        agent = self.cluster.agents[node]
        if node in self.crashed:
            self.crashed.discard(node)
            agent.start()
            return f"agent {node} starts again"
        self.crashed.add(node)
        if self.random.random() < 0.3:
            await agent.reboot()
            return f"machine {node} loses power"
        await agent.crash()
        return f"agent {node} crashes"

    async def cut_agent(self) -> str:
        node = self.random.choice(list(self.cluster.agents))
        agent = self.cluster.agents[node]
        if agent.is_cut:
            agent.reconnect()
            return f"{node} is back"
        agent.cut_off()
        return f"{node} is cut off"

    async def hold_agent(self) -> str:
        """A slow pull, or containers that do not stop."""
        node = self.random.choice(list(self.cluster.agents))
        agent = self.cluster.agents[node]
        if agent.holds_at is TaskState.RUNNING and not agent.is_stubborn:
            agent.holds_at = self.random.choice([TaskState.PREPARING, TaskState.READY])
            agent.is_stubborn = self.random.random() < 0.5
            return f"{node} is slow"
        agent.release()
        return f"{node} goes on"

    async def fail_container(self) -> str:
        up = [(agent, id) for agent in self.cluster.agents.values() for id in agent.running]
        if not up:
            return "nothing to fail"
        agent, task_id = self.random.choice(up)
        agent.finish(task_id, self.random.choice([TaskState.FAILED, TaskState.COMPLETE]), "exit code 1")
        return f"container of {task_id[-4:]} ends on {agent.node_id}"

    async def pause_manager(self) -> str:
        process = self._any_manager()
        if process.clock.running.is_set():
            process.pause()
            return f"{process.name} is paused"
        process.resume()
        return f"{process.name} goes on"

    async def restart_manager(self) -> str:
        process = self._any_manager()
        if self.random.random() < 0.5:
            await process.kill()
        else:
            await process.stop()
        process.restart()
        return f"{process.name} was restarted"

    async def lose_store(self) -> str:
        process = self._any_manager()
        process.store.cut()
        return f"{process.name} lost the store"

    async def deafen_store(self) -> str:
        process = self._any_manager()
        process.store.deafen()
        return f"{process.name} hears no answers"

    async def lose_watch(self) -> str:
        """The connection is back, and the history it would have resumed from may be gone."""
        process = self._any_manager()
        process.store.cut()
        process.store.mend()
        if not process.clock.running.is_set():
            process.store.stall()
        if self.random.random() < 0.5:
            self.cluster.database.compact(self.cluster.database.revision)
        return f"{process.name} lost its watch"

    async def interrupt(self) -> str:
        """Trouble for the leader in the middle of what it does about an operator's wish or a container's end."""
        leader = self.cluster.leader
        begin = self.random.choice([self.deploy, self.scale, self.update, self.remove, self.fail_container])
        self.cluster.is_hasty = True
        try:
            begun = await begin()
        finally:
            self.cluster.is_hasty = False
        for _ in range(self.random.randint(0, 6)):
            for _ in range(self.random.randint(0, 15)):
                await asyncio.sleep(0)
            self.cluster.clock.advance(timedelta(milliseconds=1))
        trouble = self.random.choice([leader.pause, leader.store.cut, leader.store.deafen])
        trouble()
        return f"{begun}, and in the middle of it {leader.name}: {trouble.__name__}"

    async def pass_time(self) -> str:
        seconds = self.random.choice([1, 3, 7, 15, 40])
        await self.cluster.advance(seconds)
        return f"{seconds} s pass"

    # the end

    async def mend_everything(self) -> None:
        for process in self.cluster.managers.values():
            process.resume()
        for node, agent in self.cluster.agents.items():
            agent.release()
            if agent.is_cut:
                agent.reconnect()
            if node in self.crashed:
                agent.start()
        self.crashed.clear()
        await self.cluster.advance(20)
        for node in self.cluster.agents:
            await self.cluster.set_availability(node, Availability.ACTIVE)
        await self.cluster.advance(200)

    def check_containers(self) -> None:
        """Where agents are in touch with the leader, no slot has more containers than its update order allows."""
        leaders = [process for process in self.cluster.managers.values() if process.is_leading]
        if len(leaders) != 1:
            return
        up: dict[tuple[str, int, str], list[str]] = {}
        for node, agent in self.cluster.agents.items():
            if agent.is_cut or agent.is_stubborn or not leaders[0].manager.sessions.is_connected(node):
                continue
            for run in agent.runs.values():
                if run.task.id in agent.running and agent.session_id:
                    slot = (run.task.service_name, run.task.slot, "" if run.task.slot else node)
                    up.setdefault(slot, []).append(run.task.id)
        for slot, ids in up.items():
            allowed = 2 if f"service-{slot[0]}" in self.cluster.history.start_first else 1
            assert len(ids) <= allowed, f"slot {slot} has containers {ids}"

    def check_all_runs(self) -> None:
        state = self.cluster.state
        assert all(node.state is NodeState.READY for node in state.nodes.values())
        for service in state.services.values():
            assert not service.removed
            name = service.spec.name or ""
            replicated = service.spec.mode.replicated
            wanted = len(state.nodes) if replicated is None else replicated.replicas
            assert len(self.cluster.running(name)) == wanted, f"{name}: {self.cluster.running_slots(name)} of {wanted}"
            assert len(self.cluster.containers(name)) == wanted
        names = {service.spec.name for service in state.services.values()}
        assert all(task.service_name in names for task in state.tasks.values())

    def _has(self, name: str) -> bool:
        service_id = self.cluster.leader.ledger.state.named("services", name)
        return service_id is not None and not self.cluster.leader.ledger.state.services[service_id].removed

    def _any_manager(self) -> ManagerProcess:
        return self.random.choice(list(self.cluster.managers.values()))


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_whatever_happens_no_law_is_broken_and_in_the_end_all_runs(seed: int) -> None:
    story = None
    try:
        async with cluster_of(managers=1 + seed % 3, agents=3) as cluster:
            story = Story(cluster, seed)
            for _ in range(STEPS):
                await story.step()
            await story.mend_everything()
            story.check_all_runs()
    except BaseException:
        print(f"seed {seed}:", *(story.told if story else ()), sep="\n  ")  # noqa: T201
        raise
