"""A wish about a service, checked and turned into writes: create, update, roll back, remove. Pure."""

from collections.abc import Iterable
from datetime import datetime

from manager.admission.admitted import Admitted, unchanged, written
from manager.admission.changes import asks_for_new_tasks
from manager.admission.defaults import complete_template, with_stored_defaults
from manager.admission.depends import check_depends_on
from manager.admission.host import allowed_words, check_host
from manager.admission.names import check_service_name
from manager.admission.naming import naming
from manager.admission.network_references import check_networks_still_there, networks_held
from manager.admission.ports import admit_ports
from manager.admission.revisions import record, revision_not_found, wish_of
from manager.admission.secret_references import check_still_there, holding
from manager.admission.update_control import stays_paused
from manager.admission.wish import checked, is_job, mode_of, with_found
from manager.objects import Service, SpecRevision
from manager.state import State
from manager.store.codec import put
from manager.store.keys import key_of, name_key
from manager.store.port import Check, Delete, Put, Unit, Write
from swarmpy.errors import BadRequest, Conflict, OutOfSequence, SwarmpyError, Unsupported
from swarmpy.models.port import PortConfig
from swarmpy.models.service import ServiceSpec, UpdateState, UpdateStatus
from swarmpy.models.task import TaskSpec


def admit_service(
    state: State, spec: ServiceSpec, *, service_id: str, now: datetime, sealed_auth: str | None
) -> Admitted[Service]:
    """A service without a name gets one made of its id, as clients expect."""
    name = check_service_name(spec.name or f"service-{service_id[-8:]}")
    wish = checked(state, spec.model_copy(update={"name": name}))
    if state.named("services", name) is not None:
        raise _name_taken(name)
    _check_host(state, wish)
    job = is_job(wish.mode)
    ports, claimed = _admit_ports(state, service_id, wish, ())
    service = Service(
        id=service_id,
        created_at=now,
        updated_at=now,
        spec=wish,
        spec_version=1,
        job_iteration=0 if job else None,
        job_started_at=now if job else None,
        published_ports=ports,
    )
    revision = _revision(service_id, 1, wish.task_template, now, sealed_auth)
    name_claim = Put(name_key("services", name), service_id.encode(), modified=0)
    held = _held(state, wish.task_template, None)
    writes = (put(service, create=True), put(revision, create=True), name_claim, *claimed, *held)
    return written("service", name, service, *writes, *record(state, None, service, now))


def admit_update(
    state: State, service: Service, spec: ServiceSpec, *, version: int, now: datetime, sealed_auth: str | None
) -> Admitted[Service]:
    """`sealed_auth` is what pulls of this spec shall use, kept or new: the caller has chosen.

    A spec equal to the stored one, with the same credential, is accepted and changes nothing, not even the version:
    deploying an unchanged file leaves no trace.
    """
    if version != service.version:
        raise OutOfSequence()
    wish = checked(state, spec)
    with naming("service", service.spec.name):
        if wish.name != service.spec.name:
            raise Unsupported("renaming services is not supported")
        if mode_of(wish.mode) != mode_of(service.spec.mode):
            raise Unsupported("service mode change is not allowed")
    return _replaced(state, service, wish, now=now, sealed_auth=sealed_auth, update=None)


def admit_rollback(state: State, service: Service, *, version: int, now: datetime) -> Admitted[Service]:
    """Spec and previous spec change places; the old template's own number and credential come back with it."""
    if version != service.version:
        raise OutOfSequence()
    if service.previous_spec is None:
        raise BadRequest(f"service {service.spec.name} does not have a previous spec")
    return _back_to(
        state, service, service.previous_spec, service.previous_spec_version, "manually requested rollback", now
    )


def admit_rollback_to(
    state: State, service: Service, number: int, *, version: int | None, now: datetime
) -> Admitted[Service]:
    """Any of the wishes that are kept, which becomes the newest. It is checked like a new one: what it needs may be
    gone."""
    if version is not None and version != service.version:
        raise OutOfSequence()
    known = state.revisions.get(f"{service.id}/{number}")
    if known is None:
        raise revision_not_found(state, service, number)
    wish = checked(state, wish_of(state, known))
    return _back_to(state, service, wish, known.spec_version, f"manually requested rollback to revision {number}", now)


def _back_to(
    state: State, service: Service, wish: ServiceSpec, spec_version: int | None, message: str, now: datetime
) -> Admitted[Service]:
    # A job is not updated in steps: nobody would ever say that its rollback is over.
    rolling_back = UpdateStatus(state=UpdateState.ROLLBACK_STARTED, started_at=now, message=message)
    update = None if is_job(service.spec.mode) else rolling_back
    check_depends_on(state, service.spec.name or "", wish.labels or {})
    check_still_there(state, wish.task_template.container_spec)
    check_networks_still_there(state, wish.task_template)
    former = state.specs.get(f"{service.id}/{spec_version}")
    sealed_auth = former.sealed_auth if former else None
    return _replaced(state, service, wish, now=now, sealed_auth=sealed_auth, update=update)


def admit_removal(state: State, service: Service, *, now: datetime) -> Admitted[Service]:
    """The name is free at once; the service's tasks stop and then the record goes."""
    removed = service.model_copy(update={"removed": True, "updated_at": now})
    claim = name_key("services", service.spec.name or "")
    return Admitted(removed, (Unit((put(removed), Delete(claim, modified=state.version_of(claim)))),))


