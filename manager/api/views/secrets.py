"""Secrets and configs as Docker shows them. Pure."""

from typing import Any

from manager.objects import Config, Secret
from swarmpy.models import config as docker_config
from swarmpy.models import secret as docker_secret
from swarmpy.models.base import Version


def secret_document(secret: Secret) -> dict[str, Any]:
    """Never with its data."""
    return docker_secret.Secret(
        id=secret.id,
        version=Version(index=secret.version),
        created_at=secret.created_at,
        updated_at=secret.updated_at,
        spec=secret.spec.model_copy(update={"data": None}),
    ).to_docker()


def config_document(config: Config, data: str | None) -> dict[str, Any]:
    """`data` in base64, absent where they cannot be read."""
    return docker_config.Config(
        id=config.id,
        version=Version(index=config.version),
        created_at=config.created_at,
        updated_at=config.updated_at,
        spec=config.spec.model_copy(update={"data": data}),
    ).to_docker()
