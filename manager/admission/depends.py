"""Is the wish to wait for other services one that a start could ever satisfy? Pure."""

from collections.abc import Iterable, Mapping

from manager.state import State
from swarmpy.dependencies import circle_through, depends_on, parse_depends_on
from swarmpy.errors import BadRequest
from swarmpy.labels import DEPENDS_ON


def check_depends_on(state: State, name: str, labels: Mapping[str, str]) -> None:
    """Refuses what no start could ever satisfy. A service that does not exist yet is none of that."""
    conditions = parse_depends_on(labels[DEPENDS_ON]) if DEPENDS_ON in labels else {}
    if name in conditions:
        raise BadRequest(f"label {DEPENDS_ON}: service {name} cannot depend on itself")

    def needs(one: str) -> Iterable[str]:
        if one == name:
            return conditions
        service = state.services.get(state.named("services", one) or "")
        return () if service is None or service.removed else depends_on(service.spec.labels)

    if circle := circle_through(name, needs):
        raise BadRequest(f"label {DEPENDS_ON}: services depend on each other in a circle: {' -> '.join(circle)}")
