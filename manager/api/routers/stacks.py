"""/stacks, beyond Docker: services grouped by the label that `stack deploy` gives them, and what was deployed when."""

from contextlib import suppress

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from manager.admission.check import KEPT, MODELS, Intended, Rehearsal
from manager.admission.stack import admit_forgetting, admit_outcome, admit_revision, find_revision, revisions_of
from manager.api.context import ApiContext
from manager.api.dependencies import Context, Picture, carry_out, in_portions
from manager.api.problems import parse_object, read_body
from manager.api.routers.secrets import has_same_data
from manager.api.steps import each
from manager.api.views.stacks import revision_document, revision_lines, stack_documents
from manager.state import State
from swarmpy.container_values import is_number_within
from swarmpy.errors import BadRequest, NotFound
from swarmpy.models.config import ConfigSpec
from swarmpy.models.secret import SecretSpec
from swarmpy.models.stack import IntendedWrite, StackCheck, StackFault, StackOutcome, StackWish
from swarmpy.shown import shown
from swarmpy.stack.names import fault_of_name

_HIGHEST = 2**63 - 1

router = APIRouter(prefix="/stacks")


@router.get("")
async def list_stacks(state: Picture) -> JSONResponse:
    return JSONResponse(stack_documents(state))


@router.get("/{name}/revisions")
async def list_revisions(name: str, state: Picture) -> JSONResponse:
    """Newest first; empty for a stack that nobody deployed."""
    return JSONResponse(await in_portions(revision_lines(state, tuple(reversed(revisions_of(state, name))))))


@router.get("/{name}/revisions/{number}")
async def inspect_revision(name: str, number: str, state: Picture) -> JSONResponse:
    return JSONResponse(revision_document(find_revision(state, name, _parsed(number))))


@router.post("/{name}/revisions/{number}/outcome")
async def tell_outcome(name: str, number: str, request: Request, context: Context, state: Picture) -> Response:
    """How the deployment ended, told by who waited for it."""
    outcome = await read_body(request, StackOutcome)
    wanted, now = _parsed(number), context.clock.now()
    await carry_out(context, lambda: admit_outcome(state, name, wanted, outcome, now=now))
    return Response()


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


@router.post("/{name}/check")
async def check_stack(name: str, request: Request, context: Context, state: Picture) -> JSONResponse:
    """What of a deployment would be refused, were it sent now: all of it, and nothing is written."""
    if (wrong := fault_of_name(name)) is not None:
        raise BadRequest(f"stack name {wrong}")
    check = await read_body(request, StackCheck)
    rehearsal = Rehearsal(state, context.clock.now())

    def fault(write: IntendedWrite) -> StackFault | None:
        refusal = rehearsal.refusal(write.kind, write.name, lambda: _intended(context, state, write))
        if refusal is None:
            return None
        return StackFault(kind=write.kind, name=write.name, message=str(refusal), status=refusal.http_status)

    found = await in_portions(each(check.writes, fault))
    return JSONResponse([fault.to_docker() for fault in found if fault is not None])


def _intended(context: ApiContext, state: State, write: IntendedWrite) -> Intended:
    """Raises `BadRequest` that names the field at fault, as the write itself would."""
    wish = parse_object(write.spec, MODELS[write.kind])
    same_data = True
    if isinstance(wish, SecretSpec | ConfigSpec) and write.id:
        kind = KEPT[write.kind]
        known = kind.table(state).get(write.id)
        same_data = known is None or has_same_data(context, kind, wish, known)
    return Intended(write.kind, write.name, wish, write.id, write.version, write.size, same_data)


def _parsed(number: str) -> int:
    if not is_number_within(number, 0, _HIGHEST):
        raise BadRequest(f"revision {shown(number)} is no number")
    return int(number)
