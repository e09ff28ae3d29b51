"""Keeps the members of the database those that should be, for one term of the leader. Decides nothing itself."""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

from manager.ledger import Ledger, Subscription
from manager.members.port import Member, MemberID, MemberList
from manager.members.reconcile import MemberPlan, reconcile_members
from manager.objects import Node
from manager.state import Changed
from swarmpy.clock import Clock, within
from swarmpy.errors import LeadershipLost, NotFound, Unavailable
from swarmpy.logs import logger

log = logger("members")


class MemberKeeper:
    """Level-triggered: a node's change of role or state only says when to look. Without `members` (the operators' own
    etcd) it does nothing."""

    EVERY = timedelta(seconds=5)
    # While the members are not yet those that should be.
    SOON = timedelta(milliseconds=500)

    def __init__(self, ledger: Ledger, members: MemberList | None, clock: Clock, *, node_id: str) -> None:
        self._ledger = ledger
        self._members = members
        self._clock = clock
        self._node_id = node_id
        self._new_since: dict[MemberID, datetime] = {}
        self._trouble = ""

    async def run(self) -> None:
        """Until cancelled. Raises `LeadershipLost` when this node is to be a manager no more."""
        if self._members is None:
            await asyncio.Event().wait()
            return
        changes = self._ledger.subscribe()
        try:
            while True:
                is_settled = await self._look(self._members)
                await self._wait(changes, self.EVERY if is_settled else self.SOON)
        finally:
            self._ledger.unsubscribe(changes)

    async def _look(self, members: MemberList) -> bool:
        """Whether all is as it should be."""
        try:
            listed = await members.members()
            self._note(listed)
            # No pause between here and the decision: the state must be the later of the two.
            now = self._clock.now()
            plan = reconcile_members(self._ledger.state, listed, self._node_id, self._new_since, now)
            self._tell(plan.held)
            await self._perform(plan, members)
        except LeadershipLost:
            raise
        except (Unavailable, NotFound) as reason:
            self._tell(str(reason))
            return False
        return plan.is_settled and plan.remove is None

    async def _perform(self, plan: MemberPlan, members: MemberList) -> None:
        if plan.resign:
            raise LeadershipLost("this node is to be a manager no more")
        # Its records may be old when the store is away.
        if self._ledger.stale_since is not None:
            return
        if plan.remove is not None:
            member = plan.remove.member
            await members.remove(member.id)
            log.info("etcd.member_removed", member=member.name, url=_url(member), reason=plan.remove.because)
        if plan.promote is not None:
            await members.promote(plan.promote.id)
            log.info("etcd.member_votes", member=plan.promote.name, url=_url(plan.promote))

    def _note(self, members: tuple[Member, ...]) -> None:
        now, since = self._clock.now(), self._new_since
        self._new_since = {one.id: since.get(one.id, now) for one in members if not (one.votes and one.is_started)}

    def _tell(self, trouble: str) -> None:
        """Once a trouble, not once a look."""
        if trouble and trouble != self._trouble:
            log.warning("etcd.members_wait", reason=trouble)
        self._trouble = trouble

    async def _wait(self, changes: Subscription, pause: timedelta) -> None:
        with suppress(TimeoutError):
            await within(self._clock, pause, _next_concern(changes))


async def _next_concern(changes: Subscription) -> None:
    while True:
        await changes.wait()
        taken = changes.take()
        if taken is None or any(map(_concerns, taken)):
            return


def _concerns(change: Changed) -> bool:
    before, after = change.before, change.after
    if isinstance(before, Node) and isinstance(after, Node):
        return (before.spec.role, before.state) != (after.spec.role, after.state)
    return isinstance(before or after, Node)


def _url(member: Member) -> str:
    return ", ".join(member.peer_urls)
