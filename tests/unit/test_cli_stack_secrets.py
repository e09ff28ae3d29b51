"""Deployments with secrets and configs against the real API: made, found again, exchanged, pruned, gone back to."""

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.shell import Shell, running_shell

from swarmpy.cli.deploy import carry_out, read_present
from swarmpy.cli.removing import remove_stack
from swarmpy.cli.revisions import without_needed
from swarmpy.cli.rollout import Manner, roll_out
from swarmpy.client import Client
from swarmpy.errors import BadRequest, Conflict
from swarmpy.stack.changes import NOT_COMPARED, Act, Kind, changes_something, operations
from swarmpy.stack.plan import StackPlan

STACK = {"com.docker.stack.namespace": "shop"}


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    async with running_shell(tmp_path) as running:
        yield running


def a_plan(secret: str, data: bytes, config: str = "shop_file") -> StackPlan:
    def made(name: str, content: bytes) -> dict[str, Any]:
        return {"Name": name, "Labels": STACK, "Data": base64.b64encode(content).decode()}

    file = {"UID": "0", "GID": "0", "Mode": 0o444}
    container = {
        "Image": "x:1",
        "Secrets": [{"File": {"Name": "key", **file}, "SecretName": secret}],
        "Configs": [{"File": {"Name": "/f", **file}, "ConfigName": config}],
    }
    service = {
        "Name": "shop_web",
        "Labels": STACK,
        "TaskTemplate": {"ContainerSpec": container},
        "Mode": {"Global": {}},
    }
    return StackPlan(
        "shop", (), (), (service,), (), secrets=(made(secret, data),), configs=(made(config, b"what ever"),)
    )


async def deployed(shell: Shell, plan: StackPlan, *, prune: bool = False) -> dict[str, str]:
    said: dict[str, str] = {}

    def roll() -> int:
        with Client(shell.host) as client:
            manner = Manner(timedelta(seconds=1), detach=True, form="table", prune=prune)
            return roll_out(client, plan, manner, said.__setitem__)

    assert await asyncio.to_thread(roll) == 0
    return said


def names(shell: Shell) -> list[str]:
    state = shell.api.state
    secrets, configs = state.secrets.values(), state.configs.values()
    return sorted([*(str(kept.spec.name) for kept in secrets), *(str(kept.spec.name) for kept in configs)])


async def test_the_same_again_changes_nothing(shell: Shell) -> None:
    plan = a_plan("shop_key", b"one")
    assert await deployed(shell, plan) == {
        "secret shop_key": "created",
        "config shop_file": "created",
        "service shop_web": "created",
    }
    revision = shell.api.state.revision
    assert await deployed(shell, plan, prune=True) == {"service shop_web": "unchanged"}
    assert shell.api.state.revision == revision


async def test_other_data_under_the_same_name_are_refused_before_anything_is_written(shell: Shell) -> None:
    await deployed(shell, a_plan("shop_key", b"one"))
    revision = shell.api.state.revision
    with pytest.raises(Conflict, match="secret shop_key: shop_key is there with other data"):
        await deployed(shell, a_plan("shop_key", b"two", "shop_other"))
    assert shell.api.state.revision == revision


async def test_another_name_exchanges_a_secret_and_prune_keeps_what_a_rollback_needs(shell: Shell) -> None:
    await deployed(shell, a_plan("shop_key", b"one"))
    second = a_plan("shop_key_v2", b"two")
    said = await deployed(shell, second, prune=True)
    assert said == {
        "secret shop_key_v2": "created",
        "service shop_web": "updated (TaskTemplate.ContainerSpec.Secrets)",
        "secret shop_key": "kept, a rollback to revision 1 needs it",
    }
    assert await asyncio.to_thread(left_over, shell, second) == []
    assert (await deployed(shell, second, prune=True))["secret shop_key"].startswith("kept")

    said = await deployed(shell, a_plan("shop_key_v3", b"three"), prune=True)
    assert said["secret shop_key"] == "removed, it left the file"
    assert said["secret shop_key_v2"] == "kept, a rollback to revision 2 needs it"
    assert names(shell) == ["shop_file", "shop_key_v2", "shop_key_v3"]
    assert "unknown: detached; needs secret shop_key, removed" in await shell.ok("stack", "revisions", "shop")

    revision = shell.api.state.revision
    gone = await shell.run("stack", "rollback", "-d", "--to", "1", "shop")
    assert (gone.code, "secret shop_key, which revision 1 of stack shop needs, is gone" in gone.err) == (4, True)
    assert shell.api.state.revision == revision
    await shell.ok("stack", "rollback", "-d", "shop")


async def test_a_rollback_passes_over_a_revision_whose_secret_was_removed_by_hand(shell: Shell) -> None:
    for number in (1, 2, 3):
        await deployed(shell, a_plan(f"shop_key_v{number}", b"any"))
    await shell.ok("secret", "rm", "shop_key_v2")
    said = await shell.run("stack", "rollback", "-d", "shop")
    assert (said.code, said.err.splitlines()[:2]) == (
        0,
        ["shop: revision 2 needs secret shop_key_v2, removed; passed over", "shop: going back to revision 1"],
    )


def left_over(shell: Shell, plan: StackPlan) -> list[str]:
    """What a diff with --prune says that goes."""
    with Client(shell.host) as client:
        found = operations(plan, read_present(client, plan), prune=True)
        return [one.name for one in without_needed(client, plan, found) if one.act is Act.REMOVE]


async def test_a_rollback_takes_the_former_secret_again(shell: Shell) -> None:
    await deployed(shell, a_plan("shop_key", b"one"))
    await deployed(shell, a_plan("shop_key_v2", b"two"))
    await shell.ok("stack", "rollback", "-d", "shop")
    container = shell.service("shop_web").spec.task_template.container_spec
    assert container is not None and container.secrets is not None
    assert [given.secret_name for given in container.secrets] == ["shop_key"]
    assert len(shell.api.state.stacks) == 3


