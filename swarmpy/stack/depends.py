"""Which services a service waits for, and which waits could never end. Pure."""

import shlex
from collections.abc import Iterator, Mapping, Sequence

from swarmpy import dependencies as waits
from swarmpy.dependencies import CONDITIONS, Condition, render_depends_on
from swarmpy.stack.canonical import Config
from swarmpy.stack.faults import Faults
from swarmpy.stack.names import scoped
from swarmpy.stack.tree import Path

# Of the names in a circle.
_MOST_SHOWN = 10

# Services that belong to profiles which were not asked for, with those profiles.
LeftOut = Mapping[str, Sequence[str]]


def depends_label(stack: str, service: Config, config: Config) -> dict[str, str]:
    """The label with all of them by their full names; none where there is nothing to wait for."""
    services: Config = config.get("services") or {}
    conditions = {
        scoped(stack, name): how.get("condition") or Condition.STARTED.value
        for name, how in dependencies(service).items()
        if name in services
    }
    return render_depends_on(conditions)


def check_waits(services: Config, left_out: LeftOut, faults: Faults) -> None:
    """Every wait is for something that can come."""
    for name, service in services.items():
        for other, how in dependencies(service).items():
            path: Path = ("services", name, "depends_on", other)
            condition = faults.choose((*path, "condition"), how.get("condition"), CONDITIONS)
            if other not in services:
                if how.get("required", True):
                    faults.add(path, _absence(other, left_out))
            elif condition == Condition.HEALTHY:
                _check_health(name, other, services[other], path, faults)
            elif condition == Condition.COMPLETED and _starts_again(services[other]):
                text = (
                    f"never completed: the service {other} is started again whenever it ends; set its "
                    "deploy.restart_policy.condition to on-failure or none, or its deploy.mode to replicated-job"
                )
                faults.add(path, text)
    if circle := fault_of_circle(services):
        faults.add(*circle)


def _absence(name: str, left_out: LeftOut) -> str:
    if name not in left_out:
        return f"there is no service {name} in the files"
    return f"{left_out_text(name, left_out[name])}, or let this service wait with required: false"


def left_out_text(name: str, profiles: Sequence[str]) -> str:
    noun = "the profile" if len(profiles) == 1 else "the profiles"
    is_not = "which is not enabled" if len(profiles) == 1 else "of which none is enabled"
    named = " and ".join(profiles)
    return f"service {name} belongs to {noun} {named}, {is_not}: take it in with {profile_option(profiles)}"


def profile_option(profiles: Sequence[str]) -> str:
    """As a shell takes it."""
    return f"--profile {shlex.quote(profiles[0])}"


def _check_health(name: str, other: str, service: Config, path: Path, faults: Faults) -> None:
    check = service.get("healthcheck") or {}
    test = check.get("test") or ()
    if check.get("disable") or (test and test[0] == "NONE"):
        faults.add(path, f"never healthy: the service {other} has its health check disabled")
    elif not test:
        text = f"service {name} waits until {other} is healthy; {other} has no health check in the files, so one of "
        faults.doubt(path, f"{text}its image is needed")


def _starts_again(service: Config) -> bool:
    deploy = service.get("deploy") or {}
    if str(deploy.get("mode")).endswith("-job"):
        return False
    policy = deploy.get("restart_policy")
    if policy is not None:
        return policy.get("condition") in (None, "any")
    return str(service.get("restart") or "always").partition(":")[0] in ("always", "unless-stopped")


def dependencies(service: Config) -> Mapping[str, Config]:
    """The list and the mapping are one."""
    given = service.get("depends_on") or {}
    return {name: {} for name in given} if isinstance(given, list) else {key: how or {} for key, how in given.items()}


def by_need(services: Config) -> tuple[str, ...]:
    """The names, each after those that it waits for, else as they stand: a service is written after what it needs, or
    its update would begin against the former wish of that. No circle is left by now, or it is refused elsewhere."""
    return _by_need(services)[0]


def fault_of_circle(services: Config) -> tuple[Path, str] | None:
    """Where services wait for each other, and in which circle."""
    circle = circle_of(services)
    if not circle:
        return None
    shown = circle if len(circle) <= _MOST_SHOWN else (*circle[: _MOST_SHOWN - 2], "...", *circle[-2:])
    text = f"waits for itself: {' -> '.join(shown)}; take one of these names out"
    return ("services", circle[0], "depends_on"), text


def circle_of(services: Config) -> Sequence[str]:
    """Services that wait for each other in a circle, the first one again at the end; empty when none do. It begins
    with the one that the files name first."""
    circle = _by_need(services)[1][:-1]
    if not circle:
        return ()
    first = min(map(list(services).index, circle))
    at = circle.index(list(services)[first])
    return (*circle[at:], *circle[: at + 1])


def _by_need(services: Config) -> tuple[tuple[str, ...], tuple[str, ...]]:
    def needs(name: str) -> Iterator[str]:
        return (other for other in dependencies(services[name]) if other in services)

    return waits.by_need(services, needs)
