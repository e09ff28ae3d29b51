"""/secrets and /configs: none can be made yet, so lists are empty and every name is unknown."""

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from manager.api.filters import parse_filters
from swarmpy.errors import NotFound, Unsupported

_FILTERS = ("id", "name", "names", "label")


def _router(kind: str) -> APIRouter:
    router = APIRouter(prefix=f"/{kind}s")

    @router.get("")
    async def list_all(filters: str | None = None) -> JSONResponse:
        parse_filters(filters, _FILTERS)
        return JSONResponse([])

    @router.post("/create")
    async def create() -> Response:
        raise Unsupported(f"{kind}s are not carried out yet")

    @router.get("/{wanted}")
    @router.delete("/{wanted}")
    @router.post("/{wanted}/update")
    async def one(wanted: str) -> Response:
        raise NotFound(f"{kind} {wanted} not found")

    return router


secrets = _router("secret")
configs = _router("config")
