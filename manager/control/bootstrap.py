"""The first record of a new cluster. Pure."""

from datetime import datetime, timedelta

from manager.objects import Cluster
from swarmpy.models.cluster import ClusterSpec, DispatcherConfig, OrchestrationConfig, TaskDefaults

_NAME = "default"
_HISTORY = 5
_BEAT = timedelta(seconds=1)


def first_cluster(cluster_id: str, now: datetime) -> Cluster:
    """What a cluster is before an operator changed it: Docker's names and defaults."""
    spec = ClusterSpec(
        name=_NAME,
        labels={},
        orchestration=OrchestrationConfig(task_history_retention_limit=_HISTORY),
        dispatcher=DispatcherConfig(heartbeat_period=int(_BEAT.total_seconds() * 1e9)),
        task_defaults=TaskDefaults(),
    )
    return Cluster(id=cluster_id, created_at=now, updated_at=now, spec=spec)
