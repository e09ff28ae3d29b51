"""`swarmpy network` as a process, against the real API on a unix socket."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator

import pytest
from support.api import NODE_ID
from support.builders import a_cluster
from support.picture import a_network, a_node, a_service, a_task, a_template
from support.served import Said, served_api

from manager.objects import NodeSubnet
from swarmpy.models.task import NetworkAttachmentConfig

LIMIT = 30


class Shell:
    def __init__(self, host: str) -> None:
        self._host = host

    async def run(self, *words: str, stdin: bytes = b"") -> Said:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "swarmpy.cli", "network", *words, env={**os.environ, "SWARMPY_HOST": self._host},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(LIMIT):
            out, err = await process.communicate(stdin)
        return Said(process.returncode or 0, out.decode(), err.decode())

    async def ok(self, *words: str, stdin: bytes = b"") -> str:
        said = await self.run(*words, stdin=stdin)
        assert said.code == 0, said.err
        return said.out


@pytest.fixture
async def shell() -> AsyncIterator[Shell]:
    """With a network that a task is on."""
    share = NodeSubnet(node_id=NODE_ID, subnet="10.0.1.0/28", gateway="10.0.1.1")
    front = a_network("front").model_copy(update={"subnet": "10.0.0.0/16", "node_subnets": (share,)})
    web = a_service(template=a_template(networks=(NetworkAttachmentConfig(target="front"),)))
    async with served_api() as (api, socket):
        await api.keep(a_cluster(), a_node(NODE_ID), front, web, a_task(node=NODE_ID, networks=("front",)))
        yield Shell(f"unix://{socket}")


async def test_a_network_is_made_with_docker_s_flags(shell: Shell) -> None:
    made = await shell.ok(
        "create", "-d", "overlay", "--subnet", "10.9.0.0/16", "--ip-range", "10.9.8.0/21", "--gateway", "10.9.0.9",
        "--attachable", "--internal", "-o", "com.docker.network.driver.mtu=1300", "-l", "team=a", "back",
    )  # fmt: skip
    (shown,) = json.loads(await shell.ok("inspect", "back"))

    assert shown["Id"] == made.strip()
    assert (shown["Attachable"], shown["Internal"], shown["Ingress"]) == (True, True, False)
    assert shown["Options"] == {"com.docker.network.driver.mtu": "1300"}
    assert shown["Labels"] == {"team": "a"}
    assert [config["Subnet"] for config in shown["IPAM"]["Config"]] == ["10.9.0.0/16"]


async def test_what_lies_in_a_subnet_needs_one(shell: Shell) -> None:
    said = await shell.run("create", "--gateway", "10.9.0.9", "back")

    assert (said.code, "name it with --subnet" in said.err) == (2, True)


@pytest.mark.parametrize("option", ["--subnet", "--ip-range", "--gateway"])
async def test_an_empty_text_is_no_range(shell: Shell, option: str) -> None:
    said = await shell.run("create", "--subnet", "10.9.0.0/16", option, "", "back")

    assert (said.code, f"{option} is empty" in said.err) == (2, True)


async def test_a_network_has_one_subnet(shell: Shell) -> None:
    said = await shell.run("create", "--subnet", "10.9.0.0/16", "--subnet", "10.10.0.0/16", "back")

    assert (said.code, "a network has one subnet, not 2" in said.err) == (2, True)


async def test_what_a_network_has_no_room_for_is_told_when_it_is_made() -> None:
    async with served_api() as (api, socket):
        await api.keep(a_cluster(), a_node(NODE_ID), a_node("other"))
        said = await Shell(f"unix://{socket}").run("create", "--subnet", "10.9.0.0/28", "narrow")

    assert (said.code, said.err.startswith("warning: network narrow: 10.9.0.0/28 has room")) == (0, True), said.err


@pytest.mark.parametrize("words", [("inspect", ""), ("rm", "")])
async def test_an_empty_name_is_no_name(shell: Shell, words: tuple[str, ...]) -> None:
    said = await shell.run(*words)

    assert (said.code, said.err) == (2, "swarmpy: '' is the name of no network; give its name or its id\n")


async def test_the_list_tells_how_many_addresses_are_used(shell: Shell) -> None:
    heading, row = (await shell.ok("ls")).splitlines()

    assert heading.endswith("   ADDRESSES")
    assert row.split() == ["front", "front", "overlay", "swarm", "10.0.0.0/16", "1/13"]
    assert json.loads(await shell.ok("ls", "--format", "json"))["Used"] == "1/13"
    assert await shell.ok("ls", "-q", "-f", "name=other") == ""


async def test_a_network_for_people_tells_where_addresses_are_used(shell: Shell) -> None:
    told = await shell.ok("inspect", "--pretty", "front")

    assert "Tasks:      1 of 13 addresses used" in told
    assert told.splitlines()[-1].split() == [NODE_ID, "10.0.1.0/28", "1/13"]


async def test_networks_that_nothing_uses_are_removed_one_by_one_or_all(shell: Shell) -> None:
    for name in ("a", "b", "c"):
        await shell.ok("create", name)
    said = await shell.run("rm", "a", "front")

    assert (said.out, said.code) == ("a\n", 5)
    assert "network front is in use by service web" in said.err
    assert (await shell.run("prune", stdin=b"n\n")).code == 0
    assert await shell.ok("prune", "--force", "--filter", "label=no") == ""
    assert await shell.ok("prune", "--force") == "b\nc\n"
