"""The map of one network, with a log of the keys that changed. Pure.

Whoever is told of it remembers a position in that log; what came since a position is worked out once, however many ask.
"""

from collections.abc import Iterable, Set
from typing import Any

from manager.dispatcher.frames import MapPart
from swarmpy.network_map import NO_CHANGES, Endpoint, MapChanges, MappedService, Peer

# Changes of one network that a session may be behind before it is told everything instead: never more than this, and
# not many more than the network has entries, or telling everything is shorter.
LONGEST_LOG = 20_000
SHORTEST_LOG = 500

Entry = Peer | MappedService | Endpoint
PEER, SERVICE, ENDPOINT = range(3)
Key = tuple[int, str]


class Sheet:
    """One network: its entries, the nodes with a share, and which keys changed in which order."""

    def __init__(self, start: int, longest_log: int) -> None:
        self.nodes: Set[str] = frozenset()
        self.entries: dict[Key, Entry] = {}
        self._log: list[Key] = []
        self._start = start
        self._longest_log = longest_log
        self._computed: dict[int, MapChanges] = {}
        self._whole: MapPart | None = None

    @property
    def position(self) -> int:
        return self._start + len(self._log)

    def reaches_back_to(self, position: int) -> bool:
        return position >= self._start

    def note(self, key: Key, entry: Entry | None) -> bool:
        """The entry as it is now, None when there is none; false when that is no news."""
        if self.entries.get(key) == entry:
            return False
        if entry is None:
            del self.entries[key]
        else:
            self.entries[key] = entry
        self._log.append(key)
        self._forget()
        self._computed.clear()
        self._whole = None
        return True

    def _forget(self) -> None:
        most = min(self._longest_log, max(SHORTEST_LOG, 2 * len(self.entries)))
        if len(self._log) > most:
            forgotten = len(self._log) - most // 2
            del self._log[:forgotten]
            self._start += forgotten

    def since(self, position: int) -> MapChanges:
        if position == self.position:
            return NO_CHANGES
        if position not in self._computed:
            self._computed[position] = self._changes_of(self._log[position - self._start :])
        return self._computed[position]

    def whole(self) -> MapPart:
        if self._whole is None:
            self._whole = MapPart(**_lists(self.entries.values()))
        return self._whole

    def withdrawal(self, position: int) -> MapChanges:
        """Drops all that whoever stands at that position knows."""
        known = dict.fromkeys((*self.entries, *self._log[position - self._start :]))
        return MapChanges(
            dropped_peers=tuple(key for kind, key in known if kind == PEER),
            dropped_services=tuple(key for kind, key in known if kind == SERVICE),
            dropped_endpoints=tuple(key for kind, key in known if kind == ENDPOINT),
        )

    def _changes_of(self, keys: Iterable[Key]) -> MapChanges:
        known = dict.fromkeys(keys)
        there = [entry for key in known if (entry := self.entries.get(key)) is not None]
        gone = [key for key in known if key not in self.entries]
        return MapChanges(
            **_lists(there),
            dropped_peers=tuple(key for kind, key in gone if kind == PEER),
            dropped_services=tuple(key for kind, key in gone if kind == SERVICE),
            dropped_endpoints=tuple(key for kind, key in gone if kind == ENDPOINT),
        )


def _lists(entries: Iterable[Entry]) -> dict[str, Any]:
    entries = tuple(entries)
    return {
        "peers": tuple(entry for entry in entries if isinstance(entry, Peer)),
        "services": tuple(entry for entry in entries if isinstance(entry, MappedService)),
        "endpoints": tuple(entry for entry in entries if isinstance(entry, Endpoint)),
    }
