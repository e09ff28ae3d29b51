"""/swarm: the cluster as a whole, and the tokens that machines join with."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from manager.admission.admitted import Admitted
from manager.admission.cluster import admit_cluster_update, services_beyond
from manager.api.dependencies import Context, Picture, carry_out, parse_version
from manager.api.filters import parse_flag
from manager.api.problems import read_body
from manager.api.views.cluster import swarm_document
from manager.ca.join_tokens import read_join_tokens, rotated
from manager.objects import Cluster
from swarmpy.errors import Unavailable, Unsupported
from swarmpy.models.cluster import ClusterSpec

router = APIRouter(prefix="/swarm")


@router.get("")
async def inspect_swarm(context: Context, state: Picture) -> JSONResponse:
    if state.cluster is None:
        raise Unavailable("the cluster is being set up; try again in a moment")
    return JSONResponse(swarm_document(state.cluster, read_join_tokens(state.cluster, context.sealer)))


@router.post("/init")
@router.post("/join")
async def already_part() -> Response:
    raise Unavailable(
        'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.'
    )


@router.post("/leave")
async def leave() -> Response:
    raise Unavailable("a node leaves by its own command: run `swarmpy leave` on it")


@router.get("/unlockkey")
async def unlock_key() -> JSONResponse:
    """An empty key: managers are not locked."""
    return JSONResponse({"UnlockKey": ""})


@router.post("/unlock")
async def unlock() -> Response:
    raise Unavailable("this cluster is not locked")


@router.post("/update")
async def update_swarm(
    request: Request,
    context: Context,
    state: Picture,
    version: str | None = None,
    worker: Annotated[str | None, Query(alias="rotateWorkerToken")] = None,
    manager: Annotated[str | None, Query(alias="rotateManagerToken")] = None,
    unlock_key: Annotated[str | None, Query(alias="rotateManagerUnlockKey")] = None,
) -> Response:
    fresh = rotated(
        context.sealer,
        context.mint,
        worker=parse_flag("rotateWorkerToken", worker),
        manager=parse_flag("rotateManagerToken", manager),
    )
    if parse_flag("rotateManagerUnlockKey", unlock_key):
        raise Unsupported("rotateManagerUnlockKey: locking managers is not carried out")
    spec = await read_body(request, ClusterSpec)
    index, now = parse_version("swarm", version), context.clock.now()
    warnings: list[str] = []

    def admit() -> Admitted[Cluster]:
        if state.cluster is None:
            raise Unavailable("the cluster is being set up; try again in a moment")
        admitted = admit_cluster_update(state.cluster, spec, version=index, now=now, fresh_secrets=fresh)
        warnings[:] = services_beyond(state, state.cluster.spec, admitted.value.spec)
        return admitted

    await carry_out(context, admit)
    # Docker says nothing here, and its clients read nothing.
    return JSONResponse({"Warnings": warnings}) if warnings else Response()
