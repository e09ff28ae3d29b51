"""What happens to managers and to their store in a random walk, one small thing at a time: each action does it and says
in words what it did."""

import asyncio
from datetime import timedelta

from support.cluster import ManagerProcess
from support.walk_actions import MachineActions, OperatorActions, Weighted
from support.walk_world import World


class ManagerActions:
    def __init__(self, world: World) -> None:
        self._world = world
        self._chance = world.chance

    def choices(self) -> Weighted:
        return [
            (self.kill, 1), (self.stop, 0.7), (self.start, 12), (self.restart, 1.5),
            (self.pause, 1.5), (self.resume, 12), (self.pause_for_a_moment, 2),
            (self.lose_store, 1), (self.lose_answers, 1), (self.find_store, 16),
            (self.store_goes, 0.5), (self.store_returns, 8), (self.lose_watch, 3), (self.interrupt, 4),
        ]  # fmt: skip

    async def kill(self) -> str | None:
        process = self._up()
        if process is None:
            return None
        await self._kill(process)
        return f"{process.name} is killed"

    async def _kill(self, process: ManagerProcess) -> None:
        await self._world.operators.hang_up(process)
        await process.kill()

    async def stop(self) -> str | None:
        process = self._up()
        if process is None:
            return None
        await self._stop(process)
        return f"{process.name} is stopped"

    async def _stop(self, process: ManagerProcess) -> None:
        await self._world.operators.hang_up(process)
        await process.stop()

    async def start(self) -> str | None:
        process = self._world.some_process(lambda process: not process.is_up)
        if process is None:
            return None
        process.restart()
        return f"{process.name} starts"

    async def restart(self) -> str | None:
        process = self._up()
        if process is None:
            return None
        await (self._kill if self._chance.random() < 0.5 else self._stop)(process)
        process.restart()
        return f"{process.name} was restarted"

    async def pause(self) -> str | None:
        process = self._awake()
        if process is None:
            return None
        process.pause()
        return f"{process.name} is paused"

    async def resume(self) -> str | None:
        process = self._world.some_process(lambda process: process.is_paused)
        if process is None:
            return None
        process.resume()
        return f"{process.name} goes on"

    async def pause_for_a_moment(self) -> str | None:
        process, seconds = self._awake(), self._chance.choice([0.2, 1, 2.5, 4.5])
        if process is None:
            return None
        process.pause()
        await self._world.advance(seconds)
        process.resume()
        return f"{process.name} was paused for {seconds} s"

    async def lose_store(self) -> str | None:
        process = self._up()
        if process is None:
            return None
        process.lose_store()
        return f"{process.name} lost the store"

    async def lose_answers(self) -> str | None:
        process, lateness = self._awake(), self._chance.choice([None, 0.05, 0.7, 3])
        if process is None:
            return None
        process.lose_answers(None if lateness is None else timedelta(seconds=lateness))
        return f"{process.name} hears no answers, writes arrive after {lateness or 0} s"

    async def find_store(self) -> str | None:
        if self._world.is_store_away:
            return None
        process = self._world.some_process(lambda process: process.is_cut or process.is_hard_of_hearing)
        if process is None:
            return None
        process.find_store()
        return f"{process.name} has the store again"

    async def store_goes(self) -> str:
        self._world.is_store_away = True
        for process in self._world.cluster.managers.values():
            process.lose_store()
        return "the store goes away"

    async def store_returns(self) -> str | None:
        if not self._world.is_store_away:
            return None
        self._world.is_store_away = False
        for process in self._world.cluster.managers.values():
            process.find_store()
        return "the store is there again"

    async def lose_watch(self) -> str | None:
        """The history that the watch would have resumed from may be gone."""
        process = self._up()
        if process is None:
            return None
        process.lose_watch()
        if self._chance.random() < 0.5:
            return f"{process.name} lost its watch"
        database = self._world.cluster.database
        self._world.cluster.history.check()
        database.compact(database.revision)
        return f"{process.name} lost its watch, and the store its history"

    async def interrupt(self) -> str | None:
        """Trouble for the leader in the middle of what it does about an operator's wish or a container's end."""
        leader = self._world.leader
        if leader is None:
            return None
        operators, machines = OperatorActions(self._world), MachineActions(self._world)
        begin = self._chance.choice(
            [operators.deploy, operators.scale, operators.update, operators.remove, machines.end_container]
        )
        begun = await begin()
        if begun is None:
            return None
        for _ in range(self._chance.randint(0, 6)):
            for _ in range(self._chance.randint(0, 15)):
                await asyncio.sleep(0)
            self._world.cluster.clock.advance(timedelta(milliseconds=1))
        trouble = self._chance.choice([self._pause, self._kill, self._cut, self._deafen, self._make_late])
        await trouble(leader)
        return f"{begun}, and in the middle of it {leader.name}: {trouble.__name__.strip('_').replace('_', ' ')}"

    async def _pause(self, process: ManagerProcess) -> None:
        process.pause()

    async def _cut(self, process: ManagerProcess) -> None:
        process.lose_store()

    async def _deafen(self, process: ManagerProcess) -> None:
        process.lose_answers()

    async def _make_late(self, process: ManagerProcess) -> None:
        process.lose_answers(timedelta(seconds=self._chance.choice([0.05, 0.7, 3])))

    def _up(self) -> ManagerProcess | None:
        return self._world.some_process(lambda process: process.is_up)

    def _awake(self) -> ManagerProcess | None:
        return self._world.some_process(lambda process: process.is_up and not process.is_paused)
