"""`swarmpy cluster` against the real API on a unix socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.api import Api
from support.builders import a_cluster, a_service, a_template
from support.certificates import Authority
from support.served import served_api

from manager.ca.join_tokens import new_join_secrets
from manager.objects import Cluster
from swarmpy.cli.cluster import changed, policy, shown
from swarmpy.cli.main import swarmpy
from swarmpy.client import Client, Filters, Object
from swarmpy.errors import BadRequest, OutOfSequence
from swarmpy.labels import ALLOW, HOST, NODE_GRACE
from swarmpy.models.cluster import CAConfig
from swarmpy.models.container import ContainerSpec


class Shell:
    """The command, in a thread of this process."""

    def __init__(self, api: Api, host: str) -> None:
        self.api = api
        self.host = host

    async def run(self, *words: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, swarmpy, ["--host", self.host, "cluster", *words])

    async def ok(self, *words: str) -> str:
        said = await self.run(*words)
        assert said.exception is None, said.exception
        return said.stdout

    @property
    def cluster(self) -> Cluster:
        assert self.api.state.cluster is not None
        return self.api.state.cluster


@pytest.fixture
async def shell() -> AsyncIterator[Shell]:
    async with served_api() as (api, socket):
        await api.keep(whole_cluster(api, socket.parent))
        yield Shell(api, f"unix://{socket}")


def whole_cluster(api: Api, folder: Path) -> Cluster:
    secrets = new_join_secrets(api.context.sealer, api.context.mint)
    return a_cluster(history_limit=5).model_copy(
        update={"sealed_join_secrets": secrets, "ca_certificate": Authority(folder).ca_file.read_text()}
    )


async def test_the_policy_is_set_shown_and_emptied(shell: Shell) -> None:
    assert "Allowed:            none" in await shell.ok("inspect")
    await shell.ok("update", "--allow", "privileged, devices")
    assert shell.cluster.spec.labels == {ALLOW: "devices,privileged"}
    assert "Allowed:            devices, privileged" in await shell.ok("inspect")
    await shell.ok("update", "--allow", "none")
    assert shell.cluster.spec.labels == {}


async def test_what_is_not_named_stays(shell: Shell) -> None:
    await shell.ok("update", "--allow", "pid", "--label-add", "site=here")
    await shell.ok("update", "--task-history-limit", "2", "--cert-expiry", "48h")
    await shell.ok("update", "--node-grace", "60s")
    await shell.ok("update", "--label-rm", "site")
    spec = shell.cluster.spec
    assert spec.labels == {ALLOW: "pid", NODE_GRACE: "1m0s"}
    assert spec.orchestration is not None
    assert spec.orchestration.task_history_retention_limit == 2
    assert spec.ca_config == CAConfig(node_cert_expiry=48 * 3600 * 10**9)


async def test_what_is_so_already_is_not_written(shell: Shell) -> None:
    became = json.loads(await shell.ok("update", "--allow", "pid", "--format", "json"))
    assert (became["Kind"], became["Became"]) == ("cluster", "updated")
    version = shell.cluster.version
    assert json.loads(await shell.ok("update", "--allow", "pid", "--format", "json"))["Became"] == "unchanged"
    assert shell.cluster.version == version


async def test_the_cluster_is_shown_whole_but_for_its_secrets(shell: Shell) -> None:
    document = json.loads(await shell.ok("inspect", "--format", "json"))
    assert document["Spec"]["Orchestration"] == {"TaskHistoryRetentionLimit": 5}
    assert "JoinTokens" not in document
    assert "Node grace:         5s" in await shell.ok("inspect")


async def test_services_that_use_what_is_taken_away_are_named(shell: Shell) -> None:
    await shell.ok("update", "--allow", "pid")
    container = ContainerSpec(image="web:1", labels={HOST: '{"PidMode":"host"}'})
    template = a_template().model_copy(update={"container_spec": container})
    await shell.api.keep(a_service("web", template=template))
    said = await shell.run("update", "--allow", "none")
    assert said.stderr == "warning: service web uses pid: it runs on, but updates that start tasks of it are refused\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--allow", "root"), "'root' cannot be allowed; the words are cgroup, "),
        (("--allow", "none,pid"), "none stands alone"),
        (("--allow", ","), "write --allow none to allow nothing"),
        (("--cert-expiry", "soon"), "--cert-expiry: 'soon' is no duration"),
        (("--cert-expiry", "1s"), "must be one minute at least"),
        (("--node-grace", "soon"), "--node-grace: 'soon' is no duration"),
        (("--node-grace", "1s"), "label swarmpy.node-grace: 1s is not between 3s and 1h"),
        (("--label-add", "swarmpy.node-grace=2h"), "2h is not between 3s and 1h"),
        (("--label-rm", "x"), "--label-rm x: the cluster has no such label"),
        ((), "nothing to change"),
    ],
)
async def test_a_wish_that_makes_no_sense_changes_nothing(shell: Shell, words: tuple[str, ...], says: str) -> None:
    version = shell.cluster.version
    said = await shell.run("update", *words)
    assert isinstance(said.exception, BadRequest)
    assert says in str(said.exception)
    assert shell.cluster.version == version


class Contested(Client):
    """Someone else writes first, so many times."""

    def __init__(self, times: int) -> None:
        super().__init__("unix:///nowhere")
        self.times = times
        self.written: list[dict[str, Any]] = []
        self.looks = 0

    def get(self, path: str, *, filters: Filters | None = None, **query: str) -> Any:
        self.looks += 1
        return {"ID": "c", "Version": {"Index": self.looks}, "Spec": {"Labels": {"look": str(self.looks)}}}

    def post(self, path: str, body: Object | None = None, *, headers: Any = None, **query: str) -> Any:
        if self.times:
            self.times -= 1
            raise OutOfSequence()
        self.written.append({**(body or {}), **query})


def test_who_wrote_first_is_let_go_first_once() -> None:
    client = Contested(1)
    assert changed(client, lambda spec: {**spec, "Name": "x"}) == ("c", "updated", ())
    assert client.written == [{"Labels": {"look": "2"}, "Name": "x", "version": "2"}]
    with pytest.raises(OutOfSequence):
        changed(Contested(2), lambda spec: {**spec, "Name": "x"})


def test_words_are_sorted_and_each_stands_once() -> None:
    assert policy("pid,devices , pid") == ("devices", "pid")
    assert policy("none") == ()


def test_what_docker_does_where_nothing_is_said_is_shown() -> None:
    lines = shown({"ID": "c", "Spec": {}})
    assert (lines["Allowed"], lines["Task history limit"], lines["Certificate expiry"]) == ("none", "5", "2160h0m0s")
