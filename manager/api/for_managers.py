"""What the leader answers to the other managers: the operators' API under a path of its own, for managers only.

One that does not lead says so and passes nothing on: a request travels once.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from manager.api.forwarding import MOUNT, NOT_LEADING_HEADER
from manager.api.problems import problem
from manager.ledger import Ledger
from manager.peer import peer_of
from swarmpy.membership import NOT_LEADING
from swarmpy.states import Role


class ForManagers:
    """`app` is the operators' own, without `ForwardToLeader` around it. It sees its paths as operators write them:
    a mount of the framework's would leave its own part in them, before the version."""

    def __init__(self, app: ASGIApp, ledger: Ledger) -> None:
        self._app = app
        self._ledger = ledger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        peer = peer_of(scope)
        if peer is None or peer.role is not Role.MANAGER:
            await problem(403, "only managers of this cluster may ask here")(scope, receive, send)
        elif not self._ledger.is_leading:
            refusal = problem(NOT_LEADING, "this manager does not lead the cluster")
            refusal.headers[NOT_LEADING_HEADER] = "1"
            await refusal(scope, receive, send)
        else:
            path = scope["path"].removeprefix(MOUNT)
            raw_path = scope["raw_path"].removeprefix(MOUNT.encode())
            await self._app({**scope, "path": path, "raw_path": raw_path, "root_path": ""}, receive, send)
