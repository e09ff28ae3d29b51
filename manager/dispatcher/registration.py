"""The node's record as its agent's words change it: on registration, and when its description changes. Pure."""

from datetime import datetime

from manager.objects import Node
from swarmpy.models.node import NodeSpec
from swarmpy.states import NodeState, Role
from swarmpy.wire import Described, Hello


def registered(known: Node | None, hello: Hello, role: Role, now: datetime) -> Node | None:
    """The node, ready and as it describes itself; None when the record says so already."""
    if known is None:
        return Node(
            id=hello.node_id,
            created_at=now,
            updated_at=now,
            spec=NodeSpec(role=role),
            description=hello.description,
            state=NodeState.READY,
            since=now,
            addr=hello.addr,
        )
    back = known.state is not NodeState.READY
    return _changed(
        known,
        now,
        description=hello.description,
        addr=hello.addr,
        state=NodeState.READY,
        message="",
        since=now if back else known.since,
    )


def described(known: Node | None, news: Described, now: datetime) -> Node | None:
    """The node with its new description and trouble; None when that is nothing new, or the node is gone."""
    return _changed(known, now, description=news.description, message=news.trouble) if known is not None else None


def _changed(known: Node, now: datetime, **fields: object) -> Node | None:
    after = known.model_copy(update=fields)
    return None if after == known else after.model_copy(update={"updated_at": now})