async def test_a_secret_that_others_made_is_compared_by_the_manager(shell: Shell) -> None:
    plan = a_plan("shop_key", b"one")
    await shell.api.post("/secrets/create", plan.secrets[0])

    def look() -> tuple[bool, list[str]]:
        with Client(shell.host) as client:
            found = operations(plan, read_present(client, plan), prune=False)
        secret = [operation for operation in found if operation.kind is Kind.SECRET]
        return any(map(changes_something, secret)), [operation.note for operation in secret]

    assert await asyncio.to_thread(look) == (False, [NOT_COMPARED])
    said = await deployed(shell, plan)
    assert said["secret shop_key"] == "unchanged, the manager compared its data"
    assert await asyncio.to_thread(look) == (False, [""])


async def test_a_secret_that_others_made_of_other_data_is_refused_by_the_manager(shell: Shell) -> None:
    await shell.api.post("/secrets/create", a_plan("shop_key", b"two").secrets[0])
    with pytest.raises(BadRequest, match=r"secret shop_key: .* for other data make a new one under another name"):
        await deployed(shell, a_plan("shop_key", b"one"))


async def test_a_stack_goes_with_its_secrets_and_configs(shell: Shell) -> None:
    await deployed(shell, a_plan("shop_key", b"one"))

    def remove() -> None:
        with Client(shell.host) as client:
            remove_stack(client, "shop", lambda thing, became: None)

    await asyncio.to_thread(remove)
    assert names(shell) == []
    assert shell.api.state.stacks == {}


async def test_what_others_use_stays_when_a_stack_goes_and_all_else_goes(shell: Shell) -> None:
    await deployed(shell, a_plan("shop_key", b"one"))
    flags = ("--secret", "shop_key", "--config", "source=shop_file,target=/f")
    await shell.ok("service", "create", "-d", "--name", "other", *flags, "x:1")
    said = await shell.run("stack", "rm", "shop", "nothing")
    assert (said.code, said.out) == (5, "service shop_web: removed\n")
    assert said.err.splitlines() == [
        "swarmpy: config shop_file stays: config 'shop_file' is in use by the following service: other",
        "swarmpy: secret shop_key stays: secret 'shop_key' is in use by the following service: other",
        "swarmpy: stack shop is not gone; remove it again when nothing uses what stays",
        "swarmpy: nothing found in stack: nothing",
    ]
    assert len(shell.api.state.stacks) == 1

    await shell.ok("service", "rm", "other")
    assert await shell.ok("stack", "rm", "shop") == "config shop_file: removed\nsecret shop_key: removed\n"
    assert shell.api.state.stacks == {}


async def test_of_two_first_deployments_at_once_the_slower_one_says_so_and_leaves_nothing_behind(shell: Shell) -> None:
    fast, slow = a_plan("shop_key", b"one"), a_plan("shop_key", b"one")
    slow = replace(slow, secrets=(a_plan("shop_early", b"two").secrets[0], *slow.secrets))

    def deploy_both() -> list[str]:
        said: list[str] = []
        with Client(shell.host) as first, Client(shell.host) as second:
            seen = read_present(second, slow)
            roll_out(first, fast, Manner(timedelta(seconds=1), detach=True, form="table"), lambda thing, became: None)
            found = operations(slow, seen, prune=False)
            with pytest.raises(Conflict) as caught:
                carry_out(
                    second, slow, found, seen, docker_config=None, say=lambda *words: said.append(" ".join(words))
                )
        return [*said, str(caught.value)]

    assert await asyncio.to_thread(deploy_both) == [
        "secret shop_early created",
        "secret shop_early removed again, the deployment failed",
        "secret shop_key already exists",
    ]
    assert names(shell) == ["shop_file", "shop_key"]


async def test_secrets_and_configs_are_added_to_a_service_by_name(shell: Shell) -> None:
    await deployed(shell, a_plan("shop_key", b"one"))
    flags = ("--secret-add", "source=shop_key,target=other,mode=0400", "--config-rm", "shop_file")
    await shell.ok("service", "update", "-d", *flags, "shop_web")
    container = shell.service("shop_web").spec.task_template.container_spec
    assert container is not None and container.secrets is not None
    assert [given.file.name for given in container.secrets if given.file] == ["key", "other"]
    assert {given.secret_id for given in container.secrets} == set(shell.api.state.secrets)
    assert not container.configs


async def test_a_file_with_a_secret_is_deployed_twice_and_never_shown(shell: Shell) -> None:
    (shell.folder / "key").write_text("open sesame")
    (shell.folder / "s.yaml").write_text(
        "services: {web: {image: 'x:1', secrets: [key]}}\nsecrets: {key: {file: ./key}}\n"
    )
    differing = await shell.run("stack", "diff", "-c", "s.yaml", "shop")
    assert (differing.code, "+ secret shop_key" in differing.out) == (1, True), differing.err
    deploy = ("stack", "deploy", "-d", "-c", "s.yaml", "shop")
    assert "secret shop_key: created" in await shell.ok(*deploy)
    assert await shell.ok(*deploy) == "service shop_web: unchanged\n"
    assert await shell.ok("stack", "diff", "-c", "s.yaml", "shop") == ""

    (shell.folder / "key").write_text("open barley")
    said = await shell.run(*deploy)
    assert said.code == 5
    assert said.err.startswith("swarmpy: s.yaml:2: secret key: shop_key is there with other data; secrets never change")
    assert "open" not in differing.out + said.err
