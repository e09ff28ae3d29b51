"""What runs in a task: Docker's `ContainerSpec` and its parts (Engine API 1.45)."""

from pydantic import Field

from swarmpy.models.base import DockerModel, Labels, Nanoseconds
from swarmpy.models.mount import Mount


class HealthConfig(DockerModel):
    """`test` is `[]` (inherit), `["NONE"]`, `["CMD", ...]` or `["CMD-SHELL", "..."]`. Times in nanoseconds."""

    test: tuple[str, ...] | None = None
    interval: Nanoseconds | None = None
    timeout: Nanoseconds | None = None
    retries: int | None = None
    start_period: Nanoseconds | None = None
    start_interval: Nanoseconds | None = None


class DNSConfig(DockerModel):
    nameservers: tuple[str, ...] | None = None
    search: tuple[str, ...] | None = None
    options: tuple[str, ...] | None = None


class Ulimit(DockerModel):
    name: str | None = None
    soft: int | None = None
    hard: int | None = None


class ReferenceFile(DockerModel):
    """Where a secret or config appears in the container. `mode` is a file mode as a number."""

    name: str | None = None
    uid: str | None = None
    gid: str | None = None
    mode: int | None = None


class RuntimeTarget(DockerModel):
    pass


class SecretReference(DockerModel):
    file: ReferenceFile | None = None
    secret_id: str | None = None
    secret_name: str | None = None


class ConfigReference(DockerModel):
    file: ReferenceFile | None = None
    runtime: RuntimeTarget | None = None
    config_id: str | None = None
    config_name: str | None = None


class CredentialSpec(DockerModel):
    config: str | None = None
    file: str | None = None
    registry: str | None = None


class SELinuxContext(DockerModel):
    disable: bool | None = None
    user: str | None = None
    role: str | None = None
    type: str | None = None
    level: str | None = None


class SeccompOptions(DockerModel):
    mode: str | None = None
    profile: str | None = None


class AppArmorOptions(DockerModel):
    mode: str | None = None


class Privileges(DockerModel):
    credential_spec: CredentialSpec | None = None
    selinux_context: SELinuxContext | None = None
    seccomp: SeccompOptions | None = None
    apparmor: AppArmorOptions | None = None
    no_new_privileges: bool | None = None


class ContainerSpec(DockerModel):
    """`command` replaces the image's entrypoint, `args` its command."""

    image: str | None = None
    labels: Labels | None = None
    command: tuple[str, ...] | None = None
    args: tuple[str, ...] | None = None
    hostname: str | None = None
    env: tuple[str, ...] | None = None
    dir: str | None = None
    user: str | None = None
    groups: tuple[str, ...] | None = None
    privileges: Privileges | None = None
    tty: bool | None = None
    open_stdin: bool | None = None
    read_only: bool | None = None
    mounts: tuple[Mount, ...] | None = None
    stop_signal: str | None = None
    stop_grace_period: Nanoseconds | None = None
    health_check: HealthConfig | None = Field(default=None, alias="Healthcheck")
    hosts: tuple[str, ...] | None = None
    dns_config: DNSConfig | None = None
    secrets: tuple[SecretReference, ...] | None = None
    configs: tuple[ConfigReference, ...] | None = None
    isolation: str | None = None
    init: bool | None = None
    sysctls: dict[str, str] | None = None
    capability_add: tuple[str, ...] | None = None
    capability_drop: tuple[str, ...] | None = None
    ulimits: tuple[Ulimit, ...] | None = None
