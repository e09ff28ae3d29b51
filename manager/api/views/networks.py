"""Networks as Docker shows them, alone and inside a task's attachments. Pure."""

from typing import Any

from manager.objects import Network
from swarmpy.models import network as docker
from swarmpy.models.base import Driver, Version
from swarmpy.models.network import VNI_OPTION
from swarmpy.models.task import AttachedNetwork, AttachedNetworkSpec


def network_document(network: Network) -> dict[str, Any]:
    """Subnet and gateway appear once they are allocated: an empty text would break clients that parse addresses."""
    spec = network.spec
    document = docker.Network(
        name=spec.name,
        id=network.id,
        created=network.created_at,
        ipam=docker.IPAM(driver="default", config=_ranges(network)),
        internal=bool(spec.internal),
        attachable=bool(spec.attachable),
        ingress=bool(spec.ingress),
        options=_options(network),
        labels=spec.labels,
    ).to_docker()
    document["IPAM"].setdefault("Options", None)
    # Docker writes these as null when there is nothing to say.
    return {"Containers": None, "Labels": None, **document}


def attached_network(network_id: str, network: Network | None) -> dict[str, Any]:
    """A network as its tasks show it. A task may outlive the record of its network; then only the id is known."""
    if network is None:
        return AttachedNetwork(id=network_id).to_docker()
    ranges = docker.IPAMOptions(driver=Driver(name="default"), configs=_ranges(network))
    return AttachedNetwork(
        id=network.id,
        version=Version(index=network.version),
        created_at=network.created_at,
        updated_at=network.updated_at,
        spec=AttachedNetworkSpec(
            name=network.spec.name,
            labels=network.spec.labels,
            driver_configuration=Driver(name="overlay"),
            internal=network.spec.internal,
            attachable=network.spec.attachable,
            ingress=network.spec.ingress,
            ipam_options=ranges,
            scope="swarm",
        ),
        driver_state=Driver(name="overlay", options=_options(network)),
        ipam_options=ranges,
    ).to_docker()


def _ranges(network: Network) -> tuple[docker.IPAMConfig, ...]:
    """What was asked for, until something is allocated."""
    asked = (network.spec.ipam.config if network.spec.ipam else None) or ()
    if not network.subnet:
        return tuple(config for config in asked if config.subnet)
    ip_range = next((config.ip_range for config in asked), None)
    return (docker.IPAMConfig(subnet=network.subnet, ip_range=ip_range, gateway=network.gateway or None),)


def _options(network: Network) -> dict[str, str]:
    allocated = {VNI_OPTION: str(network.vni)} if network.vni else {}
    return {**(network.spec.options or {}), **allocated}
