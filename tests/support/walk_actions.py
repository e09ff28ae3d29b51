"""What operators, containers and machines do in a random walk, one small thing at a time: each action does it and says
in words what it did. What managers and their store do is in `walk_managers`."""

from collections.abc import Awaitable, Callable

from support.cluster import ManagerProcess
from support.engine_agent import EngineAgent
from support.scripted_agent import ScriptedAgent
from support.walk_wishes import NAMES, Change, a_scaling, a_wish, an_update
from support.walk_world import Machine, World

from manager.objects import Service
from swarmpy.states import Availability, TaskState

# None: there was nothing to do it to.
Action = Callable[[], Awaitable[str | None]]
Weighted = list[tuple[Action, float]]


class OperatorActions:
    def __init__(self, world: World) -> None:
        self._world = world
        self._chance = world.chance
        self._operators = world.operators

    def choices(self) -> Weighted:
        return [
            (self.deploy, 6), (self.scale, 7), (self.update, 6), (self.roll_back, 1), (self.remove, 2.5),
            (self.change_availability, 4), (self.remove_node, 0.5),
        ]  # fmt: skip

    async def deploy(self) -> str | None:
        process, name = self._world.whom_to_ask(), self._chance.choice(NAMES)
        if process is None:
            return None
        key = f"services/{name}"
        if self._operators.is_waiting_for(key) or process.ledger.state.names.get(key):
            return None
        wish = a_wish(name, self._chance)
        self._operators.deploy(process, wish)
        return f"{process.name} is asked to deploy {wish.model_dump_json(exclude_none=True)}"

    async def scale(self) -> str | None:
        return self._change(lambda name: a_scaling(name, self._chance))

    async def update(self) -> str | None:
        return self._change(lambda name: an_update(self._chance))

    def _change(self, chosen: Callable[[str], tuple[Change, str]]) -> str | None:
        found = self._some_service()
        if found is None:
            return None
        process, service = found
        name = service.spec.name or ""
        change, words = chosen(name)
        self._operators.update(process, name, change)
        return f"{process.name} is asked to make {name} {words}"

    async def roll_back(self) -> str | None:
        found = self._some_service()
        if found is None or found[1].previous_spec is None:
            return None
        process, service = found
        self._operators.roll_back(process, service.spec.name or "")
        return f"{process.name} is asked to roll back {service.spec.name}"

    async def remove(self) -> str | None:
        found = self._some_service()
        if found is None:
            return None
        process, service = found
        self._operators.remove(process, service.spec.name or "")
        return f"{process.name} is asked to remove {service.spec.name}"

    async def change_availability(self) -> str | None:
        availability = self._chance.choice([*Availability, Availability.ACTIVE, Availability.ACTIVE])
        process, node_id = self._world.whom_to_ask(), self._chance.choice(list(self._world.machines))
        if process is None or self._is_out_of_hand(process, node_id):
            return None
        self._operators.set_availability(process, node_id, availability)
        return f"{process.name} is asked to make {node_id} {availability}"

    async def remove_node(self) -> str | None:
        process, node_id = self._world.whom_to_ask(), self._chance.choice(list(self._world.cluster.agents))
        if process is None or self._is_out_of_hand(process, node_id):
            return None
        self._operators.remove_node(process, node_id)
        return f"{process.name} is asked to remove node {node_id}"

    def _is_out_of_hand(self, process: ManagerProcess, node_id: str) -> bool:
        return self._operators.is_waiting_for(f"nodes/{node_id}") or node_id not in process.ledger.state.nodes

    def _some_service(self) -> tuple[ManagerProcess, Service] | None:
        process = self._world.whom_to_ask()
        if process is None:
            return None
        state = process.ledger.state
        services = [
            service
            for service in state.services.values()
            if not service.removed and not self._operators.is_waiting_for(f"services/{service.spec.name}")
        ]
        return (process, self._chance.choice(services)) if services else None


