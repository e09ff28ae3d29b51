"""`swarmpy service pause|continue|rollback|revisions` as a process against the real API; the test plays the loop."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.api import Api
from support.builders import a_cluster, a_node, a_task
from support.served import served_api

from manager.objects import Service
from swarmpy.cli.awaited import is_changed
from swarmpy.client import Client
from swarmpy.models.service import UpdateState, UpdateStatus

IMAGES = ("web:1", "web:2", "web:3")


class Shell:
    def __init__(self, api: Api, socket: Path) -> None:
        self.api = api
        self.host = f"unix://{socket}"

    async def run(self, *words: str) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "swarmpy.cli", "-H", self.host, "service", *words, env=dict(os.environ),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), 30)
        return process.returncode or 0, out.decode(), err.decode()

    @property
    def service(self) -> Service:
        (service,) = self.api.state.services.values()
        return service

    async def wait_for_an_update(self) -> None:
        changes = self.api.ledger.subscribe()
        try:
            async with asyncio.timeout(30):
                while self.service.update is None:
                    await changes.wait()
                    changes.take()
        finally:
            self.api.ledger.unsubscribe(changes)

    async def stands(self, state: UpdateState) -> None:
        """The update, as the control loop would have it."""
        status = UpdateStatus(state=state, started_at=self.api.clock.now(), message="m")
        await self.api.keep(self.service.model_copy(update={"update": status}))

    async def all_run(self) -> None:
        service = self.service
        await self.api.keep(
            a_task(f"{service.id}-{service.spec_version}", service.id, version=service.spec_version, node="n1")
        )


@pytest.fixture
async def shell() -> AsyncIterator[Shell]:
    """A service of three wishes."""
    async with served_api() as (api, socket):
        await api.keep(a_cluster(), a_node("n1"))
        for image in IMAGES:
            wish = {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": image}}}
            known = list(api.state.services.values())
            if known:
                await api.post(f"/services/{known[0].id}/update", wish, version=known[0].version)
            else:
                await api.post("/services/create", wish)
        yield Shell(api, socket)


async def test_an_update_is_paused_and_continued_and_refusals_are_sentences(shell: Shell) -> None:
    code, _, err = await shell.run("pause", "web")
    assert (code, err) == (
        5,
        "swarmpy: service web: no update or rollback of it is under way; there is nothing to pause\n",
    )
    await shell.stands(UpdateState.UPDATING)
    assert (await shell.run("pause", "web"))[:2] == (0, "web\n")
    assert shell.service.update is not None
    assert (shell.service.update.state, shell.service.update.message) == (UpdateState.PAUSED, "paused by hand")

    assert (await shell.run("continue", "-d", "web"))[:2] == (0, "web\n")
    assert shell.service.update.state is UpdateState.UPDATING
    assert (await shell.run("continue", "web"))[0] == 5


async def test_revisions_are_listed_and_gone_back_to(shell: Shell) -> None:
    code, out, _ = await shell.run("revisions", "web")
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert [(row[0], row[-2]) for row in rows[1:]] == [("3", "web:3"), ("2", "web:2"), ("1", "web:1")]
    assert rows[1][1] == "*"
    assert " ago " in out
    lines = (await shell.run("revisions", "--format", "json", "web"))[1].splitlines()
    assert json.loads(lines[0])["Spec"]["Name"] == "web"

    assert (await shell.run("rollback", "-d", "--to", "1", "web"))[:2] == (0, "web\n")
    container = shell.service.spec.task_template.container_spec
    assert container is not None
    assert container.image == "web:1"
    code, _, err = await shell.run("rollback", "-d", "--to", "77", "web")
    assert (code, err) == (4, "swarmpy: service web has no revision 77; kept are 1, 2, 3, 4\n")


async def test_a_service_is_shown_for_people(shell: Shell) -> None:
    code, out, _ = await shell.run("inspect", "--pretty", "web")
    lines = out.splitlines()
    assert (code, lines[1:3]) == (0, ["Name: web", "Service Mode: replicated, 1 replica"])
    assert "  Image: web:3" in lines
    code, _, err = await shell.run("inspect", "--pretty", "--format", "json", "web")
    assert (code, err) == (2, "swarmpy: --pretty and --format json exclude each other\n")


async def test_an_update_that_changes_nothing_is_not_failed_by_a_rollback_before_it(shell: Shell) -> None:
    await shell.all_run()
    await shell.stands(UpdateState.ROLLBACK_COMPLETED)
    code, _, err = await shell.run("update", "--image", "web:3", "web")
    assert (code, err) == (0, "")


async def test_a_service_whose_update_is_paused_by_hand_is_scaled_and_that_is_no_failure(shell: Shell) -> None:
    await shell.run("update", "-d", "--update-monitor", "1ms", "web")
    await shell.stands(UpdateState.UPDATING)
    await shell.run("pause", "web")
    await shell.all_run()
    service = shell.service
    await shell.api.keep(a_task("former", service.id, slot=2, version=service.spec_version - 1, node="n1"))
    code, out, err = await shell.run("scale", "web=2")
    assert (code, err) == (
        0,
        "swarmpy: web: its update is still paused by hand; `swarmpy service continue web` takes it up again\n",
    )
    assert out.splitlines()[0] == "web scaled to 2"
    assert out.splitlines()[-1].startswith("web: 2/2 running")


async def test_what_the_loop_writes_meanwhile_is_no_new_wish(shell: Shell) -> None:
    with Client(shell.host) as client:
        before = await asyncio.to_thread(client.get, "/services/web")
        await shell.stands(UpdateState.ROLLBACK_COMPLETED)
        assert not await asyncio.to_thread(is_changed, client, before)
        await shell.run("update", "-d", "--label-add", "a=b", "web")
        assert await asyncio.to_thread(is_changed, client, before)


async def test_what_to_do_about_a_paused_update_is_said_in_commands(shell: Shell) -> None:
    await shell.stands(UpdateState.PAUSED)
    code, _, err = await shell.run("update", "--image", "web:3", "web")
    assert code == 1
    assert "`swarmpy service continue web`" in err


async def test_what_is_not_waited_for_is_said_where_no_script_reads(shell: Shell) -> None:
    assert await shell.run("update", "-d", "--image", "web:4", "web") == (
        0,
        "web\n",
        "not waited for; `swarmpy service ps web` shows how it gets on\n",
    )
    assert await shell.run("update", "-d", "-q", "--image", "web:5", "web") == (0, "web\n", "")


async def test_a_rollback_waits_until_it_is_over_and_that_is_no_failure(shell: Shell) -> None:
    rolling = asyncio.create_task(shell.run("rollback", "web"))
    await shell.wait_for_an_update()
    assert shell.service.update and shell.service.update.state is UpdateState.ROLLBACK_STARTED
    await shell.all_run()
    await shell.stands(UpdateState.ROLLBACK_COMPLETED)
    code, out, err = await rolling

    assert (code, err) == (0, "")
    assert out.startswith("web\n")


async def test_a_rollback_that_is_paused_is_a_failure(shell: Shell) -> None:
    rolling = asyncio.create_task(shell.run("rollback", "web"))
    await shell.wait_for_an_update()
    await shell.stands(UpdateState.ROLLBACK_PAUSED)
    code, _, err = await rolling

    assert code == 1
    assert "web failed: rollback paused: m" in err
