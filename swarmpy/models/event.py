"""Events: Docker's `EventMessage` (Engine API 1.45), whose names are a mix of cases."""

from pydantic import Field

from swarmpy.models.base import DockerModel


class Actor(DockerModel):
    id: str | None = None
    attributes: dict[str, str] | None = None


class Event(DockerModel):
    type: str
    action: str
    actor: Actor
    scope: str = Field(default="swarm", alias="scope")
    time: int = Field(default=0, alias="time")
    time_nano: int = Field(default=0, alias="timeNano")
