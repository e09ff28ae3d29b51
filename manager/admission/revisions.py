"""The last wishes of a service, kept whole so that it can go back to any of them. Pure."""

from datetime import datetime

from manager.objects import Service, ServiceRevision
from manager.state import State
from manager.store.codec import put
from manager.store.keys import key_of
from manager.store.port import Delete, Write
from swarmpy.errors import NotFound
from swarmpy.models.service import ServiceSpec
from swarmpy.models.task import TaskSpec

KEPT = 10


def revisions_of(state: State, service: Service) -> list[ServiceRevision]:
    """Oldest first."""
    return sorted(state.revisions_of_service(service.id), key=lambda revision: revision.number)


def wish_of(state: State, revision: ServiceRevision) -> ServiceSpec:
    """The whole wish, as it was."""
    kept = state.specs.get(f"{revision.service_id}/{revision.spec_version}")
    return revision.spec if kept is None else revision.spec.model_copy(update={"task_template": kept.template})


def present_revision(service: Service, revisions: list[ServiceRevision]) -> ServiceRevision | None:
    """The one that the service follows. After a rollback that the cluster made by itself it is not the newest."""
    wish = _without_template(service.spec), service.spec_version
    return next((r for r in reversed(revisions) if (_without_template(r.spec), r.spec_version) == wish), None)


def record(state: State, before: Service | None, after: Service, now: datetime) -> tuple[Write, ...]:
    """The wish of `after` as the newest revision; the oldest go beyond ten, but never the one that the service follows
    until now: after wishes that all failed it is the oldest, and the only one known to be good. A service from before
    there were any begins with the wish it had."""
    if before is None:
        return (put(_revision(after, 1, now), create=True),)
    if after.spec == before.spec:
        return ()
    known = revisions_of(state, before)
    if not known:
        return (
            put(_revision(before, 1, before.updated_at), create=True),
            put(_revision(after, 2, now), create=True),
        )
    followed = present_revision(before, known)
    gone = [revision for revision in known if revision is not followed][: max(0, len(known) + 1 - KEPT)]
    drops = tuple(Delete(key_of(revision), modified=revision.version) for revision in gone)
    return (put(_revision(after, known[-1].number + 1, now), create=True), *drops)


def revision_not_found(state: State, service: Service, number: int) -> NotFound:
    kept = ", ".join(str(revision.number) for revision in revisions_of(state, service)) or "none"
    return NotFound(f"service {service.spec.name} has no revision {number}; kept are {kept}")


def _revision(service: Service, number: int, now: datetime) -> ServiceRevision:
    return ServiceRevision(
        id=f"{service.id}/{number}",
        created_at=now,
        updated_at=now,
        service_id=service.id,
        number=number,
        spec=_without_template(service.spec),
        spec_version=service.spec_version,
    )


def _without_template(spec: ServiceSpec) -> ServiceSpec:
    """Templates are most of a wish, and stored once for all tasks and revisions that have the same."""
    return spec.model_copy(update={"task_template": TaskSpec()})
