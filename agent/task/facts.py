"""What the engine says of a container, in our words. Pure values; `engine` makes them, the machine reads them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from swarmpy.models.port import PortConfig


class Life(StrEnum):
    """Where a container stands with the engine. A paused one counts as running: somebody's hand will unpause it."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"
    REMOVING = "removing"


class Health(StrEnum):
    """Of a container with a health check."""

    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class ContainerFacts:
    """One inspection. `health` is None without a health check; `addresses` is network id -> CIDR, of one that
    was not started yet what it was made with (as /32); `error` is the
    engine's own word on why it did not start or run."""

    id: str
    task_id: str
    life: Life
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    pid: int = 0
    health: Health | None = None
    health_output: str = ""
    stop_signal: str = "SIGTERM"
    addresses: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[PortConfig, ...] = ()


@dataclass(frozen=True, slots=True)
class ListedContainer:
    """One line of a listing: enough to see that something differs from what is known. `addresses` as in
    `ContainerFacts`."""

    id: str
    task_id: str
    life: Life
    health: Health | None = None
    addresses: Mapping[str, str] = field(default_factory=dict)
