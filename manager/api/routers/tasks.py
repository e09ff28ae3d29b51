"""/tasks, except their logs."""

from collections.abc import Iterable
from itertools import chain

from fastapi import APIRouter
from pydantic_core import to_json
from starlette.responses import JSONResponse, Response

from manager.api.dependencies import Picture, in_portions
from manager.api.filters import Filters, parse_filters
from manager.api.lookup import find_task
from manager.api.steps import each
from manager.api.views.tasks import TaskViews, full_name
from manager.objects import Node, Task
from manager.state import State

router = APIRouter(prefix="/tasks")

_FILTERS = ("id", "name", "label", "service", "node", "desired-state", "runtime", "_up-to-date")


@router.get("")
async def list_tasks(state: Picture, filters: str | None = None) -> Response:
    wanted, views = parse_filters(filters, _FILTERS), TaskViews(state)

    def document(task: Task) -> bytes:
        return to_json(views.document(task)) if _passes(task, state, wanted) else b""

    documents = await in_portions(each(tuple(_candidates(state, wanted)), document))
    return Response(b"[" + b",".join(filter(None, documents)) + b"]", media_type="application/json")


@router.get("/{wanted}")
async def inspect_task(wanted: str, state: Picture) -> JSONResponse:
    return JSONResponse(TaskViews(state).document(find_task(state, wanted)))


def _candidates(state: State, wanted: Filters) -> Iterable[Task]:
    """Of the services or nodes asked for, by name or id, else all: waiting clients ask for one service five times a
    second."""
    if wanted.get("service"):
        services = {state.named("services", text) or text for text in wanted.get("service")}
        return chain.from_iterable(state.tasks_of_service(service) for service in services)
    if wanted.get("node"):
        nodes = {node.id for node in state.nodes.values() if _is_node(node, wanted)}
        return chain.from_iterable(state.tasks_of_node(node) for node in nodes)
    return state.tasks.values()


def _passes(task: Task, state: State, wanted: Filters) -> bool:
    """Labels are those of the service."""
    service, node = state.services.get(task.service_id), state.nodes.get(task.node_id)
    return (
        (not wanted.get("node") or (node is not None and _is_node(node, wanted)))
        and wanted.passes_prefix("id", task.id)
        and wanted.passes_prefix("name", full_name(task))
        and wanted.passes("desired-state", task.desired_state.label)
        and wanted.passes("runtime", "container")
        and wanted.passes_labels("label", service.spec.labels if service else None)
        and wanted.passes_flag("_up-to-date", service is not None and task.spec_version == service.spec_version)
    )


def _is_node(node: Node, wanted: Filters) -> bool:
    return wanted.passes("node", node.id, node.description.hostname)
