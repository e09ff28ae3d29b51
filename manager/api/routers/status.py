"""/status, /healthz, /readyz: for operators and whatever watches the manager. All work while nothing else does."""

from collections.abc import Iterable

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from manager.api.context import ApiContext
from manager.api.dependencies import Context, Kept
from manager.api.overview import Surroundings, network_lines, overview, service_lines
from manager.api.status import NetworkLine, ServiceLine, StatusDocument, StoreStatus

router = APIRouter()


@router.get("/status")
async def status(request: Request, context: Context) -> Response:
    kept: Kept[list[ServiceLine]] = request.app.state.service_lines
    lines = await kept.of(context.ledger.state, service_lines)
    networks = await read_networks(request, context)
    return Response(read_status(context, lines, networks).model_dump_json(), media_type="application/json")


@router.get("/healthz")
async def healthz() -> JSONResponse:
    """The process answers."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz")
async def readyz(context: Context) -> JSONResponse:
    """The manager's answers are current and the cluster has a leader; else 503 and why not."""
    ledger = context.ledger
    reasons = []
    if not ledger.synced.is_set():
        reasons.append("the cluster's state has not been read yet")
    if ledger.stale_since is not None:
        reasons.append(f"etcd cannot be reached: {ledger.stale_reason}")
    if not ledger.state.leader:
        reasons.append("the cluster has no leader")
    document = {"status": "unready" if reasons else "ready", "reasons": reasons}
    return JSONResponse(document, status_code=503 if reasons else 200)


async def read_networks(request: Request, context: ApiContext) -> list[NetworkLine]:
    kept: Kept[list[NetworkLine]] = request.app.state.network_lines
    return await kept.of(context.ledger.state, network_lines)


def read_status(
    context: ApiContext, services: Iterable[ServiceLine], networks: Iterable[NetworkLine]
) -> StatusDocument:
    ledger = context.ledger
    etcd = StoreStatus(
        reachable=ledger.stale_since is None and ledger.synced.is_set(),
        revision=ledger.state.revision,
        endpoints=context.settings.etcd.endpoints,
        stale_since=ledger.stale_since,
        reason=ledger.stale_reason,
    )
    sessions = context.node_sessions
    around = Surroundings(
        etcd, ledger.is_leading, sessions.is_connected, sessions.applied_revision, sessions.mapped_revision
    )
    return overview(ledger.state, around, services, networks)
