"""/secrets and /configs: the same paths twice. The data of a config are answered, those of a secret never."""

import base64
import hmac
from collections.abc import Callable
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from manager.admission.secret import CONFIG, SECRET, Kept, Kind, admit_creation, admit_labels, admit_removal, read_data
from manager.api.context import ApiContext
from manager.api.dependencies import Context, Picture, carry_out, in_portions, parse_version
from manager.api.filters import Filters, parse_filters
from manager.api.lookup import find_kept
from manager.api.problems import read_body
from manager.api.steps import each
from manager.api.views.secrets import config_document, secret_document
from manager.objects import Config, Secret
from swarmpy.errors import Unavailable
from swarmpy.models.config import ConfigSpec
from swarmpy.models.secret import SecretSpec

_FILTERS = ("id", "name", "names", "label")


def _shown_secret(context: ApiContext, secret: Secret) -> dict[str, Any]:
    return secret_document(secret)


def _shown_config(context: ApiContext, config: Config) -> dict[str, Any]:
    return config_document(config, base64.b64encode(context.sealer.unseal(config.sealed)).decode())


def _listed_config(context: ApiContext, config: Config) -> dict[str, Any]:
    """One that cannot be read is listed without its data: inspecting it says why, and the others are listed, too."""
    try:
        return _shown_config(context, config)
    except Unavailable:
        return config_document(config, None)


def _router(
    kind: Kind[Kept],
    wished: type[SecretSpec] | type[ConfigSpec],
    shown: Callable[[ApiContext, Kept], dict[str, Any]],
    listed: Callable[[ApiContext, Kept], dict[str, Any]],
) -> APIRouter:
    """`shown` makes the document of one, and `listed` that of one among others."""
    router = APIRouter(prefix=f"/{kind.plural}")

    @router.get("")
    async def list_all(context: Context, state: Picture, filters: str | None = None) -> JSONResponse:
        wanted = parse_filters(filters, _FILTERS)
        found = tuple(kept for kept in kind.table(state).values() if _passes(kept, wanted))
        # Some are large, and decrypting them all at once would keep everybody waiting.
        return JSONResponse(await in_portions(each(found, partial(listed, context))))

    @router.post("/create")
    async def create(request: Request, context: Context, state: Picture) -> JSONResponse:
        wish = await read_body(request, wished)
        object_id, now, sealed = context.mint(), context.clock.now(), _sealed(context, kind, wish)
        await carry_out(context, lambda: admit_creation(state, kind, wish, sealed=sealed, object_id=object_id, now=now))
        return JSONResponse({"ID": object_id}, status_code=201)

    @router.get("/{wanted}")
    async def inspect(wanted: str, context: Context, state: Picture) -> JSONResponse:
        return JSONResponse(shown(context, find_kept(state, kind, wanted)))

    @router.post("/{wanted}/update")
    async def update(
        wanted: str, request: Request, context: Context, state: Picture, version: str | None = None
    ) -> Response:
        wish, index = await read_body(request, wished), parse_version(kind.word, version)
        now, same = context.clock.now(), has_same_data(context, kind, wish, find_kept(state, kind, wanted))
        await carry_out(
            context,
            lambda: admit_labels(find_kept(state, kind, wanted), wish, same_data=same, version=index, now=now),
        )
        return Response()

    @router.delete("/{wanted}")
    async def remove(wanted: str, context: Context, state: Picture) -> Response:
        await carry_out(context, lambda: admit_removal(state, kind, find_kept(state, kind, wanted)))
        return Response(status_code=204)

    return router


def _sealed(context: ApiContext, kind: Kind[Kept], wish: SecretSpec | ConfigSpec) -> str:
    """What is refused for another reason is refused for that one: a driver's secret has no data."""
    data = b"" if isinstance(wish, SecretSpec) and wish.driver is not None else read_data(kind, wish)
    return context.sealer.seal(data)


def has_same_data(context: ApiContext, kind: Kind[Kept], wish: SecretSpec | ConfigSpec, known: Kept) -> bool:
    if not wish.data:
        return True
    return hmac.compare_digest(context.sealer.unseal(known.sealed), read_data(kind, wish))


def _passes(kept: Secret | Config, wanted: Filters) -> bool:
    return (
        wanted.passes_prefix("id", kept.id)
        and wanted.passes_prefix("name", kept.spec.name)
        and wanted.passes("names", kept.spec.name)
        and wanted.passes_labels("label", kept.spec.labels)
    )


secrets = _router(SECRET, SecretSpec, _shown_secret, _shown_secret)
configs = _router(CONFIG, ConfigSpec, _shown_config, _listed_config)
