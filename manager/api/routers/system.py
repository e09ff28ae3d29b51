"""/_ping, /version, /info, /system/df: who is there, and what it can do."""

from fastapi import APIRouter
from starlette.responses import JSONResponse, PlainTextResponse, Response

from manager.api.dependencies import Context, Picture
from manager.api.views.cluster import info_document, version_document

router = APIRouter()


@router.api_route("/_ping", methods=["GET", "HEAD"])
async def ping() -> Response:
    """Answers in every state of the cluster: clients ask it before anything else."""
    return PlainTextResponse(
        "OK", headers={"Swarm": "active/manager", "Cache-Control": "no-cache, no-store, must-revalidate"}
    )


@router.get("/version")
async def version() -> JSONResponse:
    return JSONResponse(version_document())


@router.get("/info")
async def info(context: Context, state: Picture) -> JSONResponse:
    settings = context.settings
    return JSONResponse(info_document(state, node_id=settings.node_id, hostname=settings.hostname))


@router.get("/system/df")
async def disk_usage() -> JSONResponse:
    """The manager itself holds no images and volumes; those are on the nodes."""
    return JSONResponse({"LayersSize": 0, "Images": [], "Containers": [], "Volumes": [], "BuildCache": []})
