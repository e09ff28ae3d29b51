"""/nodes."""

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from manager.admission.node import admit_node_removal, admit_node_update
from manager.api.dependencies import Context, Picture, carry_out, parse_version
from manager.api.filters import Filters, parse_filters, parse_flag
from manager.api.lookup import find_node
from manager.api.problems import read_body
from manager.api.views.nodes import node_document
from manager.objects import Node
from swarmpy.models.node import NodeSpec

router = APIRouter(prefix="/nodes")

_FILTERS = ("id", "name", "label", "role", "membership", "node.label")


@router.get("")
async def list_nodes(state: Picture, filters: str | None = None) -> JSONResponse:
    wanted = parse_filters(filters, _FILTERS)
    nodes = (node for node in state.nodes.values() if _passes(node, wanted))
    return JSONResponse([node_document(node, state) for node in nodes])


@router.get("/{wanted}")
async def inspect_node(wanted: str, state: Picture) -> JSONResponse:
    return JSONResponse(node_document(find_node(state, wanted), state))


@router.post("/{wanted}/update")
async def update_node(
    wanted: str, request: Request, context: Context, state: Picture, version: str | None = None
) -> Response:
    spec = await read_body(request, NodeSpec)
    index, now = parse_version("node", version), context.clock.now()
    members = None
    if context.members is not None and find_node(state, wanted).spec.role is not spec.role:
        members = await context.members.members()
    await carry_out(
        context,
        lambda: admit_node_update(state, find_node(state, wanted), spec, version=index, now=now, members=members),
    )
    return Response()


@router.delete("/{wanted}")
async def remove_node(wanted: str, context: Context, state: Picture, force: str | None = None) -> Response:
    forced = parse_flag("force", force)
    await carry_out(context, lambda: admit_node_removal(find_node(state, wanted), force=forced))
    return Response()


def _passes(node: Node, wanted: Filters) -> bool:
    return (
        wanted.passes_prefix("id", node.id)
        and wanted.passes_prefix("name", node.description.hostname, node.spec.name)
        and wanted.passes("role", node.spec.role.value)
        and wanted.passes("membership", "accepted")
        and wanted.passes_labels("label", node.spec.labels)
        and wanted.passes_labels("node.label", node.spec.labels)
    )
