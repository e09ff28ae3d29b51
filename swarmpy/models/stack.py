"""Stacks as they were deployed: beyond Docker's API, which knows none. Data of secrets and configs never stand here."""

from swarmpy.models.base import DockerModel
from swarmpy.models.network import NetworkCreate
from swarmpy.models.service import ServiceSpec


class StackWish(DockerModel):
    """What a deployment carried out. `external` are networks, `secrets` and `configs` all that services refer to: names
    of what must be there for it to be carried out again."""

    networks: tuple[NetworkCreate, ...] = ()
    external: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    configs: tuple[str, ...] = ()
    services: tuple[ServiceSpec, ...] = ()
