"""The network map while this manager leads: when sessions are told of its changes, and which tasks are not told to
stop yet because others still send to them.

What is in the map, and who may stop, is decided in `network_map` and `farewells`.
"""

import asyncio
from collections.abc import Iterable, Mapping, Set
from contextlib import suppress
from datetime import timedelta
from itertools import islice

from manager.dispatcher.farewells import LONGEST_WAIT, Farewell, is_leaving, judged
from manager.dispatcher.network_map import Atlas
from manager.dispatcher.session import Session
from manager.ledger import Ledger
from manager.objects import Task
from manager.orchestrator.slots import PATIENCE
from manager.state import Changed
from swarmpy.clock import Clock, within
from swarmpy.states import NodeState, TaskState
from swarmpy.together import together
from swarmpy.wire import TaskReport


class Maps:
    """`sessions` (node id -> session) are whoever is connected now. `mapped` is what their agents said they show."""

    # One change of a map is a message to every node of the network, and two answers. Above this many messages a
    # second in all, changes wait for company.
    MESSAGES_PER_SECOND = 2000
    # A task that is to stop for so long is waited for no more: the next one of its slot is about to start.
    FORGOTTEN = PATIENCE / 2
    # Many agents say within moments that they show a map: one look at them all is enough.
    GATHER = timedelta(milliseconds=10)
    # And it rests for so many times of what it took: thousands of tasks may be leaving, and a thousand agents answer.
    REST_BY_COST = 5
    # Tasks looked at between two breaths.
    AT_ONCE = 2000

    def __init__(self, ledger: Ledger, clock: Clock, sessions: Mapping[str, Session]) -> None:
        self.atlas = Atlas()
        self.mapped: dict[str, int] = {}
        self._ledger = ledger
        self._clock = clock
        self._sessions = sessions
        self._waiting: dict[str, Farewell] = {}
        # The latest revision that a session may have been told of.
        self._seen = 0
        self._began = 0.0
        # Nodes whose agents had a session with the last leader, most likely, and will have one with this one soon.
        self._expected: set[str] = set()
        self._untold: set[str] = set()
        self._map_changed = asyncio.Event()
        self._judge_again = asyncio.Event()

    @property
    def withheld(self) -> Set[str]:
        """Tasks whose agents are not to be told yet that they must stop."""
        return self._waiting.keys()

    async def begin(self) -> None:
        """A new term. What the last leader told is not known: others may yet send to any task that is to stop.
        Others have their turn meanwhile; changes from the beginning on are to be folded when it is over, and nobody is
        told anything before."""
        self.mapped.clear()
        self._waiting.clear()
        self._seen = 0
        state = self._ledger.state
        for networks in self.atlas.rebuilding(state):
            self._note(networks)
            await asyncio.sleep(0)
        tasks, now = iter(tuple(state.tasks.values())), self._clock.now()
        while portion := tuple(islice(tasks, self.AT_ONCE)):
            self._part_with(task for task in portion if now < task.updated_at + self.FORGOTTEN)
            await asyncio.sleep(0)
        self._began = self._clock.monotonic()
        self._expected = {node.id for node in state.nodes.values() if node.state is not NodeState.DOWN}

    def rebuild(self) -> None:
        """Which changes came is not known."""
        state = self._ledger.state
        served = {task.id for task in state.tasks.values() if self.atlas.is_endpoint(task.id)}
        self._note(self.atlas.rebuild(state))
        self._part_with(state.tasks[id] for id in served)

    def fold(self, changes: Iterable[Changed]) -> None:
        changes, known = tuple(changes), self._ledger.state.tasks
        touched = (change.before for change in changes if isinstance(change.before, Task))
        served = {task.id for task in touched if self.atlas.is_endpoint(task.id)}
        self._note(self.atlas.fold(self._ledger.state, changes))
        self._part_with(known[id] for id in served if id in known)

    def note_mapped(self, session: Session, revision: int) -> None:
        """The node shows the map of that revision; of one that it was never told, it cannot."""
        self.mapped[session.node_id] = min(revision, session.revision)
        self._judge_again.set()

    def note_arrival(self, node_id: str, reports: Iterable[TaskReport]) -> None:
        """What does not run there need not be told to run on: it would be started for that."""
        running = {report.task_id for report in reports if report.status.state is TaskState.RUNNING}
        for farewell in tuple(self._waiting.values()):
            if farewell.node_id == node_id and farewell.task_id not in running:
                self._let_go(farewell.task_id)

    def note_departure(self, node_id: str) -> None:
        self._expected.discard(node_id)
        self._judge_again.set()

    async def run(self) -> None:
        await together(self._spread(), self._release())

    def _note(self, networks: Set[str]) -> None:
        if networks:
            self._untold |= networks
            self._map_changed.set()

    def _part_with(self, tasks: Iterable[Task]) -> None:
        """Those of them that are to stop leave; whoever has stopped meanwhile needs no word."""
        state, now = self._ledger.state, self._clock.monotonic()
        # News may come late, of a revision below that which was told already: only a later one is surely without them.
        revision = state.revision if state.revision > self._seen else self._seen + 1
        self._seen = max(self._seen, state.revision)
        for task in tasks:
            if self._is_leaving(task.id) and task.id not in self._waiting:
                networks = tuple(network.network_id for network in task.networks if network.address)
                self._waiting[task.id] = Farewell(task.id, task.node_id, networks, revision, now)
                self._judge_again.set()

    def _is_leaving(self, task_id: str) -> bool:
        state = self._ledger.state
        task = state.tasks.get(task_id)
        return task is not None and is_leaving(task, state.nodes.get(task.node_id))

    async def _spread(self) -> None:
        """Tell of a change at once, and of the next ones together after a pause."""
        while True:
            await self._map_changed.wait()
            self._map_changed.clear()
            networks, self._untold = self._untold, set()
            for node_id in {node_id for network_id in networks for node_id in self.atlas.nodes_of(network_id)}:
                if session := self._sessions.get(node_id):
                    session.touch()
            await self._clock.sleep(timedelta(seconds=len(self._sessions) / self.MESSAGES_PER_SECOND))

    async def _release(self) -> None:
        again_at: float | None = None
        while True:
            if again_at is None:
                await self._judge_again.wait()
            else:
                rest = timedelta(seconds=again_at - self._clock.monotonic())
                with suppress(TimeoutError):
                    await within(self._clock, max(rest, self.GATHER), self._judge_again.wait())
            self._judge_again.clear()
            started = self._clock.monotonic()
            again_at = self._judge()
            if again_at is not None:
                cost = timedelta(seconds=self._clock.monotonic() - started)
                await self._clock.sleep(max(self.GATHER, self.REST_BY_COST * cost))

    def _judge(self) -> float | None:
        """Let go of those that may stop; when to look again even if nothing is heard."""
        for task_id in [id for id in self._waiting if not self._is_leaving(id)]:
            self._let_go(task_id)
        if self._clock.monotonic() >= self._began + LONGEST_WAIT:
            self._expected.clear()
        there = self._sessions.keys() | self._expected
        networks = {network_id for farewell in self._waiting.values() for network_id in farewell.networks}
        connected = {id: self.atlas.nodes_of(id) & there for id in networks}
        verdict = judged(self._waiting.values(), self.mapped, connected, self._clock.monotonic())
        for task_id in verdict.released:
            self._let_go(task_id)
        return verdict.again_at

    def _let_go(self, task_id: str) -> None:
        """Its session may have said that the task is to run on, and nothing else would take that back: a node that
        falls silent and is heard again keeps its session."""
        farewell = self._waiting.pop(task_id)
        if session := self._sessions.get(farewell.node_id):
            session.touch(tasks=(task_id,))
