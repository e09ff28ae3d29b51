"""The node's record as its agent's words change it, and what its agent is told of the node's place. Pure."""

from collections.abc import Iterable
from datetime import datetime
from ipaddress import IPv4Network

from manager.objects import Node, Repair
from manager.state import State
from swarmpy.errors import BadRequest
from swarmpy.models.node import NodeDescription
from swarmpy.states import NodeState, Role
from swarmpy.wire import Bearings, Described, Hello

_MOST_LABELS = 1000
_MOST_PLUGINS = 1000


def check_description(description: NodeDescription) -> None:
    """Raises `BadRequest` for one that no machine has: every manager keeps it in memory and in the store."""
    engine = description.engine
    for what, found, most in (
        ("labels", len(engine.labels or {}), _MOST_LABELS),
        ("plugins", len(engine.plugins or ()), _MOST_PLUGINS),
    ):
        if found > most:
            raise BadRequest(f"the engine of this node has {found} {what}, more than the {most} that are kept")


def check_routes(routes: Iterable[str]) -> None:
    """Raises `BadRequest` for what is no IPv4 subnet: every network is compared with it."""
    for route in routes:
        try:
            IPv4Network(route, strict=False)
        except ValueError as cause:
            raise BadRequest(f"the route {route!r} of this node is no IPv4 subnet: {cause}") from cause


def registered(known: Node, hello: Hello, now: datetime) -> Node | None:
    """The node, ready and as it describes itself; None when the record says so already."""
    back = known.state is not NodeState.READY
    return _changed(
        known,
        now,
        description=hello.description,
        volumes=hello.volumes,
        features=hello.features,
        routes=hello.routes,
        limits=hello.limits,
        wireguard_key=hello.wireguard_key,
        address=hello.address or known.address,
        state=NodeState.READY,
        message="",
        since=now if back else known.since,
    )


def door_of(node: Node | None) -> str:
    """Where the node is reached as a manager; empty when it is none."""
    return node.address if node is not None and node.is_manager else ""


def managers_of(state: State) -> tuple[str, ...]:
    """The doors of all managers."""
    return tuple(sorted(door for node in state.nodes.values() if (door := door_of(node))))


def bearings_of(state: State, node_id: str, managers: tuple[str, ...]) -> Bearings:
    """The role that the node is to have, and where managers are."""
    node = state.nodes.get(node_id)
    return Bearings(role=node.spec.role if node else Role.WORKER, managers=managers)


def described(known: Node | None, news: Described, now: datetime) -> Node | None:
    """The node with its new description and trouble, and what it mended; None when that is nothing new, or the node is
    gone."""
    if known is None:
        return None
    told = {name: getattr(news, name) for name in ("volumes", "features", "routes", "limits", "wireguard_key")}
    news_of: dict[str, object] = {name: value for name, value in told.items() if value is not None}
    if news.repaired:
        news_of["repaired"] = Repair(at=now, what=news.repaired)
    return _changed(known, now, description=news.description, message=news.trouble, **news_of)


def _changed(known: Node, now: datetime, **fields: object) -> Node | None:
    after = known.model_copy(update=fields)
    return None if after == known else after.model_copy(update={"updated_at": now})
