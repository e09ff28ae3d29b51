"""A wish about the whole cluster, checked and turned into writes. Pure."""

from datetime import datetime

from manager.admission.admitted import Admitted, unchanged
from manager.admission.coverage import is_empty
from manager.objects import Cluster
from manager.store.codec import put
from manager.store.port import Unit
from swarmpy.errors import BadRequest, OutOfSequence, Unsupported
from swarmpy.models.cluster import ClusterSpec

# What no part of swarmpy acts on: it may be sent back as it was read, but not changed.
FIXED = {
    "name": "Name",
    "raft": "Raft",
    "dispatcher": "Dispatcher",
    "ca_config": "CAConfig",
    "encryption_config": "EncryptionConfig",
    "task_defaults": "TaskDefaults",
}


def admit_cluster_update(cluster: Cluster, spec: ClusterSpec, *, version: int, now: datetime) -> Admitted[Cluster]:
    """Labels and the history limit may change; every other change is refused by name."""
    if version != cluster.version:
        raise OutOfSequence()
    for field, name in FIXED.items():
        wished = getattr(spec, field)
        if not is_empty(wished) and wished != getattr(cluster.spec, field):
            raise Unsupported(f"{name}: changing this part of the cluster is not carried out yet")
    kept = {field: getattr(cluster.spec, field) for field in FIXED}
    orchestration = spec.orchestration or cluster.spec.orchestration
    limit = orchestration.task_history_retention_limit if orchestration else None
    if limit is not None and limit < 0:
        raise BadRequest("Orchestration.TaskHistoryRetentionLimit must not be negative")
    wish = ClusterSpec(**kept, labels=spec.labels or {}, orchestration=orchestration)
    if wish == cluster.spec:
        return unchanged(cluster)
    after = cluster.model_copy(update={"spec": wish, "updated_at": now})
    return Admitted(after, (Unit((put(after),)),))
