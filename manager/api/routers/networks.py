"""/networks: the cluster's overlay networks."""

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from manager.admission.network import admit_network, admit_removal
from manager.api.dependencies import Context, Picture, carry_out
from manager.api.filters import Filters, parse_filters
from manager.api.lookup import find_network, visible_networks
from manager.api.problems import read_body
from manager.api.views.networks import network_document
from manager.objects import Network
from manager.state import State
from swarmpy.models.network import NetworkCreate

router = APIRouter(prefix="/networks")

_FILTERS = ("id", "name", "driver", "scope", "type", "label", "dangling")


@router.get("")
async def list_networks(state: Picture, filters: str | None = None) -> JSONResponse:
    wanted = parse_filters(filters, _FILTERS)
    used = _used_networks(state)
    networks = (network for network in visible_networks(state) if _passes(network, wanted, network.id in used))
    return JSONResponse([network_document(network) for network in networks])


@router.get("/{wanted}")
async def inspect_network(wanted: str, state: Picture) -> JSONResponse:
    return JSONResponse(network_document(find_network(state, wanted)))


@router.post("/create")
async def create_network(request: Request, context: Context, state: Picture) -> JSONResponse:
    wish = await read_body(request, NetworkCreate)

    network_id, now = context.mint(), context.clock.now()
    await carry_out(context, lambda: admit_network(state, wish, network_id=network_id, now=now))
    return JSONResponse({"Id": network_id, "Warning": ""}, status_code=201)


@router.delete("/{wanted}")
async def remove_network(wanted: str, context: Context, state: Picture) -> Response:
    now = context.clock.now()
    await carry_out(context, lambda: admit_removal(state, find_network(state, wanted), now=now))
    return Response(status_code=204)


def _used_networks(state: State) -> set[str]:
    return {joined.network_id for task in state.tasks.values() for joined in task.networks}


def _passes(network: Network, wanted: Filters, used: bool) -> bool:
    return (
        wanted.passes_prefix("id", network.id)
        and wanted.passes_part("name", network.spec.name)
        and wanted.passes("driver", "overlay")
        and wanted.passes("scope", "swarm")
        and wanted.passes("type", "custom")
        and wanted.passes_labels("label", network.spec.labels)
        and wanted.passes_flag("dangling", not used)
    )
