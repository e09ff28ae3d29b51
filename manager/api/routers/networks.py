"""/networks: the cluster's overlay networks."""

from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from manager.admission.admitted import Admitted
from manager.admission.network import admit_network, admit_removal, unused_networks, warning_of
from manager.api.dependencies import Context, Picture, carry_out, in_portions
from manager.api.filters import Filters, parse_filters, parse_flag
from manager.api.lookup import find_network, visible_networks
from manager.api.problems import read_body
from manager.api.steps import Steps, each
from manager.api.views.network_life import containers, peers, services
from manager.api.views.network_usage import addresses_used, share_document, shares_of, usage_document, usage_of
from manager.api.views.networks import network_document
from manager.objects import Network
from manager.state import State
from swarmpy.errors import InUse, NotFound, Unsupported
from swarmpy.models.network import NetworkCreate

router = APIRouter(prefix="/networks")

_FILTERS = ("id", "name", "driver", "scope", "type", "label", "dangling")


@router.get("")
async def list_networks(state: Picture, filters: str | None = None, usage: str | None = None) -> JSONResponse:
    """With `usage`, which is ours, also how many addresses are used."""
    wanted, with_usage = parse_filters(filters, _FILTERS), parse_flag("usage", usage)
    used = _used_networks(state)
    networks = [network for network in visible_networks(state) if _passes(network, wanted, network.id in used)]
    return JSONResponse(await in_portions(_listed(networks, state, with_usage=with_usage)))


@router.get("/{wanted}")
async def inspect_network(
    wanted: str, context: Context, state: Picture, verbose: str | None = None, scope: str | None = None
) -> JSONResponse:
    """`Usage` is ours: how many addresses are used, and where."""
    is_verbose = parse_flag("verbose", verbose)
    network = find_network(state, wanted)
    if scope not in (None, "", "swarm"):
        raise NotFound(f"network {wanted} not found in the scope {scope}")
    shown: dict[str, Any] = {
        "Containers": containers(network, state, context.settings.node_id) or None,
        "Peers": [peer.to_docker() for peer in peers(network, state)],
    }
    if is_verbose:
        shown["Services"] = services(network, state)
    used = await in_portions(addresses_used(state))
    usage = usage_document(usage_of(network, used, state))
    shares = [share_document(share) for share in shares_of(network, used, state)]
    return JSONResponse(network_document(network) | shown | {"Usage": usage | {"Nodes": shares}})


@router.post("/create")
async def create_network(request: Request, context: Context, state: Picture) -> JSONResponse:
    wish = await read_body(request, NetworkCreate)

    network_id, now = context.mint(), context.clock.now()
    network = await carry_out(context, lambda: admit_network(state, wish, network_id=network_id, now=now))
    return JSONResponse({"Id": network_id, "Warning": warning_of(state, network)}, status_code=201)


@router.post("/prune")
async def prune_networks(context: Context, state: Picture, filters: str | None = None) -> JSONResponse:
    """Remove those that nothing uses. One that somebody begins to use meanwhile is left alone."""
    wanted = parse_filters(filters, ("label", "label!", "until"))
    if wanted.get("until"):
        raise Unsupported("filter until: networks are pruned by label and by use alone")
    now, removed = context.clock.now(), []
    for network in [network for network in unused_networks(state) if _is_pruned(network, wanted)]:
        try:
            await carry_out(context, partial(_removal, state, network.id, now))
        except (InUse, NotFound):
            continue
        removed.append(network.spec.name)
    return JSONResponse({"NetworksDeleted": removed or None})


def _is_pruned(network: Network, wanted: Filters) -> bool:
    labels = network.spec.labels
    kept = Filters({"label": wanted.get("label!")})
    return wanted.passes_labels("label", labels) and not (kept.get("label") and kept.passes_labels("label", labels))


def _removal(state: State, network_id: str, now: datetime) -> Admitted[Network]:
    return admit_removal(state, find_network(state, network_id), now=now)


@router.delete("/{wanted}")
async def remove_network(wanted: str, context: Context, state: Picture) -> Response:
    now = context.clock.now()
    await carry_out(context, lambda: admit_removal(state, find_network(state, wanted), now=now))
    return Response(status_code=204)


def _listed(networks: Iterable[Network], state: State, *, with_usage: bool) -> Steps[list[dict[str, Any]]]:
    if not with_usage:
        return (yield from each(networks, network_document))
    used = yield from addresses_used(state)
    return (
        yield from each(
            networks,
            lambda network: network_document(network) | {"Usage": usage_document(usage_of(network, used, state))},
        )
    )


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
