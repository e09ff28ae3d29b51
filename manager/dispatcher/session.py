"""One registration of an agent: what it was told, and what it must be told next."""

import asyncio
from collections.abc import Iterable
from functools import partial

from manager.dispatcher.assignments import (
    AssignmentSet,
    Unseal,
    assignment_set,
    changes_between,
    revised,
    with_node,
)
from manager.dispatcher.channel import Channel
from manager.dispatcher.files import UnsealData, opened
from manager.state import State
from swarmpy.wire import Bearings, Changes, Full, Refused, in_frames


class Session:
    """`told` is the set that the agent has been sent, as of `revision`."""

    def __init__(self, session_id: str, node_id: str, channel: Channel) -> None:
        self.id = session_id
        self.node_id = node_id
        self.channel = channel
        self._told = AssignmentSet()
        self._revision = 0
        # In the order in which they changed.
        self._tasks: dict[str, None] = {}
        self._networks: dict[str, None] = {}
        self._node_changed = False
        self._everything = True
        self._dismissed = ""
        self._bearings: Bearings | None = None
        self._told_bearings: Bearings | None = None
        self._replaced = asyncio.Event()
        self._wake = asyncio.Event()
        self._wake.set()

    def touch(
        self, *, tasks: Iterable[str] = (), networks: Iterable[str] = (), node: bool = False, everything: bool = False
    ) -> None:
        """These may have changed for this node; the agent is told soon."""
        self._tasks.update(dict.fromkeys(tasks))
        self._networks.update(dict.fromkeys(networks))
        self._node_changed |= node
        self._everything |= everything
        self._wake.set()

    def tell_bearings(self, bearings: Bearings) -> None:
        """Where the node stands now; told when it is news."""
        if bearings != self._bearings:
            self._bearings = bearings
            self._wake.set()

    def dismiss(self, reason: str) -> None:
        """The agent is told why it has no place here, and the session ends."""
        self._dismissed = reason
        self._wake.set()

    def replace(self) -> None:
        """The node has a newer session; this one ends by itself, in its own time."""
        self._replaced.set()

    async def wait_until_replaced(self) -> None:
        await self._replaced.wait()

    async def tell(self, state: State, unseal_data: UnsealData) -> None:
        """Send the whole set, then differences, until the channel closes."""
        unseal, open_files = partial(_as_text, unseal_data), partial(opened, state, unseal=unseal_data)
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._dismissed:
                await self.channel.send(Refused(reason=self._dismissed, retry=False, removed=True))
                return
            if self._bearings is not None and self._bearings != self._told_bearings:
                self._told_bearings = self._bearings
                await self.channel.send(self._bearings)
            before, after, revision = self._told, self._revision, state.revision
            self._told, self._revision = self._now(state, unseal), revision
            if self._everything or self._node_changed:
                self._everything = self._node_changed = False
                await self._send(self._told.as_full(revision, open_files))
            elif changes := changes_between(before, self._told, after, revision, open_files):
                await self._send(changes)
            else:
                self._revision = after

    async def _send(self, message: Full | Changes) -> None:
        for part in in_frames(message):
            await self.channel.send(part)

    def _now(self, state: State, unseal: Unseal) -> AssignmentSet:
        tasks, networks = self._tasks, self._networks
        self._tasks, self._networks = {}, {}
        if self._everything:
            return assignment_set(state, self.node_id, unseal)
        known = with_node(self._told, state, self.node_id) if self._node_changed else self._told
        if self._node_changed and known == self._told:
            self._node_changed = False
        return revised(known, state, self.node_id, tasks, networks, unseal)


def _as_text(unseal: UnsealData, sealed: str) -> str | None:
    plain = unseal(sealed)
    return None if plain is None else plain.decode()
