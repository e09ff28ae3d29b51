"""What is written besides a service that is given ports, so that no two are given one port at one time. Pure.

All numbers share a few keys, and whoever gives a port writes its key anew: of two that gave ports from the same
picture, the second is refused, and looks again.
"""

from collections.abc import Iterable

from manager.allocator.ports import PortKey, port_key
from manager.state import State
from manager.store.keys import name_key
from manager.store.port import Put
from swarmpy.models.port import PortConfig, PublishMode

# Few enough for one transaction beside all else, many enough that one wish seldom waits for another's port.
_KEYS = 32


def port_claims(
    state: State, service_id: str, before: Iterable[PortConfig], given: Iterable[PortConfig]
) -> tuple[Put, ...]:
    """For the ports that the service had not `before`."""
    new = _taken(given) - _taken(before)
    keys = sorted({name_key("ports", str(number % _KEYS)) for (_, number), _ in new})
    return tuple(Put(key, service_id.encode(), modified=state.version_of(key)) for key in keys)


def _taken(ports: Iterable[PortConfig]) -> set[tuple[PortKey, bool]]:
    """What is taken, and whether where the tasks are alone."""
    return {(port_key(port), port.publish_mode is PublishMode.HOST) for port in ports if port.published_port}
