"""The two apps: everything, for the operators' socket; and the read-only page, for loopback TCP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.types import Lifespan

from manager.api.context import ApiContext
from manager.api.dependencies import Kept
from manager.api.journal import Journal
from manager.api.problems import install_problems
from manager.api.routers import events, local, logs, networks, nodes, secrets, services, stacks, swarm, system, tasks
from manager.api.routers import status as status_routes
from manager.api.transport import DockerTransport, LoopbackOnly
from manager.ui import page

_RESOURCES = (
    system.router,
    swarm.router,
    nodes.router,
    services.router,
    tasks.router,
    logs.router,
    networks.router,
    secrets.secrets,
    secrets.configs,
    events.router,
    stacks.router,
    status_routes.router,
    page.router,
    local.router,
)


def create_app(context: ApiContext) -> FastAPI:
    """Docker's API, ours, and the page. Its lifespan keeps the journal of events; serve it with lifespan on."""
    journal = Journal(context.ledger, context.clock)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with journal.kept():
            yield

    app = _bare_app(context, lifespan=lifespan)
    app.state.journal = journal
    for router in _RESOURCES:
        app.include_router(router)
    page.mount_files(app)
    app.add_middleware(DockerTransport, ledger=context.ledger)
    return app


def create_status_app(context: ApiContext) -> FastAPI:
    """/ui, /status, /healthz, /readyz and nothing else: no request changes anything."""
    app = _bare_app(context)
    app.include_router(status_routes.router)
    app.include_router(page.router)
    page.mount_files(app)
    app.add_middleware(LoopbackOnly, ledger=context.ledger)
    return app


def _bare_app(context: ApiContext, lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """Without FastAPI's own documentation pages, which load scripts from elsewhere."""
    app = FastAPI(
        title="swarmpy", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, lifespan=lifespan
    )
    app.state.context = context
    app.state.service_lines, app.state.service_cards, app.state.network_lines = Kept(), Kept(), Kept()
    install_problems(app)
    return app
