"""Resources: what a node has, what a task reserves, what a task may use at most."""

from swarmpy.models.base import DockerModel


class NamedResource(DockerModel):
    """One thing with a name: a certain GPU."""

    kind: str
    value: str


class DiscreteResource(DockerModel):
    """A number of equal things."""

    kind: str
    value: int


class GenericResource(DockerModel):
    """Exactly one of the two is set."""

    named_resource_spec: NamedResource | None = None
    discrete_resource_spec: DiscreteResource | None = None


class Resources(DockerModel):
    """A node's capacity, or a task's reservation. CPU in 1e-9 cores, memory in bytes."""

    nano_cpus: int | None = None
    memory_bytes: int | None = None
    generic_resources: tuple[GenericResource, ...] | None = None


class Limits(DockerModel):
    """What a task may use at most. `pids` 0 or absent is unlimited."""

    nano_cpus: int | None = None
    memory_bytes: int | None = None
    pids: int | None = None


class ResourceRequirements(DockerModel):
    limits: Limits | None = None
    reservations: Resources | None = None
