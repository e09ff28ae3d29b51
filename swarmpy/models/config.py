"""Configs: Docker's `Config`, `ConfigSpec` (Engine API 1.45). `data` is base64."""

from pydantic import Field

from swarmpy.models.base import DockerModel, Driver, Labels, Timestamp, Version


class ConfigSpec(DockerModel):
    name: str | None = None
    labels: Labels | None = None
    data: str | None = Field(default=None, repr=False)
    templating: Driver | None = None


class Config(DockerModel):
    id: str
    version: Version = Version()
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    spec: ConfigSpec = ConfigSpec()
