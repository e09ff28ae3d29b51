"""Published ports: Docker's `EndpointPortConfig`, `EndpointSpec` (Engine API 1.45)."""

from enum import StrEnum

from swarmpy.models.base import DockerModel


class Protocol(StrEnum):
    TCP = "tcp"
    UDP = "udp"
    SCTP = "sctp"


class PublishMode(StrEnum):
    INGRESS = "ingress"
    HOST = "host"


class PortConfig(DockerModel):
    name: str | None = None
    protocol: Protocol | None = None
    target_port: int | None = None
    published_port: int | None = None
    publish_mode: PublishMode | None = None


class EndpointSpec(DockerModel):
    mode: str | None = None
    ports: tuple[PortConfig, ...] | None = None
