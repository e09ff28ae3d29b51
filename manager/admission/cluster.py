"""A wish about the whole cluster, checked and turned into writes. Pure."""

from collections.abc import Mapping
from datetime import datetime

from manager.admission.admitted import Admitted, unchanged
from manager.admission.coverage import is_empty
from manager.admission.host import allowed_words, check_words, words_needed
from manager.node_grace import parse_grace
from manager.objects import Cluster, Service
from manager.state import State
from manager.store.codec import put
from manager.store.port import Unit
from swarmpy.errors import BadRequest, OutOfSequence, Unsupported
from swarmpy.labels import NODE_GRACE
from swarmpy.models.cluster import CAConfig, ClusterSpec
from swarmpy.models.container import ContainerSpec

# What no part of swarmpy acts on: it may be sent back as it was read, but not changed.
FIXED = {
    "name": "Name",
    "raft": "Raft",
    "dispatcher": "Dispatcher",
    "encryption_config": "EncryptionConfig",
    "task_defaults": "TaskDefaults",
}
_FIXED_OF_CA = {
    "external_cas": "ExternalCAs",
    "signing_ca_cert": "SigningCACert",
    "signing_ca_key": "SigningCAKey",
    "force_rotate": "ForceRotate",
}
# In nanoseconds.
SHORTEST_CERTIFICATE = 60 * 10**9


def admit_cluster_update(
    cluster: Cluster, spec: ClusterSpec, *, version: int, now: datetime, fresh_secrets: Mapping[str, str] | None = None
) -> Admitted[Cluster]:
    """Labels, the history limit and the life of certificates may change; every other change is refused by name.
    `fresh_secrets` (role to sealed secret) take the place of those that machines join with."""
    if version != cluster.version:
        raise OutOfSequence()
    for field, name in FIXED.items():
        wished = getattr(spec, field)
        if not is_empty(wished) and wished != getattr(cluster.spec, field):
            raise Unsupported(f"{name}: changing this part of the cluster is not carried out yet")
    kept = {field: getattr(cluster.spec, field) for field in FIXED}
    check_words(spec)
    if (grace := (spec.labels or {}).get(NODE_GRACE)) is not None:
        parse_grace(grace)
    orchestration = spec.orchestration or cluster.spec.orchestration
    limit = orchestration.task_history_retention_limit if orchestration else None
    if limit is not None and limit < 0:
        raise BadRequest("Orchestration.TaskHistoryRetentionLimit must not be negative")
    ca_config = _admitted_ca_config(cluster.spec.ca_config or CAConfig(), spec.ca_config or CAConfig())
    wish = ClusterSpec(**kept, labels=spec.labels or {}, orchestration=orchestration, ca_config=ca_config)
    secrets = cluster.sealed_join_secrets
    if fresh_secrets and secrets is not None:
        secrets = secrets.model_copy(update=dict(fresh_secrets))
    if wish == cluster.spec and secrets == cluster.sealed_join_secrets:
        return unchanged(cluster)
    after = cluster.model_copy(update={"spec": wish, "sealed_join_secrets": secrets, "updated_at": now})
    return Admitted(after, (Unit((put(after),)),))


def services_beyond(state: State, before: ClusterSpec, after: ClusterSpec) -> tuple[str, ...]:
    """A sentence for each service that asks for what is allowed no more: it runs on, but no update starts its tasks."""
    taken = allowed_words(before) - allowed_words(after)
    if not taken:
        return ()
    sentences = []
    for service in sorted(state.services.values(), key=lambda service: service.spec.name or ""):
        if service.removed:
            continue
        used = taken & _words_of(service)
        if used:
            what = ", ".join(sorted(used))
            name = service.spec.name
            sentences.append(f"service {name} uses {what}: it runs on, but updates that start tasks of it are refused")
    return tuple(sentences)


def _words_of(service: Service) -> frozenset[str]:
    try:
        return words_needed(service.spec.task_template.container_spec or ContainerSpec())
    except BadRequest:
        # Stored when the label meant nothing: no task of it is ever placed.
        return frozenset()


def _admitted_ca_config(known: CAConfig, wished: CAConfig) -> CAConfig:
    """Another life of certificates counts from each node's next renewal."""
    for field, name in _FIXED_OF_CA.items():
        value = getattr(wished, field)
        if not is_empty(value) and value != getattr(known, field):
            raise Unsupported(f"CAConfig.{name}: changing this part of the cluster is not carried out yet")
    expiry = wished.node_cert_expiry or known.node_cert_expiry
    if expiry is not None and expiry < SHORTEST_CERTIFICATE:
        raise BadRequest("CAConfig.NodeCertExpiry must be one minute at least: nodes must have time to renew")
    return known.model_copy(update={"node_cert_expiry": expiry})
