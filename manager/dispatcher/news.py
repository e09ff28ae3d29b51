"""Which sessions a change of the state concerns, and what of it. What they are then told, they work out themselves."""

from collections.abc import Mapping

from manager.dispatcher.assignments import nodes_told_of
from manager.dispatcher.registration import bearings_of, door_of, managers_of
from manager.dispatcher.session import Session
from manager.ledger import Ledger
from manager.objects import Network, Node, Task
from manager.state import Changed

REMOVED = "this node was removed from the cluster; join it again to use it"


class News:
    """`sessions` (node id -> session) are whoever is connected now."""

    def __init__(self, ledger: Ledger, sessions: Mapping[str, Session]) -> None:
        self._ledger = ledger
        self._sessions = sessions
        self._managers: tuple[str, ...] = ()

    async def run(self) -> None:
        """For one term, until cancelled."""
        changes = self._ledger.subscribe()
        self._tell_all_bearings()
        try:
            while True:
                await changes.wait()
                taken = changes.take()
                if taken is None:
                    self._touch_all()
                    continue
                for change in taken:
                    self._touch_sessions(change)
        finally:
            self._ledger.unsubscribe(changes)

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
