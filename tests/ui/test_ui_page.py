"""The operators' page in a real browser: it shows what runs, and why the rest does not, and follows the state."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect
from support.api import NODE_ID, Api, running_api
from support.builders import (
    T0,
    a_cluster,
    a_node,
    a_revision,
    a_service,
    a_task,
    a_template,
)

from manager.api.app import create_status_app
from manager.listening import HttpServer, listen_tcp
from manager.objects import Node, Reason, ReasonCode
from swarmpy.models.container import ContainerSpec
from swarmpy.models.node import NodeDescription, NodeSpec
from swarmpy.models.task import TaskSpec
from swarmpy.states import NodeState, Role, TaskState

pytestmark = pytest.mark.browser

SECRET = "hunter2"


class Shown:
    """A page open on a live cluster, and whatever the browser complained about."""

    def __init__(self, api: Api, page: Page, server: HttpServer) -> None:
        self.api = api
        self.page = page
        self.server = server
        self.complaints: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))


def the_manager() -> Node:
    return a_node(NODE_ID).model_copy(
        update={"spec": NodeSpec(role=Role.MANAGER), "description": NodeDescription(hostname="manager-1")}
    )


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-background-networking"]
        )
        yield launched
        await launched.close()


@pytest.fixture
async def shown(browser: Browser) -> AsyncIterator[Shown]:
    async with running_api() as api:
        await api.keep(a_cluster(), the_manager())
        listener = listen_tcp("127.0.0.1:0")
        server = HttpServer(create_status_app(api.context), [listener])
        serving = asyncio.create_task(server.run_until_stopped())
        page = await browser.new_page(base_url=address_of(listener))
        try:
            yield Shown(api, page, server)
        finally:
            await page.close()
            server.stop()
            await serving


def address_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"


async def deploy(api: Api) -> None:
    """One service that runs, one that waits for a node it will not get."""
    template = TaskSpec(container_spec=ContainerSpec(image="shop/web:1", env=(f"PASSWORD={SECRET}",)))
    web, batch = a_service("web", replicas=2, template=template), a_service("batch", template=a_template(image="b:2"))
    reason = Reason(
        code=ReasonCode.NO_NODE,
        text="no suitable node: 1 node lacks the label gpu",
        since=T0,
        nodes={NODE_ID: "constraint node.labels.gpu == 1 does not hold"},
    )
    await api.keep(
        web, batch, a_revision(web), a_revision(batch),
        a_task("w1", web, slot=1, node=NODE_ID), a_task("w2", web, slot=2, node=NODE_ID),
        a_task("b1", batch, node="", state=TaskState.PENDING, reason=reason),
    )  # fmt: skip


async def test_services_nodes_and_reasons_are_shown(shown: Shown) -> None:
    await deploy(shown.api)
    await shown.page.goto("/ui")

    web, batch = shown.page.locator("[data-service=web]"), shown.page.locator("[data-service=batch]")
    await expect(web).to_contain_text("2/2 healthy")
    await expect(web).to_contain_text("web.2")
    await expect(batch).to_contain_text("no suitable node: 1 node lacks the label gpu")
    await expect(batch).to_contain_text("manager-1 constraint node.labels.gpu == 1 does not hold")
    await expect(shown.page.get_by_role("table", name="Nodes of the cluster")).to_contain_text("manager-1")
    assert shown.complaints == []


async def test_no_environment_is_shown(shown: Shown) -> None:
    await deploy(shown.api)
    await shown.page.goto("/ui")
    assert SECRET not in await shown.page.content()
    assert SECRET not in (await shown.api.get("/status")).body.decode()


async def test_the_page_follows_the_state_by_itself(shown: Shown) -> None:
    await shown.page.goto("/ui")
    await expect(shown.page.get_by_text("No services yet.")).to_be_visible()

    await deploy(shown.api)
    await expect(shown.page.locator("[data-service=web]")).to_contain_text("2/2 healthy", timeout=10_000)

    await shown.api.keep(the_manager().model_copy(update={"state": NodeState.DOWN, "message": "heartbeat missed"}))
    await expect(shown.page.locator("[data-service=web]")).to_contain_text("0/2 healthy", timeout=10_000)
    await expect(shown.page.get_by_text("heartbeat missed")).to_be_visible()
    assert shown.complaints == []


async def test_lost_etcd_is_said_on_top_until_it_is_back(shown: Shown) -> None:
    await shown.api.lose_store()
    await shown.page.goto("/ui")
    await expect(shown.page.get_by_text("etcd has been away")).to_be_visible()
    await expect(shown.page.get_by_text("connection refused")).to_be_visible()

    await shown.api.find_store()
    await expect(shown.page.get_by_text("etcd has been away")).to_be_hidden(timeout=10_000)


async def test_a_manager_that_is_gone_is_said_to_be(shown: Shown) -> None:
    await shown.page.goto("/ui")
    await expect(shown.page.get_by_role("alert")).to_be_hidden()
    shown.server.stop()
    await expect(shown.page.get_by_role("alert")).to_contain_text("The manager does not answer", timeout=10_000)


async def test_the_page_fits_a_phone(shown: Shown) -> None:
    await deploy(shown.api)
    await shown.page.set_viewport_size({"width": 360, "height": 740})
    await shown.page.goto("/ui")
    overhang = await shown.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overhang == 0
