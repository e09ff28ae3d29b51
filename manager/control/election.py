"""Who leads: one key with a lease. Its create revision is the term, and fences every write of the leader.

Owns the lease and `Ledger.fence`. Does not know what a leader does: `run` is given that as a coroutine, starts it
with each term and cancels it at the term's end.

A term ends when the lease is given back, when it might have expired, when the store refuses a write for it, when
the answer to a write never came (such a write may still arrive, and only a new term keeps it out), or when the node
is to be a manager no more. Such a node does not stand again.
"""

from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any

from manager.ledger import Ledger
from manager.members.reconcile import may_lead
from manager.store.errors import CommitConflict, LeaseLost
from manager.store.keys import LEADER
from manager.store.port import Delete, Fence, LeaseID, Put, Store, Unit
from swarmpy.clock import Clock, within
from swarmpy.errors import LeadershipLost, Unavailable
from swarmpy.logs import logger
from swarmpy.together import together

log = logger("election")

Lead = Callable[[], Coroutine[Any, Any, None]]


class Election:
    """`lead` may return or raise `LeadershipLost` or `Unavailable` to give the term up; any other error ends `run`."""

    RETRY = timedelta(milliseconds=300)
    # Give up this share of the lease's time before it can have expired.
    MARGIN = 0.2

    def __init__(self, store: Store, ledger: Ledger, clock: Clock, *, node_id: str, ttl: timedelta) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._node_id = node_id
        self._ttl = ttl

    async def run(self, lead: Lead) -> None:
        """Stand for election and lead, again and again, until cancelled."""
        await self._ledger.synced.wait()
        await self._remove_predecessor()
        while True:
            await self._wait_until(lambda: not self._ledger.state.leader and self._may_lead())
            try:
                await self._stand(lead)
            except CommitConflict:
                log.debug("election.another_was_first")
            except Unavailable as reason:
                log.warning("leadership.ended", reason=str(reason))
            await self._clock.sleep(self.RETRY)

    async def _remove_predecessor(self) -> None:
        """A key with this node's own name is left from a process that died: nobody need wait for its lease. Should it
        live after all, the fence keeps its writes out."""
        state = self._ledger.state
        if state.leader == self._node_id:
            with suppress(CommitConflict, Unavailable):
                await self._store.commit([Unit((Delete(LEADER, modified=state.version_of(LEADER)),))])
                log.info("election.predecessor_removed")

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        """Looks whenever the picture changes."""
        changes = self._ledger.subscribe()
        try:
            while not condition():
                await changes.wait()
                changes.take()
        finally:
            self._ledger.unsubscribe(changes)

    def _may_lead(self) -> bool:
        return may_lead(self._ledger.state, self._node_id)

    async def _stand(self, lead: Lead) -> None:
        asked_at = self._clock.monotonic()
        lease = await self._store.grant(self._ttl)
        try:
            claim = Unit((Put(LEADER, self._node_id.encode(), modified=0, lease=lease),))
            batches = await self._store.commit([claim])
            term = Fence(LEADER, batches[0].revision)
            await self._reign(term, lease, asked_at, lead)
        finally:
            await self._give_back(lease)

    async def _reign(self, term: Fence, lease: LeaseID, asked_at: float, lead: Lead) -> None:
        log.info("leadership.won", term=term.created)
        await together(self._keep(term, lease, asked_at), self._lead(term, lead), self._resign_when_demoted())

    async def _lead(self, term: Fence, lead: Lead) -> None:
        """Decide nothing before the picture shows all that earlier leaders wrote."""
        await self._wait_until(lambda: self._ledger.state.version_of(LEADER) >= term.created)
        self._ledger.fence = term
        await lead()

    async def _resign_when_demoted(self) -> None:
        await self._wait_until(lambda: not self._may_lead())
        raise LeadershipLost("this node is to be a manager no more")

    async def _keep(self, term: Fence, lease: LeaseID, asked_at: float) -> None:
        """Renew the lease; raise `LeadershipLost` before it can have expired, or when the store refused the term."""
        last = asked_at
        has_led = False
        try:
            while True:
                pause = last + self._ttl.total_seconds() / 3 - self._clock.monotonic()
                await self._clock.sleep(timedelta(seconds=pause))
                if has_led and self._ledger.fence is None:
                    raise LeadershipLost("the store refused a write of this term")
                has_led = self._ledger.fence == term
                last = await self._renewed(lease, last)
        finally:
            # At once: what the leader's parts do while they end is not written any more.
            self._ledger.fence = None

    async def _renewed(self, lease: LeaseID, last: float) -> float:
        """When the renewal was asked for: the store counts from then or later. Tried while the lease surely lives."""
        patience = self._ttl.total_seconds() * (1 - self.MARGIN)
        deadline = last + patience
        while (asked_at := self._clock.monotonic()) < deadline:
            # Asked again rather than waited for: what was on its way to a member that died is never answered.
            left = min(timedelta(seconds=deadline - asked_at), self._ttl / 4)
            try:
                await within(self._clock, left, self._store.keep_alive(lease))
                self._ledger.mark_fresh()
                return asked_at
            except LeaseLost as reason:
                raise LeadershipLost(str(reason)) from reason
            except TimeoutError:
                continue
            except Unavailable as reason:
                self._ledger.mark_stale(str(reason))
                await self._clock.sleep(self.RETRY)
        raise LeadershipLost(f"the lease could not be renewed within {patience:g} s")

    async def _give_back(self, lease: LeaseID) -> None:
        """So that another can lead at once. Not worth waiting long for: the lease ends by itself."""
        with suppress(Unavailable, TimeoutError):
            await within(self._clock, self._ttl / 4, self._store.revoke(lease))
