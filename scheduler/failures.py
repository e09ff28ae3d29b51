"""Which nodes have lately failed tasks of a service's spec version, and how often."""

from collections.abc import Collection
from datetime import datetime, timedelta

FAILURES = 5
WITHIN = timedelta(minutes=5)

Wish = tuple[str, int]


class FailureMemory:
    """Remembers no more than it needs: the last few failures of each (service, spec version) on each node."""

    def __init__(self) -> None:
        self._times: dict[Wish, dict[str, tuple[datetime, ...]]] = {}
        self._next_sweep: datetime | None = None

    def record(self, node_id: str, service_id: str, spec_version: int, at: datetime) -> None:
        self._sweep(at)
        times = self._times.setdefault((service_id, spec_version), {})
        times[node_id] = tuple(sorted((*times.get(node_id, ()), at))[-FAILURES:])

    def failing(self, service_id: str, spec_version: int, now: datetime) -> Collection[str]:
        """Nodes with five failures or more within five minutes before `now`."""
        by_node = self._times.get((service_id, spec_version))
        if not by_node:
            return ()
        return frozenset(
            node_id for node_id, times in by_node.items() if len(times) == FAILURES and now - times[0] <= WITHIN
        )

    @property
    def remembered(self) -> int:
        """How many (service, spec version) are remembered."""
        return len(self._times)

    def _sweep(self, now: datetime) -> None:
        """Drop what is too old to matter, once in a while."""
        if self._next_sweep is not None and now < self._next_sweep:
            return
        self._next_sweep = now + WITHIN
        for wish, by_node in list(self._times.items()):
            fresh = {node_id: times for node_id, times in by_node.items() if now - times[-1] <= WITHIN}
            if fresh:
                self._times[wish] = fresh
            else:
                del self._times[wish]
