"""/services, except their logs."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import JSONResponse, Response

from manager.admission.admitted import Admitted
from manager.admission.service import (
    admit_removal,
    admit_rollback,
    admit_rollback_to,
    admit_service,
    admit_update,
    current_auth,
)
from manager.admission.update_control import admit_continue, admit_pause, lifted
from manager.api.context import ApiContext
from manager.api.dependencies import Context, Picture, carry_out, parse_version
from manager.api.filters import Filters, parse_filters, parse_flag
from manager.api.lookup import find_service, visible_services
from manager.api.problems import read_body
from manager.api.views.services import revision_documents, service_document
from manager.objects import Service
from manager.state import State
from swarmpy.container_values import is_number_within
from swarmpy.errors import BadRequest
from swarmpy.models.service import ServiceSpec

_HIGHEST = 2**63 - 1

router = APIRouter(prefix="/services")

_FILTERS = ("id", "name", "label", "mode", "runtime")
_MODES = {
    "replicated": "replicated",
    "global": "global_",
    "replicated-job": "replicated_job",
    "global-job": "global_job",
}
RegistryAuth = Annotated[str | None, Header(alias="X-Registry-Auth")]


@router.get("")
async def list_services(state: Picture, filters: str | None = None, status: str | None = None) -> JSONResponse:
    wanted = parse_filters(filters, _FILTERS)
    with_status = parse_flag("status", status)
    services = (service for service in visible_services(state) if _passes(service, wanted))
    return JSONResponse([service_document(service, state, with_status=with_status) for service in services])


@router.post("/create")
async def create_service(
    request: Request, context: Context, state: Picture, registry_auth: RegistryAuth = None
) -> JSONResponse:
    spec = await read_body(request, ServiceSpec)
    sealed = _seal(context, registry_auth)

    service_id, now = context.mint(), context.clock.now()
    await carry_out(context, lambda: admit_service(state, spec, service_id=service_id, now=now, sealed_auth=sealed))
    return JSONResponse({"ID": service_id, "Warnings": None}, status_code=201)


@router.get("/{wanted}")
async def inspect_service(
    wanted: str, state: Picture, insert_defaults: Annotated[str | None, Query(alias="insertDefaults")] = None
) -> JSONResponse:
    complete = parse_flag("insertDefaults", insert_defaults)
    return JSONResponse(service_document(find_service(state, wanted), state, insert_defaults=complete))


@router.post("/{wanted}/update")
async def update_service(
    wanted: str,
    request: Request,
    context: Context,
    state: Picture,
    registry_auth: RegistryAuth = None,
    version: str | None = None,
    rollback: str | None = None,
    auth_from: Annotated[str | None, Query(alias="registryAuthFrom")] = None,
) -> JSONResponse:
    """With `rollback=previous` the body is ignored."""
    index, now = parse_version("service", version), context.clock.now()
    if rollback not in (None, "", "none", "previous"):
        raise BadRequest(f"unrecognized rollback option {rollback!r}: the only one is previous")
    spec = None if rollback == "previous" else await read_body(request, ServiceSpec)

    def admit(service: Service) -> Admitted[Service]:
        if spec is None:
            return admit_rollback(state, service, version=index, now=now)
        sealed = _chosen_auth(context, state, service, registry_auth, auth_from)
        return admit_update(state, service, spec, version=index, now=now, sealed_auth=sealed)

    return await _changed(context, state, wanted, admit)


@router.post("/{wanted}/update/pause")
async def pause_update(wanted: str, context: Context, state: Picture) -> Response:
    now = context.clock.now()
    await carry_out(context, lambda: admit_pause(find_service(state, wanted), now=now))
    return Response()


@router.post("/{wanted}/update/continue")
async def continue_update(wanted: str, context: Context, state: Picture) -> Response:
    now = context.clock.now()
    await carry_out(context, lambda: admit_continue(find_service(state, wanted), now=now))
    return Response()


@router.get("/{wanted}/revisions")
async def list_revisions(wanted: str, state: Picture) -> JSONResponse:
    return JSONResponse(revision_documents(find_service(state, wanted), state))


@router.post("/{wanted}/rollback")
async def roll_back(
    wanted: str, context: Context, state: Picture, to: str | None = None, version: str | None = None
) -> JSONResponse:
    """To any revision that is kept. Without a `version`, whatever the service is by now."""
    now = context.clock.now()
    index = None if version is None else parse_version("service", version)
    if not is_number_within(to or "", 0, _HIGHEST):
        raise BadRequest("rollback needs to=N, the number of one of the service's revisions")
    number = int(to or "")
    return await _changed(
        context, state, wanted, lambda service: admit_rollback_to(state, service, number, version=index, now=now)
    )


@router.delete("/{wanted}")
async def remove_service(wanted: str, context: Context, state: Picture) -> Response:
    now = context.clock.now()
    await carry_out(context, lambda: admit_removal(state, find_service(state, wanted), now=now))
    return Response()


async def _changed(
    context: ApiContext, state: State, wanted: str, admit: Callable[[Service], Admitted[Service]]
) -> JSONResponse:
    warnings: tuple[str, ...] = ()

    def admit_and_compare() -> Admitted[Service]:
        nonlocal warnings
        before = find_service(state, wanted)
        admitted = admit(before)
        warnings = lifted(before, admitted.value)
        return admitted

    await carry_out(context, admit_and_compare)
    return JSONResponse({"Warnings": list(warnings) or None})


def _passes(service: Service, wanted: Filters) -> bool:
    mode = next((word for word, field in _MODES.items() if getattr(service.spec.mode, field) is not None), None)
    return (
        wanted.passes_prefix("id", service.id)
        and wanted.passes_prefix("name", service.spec.name)
        and wanted.passes("mode", mode)
        and wanted.passes("runtime", service.spec.task_template.runtime)
        and wanted.passes_labels("label", service.spec.labels)
    )


def _seal(context: ApiContext, registry_auth: str | None) -> str | None:
    return context.sealer.seal(registry_auth.encode()) if registry_auth else None


def _chosen_auth(
    context: ApiContext, state: State, service: Service, registry_auth: str | None, auth_from: str | None
) -> str | None:
    """The credential of the update: what the client sends, else what is stored with the current or previous spec.

    One that the client sends again unchanged keeps its sealed form, so that it counts as no change.
    """
    if auth_from not in (None, "", "spec", "previous-spec"):
        raise BadRequest(f"registryAuthFrom must be spec or previous-spec, not {auth_from!r}")
    known = current_auth(state, service, previous=auth_from == "previous-spec")
    if not registry_auth:
        return known
    if known is not None and context.sealer.unseal(known) == registry_auth.encode():
        return known
    return _seal(context, registry_auth)
