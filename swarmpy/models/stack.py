"""Stacks as they were deployed: beyond Docker's API, which knows none. Data of secrets and configs never stand here."""

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from swarmpy.models.base import DockerModel
from swarmpy.models.network import NetworkCreate
from swarmpy.models.service import ServiceSpec


class StackWish(DockerModel):
    """What a deployment carried out. `external` are networks, `secrets` and `configs` all that services refer to: names
    of what must be there for it to be carried out again."""

    networks: tuple[NetworkCreate, ...] = ()
    external: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    configs: tuple[str, ...] = ()
    services: tuple[ServiceSpec, ...] = ()


class IntendedWrite(DockerModel):
    """What a deployment would send. `id` and `version` are those of what it would update, absent where it would create.
    `spec` is read when its turn comes, so that one that cannot be read keeps nobody from judging the others.

    Of a secret or config to be created `size` (bytes) may stand for the data, which need not travel twice.
    """

    kind: Literal["network", "secret", "config", "service"]
    name: str
    id: str = ""
    version: int = 0
    spec: dict[str, Any] = Field(repr=False)
    size: int | None = None


class StackCheck(DockerModel):
    """In the order of writing; what comes later may name what comes before."""

    writes: tuple[IntendedWrite, ...] = ()


class StackFault(DockerModel):
    """Why one of them would be refused: the sentence and the status that the write itself would be answered with."""

    kind: str
    name: str
    message: str
    status: int


class OutcomeState(StrEnum):
    DEPLOYING = "deploying"
    CONVERGED = "converged"
    FAILED = "failed"
    UNKNOWN = "unknown"


class StackOutcome(DockerModel):
    """How a deployment ended, as told by the client that waited for it; `reason` is one line. Unknown: nobody waited
    until the end."""

    state: OutcomeState = OutcomeState.UNKNOWN
    reason: str = Field(default="", max_length=500)
