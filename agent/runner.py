"""Holds the runs of this node's tasks: feeds events to the machine, performs what it instructs, reports what changes.

Decides nothing about a task itself: `agent.task.machine` does. Talks to no manager: `agent.session` does. What happens
on the engine is told by `agent.watcher`.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from ipaddress import IPv4Address

from agent.engine.port import Engine
from agent.files import Files
from agent.network.addresses import AddressesRest
from agent.network.shares import Shares
from agent.performer import NetworkService, Performer
from agent.task.assign import NOTHING_YET, AssignedSet, difference
from agent.task.events import Attended, Begin, Created, Delayed, Event, Forsaken, Found, Refused, Vanished
from agent.task.facts import Life, ListedContainer
from agent.task.instructions import Instruction, RemoveContainer, SignalContainer
from agent.task.machine import new_run, step
from agent.task.mounts import kept_volumes
from agent.task.records import TaskRecord, record_of, restored
from agent.task.run import Phase, TaskRun
from agent.task.templates import NodeFacts
from agent.work import Work
from swarmpy.clock import Clock
from swarmpy.errors import NotFound, SwarmpyError, TimedOut, Unavailable
from swarmpy.logs import logger
from swarmpy.together import together
from swarmpy.wire import NetworkAssignment, TaskAssignment, TaskReport

log = logger("runner")

FIRST_PAUSE = timedelta(milliseconds=500)
LONGEST_PAUSE = timedelta(seconds=5)
# After a start of the agent, or the loss of its manager, one has this long to say what became of tasks that ended.
PATIENCE = timedelta(seconds=5)


class Runner:
    """`on_report` hears each change of what is reported, `on_change` each of what a restart of the agent must know.

    `look_again` is set when a listing of the engine is wanted now. `trouble` says what keeps the engine from working.
    `node_changed` is set when that is different, or the node has a new volume that tasks must be with, or other limits.
    `kept_volumes` are those, by name, for all that tasks have said.
    """

    def __init__(self, engine: Engine, clock: Clock, node_id: str, files: Files | None = None) -> None:
        self._engine = engine
        self._clock = clock
        self._node_id = node_id
        self._runs: dict[str, TaskRun] = {}
        self._networks: dict[str, NetworkAssignment] = {}
        self._files = files or Files(())
        self.shares = Shares(clock)
        self._performer = Performer(engine, clock, node_id, self._networks, self.shares, self._files)
        self._unclaimed: dict[str, str] = {}
        self._attended = asyncio.Event()
        self._left_alone = asyncio.Event()
        self.work = Work()
        self.look_again = asyncio.Event()
        self.trouble = ""
        self.node_changed = asyncio.Event()
        self._performer.on_limits = self.node_changed.set
        self.kept_volumes: set[str] = set()
        self.assigned: AssignedSet = NOTHING_YET
        self.knows_everything = False
        self.on_report: Callable[[TaskReport], None] = lambda report: None
        self.on_change: Callable[[], None] = lambda: None

    # What others see.

    @property
    def runs(self) -> Mapping[str, TaskRun]:
        return self._runs

    def run_of(self, task_id: str) -> TaskRun | None:
        return self._runs.get(task_id)

    def reports(self) -> tuple[TaskReport, ...]:
        """The true state of all that is held."""
        return tuple(_report(run) for run in self._runs.values())

    def records(self) -> tuple[TaskRecord, ...]:
        return tuple(record_of(run, self.shares.addresses_of(run.id)) for run in self._runs.values())

    def note_trouble(self, trouble: str) -> None:
        """What keeps the engine from working, empty when nothing does."""
        if trouble != self.trouble:
            self.trouble = trouble
            self.node_changed.set()

    def needs_network(self, network_id: str) -> bool:
        """Containers that are kept though they have ended need none: they never start again."""
        return network_id in self._networks or any(
            part.network_id == network_id
            for run in self._runs.values()
            if run.phase is not Phase.DONE
            for part in run.assignment.networks
        )

    @property
    def knows_something(self) -> bool:
        """Of what this node is to have, by a manager's word or from before its start."""
        return self.knows_everything or bool(self.assigned.tasks or self.assigned.networks)

    @property
    def is_alone(self) -> bool:
        """No manager is there: crashed tasks are restarted here."""
        return not self._attended.is_set()

    # What others say.

    def describe_node(self, node: NodeFacts) -> None:
        self._performer.node = node

    @property
    def networks_on_engine(self) -> frozenset[str]:
        """As far as is known."""
        return frozenset(self._performer.networks_on_engine)

    @property
    def network_limits(self) -> tuple[str, ...]:
        """What networks of this node lack, in sentences."""
        return tuple(filter(None, self._performer.network_limits.values()))

    def serve_networks_with(self, service: NetworkService) -> None:
        """It is waited for once a network is on the engine, before tasks join it."""
        self._performer.network_service = service

    def forget_networks(self) -> None:
        """Networks that were on the engine may be there no longer: each is looked for before it is joined again."""
        self._performer.forget_networks()

    async def remove_network(self, network_id: str, name: str) -> None:
        await self._performer.remove_network(network_id, name)

    def see_addresses(self, containers: Iterable[ListedContainer]) -> None:
        """Which the engine's containers have is the truth; what neither a container nor a run has is free."""
        there = tuple(containers)
        for found in there:
            run = self._runs.get(found.task_id)
            # One that will not start any more needs none, whatever it was made with.
            if run is None or run.phase < Phase.DONE or found.life is Life.RUNNING:
                self.shares.see(found.task_id, found.addresses)
        if self.shares.keep_only(self._runs.keys() | {found.task_id for found in there}):
            self.on_change()

    def attend(self, attended: bool) -> None:
        """A manager is there, or no longer."""
        if not attended:
            if self._attended.is_set():
                self._attended.clear()
                self._left_alone.set()
            return
        self._attended.set()
        for run in list(self._runs.values()):
            if run.phase is Phase.RESTING:
                self.feed(run.id, Attended())

    async def adopt(
        self,
        assigned: AssignedSet,
        records: Mapping[str, TaskRecord],
        resting: Mapping[IPv4Address, float] | None = None,
    ) -> None:
        """Take up, after a start, what was held before. Nothing that runs is touched; a container that nobody has
        named yet waits for the manager's word."""
        containers = await self._engine.containers(self._node_id)
        await self._performer.find_networks()
        self._unclaimed = {found.task_id: found.id for found in containers}
        self.assigned = assigned
        self._networks.update(assigned.networks)
        self.shares.recall(resting, used=self.networks_on_engine)
        self.shares.learn(assigned.networks.values())
        self.see_addresses(containers)
        # Of those that were on their way out no container may be left: the next listing gives theirs back.
        for record in records.values():
            if not self.shares.addresses_of(record.task_id):
                self.shares.see(record.task_id, record.taken)
        for task in assigned.tasks.values():
            self._hold(task, records.get(task.id))

    def apply(self, assigned: AssignedSet, *, full: bool) -> None:
        """Begin to act on a new set; a full one also says what does not belong here."""
        self.assigned = assigned
        self._files.learn(assigned)
        self._networks.clear()
        self._networks.update(assigned.networks)
        self.shares.learn(assigned.networks.values())
        dropping = [run.id for run in self._runs.values() if run.dropped]
        change = difference({id: run.assignment for id, run in self._runs.items()}, assigned, dropping)
        for task_id, event in change.events:
            self.feed(task_id, event)
        for task in change.new:
            self._hold(task, None)
        if full:
            self.knows_everything = True
            self._unclaimed.clear()
            self.look_again.set()
            self.work.begin("", self.part_with_files())
        self._part_with_networks()
        self.on_change()

    def feed(self, task_id: str, event: Event) -> None:
        """One event of one task. What the machine then instructs is under way when this returns."""
        run = self._runs.get(task_id)
        if run is None:
            return
        after, instructions = step(run, event, self._clock.now())
        if after is run:
            return
        self._runs[task_id] = after
        if after.phase is not run.phase:
            # What was under way for a phase that is over would bring late news.
            self.work.end(task_id)
            log.debug("task.moved", task=task_id, by=type(event).__name__, phase=after.phase.name.lower())
        for instruction in instructions:
            self.work.begin(task_id, self._carry_out(after, instruction))
        if run.needs_files and not after.needs_files and self.knows_everything:
            self.work.begin("", self.part_with_files())
        self._tell(run, after)

    async def part_with_files(self) -> None:
        """Secrets and configs go with the tasks that they were for."""
        await self._files.keep_only(lambda task_id: task_id in self._runs and self._runs[task_id].needs_files)

    async def run(self) -> None:
        """Until cancelled. An error in some work that no part expected ends it."""
        try:
            await together(self.work.wait_until_crashed(), self._take_up_what_nobody_heard_of())
        finally:
            await self.work.close()
            await self._performer.close()

    async def _take_up_what_nobody_heard_of(self) -> None:
        """Most often the next session begins at once: then it is a manager's business."""
        while True:
            await self._left_alone.wait()
            self._left_alone.clear()
            await together(self._clock.sleep(PATIENCE), self._attended.wait())
            for run in list(self._runs.values()) if self.is_alone else ():
                if run.phase is Phase.DONE:
                    self.feed(run.id, Forsaken())

    # Runs.

    def _hold(self, task: TaskAssignment, record: TaskRecord | None) -> None:
        container_id = self._unclaimed.pop(task.id, None)
        run = restored(task, record, container_id) if record else new_run(task, self._clock.now())
        self._runs[task.id] = run
        if record is not None:
            self.shares.see(task.id, record.taken)
        self._tell(None, run)
        if run.phase is Phase.DONE:
            return
        if container_id is not None:
            self.work.begin(task.id, self._claim(task.id, container_id))
        elif record is not None and record.container_id is not None:
            self.feed(task.id, Vanished())
        else:
            self.feed(task.id, Begin())

    async def _claim(self, task_id: str, container_id: str) -> None:
        """The task's container is there already: look at it, and go on from where it stands."""
        while True:
            try:
                facts = await self._engine.inspect(container_id)
            except NotFound:
                return self.feed(task_id, Vanished())
            except SwarmpyError:
                await self._clock.sleep(FIRST_PAUSE)
                continue
            if facts.life is Life.EXITED and self.is_alone:
                # A manager may know better; when none comes, what ended meanwhile is ours to restart.
                await together(self._clock.sleep(PATIENCE), self._attended.wait())
            return self.feed(task_id, Found(facts, alone=self.is_alone))

    def _tell(self, before: TaskRun | None, after: TaskRun) -> None:
        if after.phase >= Phase.DONE:
            self.shares.give_back(after.id)
        elif before is None or before.addresses != after.addresses:
            self.shares.see(after.id, after.addresses)
        if after.phase is Phase.GONE:
            del self._runs[after.id]
            log.info("task.forgotten", task=after.id)
            self._part_with_networks()
            return self.on_change()
        report = _report(after)
        if before is not None and _report(before) == report:
            return None
        if before is None or before.status.state is not after.status.state:
            _log_state(before, after)
        self.on_report(report)
        return self.on_change()

    def _part_with_networks(self) -> None:
        """One that nobody needs any more goes at once: its range may be another's by now."""
        if not all(map(self.needs_network, self._performer.provided())):
            self.look_again.set()

    async def _carry_out(self, run: TaskRun, instruction: Instruction) -> None:
        """Perform it, again and again while the engine is away, and feed back how it went."""
        pause = FIRST_PAUSE
        while True:
            event = await self._outcome(run, instruction)
            if event is not None:
                self.feed(run.id, event)
            if not isinstance(event, Delayed):
                return
            await self._clock.sleep(pause if event.again_in is None else min(pause, event.again_in))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _outcome(self, run: TaskRun, instruction: Instruction) -> Event | None:
        try:
            event = await self._performer.perform(run, instruction, lambda news: self.feed(run.id, news))
        except (Unavailable, TimedOut) as error:
            return Delayed(str(error), error.again_in if isinstance(error, AddressesRest) else None)
        if isinstance(event, Refused) and isinstance(instruction, SignalContainer | RemoveContainer):
            # A container that will not go is no reason to forget it.
            return Delayed(event.reason)
        if isinstance(event, Created) and (volumes := kept_volumes(run.assignment, self._performer.node)):
            self.kept_volumes.update(volumes)
            self.node_changed.set()
        return event


def _report(run: TaskRun) -> TaskReport:
    return TaskReport(task_id=run.id, status=run.status, addresses=dict(run.addresses), restarts=run.restarts)


def _log_state(before: TaskRun | None, after: TaskRun) -> None:
    log.info(
        "task.state_changed",
        task=after.id,
        service=after.assignment.service_name,
        slot=after.assignment.slot,
        before=before.status.state.label if before else "",
        now=after.status.state.label,
        **({"error": after.status.err} if after.status.err else {}),
    )
