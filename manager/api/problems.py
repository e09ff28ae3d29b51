"""Errors as Docker's clients read them: `{"message": "one sentence"}` with the right status."""

from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from swarmpy.errors import IN_USE, BadRequest, InUse, SwarmpyError
from swarmpy.limits import LARGEST_BODY
from swarmpy.logs import logger

log = logger("api")

Model = TypeVar("Model", bound=BaseModel)

# pydantic's word for a kind of error -> ours.
_WORDS = {
    "extra_forbidden": "is not a known field",
    "missing": "is required",
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
}


def problem(status: int, message: str, **more: str) -> JSONResponse:
    return JSONResponse({"message": message, **more}, status_code=status)


def install_problems(app: FastAPI) -> None:
    app.add_exception_handler(SwarmpyError, _on_known)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(ClientDisconnect, _on_gone)
    app.add_exception_handler(Exception, _on_unknown)


async def _on_known(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SwarmpyError)
    # Docker's status for it means a wish that is wrong as well; our own command line tells the two apart.
    return problem(error.http_status, str(error), **({"reason": IN_USE} if isinstance(error, InUse) else {}))


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    """No such path, or no such method on it: Docker answers both alike."""
    assert isinstance(error, HTTPException)
    return (
        problem(404, "page not found") if error.status_code in (404, 405) else problem(error.status_code, error.detail)
    )


async def _on_gone(request: Request, error: Exception) -> JSONResponse:
    """Nobody reads it: the client hung up before its request was whole, which is its good right."""
    return problem(400, "the request ended before its body was whole")


async def _on_unknown(request: Request, error: Exception) -> JSONResponse:
    log.error("request.failed", method=request.method, path=request.url.path, error=repr(error))
    return problem(500, f"swarmpy failed at {request.method} {request.url.path}; its log says why")


def too_large() -> BadRequest:
    return BadRequest(f"the request's body is larger than {LARGEST_BODY >> 20} MiB, more than any object may be")


async def read_body(request: Request, model: type[Model]) -> Model:
    """The request's JSON as a document. Raises `BadRequest` that names the field at fault."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > LARGEST_BODY:
            raise too_large()
    if not raw:
        raise BadRequest("the request has no body; send JSON")
    return parse_document(bytes(raw), model)


def parse_document(raw: bytes, model: type[Model]) -> Model:
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise BadRequest(describe(error)) from error


def parse_object(value: dict[str, Any], model: type[Model]) -> Model:
    """The same of what was JSON, and is read already."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise BadRequest(describe(error)) from error


def describe(error: ValidationError) -> str:
    """The first fault as `Field.Path[0] must be ...`, and how many more there are."""
    faults = error.errors(include_url=False)
    first = _sentence(faults[0])
    return first if len(faults) == 1 else f"{first} (and {len(faults) - 1} more)"


def _sentence(fault: ErrorDetails) -> str:
    kind, where = fault["type"], path_of(fault["loc"])
    if kind == "json_invalid":
        return f"the body is no valid JSON: {fault['ctx']['error']}"
    words = _WORDS.get(kind)
    if words is None:
        words = fault["msg"].replace("Input should be", "must be").replace("Value error, ", "")
    return f"{where or 'the body'} {words}"


def path_of(location: tuple[Any, ...]) -> str:
    """`("Mounts", 0, "Type")` -> `Mounts[0].Type`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
