"""The ingress network: an overlay network like others, that services with ports in ingress mode are on, and every node
takes part in. Pure."""

from collections.abc import Iterator
from datetime import datetime

from manager.allocator.ports import publishes
from manager.objects import Network, Service
from manager.state import State
from swarmpy.models.network import NetworkCreate

NAME = "ingress"


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
