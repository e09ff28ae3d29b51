"""A random walk of a whole cluster: operators, containers, machines, managers and their store do what they may do, in
any order, step after step. The laws are checked after each; now and then all is mended, and must converge.

A walk is told again by its seed: nothing in it depends on real time.
"""

from collections import deque
from itertools import islice
from pathlib import Path

from support.walk_actions import Action, MachineActions, OperatorActions, Weighted
from support.walk_end import check_pictures, check_reasons, shortfalls
from support.walk_managers import ManagerActions
from support.walk_world import World, world_of

from manager.orchestrator.slots import is_job
from swarmpy.states import Availability, TaskState

# So much of the story is kept for the case of a failure.
TOLD = 60
CALM_EVERY = 300
# In seconds: the longest restart delay, a slow stop and an update come one after the other.
CALM_WITHIN = 300
CALM_LOOK = 5


class LongWalk:
    def __init__(self, world: World) -> None:
        self.world = world
        self.told: deque[str] = deque(maxlen=TOLD)
        self.steps = 0
        choices = [
            action for part in (OperatorActions, MachineActions, ManagerActions) for action in part(world).choices()
        ]
        choices += self._passing_time()
        self._actions: list[Action] = [action for action, _ in choices]
        self._weights = [weight for _, weight in choices]

    def _passing_time(self) -> Weighted:
        return [(self.pass_time, 5), (self.pass_much_time, 0.6)]

    async def pass_time(self) -> str:
        return await self._pass(self.world.chance.choice([1, 2, 4, 7]))

    async def pass_much_time(self) -> str:
        return await self._pass(self.world.chance.choice([20, 40, 70]))

    async def _pass(self, seconds: int) -> str:
        await self.world.advance(seconds)
        return f"{seconds} s pass"

    async def walk(self, steps: int) -> None:
        while self.steps < steps:
            self.steps += 1
            await self._step()
            if self.steps % CALM_EVERY == 0 or self.steps == steps:
                await self._calm_down()

    async def _step(self) -> None:
        while (words := await self._something()) is None:
            pass
        self._tell(words)
        await self.world.advance(self.world.chance.choice([0, 0, 0.003, 0.02, 0.1, 0.3, 1]))

    async def _something(self) -> str | None:
        action = self.world.chance.choices(self._actions, self._weights)[0]
        self._tell(f"begins to {action.__name__.replace('_', ' ')}")
        words = await action()
        self.told.pop()
        return words

    def _tell(self, words: str) -> None:
        self.told.append(f"{self.steps:6} {self.world.cluster.clock.monotonic():10.3f} s  {words}")

    # the end of all trouble

    async def _calm_down(self) -> None:
        self._tell("all is mended")
        await self._mend()
        await self.world.advance(20)
        check_reasons(self.world)
        await self._make_all_nodes_active()
        for _ in range(CALM_WITHIN // CALM_LOOK):
            self._finish_jobs()
            await self.world.advance(CALM_LOOK)
            if not any(shortfalls(self.world)):
                break
        missing = list(islice(shortfalls(self.world), 5))
        assert not missing, f"{CALM_WITHIN} s after the last trouble: {'; '.join(missing)}"
        check_reasons(self.world)
        await check_pictures(self.world)

    async def _mend(self) -> None:
        self.world.is_store_away = False
        for process in self.world.cluster.managers.values():
            process.resume()
            process.find_store()
            if not process.is_up:
                process.restart()
        for machine in self.world.machines.values():
            if machine.is_cut:
                machine.reconnect()
            if not machine.is_up:
                machine.start()
        for agent in self.world.cluster.agents.values():
            agent.release()

    async def _make_all_nodes_active(self) -> None:
        leader = self.world.leader
        assert leader is not None, "20 s after the last trouble nobody leads"
        for node_id, node in list(leader.ledger.state.nodes.items()):
            if node.spec.availability is not Availability.ACTIVE:
                self.world.operators.set_availability(leader, node_id, Availability.ACTIVE)
        await self.world.advance(1)

    def _finish_jobs(self) -> None:
        """Their containers do their work; those of services run on."""
        state = self.world.cluster.history.state
        for machine in self.world.machines.values():
            for task_id in sorted(machine.running):
                task = state.tasks.get(task_id)
                service = state.services.get(task.service_id) if task is not None else None
                if service is not None and is_job(service):
                    self.world.end_container(machine, task_id, TaskState.COMPLETE)


async def run_walk(seed: int, steps: int, data_dir: Path) -> LongWalk:
    """Raises what went wrong; how it came to that is in the error's notes."""
    walk = None
    try:
        async with world_of(seed, data_dir) as world:
            walk = LongWalk(world)
            await walk.walk(steps)
            return walk
    except BaseException as error:
        if walk is not None:
            error.add_note("\n".join(["what was done:", *walk.told]))
            error.add_note(f"to see it again: make test-long SEED={seed} STEPS={walk.steps}")
        raise
