"""What a task asks of its node, read once from its template."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from scheduler.constraints import Constraint, parse_constraints
from scheduler.node import KNOWN_ATTRIBUTES, Attribute, find_attribute, normal_architecture, plugin_name
from scheduler.volumes import HeldVolume, affinity_sources
from swarmpy.errors import BadRequest
from swarmpy.models.host import host_options
from swarmpy.models.mount import MountType
from swarmpy.models.node import RUNTIME
from swarmpy.models.port import PortConfig, PublishMode
from swarmpy.models.resources import GenericResource, Resources
from swarmpy.models.task import Placement, TaskSpec
from swarmpy.shown import shown

HostPort = tuple[str, int]
NVIDIA = "nvidia"


@dataclass(frozen=True, slots=True)
class Requirements:
    """`platforms` are (os, architecture), any of which will do; an empty part fits all. `plugins` are (type, name).
    `spread` evens the service's tasks over the values of each attribute, the first one first. `max_replicas` is per
    node; 0 is unlimited. `volumes` are names that the task must be with, templates not filled in; `held` are those of
    them, for one task, that some nodes have already.
    """

    constraints: tuple[Constraint, ...] = ()
    platforms: tuple[tuple[str, str], ...] = ()
    plugins: tuple[tuple[str, str], ...] = ()
    spread: tuple[Attribute, ...] = ()
    nano_cpus: int = 0
    memory_bytes: int = 0
    generic: tuple[GenericResource, ...] = ()
    host_ports: tuple[HostPort, ...] = ()
    max_replicas: int = 0
    volumes: tuple[str, ...] = ()
    held: tuple[HeldVolume, ...] = ()

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        """All that constraints and preferences name."""
        return (*(constraint.attribute for constraint in self.constraints), *self.spread)

    @property
    def is_singular(self) -> bool:
        """Whether nodes have to be judged one by one, not in classes."""
        return any(attribute.is_singular for attribute in self.attributes)


_NOTHING = Resources()
_ANYWHERE = Placement()


def requirements(template: TaskSpec, ports: Sequence[PortConfig] = ()) -> Requirements:
    """Raises `BadRequest` in clear words for a constraint, preference or reservation that makes no sense."""
    placement = template.placement or _ANYWHERE
    reserved = (template.resources.reservations if template.resources else None) or _NOTHING
    return Requirements(
        constraints=parse_constraints(placement.constraints or ()),
        platforms=_platforms(placement),
        plugins=_plugins(template),
        spread=_spread(placement),
        nano_cpus=_not_negative(reserved.nano_cpus, "Resources.Reservations.NanoCPUs"),
        memory_bytes=_not_negative(reserved.memory_bytes, "Resources.Reservations.MemoryBytes"),
        generic=_generic(reserved),
        host_ports=_host_ports(ports),
        max_replicas=_not_negative(placement.max_replicas, "Placement.MaxReplicas"),
        volumes=affinity_sources(template),
    )


def _not_negative(value: int | None, field: str) -> int:
    if value is not None and value < 0:
        raise BadRequest(f"{field} is {value}; it must not be negative")
    return value or 0


def _platforms(placement: Placement) -> tuple[tuple[str, str], ...]:
    if not placement.platforms:
        return ()
    return tuple(((p.os or "").lower(), normal_architecture(p.architecture or "")) for p in placement.platforms)


def _spread(placement: Placement) -> tuple[Attribute, ...]:
    if not placement.preferences:
        return ()
    return tuple(_attribute(p.spread.spread_descriptor) for p in placement.preferences if p.spread is not None)


@lru_cache(maxsize=4096)
def _attribute(text: str) -> Attribute:
    attribute = find_attribute(text.strip())
    if attribute is None:
        known = ", ".join(KNOWN_ATTRIBUTES)
        raise BadRequest(f"placement preference: cannot spread over {shown(text)}; known are {known}")
    return attribute


def _generic(reserved: Resources) -> tuple[GenericResource, ...]:
    for thing in reserved.generic_resources or ():
        if thing.discrete_resource_spec is not None and thing.discrete_resource_spec.value < 1:
            kind = thing.discrete_resource_spec.kind
            raise BadRequest(f"generic resource {kind}: {thing.discrete_resource_spec.value} is not a number above 0")
    return reserved.generic_resources or ()


def _host_ports(ports: Sequence[PortConfig]) -> tuple[HostPort, ...]:
    """Host-mode ports with a fixed number. One without is chosen by the engine and never in the way."""
    return tuple(
        (port.protocol.value if port.protocol else "tcp", port.published_port)
        for port in ports
        if port.publish_mode is PublishMode.HOST and port.published_port
    )


def _plugins(template: TaskSpec) -> tuple[tuple[str, str], ...]:
    """Volume and log drivers that an engine does not have of itself, and runtimes."""
    needed: list[tuple[str, str]] = []
    for mount in (template.container_spec and template.container_spec.mounts) or ():
        driver = mount.volume_options and mount.volume_options.driver_config
        if mount.type is MountType.VOLUME and driver and driver.name and driver.name != "local":
            needed.append(("Volume", plugin_name(driver.name)))
    log = template.log_driver
    if log and log.name and log.name != "none":
        needed.append(("Log", plugin_name(log.name)))
    needed += ((RUNTIME, name) for name in _runtimes(template))
    return tuple(needed)


def _runtimes(template: TaskSpec) -> tuple[str, ...]:
    """NVIDIA's driver comes with a runtime of that name, by which a node that has it is known."""
    options = host_options(template.container_spec.labels if template.container_spec else None)
    by_nvidia = any(request.driver == NVIDIA for request in options.device_requests or ())
    return tuple(dict.fromkeys(name for name in (options.runtime, NVIDIA if by_nvidia else None) if name))
