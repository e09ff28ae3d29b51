"""The first records of a new cluster. Pure."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from manager.objects import Cluster, JoinSecrets, Node
from swarmpy.models.cluster import CAConfig, ClusterSpec, DispatcherConfig, OrchestrationConfig, TaskDefaults
from swarmpy.models.node import NodeDescription, NodeSpec
from swarmpy.pki import CERTIFICATE_LIFETIME
from swarmpy.states import Role

_NAME = "default"
_HISTORY = 5
_BEAT = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Founding:
    """What the first manager brings along: the CA, its own node, and where networks get their ranges."""

    cluster_id: str
    ca_certificate: str
    sealed_ca_key: str = field(repr=False)
    sealed_join_secrets: JoinSecrets = field(repr=False)
    node_id: str
    hostname: str
    address: str
    key_digest: str
    address_pools: tuple[str, ...] = ()
    subnet_size: int = 0


def founded(founding: Founding, now: datetime) -> tuple[Cluster, Node]:
    """The cluster and its first node, a manager."""
    cluster = first_cluster(founding.cluster_id, now).model_copy(
        update={
            "ca_certificate": founding.ca_certificate,
            "sealed_ca_key": founding.sealed_ca_key,
            "sealed_join_secrets": founding.sealed_join_secrets,
            "address_pools": founding.address_pools,
            "subnet_size": founding.subnet_size,
        }
    )
    node = Node(
        id=founding.node_id,
        created_at=now,
        updated_at=now,
        spec=NodeSpec(role=Role.MANAGER),
        description=NodeDescription(hostname=founding.hostname),
        since=now,
        address=founding.address,
        key_digest=founding.key_digest,
        is_equipped=True,
    )
    return cluster, node


def first_cluster(cluster_id: str, now: datetime) -> Cluster:
    """What a cluster is before an operator changed it: Docker's names and defaults."""
    spec = ClusterSpec(
        name=_NAME,
        labels={},
        orchestration=OrchestrationConfig(task_history_retention_limit=_HISTORY),
        dispatcher=DispatcherConfig(heartbeat_period=int(_BEAT.total_seconds() * 1e9)),
        ca_config=CAConfig(node_cert_expiry=int(CERTIFICATE_LIFETIME.total_seconds() * 1e9)),
        task_defaults=TaskDefaults(),
    )
    return Cluster(id=cluster_id, created_at=now, updated_at=now, spec=spec)
