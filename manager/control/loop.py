"""The control loop: look, decide, place, allocate, commit, look again. One instance leads one term.

Level-triggered: changes and times only say where to look; what is decided comes from the state alone, and now and
then everything is looked at. Holds no rule of its own: deciders are the orchestrator's, places the scheduler's.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

from manager.allocator.ingress import claim, lacks_ingress, new_ingress
from manager.allocator.vips import Rested
from manager.control.dirty import DirtySet
from manager.control.draft import Draft
from manager.control.scheduling import allocate, allocate_endpoints, schedule, waits_for_share
from manager.control.view_keeper import ViewKeeper
from manager.dispatcher.sessions import Sessions
from manager.ledger import Ledger, Subscription
from manager.orchestrator.decision import Decision
from manager.orchestrator.liveness import reconcile_nodes
from manager.orchestrator.plan import Surroundings, reconcile_service
from manager.orchestrator.reaper import reap_networks, reap_specs, reap_stacks
from manager.state import Changed
from manager.store.codec import put
from manager.store.errors import CommitConflict
from manager.store.keys import name_key
from manager.store.port import Put, Unit
from swarmpy.clock import Clock, within
from swarmpy.idgen import Mint
from swarmpy.logs import logger
from swarmpy.settings import ManagerSettings

log = logger("control")


class ControlLoop:
    """`run` ends with the term. Errors that nobody foresaw come out of it, and end the process.

    An unanswered write ends the term too (`Unavailable`): it may still take effect, and a picture that lacks it
    must not be decided upon.
    """

    # Changes of one deploy come close together: wait this long for company after the first.
    GATHER = timedelta(milliseconds=2)
    # What someone else wrote first is known after this; where the watch is lost, later.
    NEWS_AFTER = timedelta(milliseconds=20)
    # In seconds. Waiting tasks are tried again no more often than this, however often room is freed.
    RETRY_EVERY = 0.2
    # A service whose look takes longer than this is looked at for a fifth of the time at most.
    SLOW_LOOK = 0.01
    # A node that fell silent is noticed soon after its grace is over.
    JUDGED_PER_BEAT = 4
    SERVICES_AT_ONCE = 200
    TASKS_AT_ONCE = 500

    def __init__(self, ledger: Ledger, clock: Clock, mint: Mint, sessions: Sessions, settings: ManagerSettings) -> None:
        self._ledger = ledger
        self._state = ledger.state
        self._clock = clock
        self._mint = mint
        self._sessions = sessions
        self._settings = settings
        self._dirty = DirtySet()
        self._rested = Rested()
        self._rest_until: dict[str, datetime] = {}
        self._next_beat = self._next_resync = self._next_retry = self._last_breath = clock.monotonic()
        self._must_sweep = True

    async def run(self) -> None:
        self._rested.begin(self._state, self._clock.now())
        changes = self._ledger.subscribe()
        try:
            # Not before: of what comes between a look and the subscription nobody tells.
            await self._begin()
            while True:
                await self._take(changes)
                await self._pass(changes)
                await self._wait(changes)
        finally:
            self._ledger.unsubscribe(changes)

    # when to look

    async def _wait(self, changes: Subscription) -> None:
        """Until there is something to look at."""
        if self._dirty:
            await asyncio.sleep(0)
            return
        try:
            await within(self._clock, self._until_next(), changes.wait())
        except TimeoutError:
            return
        await self._clock.sleep(self.GATHER)

    def _until_next(self) -> timedelta:
        tick = self._clock.monotonic()
        times = [self._next_beat, self._next_resync]
        if self._keeper.wants_retry:
            times.append(self._next_retry)
        ahead = timedelta(seconds=min(times) - tick)
        due = self._dirty.next_due
        # Never nothing: what is due in less than a clock's step must not become a busy loop.
        return max(self.GATHER, ahead if due is None else min(ahead, due - self._clock.now()))

    async def _take(self, changes: Subscription) -> None:
        for portion in self._news(changes):
            self._apply(portion)
            await self._breathe()

    def _catch_up(self, changes: Subscription) -> None:
        """Take what came while others had their turn. What is decided upon must be one picture: to a scheduler that
        lags behind the state, a node that is back is one where nothing belongs."""
        for portion in self._news(changes):
            self._apply(portion)

    def _news(self, changes: Subscription) -> Iterator[Sequence[Changed]]:
        taken = changes.take()
        if taken is None:
            log.warning("control.fell_behind")
            self._see_all()
            # Of addresses that were given back meanwhile nobody told.
            self._rested.begin(self._state, self._clock.now())
            return
        for begin in range(0, len(taken), self.TASKS_AT_ONCE):
            yield taken[begin : begin + self.TASKS_AT_ONCE]

    def _apply(self, portion: Sequence[Changed]) -> None:
        self._keeper.apply(portion)
        self._dirty.mark(portion, self._state)
        self._rested.note(portion, self._clock.now())

    async def _begin(self) -> None:
        """As `_see_all`, and others have their turn meanwhile. What changes then comes with the first changes."""
        objects = iter(tuple(self._state.objects()))
        keeper = ViewKeeper(self._state, ())
        while portion := tuple(islice(objects, self.TASKS_AT_ONCE)):
            keeper.apply(Changed("", None, value) for value in portion)
            await self._breathe()
        self._look_with(keeper)

    def _see_all(self) -> None:
        """The scheduler's picture made anew from the state, and everything to be looked at."""
        self._look_with(ViewKeeper(self._state))

    def _look_with(self, keeper: ViewKeeper) -> None:
        self._keeper = keeper
        self._around = Surroundings(
            keeper.eligible, keeper.removal_order, keeper.unfit, keeper.have_room, is_heard=self._is_heard
        )
        self._dirty.mark_all(self._state)

    def _is_heard(self, node_id: str) -> bool:
        """In this term. An agent has told all that it holds before it is told what to hold."""
        return self._sessions.applied_revision(node_id) is not None

    # one pass

    async def _pass(self, changes: Subscription) -> None:
        now, tick = self._clock.now(), self._clock.monotonic()
        if tick >= self._next_beat:
            self._next_beat = tick + self._settings.beat_every.total_seconds() / self.JUDGED_PER_BEAT
            await self._judge_nodes(now)
        is_resync = tick >= self._next_resync
        if is_resync:
            self._next_resync = tick + self._settings.resync_every.total_seconds()
            self._dirty.mark_all(self._state)
            self._must_sweep = True
        self._dirty.mark_due(now)
        is_retry = self._keeper.wants_retry and tick >= self._next_retry
        if not (self._dirty or is_retry):
            return
        if not await self._has_ingress(now):
            return
        draft = Draft(self._state, self._mint, now)
        networks, addresses = self._dirty.take_networks(), self._dirty.take_addresses()
        services = await self._decide(draft, now, changes, with_specs=is_resync)
        self._keeper.release(draft.changed.values())
        again = self._keeper.take_waiting() if is_retry or is_resync else ()
        if again:
            self._next_retry = tick + self.RETRY_EVERY
        waiting = [*again, *draft.new]
        placed = await schedule(draft, self._state, self._keeper, waiting, now)
        self._must_sweep |= waits_for_share(draft, self._keeper, waiting)
        moves = networks or addresses or self._must_sweep
        resting = self._rested.at(now)
        if moves or any(task.networks for task in placed):
            allocate(draft, self._state, self._keeper, placed, now, sweep=self._must_sweep, resting=resting)
            self._must_sweep = False
        if moves:
            allocate_endpoints(draft, self._state, resting)
        await self._commit(draft, services)

    async def _has_ingress(self, now: datetime) -> bool:
        """Where a service needs the ingress network, it is made. A write of its own: tasks are born on it."""
        if not lacks_ingress(self._state):
            return True
        network = new_ingress(self._state, self._mint(), now)
        name = Put(name_key("networks", network.spec.name), network.id.encode(), modified=0)
        try:
            await self._ledger.commit([Unit((put(network, create=True), name, *claim(network)))])
        except CommitConflict:
            await self._clock.sleep(self.NEWS_AFTER)
            return False
        log.info("network.ingress_made", network=network.id, name=network.spec.name)
        return True

    async def _judge_nodes(self, now: datetime) -> None:
        """Who is silent. A write of its own: what follows for tasks is the next pass's business."""
        sessions = self._sessions
        decision = reconcile_nodes(
            self._state, sessions.heard_at(), sessions.listening_since(), now, sessions.silence_allowed()
        )
        for node in decision.replace:
            log.info("node.state_changed", node=node.id, to=getattr(node, "state", ""))
        draft = Draft(self._state, self._mint, now)
        draft.add(decision)
        try:
            await self._ledger.commit(list(draft.units()))
        except CommitConflict:
            return  # the next beat looks again

    async def _decide(self, draft: Draft, now: datetime, changes: Subscription, *, with_specs: bool) -> tuple[str, ...]:
        services = self._dirty.take(self._state, self.SERVICES_AT_ONCE)
        for service_id in services:
            self._catch_up(changes)
            service = self._state.services.get(service_id)
            if service is None:
                continue
            rest = self._rest_until.get(service_id)
            if rest is not None and now < rest:
                self._dirty.look_again(service_id, rest)
                continue
            started = self._clock.monotonic()
            decision = reconcile_service(self._state, service, now, self._around)
            # The next service must not be decided upon as if that room were still free.
            self._keeper.hold(decision.adopt)
            self._dirty.look_again(service_id, decision.again_at)
            self._note_cost(service_id, self._clock.monotonic() - started, now)
            for part in _portions(decision, self.TASKS_AT_ONCE):
                draft.add(part)
                await self._breathe()
        if with_specs:
            draft.add(reap_specs(self._state))
            draft.add(reap_stacks(self._state, now))
        removed = [network.id for network in self._state.networks.values() if network.removed]
        if removed:
            draft.add(reap_networks(self._state, removed))
        return services

    def _note_cost(self, service_id: str, cost: float, now: datetime) -> None:
        if cost > self.SLOW_LOOK:
            self._rest_until[service_id] = now + timedelta(seconds=5 * cost)
        else:
            self._rest_until.pop(service_id, None)

    async def _breathe(self) -> None:
        """Let sessions and the API have their turn."""
        if self._clock.monotonic() - self._last_breath > self.SLOW_LOOK:
            await asyncio.sleep(0)
            self._last_breath = self._clock.monotonic()

    # writing

    async def _commit(self, draft: Draft, services: Iterable[str]) -> None:
        units = draft.units()
        refused: list[Unit] = []
        while portion := list(islice(units, self.TASKS_AT_ONCE)):
            try:
                await self._ledger.commit(portion)
            except CommitConflict as conflict:
                refused += conflict.refused
        if refused:
            self._look_again_after(refused, services)
            await self._clock.sleep(self.NEWS_AFTER)

    def _look_again_after(self, refused: Iterable[Unit], services: Iterable[str]) -> None:
        """Someone wrote first: what was decided for these services no longer holds."""
        keys = (write.key for unit in refused for write in unit.writes)
        self._keeper.restore(key.removeprefix("tasks/") for key in keys if key.startswith("tasks/"))
        for service_id in services:
            self._dirty.mark_service(service_id)
        self._dirty.networks = self._dirty.addresses = self._must_sweep = True


def _portions(decision: Decision, size: int) -> Iterator[Decision]:
    """The decision in parts, so that a great many new tasks do not hold up the event loop."""
    if len(decision.create) <= size:
        yield decision
        return
    yield replace(decision, create=())
    creates = iter(decision.create)
    while part := tuple(islice(creates, size)):
        yield Decision(create=part)
