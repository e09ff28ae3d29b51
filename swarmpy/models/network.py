"""Networks: Docker's `Network`, `NetworkCreateRequest`, `IPAM` (Engine API 1.45)."""

from pydantic import Field

from swarmpy.models.base import DockerModel, Driver, Labels, Timestamp

# The option of a network that sets its MTU, in a client's wish and on the engine alike.
MTU_OPTION = "com.docker.network.driver.mtu"
# Its VNI, and whether what goes between nodes is encrypted.
VNI_OPTION = "com.docker.network.driver.overlay.vxlanid_list"
ENCRYPTED_OPTION = "encrypted"


class IPAMConfig(DockerModel):
    subnet: str | None = None
    ip_range: str | None = None
    gateway: str | None = None
    auxiliary_addresses: dict[str, str] | None = None


class IPAM(DockerModel):
    driver: str | None = None
    config: tuple[IPAMConfig, ...] | None = None
    options: dict[str, str] | None = None


class IPAMOptions(DockerModel):
    """The form inside a task's attachment."""

    driver: Driver | None = None
    configs: tuple[IPAMConfig, ...] | None = None


class ConfigReference(DockerModel):
    network: str = ""


class PeerInfo(DockerModel):
    name: str | None = None
    ip: str | None = None


class NetworkCreate(DockerModel):
    """Body of `POST /networks/create`."""

    name: str
    check_duplicate: bool | None = None
    driver: str | None = None
    scope: str | None = None
    internal: bool | None = None
    attachable: bool | None = None
    ingress: bool | None = None
    config_only: bool | None = None
    config_from: ConfigReference | None = None
    ipam: IPAM | None = None
    enable_ipv6: bool | None = None
    options: dict[str, str] | None = None
    labels: Labels | None = None


class Network(DockerModel):
    """Answer of `GET /networks/{id}`."""

    name: str
    id: str = Field(alias="Id")
    created: Timestamp | None = None
    scope: str = "swarm"
    driver: str = "overlay"
    enable_ipv6: bool = False
    ipam: IPAM = IPAM()
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_from: ConfigReference = ConfigReference()
    config_only: bool = False
    containers: dict[str, dict[str, str]] | None = None
    options: dict[str, str] | None = None
    labels: Labels | None = None
    peers: tuple[PeerInfo, ...] | None = None
