"""The ingress network: an overlay network like others, that services with ports in ingress mode are on, and every node
takes part in. Pure."""

from collections.abc import Iterator
from datetime import datetime

from manager.objects import Network, Service
from manager.published_ports import publishes
from manager.state import State
from manager.store.keys import name_key
from manager.store.port import Delete, Put
from swarmpy.models.network import NetworkCreate

NAME = "ingress"
# Created with the network, whatever its name is, and deleted when it is removed: so there are never two.
_THE_ONE = name_key("ingress", "network")


def ingress_network(state: State) -> Network | None:
    def find() -> Network | None:
        found = (network for network in state.networks.values() if network.spec.ingress and not network.removed)
        return next(found, None)

    return state.remembered("ingress", find)


def publishers(state: State) -> Iterator[Service]:
    return (service for service in state.services.values() if not service.removed and publishes(service.spec))


def lacks_ingress(state: State) -> bool:
    """A service needs the network, and there is none."""
    return ingress_network(state) is None and any(publishers(state))


def new_ingress(state: State, network_id: str, now: datetime) -> Network:
    """As the cluster makes it by itself. Where somebody has its name, it is named by its id, too."""
    name = NAME if state.named("networks", NAME) is None else f"{NAME}-{network_id}"
    spec = NetworkCreate(name=name, driver="overlay", scope="swarm", ingress=True)
    return Network(id=network_id, created_at=now, updated_at=now, spec=spec)


def claim(network: Network) -> tuple[Put, ...]:
    """What is to be written besides a new network."""
    return (Put(_THE_ONE, network.id.encode(), modified=0),) if network.spec.ingress else ()


def release(state: State, network: Network) -> tuple[Delete, ...]:
    """What is to be written besides its removal. A network from before claims were made has none."""
    version = state.version_of(_THE_ONE)
    return (Delete(_THE_ONE, modified=version),) if network.spec.ingress and version else ()
