"""Keeps the store's members in step with who is a manager, while this manager leads. What is to change, `reconcile`
decides."""

import asyncio
from datetime import timedelta

from manager.ledger import Ledger
from manager.members.port import MemberList
from manager.members.reconcile import reconcile_members
from swarmpy.clock import Clock
from swarmpy.errors import Unavailable
from swarmpy.logs import logger

log = logger("members")


class MemberKeeper:
    """`members` is None where the operators bring their etcd: then there is nothing to keep."""

    LOOK_EVERY = timedelta(seconds=2)

    def __init__(self, members: MemberList | None, ledger: Ledger, clock: Clock, *, node_id: str) -> None:
        self._members = members
        self._ledger = ledger
        self._clock = clock
        self._node_id = node_id

    async def run(self) -> None:
        """Until cancelled."""
        if self._members is None:
            await asyncio.Event().wait()
            return
        while True:
            try:
                await self._look(self._members)
            except Unavailable as obstacle:
                log.info("members.not_changed", reason=str(obstacle))
            await self._clock.sleep(self.LOOK_EVERY)

    async def _look(self, members: MemberList) -> None:
        plan = reconcile_members(self._ledger.state, await members.members(), self._node_id)
        if plan.remove is not None:
            await members.remove(plan.remove)
            log.info("members.removed", member=f"{plan.remove:x}")
        for member_id in plan.promote:
            await members.promote(member_id)
            log.info("members.promoted", member=f"{member_id:x}")
