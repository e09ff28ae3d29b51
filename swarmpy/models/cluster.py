"""The cluster as a whole: Docker's `Swarm`, `ClusterInfo` and `SwarmSpec` (Engine API 1.45)."""

from swarmpy.models.base import DockerModel, Driver, Labels, Nanoseconds, Timestamp, Version


class OrchestrationConfig(DockerModel):
    task_history_retention_limit: int | None = None


class RaftConfig(DockerModel):
    """Kept for clients that read and write it back; etcd does this work here."""

    snapshot_interval: int | None = None
    keep_old_snapshots: int | None = None
    log_entries_for_slow_followers: int | None = None
    election_tick: int | None = None
    heartbeat_tick: int | None = None


class DispatcherConfig(DockerModel):
    heartbeat_period: Nanoseconds | None = None


class ExternalCA(DockerModel):
    protocol: str | None = None
    url: str | None = None
    options: dict[str, str] | None = None
    ca_cert: str | None = None


class CAConfig(DockerModel):
    node_cert_expiry: Nanoseconds | None = None
    external_cas: tuple[ExternalCA, ...] | None = None
    signing_ca_cert: str | None = None
    signing_ca_key: str | None = None
    force_rotate: int | None = None


class EncryptionConfig(DockerModel):
    auto_lock_managers: bool | None = None


class TaskDefaults(DockerModel):
    log_driver: Driver | None = None


class ClusterSpec(DockerModel):
    name: str | None = None
    labels: Labels | None = None
    orchestration: OrchestrationConfig | None = None
    raft: RaftConfig | None = None
    dispatcher: DispatcherConfig | None = None
    ca_config: CAConfig | None = None
    encryption_config: EncryptionConfig | None = None
    task_defaults: TaskDefaults | None = None


class TLSInfo(DockerModel):
    trust_root: str | None = None
    cert_issuer_subject: str | None = None
    cert_issuer_public_key: str | None = None


class ClusterInfo(DockerModel):
    id: str
    version: Version = Version()
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    spec: ClusterSpec = ClusterSpec()
    tls_info: TLSInfo | None = None
    root_rotation_in_progress: bool = False
    data_path_port: int = 4789
    default_addr_pool: tuple[str, ...] = ("10.0.0.0/8",)
    subnet_size: int = 24


class JoinTokens(DockerModel):
    worker: str
    manager: str


class Swarm(ClusterInfo):
    """Answer of `GET /swarm`."""

    join_tokens: JoinTokens
