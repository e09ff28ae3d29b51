"""`swarmpy secret` and `swarmpy config` as processes, against the real API on a unix socket."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.api import Api
from support.builders import a_cluster
from support.served import Said, served_api

from manager.objects import Config, Secret

LIMIT = 30


class Shell:
    def __init__(self, api: Api, host: str, folder: Path) -> None:
        self.api = api
        self.folder = folder
        self._host = host

    async def run(self, *words: str, stdin: bytes = b"", **environment: str) -> Said:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "swarmpy.cli", *words, cwd=self.folder,
            env={**os.environ, "SWARMPY_HOST": self._host, **environment},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(LIMIT):
            out, err = await process.communicate(stdin)
        return Said(process.returncode or 0, out.decode(), err.decode())

    async def ok(self, *words: str, stdin: bytes = b"", **environment: str) -> str:
        said = await self.run(*words, stdin=stdin, **environment)
        assert said.code == 0, said.err
        return said.out

    def held(self, name: str) -> bytes:
        state = self.api.state
        held: list[Secret | Config] = [*state.secrets.values(), *state.configs.values()]
        (kept,) = (item for item in held if item.spec.name == name)
        return self.api.context.sealer.unseal(kept.sealed)


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    async with served_api() as (api, socket):
        await api.keep(a_cluster())
        yield Shell(api, f"unix://{socket}", tmp_path)


async def test_data_come_from_a_file_standard_input_or_the_environment(shell: Shell) -> None:
    (shell.folder / "data").write_bytes(b"\x00of a file")
    made = await shell.ok("secret", "create", "-l", "team=a", "one", "data")
    await shell.ok("secret", "create", "two", "-", stdin=b"of stdin")
    await shell.ok("config", "create", "--from-env", "VALUE", "three", VALUE="of the environment")

    assert made.strip() in shell.api.state.secrets
    assert [shell.held(name) for name in ("one", "two", "three")] == [
        b"\x00of a file", b"of stdin", b"of the environment",
    ]  # fmt: skip


async def test_they_are_listed_in_a_table_or_as_json(shell: Shell) -> None:
    for name in ("b", "a"):
        await shell.ok("secret", "create", "-l", f"is={name}", name, "-", stdin=b"x")

    heading, *rows = (await shell.ok("secret", "ls")).splitlines()
    assert heading.split() == ["ID", "NAME", "CREATED", "UPDATED"]
    assert [row.split()[1] for row in rows] == ["a", "b"]
    (row,) = map(json.loads, (await shell.ok("secret", "ls", "-f", "label=is=b", "--format", "json")).splitlines())
    assert (row["Name"], row["ID"] in shell.api.state.secrets) == ("b", True)
    assert (await shell.ok("secret", "ls", "-q", "-f", "name=b")).split() == [row["ID"]]


async def test_inspect_shows_the_data_of_a_config_and_never_those_of_a_secret(shell: Shell) -> None:
    for kind in ("secret", "config"):
        await shell.ok(kind, "create", "--template-driver", "golang", "key", "-", stdin=b"hunter2")

    assert (await shell.ok("config", "inspect", "--pretty", "key")).endswith("Data:\nhunter2\n")
    (shown,) = json.loads(await shell.ok("secret", "inspect", "key"))
    assert (shown["Spec"]["Templating"], "Data" in shown["Spec"]) == ({"Name": "golang"}, False)
    assert "hunter2" not in await shell.ok("secret", "inspect", "--pretty", "key")


async def test_what_a_service_uses_is_not_removed_and_that_is_a_conflict(shell: Shell) -> None:
    await shell.ok("secret", "create", "--from-env", "PATH", "key")
    reference = {"SecretName": "key", "File": {"Name": "key", "UID": "0", "GID": "0", "Mode": 0o444}}
    template = {"ContainerSpec": {"Image": "x:1", "Secrets": [reference]}}
    await shell.api.post("/services/create", {"Name": "web", "TaskTemplate": template, "Mode": {"Global": {}}})
    said = await shell.run("secret", "rm", "key")
    assert (said.code, said.err) == (5, "swarmpy: secret 'key' is in use by the following service: web\n")


async def test_each_is_removed_and_one_that_is_not_there_is_named(shell: Shell) -> None:
    await shell.ok("config", "create", "key", "-", stdin=b"x")
    said = await shell.run("config", "rm", "nothing", "key")

    assert (said.code, said.out, said.err) == (4, "key\n", "swarmpy: config nothing not found\n")
    assert not shell.api.state.configs


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("key",), "give either a FILE"),
        (("key", "data", "--from-env", "X"), "give either a FILE"),
        (("key", "nowhere"), "nowhere cannot be read: No such file or directory"),
        (("key", "--from-env", "NO_SUCH_VARIABLE"), "the environment has no such variable"),
        (("-l", "=b", "key", "-"), "has no key"),
        (("bad name", "--from-env", "HOME"), "invalid name"),
        (("key", "-"), "must be 1 to 512000 bytes"),
    ],
)
async def test_a_creation_that_cannot_be_is_refused(shell: Shell, words: tuple[str, ...], said: str) -> None:
    result = await shell.run("secret", "create", *words)

    assert (result.code, said in result.err) == (2, True), result.err
