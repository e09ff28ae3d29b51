"""The port to a container engine. Adapters: `docker` (a real one) and `fake` (in memory); one contract suite for both.

Errors, in every method: `Unavailable` or `TimedOut` when the engine does not answer (try again), `NotFound` when the
thing named is not there, `Conflict` when a name is taken or a thing is in use, `BadRequest` when the engine refuses
the wish as it is, and `SwarmpyError` itself for what else the engine says.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from agent.task.container import CreateRequest
from agent.task.facts import ContainerFacts, ListedContainer
from agent.task.mounts import VolumeFacts
from agent.task.pull import PullProgress
from swarmpy.wire import LogOptions, NetworkAssignment

OnProgress = Callable[[PullProgress], None]


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What the engine tells of itself and its machine. `plugins` are (type, name)."""

    hostname: str
    os: str
    architecture: str
    nano_cpus: int
    memory_bytes: int
    version: str
    api_version: tuple[int, int]
    labels: Mapping[str, str] = field(default_factory=dict)
    plugins: tuple[tuple[str, str], ...] = ()


class News(StrEnum):
    DIED = "died"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    DESTROYED = "destroyed"


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """Of one of our containers. `exit_code` says something only when it died."""

    news: News
    container_id: str
    task_id: str
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class LogLine:
    """`stream` is 1 for standard output, 2 for standard error; the newline is kept."""

    stream: int
    line: bytes


class Engine(Protocol):
    async def describe(self) -> EngineInfo: ...

    async def containers(self, node_id: str) -> tuple[ListedContainer, ...]:
        """All containers with this node's label, running or not."""
        ...

    async def ensure_image(self, reference: str, pull_auth: str | None, on_progress: OnProgress) -> None:
        """The image is here afterwards; `agent.task.pull` holds the rule of when a registry is asked. `NotFound`
        says `No such image: ...` and why pulling failed. `on_progress` is called on the event loop."""
        ...

    async def ensure_network(self, network: NetworkAssignment, node_id: str) -> str:
        """A bridge with the node's own subnet; `Conflict` when it cannot be, with the reason. The answer says, in a
        sentence, what one that was there lacks, and would have if it were removed and made anew; empty for nothing."""
        ...

    async def networks(self, node_id: str) -> tuple[str, ...]:
        """Names of the networks with this node's label."""
        ...

    async def remove_network(self, name: str) -> None:
        """`Conflict` while a container uses it. No error when it is gone."""
        ...

    async def volumes(self, label: str) -> tuple[str, ...]:
        """Names of the engine's own volumes (driver local) that carry the label, `key=value`; in order."""
        ...

    async def volume(self, name: str) -> VolumeFacts | None:
        """The volume of that name, if any."""
        ...

    async def create(self, request: CreateRequest) -> str:
        """The new container's id, joined to its networks. `Conflict`: the name is taken."""
        ...

    async def find(self, name: str) -> ContainerFacts | None:
        """The container of that name, if any."""
        ...

    async def start(self, container_id: str) -> None:
        """No error when it runs already."""
        ...

    async def inspect(self, container_id: str) -> ContainerFacts: ...

    async def signal(self, container_id: str, signal: str) -> None:
        """`Conflict` when it does not run."""
        ...

    async def remove(self, container_id: str) -> None:
        """By force, with its anonymous volumes. No error when it is gone."""
        ...

    def events(self, node_id: str) -> AsyncGenerator[EngineEvent | None, None]:
        """News of this node's containers. The first item is None: from then on nothing is missed. Ends, or raises
        `Unavailable`, when the engine goes away. Close it with `aclose`."""
        ...

    def logs(self, container_id: str, options: LogOptions, *, tty: bool) -> AsyncGenerator[LogLine, None]:
        """Close it with `aclose`, which ends a follow."""
        ...

    async def close(self) -> None: ...
