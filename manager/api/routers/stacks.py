"""/stacks, beyond Docker: services grouped by the label that `stack deploy` gives them, and what was deployed when."""

from contextlib import suppress

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from manager.admission.stack import admit_forgetting, admit_revision, find_revision, revisions_of
from manager.api.dependencies import Context, Picture, carry_out
from manager.api.filters import shortened
from manager.api.problems import read_body
from manager.api.views.stacks import revision_document, revision_line, stack_documents
from swarmpy.errors import BadRequest, NotFound
from swarmpy.models.stack import StackWish

router = APIRouter(prefix="/stacks")


@router.get("")
async def list_stacks(state: Picture) -> JSONResponse:
    return JSONResponse(stack_documents(state))


@router.get("/{name}/revisions")
async def list_revisions(name: str, state: Picture) -> JSONResponse:
    """Newest first; empty for a stack that nobody deployed."""
    return JSONResponse([revision_line(revision) for revision in reversed(revisions_of(state, name))])


@router.get("/{name}/revisions/{number}")
async def inspect_revision(name: str, number: str, state: Picture) -> JSONResponse:
    if not number.isdecimal():
        raise BadRequest(f"revision {shortened(number)} is no number")
    return JSONResponse(revision_document(find_revision(state, name, int(number))))


@router.post("/{name}/revisions")
async def create_revision(name: str, request: Request, context: Context, state: Picture) -> JSONResponse:
    """Answers the revision's number, also when it is the newest already."""
    wish = await read_body(request, StackWish)
    now = context.clock.now()
    revision = await carry_out(context, lambda: admit_revision(state, name, wish, now=now))
    return JSONResponse({"Number": revision.number}, status_code=201)


@router.delete("/{name}/revisions")
async def forget_revisions(name: str, context: Context, state: Picture) -> Response:
    with suppress(NotFound):
        await carry_out(context, lambda: admit_forgetting(state, name))
    return Response(status_code=204)
