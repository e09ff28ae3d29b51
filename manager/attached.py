"""Which networks a wish names, and whether a network that something is on is there still. Pure."""

from manager.state import State
from swarmpy.models.task import TaskSpec


def network_ids(template: TaskSpec) -> tuple[str, ...]:
    return tuple(attachment.target for attachment in template.networks or () if attachment.target)


def gone(state: State, network_id: str) -> str:
    """What to call a network that is there no more, or is being removed: it never comes back. Empty for all others."""
    network = state.networks.get(network_id)
    if network is None:
        return network_id
    return network.spec.name if network.removed else ""


def first_gone(state: State, template: TaskSpec) -> str:
    return next((name for network_id in network_ids(template) if (name := gone(state, network_id))), "")
