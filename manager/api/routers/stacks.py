"""/stacks, beyond Docker: services grouped by the label that `stack deploy` gives them."""

from fastapi import APIRouter
from starlette.responses import JSONResponse

from manager.api.dependencies import Picture
from manager.api.views.stacks import stack_documents

router = APIRouter(prefix="/stacks")


@router.get("")
async def list_stacks(state: Picture) -> JSONResponse:
    return JSONResponse(stack_documents(state))
