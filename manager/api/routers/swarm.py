"""/swarm: the cluster as a whole. Joining and tokens are refused by name until they exist."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from manager.admission.admitted import Admitted
from manager.admission.cluster import admit_cluster_update
from manager.api.dependencies import Context, Picture, carry_out, parse_version
from manager.api.filters import parse_flag
from manager.api.problems import read_body
from manager.objects import Cluster
from swarmpy.errors import Unavailable, Unsupported
from swarmpy.models.cluster import ClusterSpec

router = APIRouter(prefix="/swarm")

_JOINING = "join tokens: joining nodes to this cluster is not carried out yet"


@router.get("")
async def inspect_swarm() -> JSONResponse:
    """Its answer must hold join tokens; a made-up token would fail only when somebody uses it."""
    raise Unsupported(f"{_JOINING}; the rest of this answer is in /info, under Swarm.Cluster")


@router.post("/init")
@router.post("/join")
async def already_part() -> Response:
    raise Unavailable(
        'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.'
    )


@router.post("/leave")
async def leave() -> Response:
    raise Unavailable("this manager runs the cluster; stop it with the process that started it (swarmpy up)")


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
    if parse_flag("rotateWorkerToken", worker) or parse_flag("rotateManagerToken", manager):
        raise Unsupported(_JOINING)
    if parse_flag("rotateManagerUnlockKey", unlock_key):
        raise Unsupported("rotateManagerUnlockKey: locking managers is not carried out")
    spec = await read_body(request, ClusterSpec)
    index, now = parse_version("swarm", version), context.clock.now()

    def admit() -> Admitted[Cluster]:
        if state.cluster is None:
            raise Unavailable("the cluster is being set up; try again in a moment")
        return admit_cluster_update(state.cluster, spec, version=index, now=now)

    await carry_out(context, admit)
    return Response()
