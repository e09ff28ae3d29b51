"""Finding one object by what a person typed: its id, else its name, else the beginning of its id. Pure."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from manager.admission.secret import Kept, Kind
from manager.objects import Network, Node, Object, Service, Task
from manager.state import State
from swarmpy.errors import BadRequest, NotFound

Found = TypeVar("Found", bound=Object)


def find_service(state: State, wanted: str) -> Service:
    """Raises `NotFound`, or `BadRequest` when several ids begin so. A service being removed is not found."""
    named = _named(state.services, state.named("services", wanted))
    return _find("service", wanted, visible_services(state), state.services.get(wanted), named)


def find_network(state: State, wanted: str) -> Network:
    named = _named(state.networks, state.named("networks", wanted))
    return _find("network", wanted, visible_networks(state), state.networks.get(wanted), named)


def find_node(state: State, wanted: str) -> Node:
    named = [node for node in state.nodes.values() if node.description.hostname == wanted]
    return _find("node", wanted, state.nodes.values(), state.nodes.get(wanted), named)


def find_kept(state: State, kind: Kind[Kept], wanted: str) -> Kept:
    """A secret or a config."""
    table = kind.table(state)
    return _find(kind.word, wanted, table.values(), table.get(wanted), _named(table, state.named(kind.plural, wanted)))


def find_task(state: State, wanted: str) -> Task:
    return _find("task", wanted, state.tasks.values(), state.tasks.get(wanted), ())


def visible_services(state: State) -> list[Service]:
    return [service for service in state.services.values() if not service.removed]


def visible_networks(state: State) -> list[Network]:
    return [network for network in state.networks.values() if not network.removed]


def _named(table: Mapping[str, Found], object_id: str | None) -> tuple[Found, ...]:
    """The name's key may be seen a moment before its object."""
    return (table[object_id],) if object_id is not None and object_id in table else ()


def _find(kind: str, wanted: str, everything: Iterable[Found], exact: Found | None, named: Iterable[Found]) -> Found:
    if exact is not None and not getattr(exact, "removed", False):
        return exact
    matches = list(named) or [item for item in everything if item.id.startswith(wanted)]
    if not matches:
        raise NotFound(f"{kind} {wanted} not found")
    if len(matches) > 1:
        raise BadRequest(f"{kind} {wanted} is ambiguous ({len(matches)} matches found)")
    return matches[0]
