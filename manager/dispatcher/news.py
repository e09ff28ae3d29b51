"""Which sessions a change of the state concerns, and what of it. What they are then told, they work out themselves."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from manager.dispatcher.assignments import nodes_told_of
from manager.dispatcher.maps import Maps
from manager.dispatcher.registration import bearings_of, door_of, managers_of
from manager.dispatcher.session import Session
from manager.ledger import Ledger, Subscription
from manager.objects import Network, Node, Task
from manager.state import Changed

REMOVED = "this node was removed from the cluster; join it again to use it"


class News:
    """`sessions` (node id -> session) are whoever is connected now. `maps` follows the same changes."""

    def __init__(self, ledger: Ledger, sessions: Mapping[str, Session], maps: Maps) -> None:
        self._ledger = ledger
        self._sessions = sessions
        self._maps = maps
        self._managers: tuple[str, ...] = ()
        self._changes: Subscription | None = None

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """For one term. Sessions are let in once it is entered: the maps are drawn then."""
        changes = self._ledger.subscribe()
        try:
            await self._maps.begin()
            self._changes = changes
            self.catch_up()
            self._tell_all_bearings()
            yield
        finally:
            self._changes = None
            self._ledger.unsubscribe(changes)

    async def run(self) -> None:
        """While `following`, until cancelled."""
        assert self._changes is not None
        while True:
            await self._changes.wait()
            self.catch_up()

    def catch_up(self) -> None:
        """Take all changes that the state shows. A session does so before it tells anything, so that what it says of
        a revision is true."""
        if self._changes is None:
            return
        taken = self._changes.take()
        if taken is None:
            self._maps.rebuild()
            self._touch_all()
            return
        self._maps.fold(taken)
        for change in taken:
            self._touch_sessions(change)

    def _touch_all(self) -> None:
        for session in self._sessions.values():
            if session.node_id not in self._ledger.state.nodes:
                session.dismiss(REMOVED)
            else:
                session.touch(everything=True)
        self._tell_all_bearings()

    def _touch_sessions(self, change: Changed) -> None:
        before, after = change.before, change.after
        some = after or before
        if isinstance(some, Task):
            for node_id in {task.node_id for task in (before, after) if isinstance(task, Task)}:
                if session := self._sessions.get(node_id):
                    session.touch(tasks=(some.id,))
        elif isinstance(some, Network):
            old = before if isinstance(before, Network) else None
            new = after if isinstance(after, Network) else None
            for node_id in nodes_told_of(old, new):
                if session := self._sessions.get(node_id):
                    session.touch(networks=(some.id,))
        elif isinstance(some, Node):
            self._touch_node(before if isinstance(before, Node) else None, after if isinstance(after, Node) else None)

    def _touch_node(self, before: Node | None, after: Node | None) -> None:
        if door_of(before) != door_of(after):
            # Who the managers are concerns everybody.
            self._tell_all_bearings()
        if before is not None and (session := self._sessions.get(before.id)):
            if after is None:
                session.dismiss(REMOVED)
            else:
                session.touch(node=True)
                self.orient(session)

    def _tell_all_bearings(self) -> None:
        self._managers = managers_of(self._ledger.state)
        for session in self._sessions.values():
            self.orient(session)

    def orient(self, session: Session) -> None:
        """Where its node stands; told when it is news."""
        session.tell_bearings(bearings_of(self._ledger.state, session.node_id, self._managers))
