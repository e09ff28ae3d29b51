"""A service's references to networks: there still, and held against a removal at the same time. Pure."""

from manager.attached import first_gone, network_ids
from manager.state import State
from manager.store.keys import name_key
from manager.store.port import Check, Delete, Put, Write
from swarmpy.errors import NotFound
from swarmpy.models.task import TaskSpec


def networks_held(state: State, template: TaskSpec, before: TaskSpec | None) -> tuple[Write, ...]:
    """Of a removal and a service that newly names the network, at one time, whichever is written second is refused.
    Services do not get in each other's way, nor do the shares that nodes are given: the network's name is written once
    and deleted with the removal, and what each of them writes besides is asked after by the removal alone."""
    known = network_ids(before) if before else ()
    writes: list[Write] = []
    for network_id in dict.fromkeys(network_ids(template)):
        network = state.networks.get(network_id)
        if network_id not in known and network is not None:
            name = name_key("networks", network.spec.name)
            writes += (Check(name, state.version_of(name)), Put(_joined(network_id), b"1"))
    return tuple(writes)


def nobody_joined(state: State, network_id: str) -> Write:
    """What a removal writes: it is refused when a service has joined since the picture. Networks that nobody joined, or
    only before this was written, have no such key."""
    version = state.version_of(_joined(network_id))
    return Delete(_joined(network_id), modified=version) if version else Check(_joined(network_id), 0)


def check_networks_still_there(state: State, template: TaskSpec) -> None:
    """For a spec that was admitted once."""
    if name := first_gone(state, template):
        raise NotFound(
            f"network {name}, which the former spec is on, does not exist any more; update the service instead"
        )


def _joined(network_id: str) -> str:
    return name_key("joined", network_id)
