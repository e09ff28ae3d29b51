"""What belongs to one engine, not to the cluster: containers, images, volumes, plugins.

`docker inspect NAME` asks for each of them before it asks for services, so it must hear a plain no.
"""

from fastapi import APIRouter
from starlette.responses import JSONResponse

from swarmpy.errors import NotFound

router = APIRouter()


@router.get("/containers/json")
@router.get("/images/json")
@router.get("/plugins")
async def nothing() -> JSONResponse:
    return JSONResponse([])


@router.get("/volumes")
async def no_volumes() -> JSONResponse:
    return JSONResponse({"Volumes": [], "Warnings": None})


@router.get("/containers/{name}/json")
async def container(name: str) -> JSONResponse:
    raise NotFound(f"No such container: {name}")


@router.get("/images/{name:path}/json")
async def image(name: str) -> JSONResponse:
    raise NotFound(f"No such image: {name}")


@router.get("/volumes/{name}")
async def volume(name: str) -> JSONResponse:
    raise NotFound(f"get {name}: no such volume")


@router.get("/plugins/{name:path}/json")
async def plugin(name: str) -> JSONResponse:
    raise NotFound(f"plugin {name!r} not found")


@router.get("/distribution/{image:path}/json")
async def distribution(image: str) -> JSONResponse:
    """No registry is asked from here; clients then keep the tag as it was written, and the agents pull it."""
    raise NotFound(f"no digest of {image} is known to the manager; the nodes resolve the tag when they pull")
