"""One registration of an agent: what it was told, and what it must be told next."""

import asyncio
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

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
from manager.dispatcher.network_map import Atlas, Positions
from manager.state import State
from swarmpy.wire import Bearings, Changes, Full, Refused, in_frames


@dataclass(frozen=True, slots=True)
class Source:
    """What sessions tell from. `catch_up` brings the atlas to where the state is, and wakes whom it concerns;
    `withheld` are tasks that are told to run on although they are to stop."""

    state: State
    unseal: UnsealData
    atlas: Atlas
    withheld: Set[str]
    catch_up: Callable[[], None]


class Session:
    """`told` is the set that the agent has been sent, as of `revision`."""

    def __init__(self, session_id: str, node_id: str, channel: Channel) -> None:
        self.id = session_id
        self.node_id = node_id
        self.channel = channel
        self._told = AssignmentSet()
        self.revision = 0
        self._positions: Positions = MappingProxyType({})
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
        """These may have changed for this node, and its map in any case; the agent is told soon."""
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

    async def tell(self, source: Source) -> None:
        """Send the whole set, then differences, until the channel closes."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._dismissed:
                await self.channel.send(Refused(reason=self._dismissed, retry=False, removed=True))
                return
            if self._bearings is not None and self._bearings != self._told_bearings:
                self._told_bearings = self._bearings
                await self.channel.send(self._bearings)
            if message := self._next(source):
                await self._send(message)

    def _next(self, source: Source) -> Full | Changes | None:
        """What the agent does not know yet; from now on it counts as told."""
        source.catch_up()
        state, open_files = source.state, partial(opened, source.state, unseal=source.unseal)
        update = source.atlas.since(self.node_id, self._positions)
        self._everything |= update is None
        before, after, revision = self._told, self.revision, state.revision
        self._told = self._now(source)
        if self._everything or self._node_changed or update is None:
            self._everything = self._node_changed = False
            self.revision = revision
            map, self._positions = source.atlas.whole(self.node_id)
            return self._told.as_full(revision, open_files, map)
        self._positions = update.positions
        changes = changes_between(before, self._told, after, revision, open_files, update.changes)
        self.revision = revision if changes else after
        return changes

    async def _send(self, message: Full | Changes) -> None:
        for part in in_frames(message):
            await self.channel.send(part)

    def _now(self, source: Source) -> AssignmentSet:
        state, withheld = source.state, source.withheld
        unseal: Unseal = partial(_as_text, source.unseal)
        tasks, networks = self._tasks, self._networks
        self._tasks, self._networks = {}, {}
        if self._everything:
            return assignment_set(state, self.node_id, unseal, withheld)
        known = with_node(self._told, state, self.node_id) if self._node_changed else self._told
        if self._node_changed and known == self._told:
            self._node_changed = False
        return revised(known, state, self.node_id, tasks, networks, unseal, withheld)


def _as_text(unseal: UnsealData, sealed: str) -> str | None:
    plain = unseal(sealed)
    return None if plain is None else plain.decode()
