"""`service create`, `update` and `rollback`, as a user types them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.shell import RUNNING, Shell, running_shell

# As long as what runs is watched before a command says that all is well.
WATCHED_BRIEFLY = ("--update-monitor", "300ms")


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    async with running_shell(tmp_path) as running:
        yield running


def spec(shell: Shell, name: str = "web") -> dict[str, object]:
    found: dict[str, object] = shell.service(name).spec.task_template.to_docker()["ContainerSpec"]
    return found


async def created(shell: Shell, *words: str) -> None:
    await shell.ok("service", "create", "-d", "--name", "web", *words, "shop/web:1")


async def test_a_service_is_created_and_waited_for(shell: Shell) -> None:
    process = await shell.start(
        "service", "create", "--name", "web", "--replicas", "2", "-e", "A=1", *WATCHED_BRIEFLY, "shop/web:1", "go"
    )
    service = await shell.service_appears("web")
    await shell.tasks_become("web", RUNNING, RUNNING)
    said = await shell.finished(process)
    assert said.code == 0, said.err
    assert said.out.splitlines()[0] == service.id
    assert "web: 2/2 running" in said.out
    assert (spec(shell)["Args"], spec(shell)["Env"]) == (["go"], ["A=1"])


async def test_an_update_is_waited_for_unless_detached_and_shown_unless_quiet(shell: Shell) -> None:
    await created(shell, *WATCHED_BRIEFLY)
    await shell.tasks_become("web", RUNNING)
    assert await shell.ok("service", "update", "--quiet", "--label-add", "a=b", "web") == "web\n"
    said = await shell.ok("service", "update", "--label-add", "a=c", "web")
    assert said.splitlines()[::2] == ["web", "web: 1/1 running"]
    told = await shell.ok("service", "update", "-d", "--format", "json", "--label-rm", "a", "web")
    assert json.loads(told) == {"Kind": "service", "Name": "web", "Became": "updated"}
    assert shell.service("web").spec.labels == {}


async def test_edits_from_several_places_at_once_are_all_made(shell: Shell) -> None:
    await created(shell)
    processes = [await shell.start("service", "update", "-d", "--env-add", f"V{n}=1", "web") for n in range(3)]
    said = [await shell.finished(process) for process in processes]
    assert [one.code for one in said] == [0, 0, 0], said
    env = spec(shell)["Env"]
    assert isinstance(env, list)
    assert sorted(env) == ["V0=1", "V1=1", "V2=1"]


async def test_an_update_rolls_back_by_flag_and_by_command(shell: Shell) -> None:
    await created(shell)
    await shell.ok("service", "update", "-d", "--image", "shop/web:2", "web")
    await shell.ok("service", "update", "-d", "--rollback", "web")
    assert spec(shell)["Image"] == "shop/web:1"
    await shell.ok("service", "rollback", "-d", "web")
    assert spec(shell)["Image"] == "shop/web:2"
    said = await shell.run("service", "update", "--rollback", "--image", "x", "web")
    assert (said.code, said.err) == (2, "swarmpy: --rollback and --image exclude each other\n")


async def test_truths_stand_alone_or_with_their_value(shell: Shell) -> None:
    await created(shell, "-t", "--init=false", "--read-only")
    assert [spec(shell).get(field) for field in ("TTY", "Init", "ReadOnly")] == [True, False, True]
    await shell.ok("service", "update", "--detach=true", "--tty=0", "--init", "web")
    assert [spec(shell).get(field) for field in ("TTY", "Init", "ReadOnly")] == [None, True, True]
    await shell.ok("service", "update", "-dt", "--args", "--tty", "web")
    assert (spec(shell)["TTY"], spec(shell)["Args"]) == (True, ["--tty"])
    said = await shell.run("service", "update", "--tty=perhaps", "web")
    assert (said.code, said.err) == (2, "swarmpy: --tty: 'perhaps' is neither true nor false\n")


async def test_variables_come_from_files_and_from_here(shell: Shell) -> None:
    (shell.folder / "env").write_text("A=file\nB=file\n")
    await created(shell, "--env-file", "env", "-e", "A=line", "-e", "HOME", "-e", "NOWHERE")
    assert spec(shell)["Env"] == ["A=line", "B=file", f"HOME={shell.folder}", "NOWHERE"]
    said = await shell.run("service", "create", "--env-file", "none", "x")
    assert (said.code, said.err) == (2, "swarmpy: --env-file none: No such file or directory\n")


async def test_a_forced_update_renews_what_is_the_same(shell: Shell) -> None:
    await created(shell)
    await shell.ok("service", "update", "-d", "--force", "web")
    assert shell.service("web").spec.task_template.force_update == 1


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("update", "--replicas", "few", "web"), 2, "swarmpy: --replicas: 'few' is no number"),
        (("update", "--secret-add", "key", "web"), 4, "swarmpy: secret key is not there; create it first"),
        (("update", "--config-add", "file", "web"), 4, "swarmpy: config file is not there; create it first"),
        (("update", "--image", "x", "nothing"), 4, "swarmpy: service nothing not found"),
        (("update", "--colour", "red", "web"), 2, "--colour"),
        (("create",), 2, "Missing argument 'IMAGE'"),
        (("rollback", "web"), 2, "does not have a previous spec"),
    ],
)
async def test_bad_input_is_one_sentence_and_changes_nothing(
    shell: Shell, words: tuple[str, ...], code: int, sentence: str
) -> None:
    await created(shell)
    before = shell.service("web").version
    said = await shell.run("service", *words)
    assert (said.code, sentence in said.err) == (code, True), said.err
    assert "Traceback" not in said.err
    assert shell.service("web").version == before
