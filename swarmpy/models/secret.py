"""Secrets: Docker's `Secret`, `SecretSpec` (Engine API 1.45). `data` is base64 and never answered."""

from pydantic import Field

from swarmpy.models.base import DockerModel, Driver, Labels, Timestamp, Version


class SecretSpec(DockerModel):
    name: str | None = None
    labels: Labels | None = None
    data: str | None = Field(default=None, repr=False)
    driver: Driver | None = None
    templating: Driver | None = None


class Secret(DockerModel):
    id: str
    version: Version = Version()
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    spec: SecretSpec = SecretSpec()
