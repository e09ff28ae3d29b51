"""Which services a service waits for. Pure."""

from collections.abc import Mapping, Sequence

from swarmpy.dependencies import CONDITIONS, Condition, circle_through, render_depends_on
from swarmpy.stack.canonical import Config
from swarmpy.stack.faults import Faults
from swarmpy.stack.names import scoped
from swarmpy.stack.tree import Path


def depends_label(stack: str, service: Config, config: Config, path: Path, faults: Faults) -> dict[str, str]:
    """The label with all of them by their full names; none where there is nothing to wait for."""
    services: Config = config.get("services") or {}
    waits: dict[str, str] = {}
    for name, how in dependencies(service).items():
        here = (*path, "depends_on", name)
        condition = faults.choose((*here, "condition"), how.get("condition") or Condition.STARTED.value, CONDITIONS)
        if name not in services:
            if how.get("required", True):
                faults.add(here, f"there is no service {name} in the files")
            continue
        if condition == Condition.HEALTHY and (services[name].get("healthcheck") or {}).get("disable"):
            faults.add(here, f"never healthy: the service {name} has its health check disabled")
        waits[scoped(stack, name)] = condition or Condition.STARTED.value
    return render_depends_on(waits)


def dependencies(service: Config) -> Mapping[str, Config]:
    """The list and the mapping are one."""
    given = service.get("depends_on") or {}
    return {name: {} for name in given} if isinstance(given, list) else {key: how or {} for key, how in given.items()}


def by_need(services: Config) -> tuple[str, ...]:
    """The names, each after those that it waits for, else as they stand: a service is written after what it needs, or
    its update would begin against the former wish of that. No circle is left by now, or it is refused elsewhere."""
    placed: dict[str, None] = {}

    def place(name: str, above: tuple[str, ...]) -> None:
        for other in dependencies(services[name]):
            if other in services and other not in placed and other not in above:
                place(other, (*above, name))
        placed.setdefault(name)

    for name in services:
        place(name, ())
    return tuple(placed)


def fault_of_circle(services: Config) -> tuple[Path, str] | None:
    """Where services wait for each other, and in which circle."""
    circle = circle_of(services)
    if not circle:
        return None
    text = f"waits for itself: {' -> '.join(circle)}; take one of these names out"
    return ("services", circle[0], "depends_on"), text


def circle_of(services: Config) -> Sequence[str]:
    """The services that wait for each other in a circle, the first one again at the end; empty when none do."""
    ways = (circle_through(name, lambda one: dependencies(services.get(one) or {})) for name in services)
    return next(filter(None, ways), ())