def current_auth(state: State, service: Service, *, previous: bool = False) -> str | None:
    """The sealed credential of the service's current (or previous) spec."""
    number = service.previous_spec_version if previous else service.spec_version
    revision = state.specs.get(f"{service.id}/{number}")
    return revision.sealed_auth if revision else None


def means_any(state: State, spec: ServiceSpec, stored: Iterable[ServiceSpec]) -> bool:
    """Whether the wish, were it sent now, would be one of these."""
    try:
        # Not judged: what was admitted once may be refused today, and runs all the same.
        meaning = _meaning(with_found(state, with_stored_defaults(spec)))
    except SwarmpyError:
        # What it needs is gone, so nothing that is there came from it.
        return False
    return any(_meaning(kept) == meaning for kept in stored)


def _replaced(
    state: State,
    service: Service,
    wish: ServiceSpec,
    *,
    now: datetime,
    sealed_auth: str | None,
    update: UpdateStatus | None,
) -> Admitted[Service]:
    job = is_job(wish.mode)
    known = _known_revision(state, service, wish.task_template, job=job)
    number = known.number if known else _next_number(state, service)
    if asks_for_new_tasks(service, wish, number):
        # Also of a former spec: it may ask for what was allowed then, and is no more.
        _check_host(state, wish)
    if known is not None:
        wish = wish.model_copy(update={"task_template": known.template})
    if wish == service.spec and known is not None and known.sealed_auth == sealed_auth:
        return unchanged(service)
    ports, claimed = _admit_ports(state, service.id, wish, service.published_ports or ())
    changed: dict[str, object] = {"spec": wish, "published_ports": ports, "spec_version": number, "updated_at": now}
    # The update that a hand holds stays the same one: it fails back to what was before it, not to its own wish.
    if update is not None or not stays_paused(service, wish, number):
        changed |= {
            "previous_spec": service.spec,
            "previous_spec_version": service.spec_version,
            "update": update,
            "rollback_cause": "",
        }
    if job and number != service.spec_version:
        changed |= {"job_iteration": (service.job_iteration or 0) + 1, "job_started_at": now}
    after = service.model_copy(update=changed)
    revision = _revision_write(known, service.id, number, wish.task_template, now, sealed_auth)
    held = _held(state, wish.task_template, service.spec.task_template)
    return written(
        "service", wish.name, after, put(after), revision, *claimed, *held, *record(state, service, after, now)
    )


def _held(state: State, template: TaskSpec, before: TaskSpec | None) -> tuple[Write, ...]:
    """What the wish refers to must not be removed in the same moment."""
    files = holding(state, template.container_spec, before.container_spec if before else None)
    return (*files, *networks_held(state, template, before))


def _meaning(wish: ServiceSpec) -> ServiceSpec:
    template = complete_template(wish.task_template, is_job=is_job(wish.mode))
    return wish.model_copy(update={"task_template": template})


def _revision_write(
    known: SpecRevision | None, service_id: str, number: int, template: TaskSpec, now: datetime, auth: str | None
) -> Write:
    if known is None:
        return put(_revision(service_id, number, template, now, auth), create=True)
    if known.sealed_auth != auth:
        # The wish is the same, only what pulls are made with is new: running tasks need not know.
        return put(known.model_copy(update={"sealed_auth": auth, "updated_at": now}))
    # The reaper may want to drop a revision that nobody used until now.
    return Check(key_of(known), known.version)


def _known_revision(state: State, service: Service, template: TaskSpec, *, job: bool) -> SpecRevision | None:
    """A revision of the service that means the same as the template, the current one first."""
    meaning = complete_template(template, is_job=job)
    numbers = sorted(_numbers(state, service), key=lambda number: (number != service.spec_version, -number))
    for number in numbers:
        revision = state.specs[f"{service.id}/{number}"]
        if complete_template(revision.template, is_job=job) == meaning:
            return revision
    return None


def _next_number(state: State, service: Service) -> int:
    return max(*_numbers(state, service), service.spec_version, service.previous_spec_version or 0) + 1


def _numbers(state: State, service: Service) -> list[int]:
    return [revision.number for revision in state.specs_of_service(service.id)]


def _revision(service_id: str, number: int, template: TaskSpec, now: datetime, auth: str | None) -> SpecRevision:
    return SpecRevision(
        id=f"{service_id}/{number}",
        created_at=now,
        updated_at=now,
        service_id=service_id,
        number=number,
        template=template,
        sealed_auth=auth,
    )


def _name_taken(name: str) -> Conflict:
    return Conflict(f"name conflicts with an existing object: service {name} already exists")


def _check_host(state: State, wish: ServiceSpec) -> None:
    with naming("service", wish.name):
        check_host(wish.task_template, allowed_words(state.cluster.spec if state.cluster else None))


def _admit_ports(
    state: State, service_id: str, wish: ServiceSpec, known: tuple[PortConfig, ...]
) -> tuple[tuple[PortConfig, ...], tuple[Put, ...]]:
    with naming("service", wish.name):
        return admit_ports(state, service_id, wish, known)