class MachineActions:
    def __init__(self, world: World) -> None:
        self._world = world
        self._chance = world.chance

    def choices(self) -> Weighted:
        return [
            (self.end_container, 12), (self.slow_down, 2), (self.go_on, 3), (self.crash, 2), (self.reboot, 1),
            (self.start, 8), (self.restart, 2), (self.cut, 2), (self.reconnect, 8), (self.cut_for_a_moment, 2),
            (self.sicken, 1),
        ]  # fmt: skip

    async def end_container(self) -> str | None:
        machines = self._world.machines.values()
        up = [(machine, task_id) for machine in machines for task_id in sorted(machine.running)]
        if not up:
            return None
        machine, task_id = self._chance.choice(up)
        state = self._chance.choice([TaskState.FAILED, TaskState.COMPLETE])
        self._world.end_container(machine, task_id, state)
        return f"container of {task_id} on {machine.node_id} is {state.label}"

    async def sicken(self) -> str | None:
        real = self._real()
        if not real.running:
            return None
        task_id = self._chance.choice(sorted(real.running))
        self._world.laws.ended.add(task_id)
        real.sicken(task_id)
        return f"container of {task_id} on {real.node_id} is unhealthy"

    def _real(self) -> EngineAgent:
        return next(machine for machine in self._world.machines.values() if isinstance(machine, EngineAgent))

    async def slow_down(self) -> str:
        """A slow pull, or containers that do not stop."""
        agent = self._some_scripted_agent()
        agent.release()
        agent.holds_at = self._chance.choice([TaskState.PREPARING, TaskState.READY, TaskState.RUNNING])
        agent.is_stubborn = self._chance.random() < 0.5
        stops = "does not stop anything" if agent.is_stubborn else "stops"
        return f"{agent.node_id} comes as far as {agent.holds_at.label}, and {stops}"

    async def go_on(self) -> str:
        agent = self._some_scripted_agent()
        agent.release()
        return f"{agent.node_id} goes on"

    def _some_scripted_agent(self) -> ScriptedAgent:
        return self._chance.choice(list(self._world.cluster.agents.values()))

    async def crash(self) -> str | None:
        return await self._do(lambda machine: machine.crash(), "crashes", lambda machine: machine.is_up)

    async def reboot(self) -> str | None:
        async def reboot(machine: Machine) -> None:
            self._world.laws.ended |= machine.running
            await machine.reboot()

        return await self._do(reboot, "loses power", lambda machine: machine.is_up)

    async def start(self) -> str | None:
        async def start(machine: Machine) -> None:
            machine.start()

        return await self._do(start, "starts", lambda machine: not machine.is_up)

    async def restart(self) -> str | None:
        async def restart(machine: Machine) -> None:
            await machine.crash()
            self._world.note_whereabouts()
            machine.start()

        return await self._do(restart, "crashes and starts", lambda machine: machine.is_up)

    async def cut(self) -> str | None:
        async def cut(machine: Machine) -> None:
            machine.cut_off()

        return await self._do(cut, "is cut off", lambda machine: not machine.is_cut)

    async def reconnect(self) -> str | None:
        async def reconnect(machine: Machine) -> None:
            machine.reconnect()

        return await self._do(reconnect, "is connected again", lambda machine: machine.is_cut)

    async def cut_for_a_moment(self) -> str | None:
        seconds = self._chance.choice([0.3, 1, 2])

        async def cut(machine: Machine) -> None:
            machine.cut_off()
            await self._world.advance(seconds)
            machine.reconnect()

        return await self._do(cut, f"was cut off for {seconds} s", lambda machine: not machine.is_cut)

    async def _do(
        self, what: Callable[[Machine], Awaitable[None]], words: str, where: Callable[[Machine], bool]
    ) -> str | None:
        machine = self._world.some_machine(where)
        if machine is None:
            return None
        await what(machine)
        return f"{machine.node_id} {words}"
