"""/ui: one page, rendered here, that fetches its own inside anew every two seconds."""

from datetime import datetime
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.staticfiles import StaticFiles

from manager.api.context import ApiContext
from manager.api.dependencies import Context, Kept
from manager.api.routers.status import read_networks, read_status
from manager.ui.rows import ServiceCard, Tone, service_cards
from swarmpy.states import NodeState

router = APIRouter()

_STATIC = Path(__file__).parent / "static"


def mount_files(app: FastAPI) -> None:
    app.mount("/ui/static", StaticFiles(directory=_STATIC))


@router.get("/", include_in_schema=False)
async def root() -> RedirectResponse:
    return RedirectResponse("/ui")


@router.get("/ui")
async def page(request: Request, context: Context) -> HTMLResponse:
    return await _rendered("page.html", request, context)


@router.get("/ui/live")
async def live(request: Request, context: Context) -> HTMLResponse:
    """The inside of the page; the rest of it never changes."""
    return await _rendered("live.html", request, context)


def elapsed(since: datetime, now: datetime) -> str:
    """`42 s`, `5 min`, `3 h`, `2 d`: how long ago, in one unit."""
    seconds = max(0, int((now - since).total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("manager.ui"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["elapsed"] = elapsed
    return environment


_TEMPLATES = _environment()


async def _rendered(template: str, request: Request, context: ApiContext) -> HTMLResponse:
    kept: Kept[list[ServiceCard]] = request.app.state.service_cards
    cards = await kept.of(context.ledger.state, service_cards)
    networks = await read_networks(request, context)
    status = read_status(context, [card.line for card in cards], networks)
    values = {
        "status": status,
        "cards": cards,
        "healthy_services": sum(card.tone is Tone.GOOD for card in cards),
        "ready_nodes": sum(node.state == NodeState.READY for node in status.nodes),
        "running_tasks": sum(card.line.running for card in cards),
        "desired_tasks": sum(card.line.desired for card in cards),
        "is_read": context.ledger.synced.is_set(),
        "now": context.clock.now(),
    }
    return HTMLResponse(_TEMPLATES.get_template(template).render(values), headers={"Cache-Control": "no-store"})
