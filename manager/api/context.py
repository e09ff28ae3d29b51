"""What the API needs from the manager that hosts it: values and narrow ports, no back reference to the daemon."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from manager.ca.sealing import Sealer
from manager.ledger import Ledger
from manager.members.port import MemberList
from swarmpy.clock import Clock
from swarmpy.idgen import Mint
from swarmpy.settings import ManagerSettings
from swarmpy.wire import LogOptions

LogLine = tuple[int, bytes]


class LogSource(Protocol):
    def open_logs(self, task_id: str, options: LogOptions) -> AsyncGenerator[LogLine, None]:
        """The lines of one task, each with its stream (1 stdout, 2 stderr), newline kept, timestamp first when asked.

        Ends when the log ends (with `follow`: when the container has stopped). Closing it closes the stream on the
        node. Raises `Unavailable` with a reason when the node has no session or does not open the stream in time.
        """
        ...


class NodeSessions(Protocol):
    def is_connected(self, node_id: str) -> bool: ...

    def applied_revision(self, node_id: str) -> int | None:
        """The store revision that the node's agent has begun to act on; None when it never said."""
        ...

    def mapped_revision(self, node_id: str) -> int | None:
        """The store revision whose network map the node shows; None when it never said."""
        ...


@dataclass(frozen=True, slots=True)
class ApiContext:
    """All on one event loop; the apps made from it share the ledger with the control loop."""

    ledger: Ledger
    clock: Clock
    mint: Mint
    logs: LogSource
    sealer: Sealer
    node_sessions: NodeSessions
    settings: ManagerSettings
    # None where the operators bring their etcd.
    members: MemberList | None = None
