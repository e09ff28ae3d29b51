"""What a store can answer besides success. `Unavailable` and `LeadershipLost` live in `swarmpy.errors`."""

from collections.abc import Sequence

from manager.store.port import Batch, Unit
from swarmpy.errors import Conflict, Unavailable


class CommitConflict(Conflict):
    """Some units met another version than they named. `written` is what took effect, `refused` what did not."""

    def __init__(self, written: Sequence[Batch], refused: Sequence[Unit]) -> None:
        keys = ", ".join(write.key for unit in refused for write in unit.writes)
        super().__init__(f"someone else wrote first: {keys}; look again and repeat")
        self.written = tuple(written)
        self.refused = tuple(refused)


class HistoryGone(Unavailable):
    """The revisions asked for were compacted away: load again."""


class LeaseLost(Unavailable):
    """The lease has expired; its keys are gone."""
