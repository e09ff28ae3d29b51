"""The command as a process, against the real API on a unix socket. The control loop is played by the test."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.api import NODE_ID
from support.builders import T0
from support.shell import COMPLETE, FAILED, LIMIT, PENDING, RUNNING, Shell, running_shell

from manager.objects import Reason, ReasonCode
from swarmpy.states import Availability


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    async with running_shell(tmp_path) as running:
        yield running


async def deployed(shell: Shell) -> None:
    await shell.ok("stack", "deploy", "--detach", "-c", "stack.yaml", "shop")


async def test_a_deployment_ends_when_all_run_and_one_shots_have_ended_well(shell: Shell) -> None:
    process = await shell.start("stack", "deploy", "-c", "stack.yaml", "shop")
    await shell.service_appears("shop_once")
    await shell.tasks_become("shop_web", RUNNING, RUNNING)
    await shell.tasks_become("shop_once", COMPLETE)
    said = await shell.finished(process)
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[:3] == ["network shop_default: created", "service shop_web: created", "service shop_once: created"]
    assert {"shop_web: 2/2 running", "shop_once: 1/1 complete"} <= set(lines)


async def test_an_unchanged_file_changes_nothing(shell: Shell) -> None:
    await deployed(shell)
    revision = shell.api.state.revision
    out = await shell.ok("stack", "deploy", "--detach", "-c", "stack.yaml", "shop")
    assert out.splitlines() == ["service shop_web: unchanged", "service shop_once: unchanged"]
    assert shell.api.state.revision == revision


async def test_only_what_differs_is_updated_and_prune_removes_what_left(shell: Shell) -> None:
    await deployed(shell)
    (shell.folder / "stack.yaml").write_text("services: {web: {image: 'shop/web:2', deploy: {replicas: 2}}}\n")
    out = await shell.ok("stack", "deploy", "--detach", "--prune", "-c", "stack.yaml", "shop")
    assert out.splitlines() == [
        "service shop_web: updated (Labels.com.docker.stack.image, TaskTemplate.ContainerSpec.Healthcheck.Test, "
        "TaskTemplate.ContainerSpec.Image)",
        "service shop_once: removed, it left the file",
    ]


async def test_a_failed_task_ends_a_deployment_with_its_reason_and_last_lines(shell: Shell) -> None:
    process = await shell.start("stack", "deploy", "-c", "stack.yaml", "shop")
    await shell.service_appears("shop_once")
    (task,) = await shell.tasks_become("shop_once", FAILED)
    shell.api.logs.scripts[task.id] = [(2, b"no database\n")]
    said = await shell.finished(process)
    assert said.code == 1
    assert "swarmpy: shop_once failed: shop_once.1 failed on manager-1: exited with code 7" in said.err
    assert "  | no database" in said.err


async def test_a_deployment_that_takes_too_long_says_what_is_missing_per_node(shell: Shell) -> None:
    process = await shell.start("stack", "deploy", "--timeout", "1s", "-c", "stack.yaml", "shop")
    await shell.service_appears("shop_once")
    why = Reason(code=ReasonCode.NO_NODE, text="no node fits", since=T0, nodes={NODE_ID: "lacks 512 MiB"})
    await shell.tasks_become("shop_web", PENDING, PENDING, reason=why)
    said = await shell.finished(process)
    assert said.code == 3
    assert "not there after 1 s" in said.err
    assert "shop_web.1 pending: no node fits" in said.err
    assert "1 node (manager-1): lacks 512 MiB" in said.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_interrupting_leaves_the_deployment_going(shell: Shell, number: signal.Signals) -> None:
    process = await shell.start("stack", "deploy", "-c", "stack.yaml", "shop")
    assert process.stdout is not None
    async with asyncio.timeout(LIMIT):
        while b"running" not in await process.stdout.readline():
            pass
    process.send_signal(number)
    said = await shell.finished(process)
    assert (said.code, said.err.splitlines()) == (
        130,
        [
            "swarmpy: interrupted; the deployment goes on in the cluster",
            "  `swarmpy service ps shop_once shop_web` shows how it gets on",
        ],
    )
    assert shell.service("shop_web")
    (revision,) = shell.api.state.stacks.values()
    assert revision.outcome.reason == "interrupted"


async def test_nothing_is_written_when_the_file_is_wrong(shell: Shell) -> None:
    (shell.folder / "bad.yaml").write_text("services:\n  web:\n    imagee: x\n    secrets: [a]\n  b: {image: x}\n")
    said = await shell.run("stack", "deploy", "-c", "bad.yaml", "shop")
    assert said.code == 2
    assert "bad.yaml:3: services.web.imagee: unknown key; did you mean image?" in said.err
    assert shell.api.state.services == {}


async def test_nothing_is_written_when_an_external_network_is_missing(shell: Shell) -> None:
    (shell.folder / "s.yaml").write_text(
        "services: {a: {image: x, networks: [mine, theirs]}}\nnetworks: {mine: , theirs: {external: true}}\n"
    )
    said = await shell.run("stack", "deploy", "-c", "s.yaml", "shop")
    assert (said.code, said.err) == (
        4,
        "swarmpy: s.yaml:2: network theirs: is declared external and is not there; create it first\n",
    )
    assert shell.api.state.networks == {}


async def test_a_name_that_another_stack_has_is_left_alone(shell: Shell) -> None:
    (shell.folder / "a.yaml").write_text("services: {b_c: {image: x}}\n")
    (shell.folder / "b.yaml").write_text("services: {c: {image: x}}\n")
    await shell.ok("stack", "deploy", "-d", "-c", "a.yaml", "a")
    said = await shell.run("stack", "deploy", "-d", "-c", "b.yaml", "a_b")
    assert said.code == 5
    assert "b.yaml:1: service c: a_b_c is there already and does not belong to the stack a_b" in said.err


async def test_stacks_are_listed_and_removed(shell: Shell) -> None:
    await deployed(shell)
    await shell.tasks_become("shop_web", RUNNING, RUNNING)
    assert (await shell.ok("stack", "ls")).splitlines() == ["NAME   SERVICES", "shop   2"]
    services = (await shell.ok("stack", "services", "shop")).splitlines()
    assert services[0].split() == ["ID", "NAME", "MODE", "REPLICAS", "IMAGE", "PORTS"]
    assert "2/2" in services[2] and "shop_web" in services[2]
    tasks = (await shell.ok("stack", "ps", "shop")).splitlines()
    assert len(tasks) == 3 and "shop_web.1" in tasks[1] and "manager-1" in tasks[1] and "Running" in tasks[1]
    assert (await shell.ok("stack", "rm", "shop")).splitlines() == [
        "service shop_once: removed",
        "service shop_web: removed",
        "network shop_default: removed",
    ]
    assert (await shell.run("stack", "rm", "shop")).code == 4
    assert (await shell.run("stack", "ps", "shop")).err == "swarmpy: nothing found in stack: shop\n"


async def test_lists_are_json_lines_on_demand(shell: Shell) -> None:
    await deployed(shell)
    found = [json.loads(line) for line in (await shell.ok("service", "ls", "--format", "json")).splitlines()]
    assert [(item["Name"], item["Replicas"]) for item in found] == [("shop_once", "0/1"), ("shop_web", "0/2")]
    (node,) = [json.loads(line) for line in (await shell.ok("node", "ls", "--format", "json")).splitlines()]
    assert node["Hostname"] == "manager-1" and node["ID"].isalnum()
    assert f"{node['ID']} *" in await shell.ok("node", "ls")


async def test_a_service_is_inspected_filtered_scaled_and_removed(shell: Shell) -> None:
    await deployed(shell)
    (inspected,) = json.loads(await shell.ok("service", "inspect", "shop_web"))
    assert inspected["Spec"]["Name"] == "shop_web"
    assert (await shell.ok("service", "ls", "-q", "-f", "name=shop_o")).split() == [shell.service("shop_once").id[:12]]
    assert "shop_web scaled to 5" in await shell.ok("service", "scale", "-d", "shop_web=5", "shop_once=0")
    mode = shell.service("shop_web").spec.mode.replicated
    assert mode is not None and mode.replicas == 5
    said = await shell.run("service", "rm", "shop_web", "nothing", "shop_once")
    assert (said.code, said.out) == (4, "shop_web\nshop_once\n")
    assert "service nothing not found" in said.err


async def test_scaling_refuses_what_has_no_replicas_before_changing_anything(shell: Shell) -> None:
    (shell.folder / "s.yaml").write_text("services: {a: {image: x}, b: {image: x, deploy: {mode: global}}}\n")
    await shell.ok("stack", "deploy", "-d", "-c", "s.yaml", "s")
    said = await shell.run("service", "scale", "s_a=3", "s_b=3")
    assert (said.code, said.err) == (2, "swarmpy: service s_b is global: only replicas can be scaled\n")
    mode = shell.service("s_a").spec.mode.replicated
    assert mode is not None and mode.replicas == 1


async def test_tasks_of_a_stack_are_filtered_by_labels_of_their_own_too(shell: Shell) -> None:
    await deployed(shell)
    await shell.tasks_become("shop_web", RUNNING)

    assert await shell.ok("stack", "ps", "-q", "shop")
    assert not (await shell.ok("stack", "ps", "-q", "-f", "label=tier=front", "shop")).strip()


async def test_what_changes_things_says_so_in_json_too(shell: Shell) -> None:
    await deployed(shell)
    updated = await shell.ok("node", "update", "--label-add", "a=b", "--format", "json", "self")
    removed = await shell.ok("service", "rm", "--format", "json", "shop_web")
    refused = await shell.run("node", "rm", "--format", "json", "self")

    assert json.loads(updated) == {"Kind": "node", "Name": "self", "Became": "updated"}
    assert json.loads(removed) == {"Kind": "service", "Name": "shop_web", "Became": "removed"}
    assert refused.code != 0
    assert refused.out == ""


async def test_logs_are_json_lines_on_demand(shell: Shell) -> None:
    await deployed(shell)
    one, _ = await shell.tasks_become("shop_web", RUNNING, RUNNING)
    shell.api.logs.scripts = {one.id: [(2, b"2030-01-31T12:00:00Z oh no\n")]}
    said = await shell.ok("service", "logs", "--format", "json", "--timestamps", one.id)
    label = f"shop_web.1.{one.id[:12]}@manager-1"

    assert json.loads(said) == {
        "Timestamp": "2030-01-31T12:00:00Z",
        "Task": label,
        "Stream": "stderr",
        "Line": "oh no",
    }
    assert (await shell.run("service", "logs", "--format", "json", "--raw", one.id)).code == 2


async def test_logs_carry_the_names_of_their_tasks(shell: Shell) -> None:
    await deployed(shell)
    one, two = await shell.tasks_become("shop_web", RUNNING, RUNNING)
    shell.api.logs.scripts = {one.id: [(1, b"hello there\n")], two.id: [(2, b"oh\n")]}
    said = await shell.run("service", "logs", "--tail", "5", "shop_web")
    assert said.code == 0, said.err
    assert said.out.splitlines() == [f"shop_web.1.{one.id[:12]}@manager-1 | hello there"]
    assert said.err.splitlines() == [f"shop_web.2.{two.id[:12]}@manager-1 | oh"]
    assert shell.api.logs.asked[one.id].tail == 5
    shell.api.logs.scripts = {one.id: [(1, b"hello there\n")]}
    assert await shell.ok("service", "logs", "--raw", one.id) == "hello there\n"


async def test_nodes_are_updated(shell: Shell) -> None:
    await shell.ok("node", "update", "--availability", "drain", "--label-add", "a=1", "--label-add", "b=2", "manager-1")
    await shell.ok("node", "update", "--label-rm", "a", "manager-1")
    spec = shell.api.state.nodes[NODE_ID].spec
    assert (spec.availability, spec.labels) == (Availability.DRAIN, {"b": "2"})
    said = await shell.run("node", "update", "--label-rm", "a", "self")
    assert (said.code, said.err) == (2, "swarmpy: --label-rm a: the node has no such label\n")
    (inspected,) = json.loads(await shell.ok("node", "inspect", "self"))
    assert inspected["ID"] == NODE_ID
    assert (await shell.ok("node", "ps")).startswith("ID")


async def test_a_task_shows_its_reason(shell: Shell) -> None:
    await deployed(shell)
    why = Reason(code=ReasonCode.NO_NODE, text="no node fits", since=T0, nodes={NODE_ID: "is drained"})
    task, _ = await shell.tasks_become("shop_web", PENDING, PENDING, reason=why)
    (inspected,) = json.loads(await shell.ok("task", "inspect", task.id))
    assert inspected["Reason"]["Nodes"] == {NODE_ID: "is drained"}
    assert "no node fits" in await shell.ok("service", "ps", "shop_web")


async def test_the_cluster_in_short(shell: Shell) -> None:
    await deployed(shell)
    out = await shell.ok("info")
    assert "nodes:    1, 1 ready" in out and "services: 2, 0 of 3 tasks running" in out
    assert "manager: " in await shell.ok("version")


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("nonsense",), 2, "No such command 'nonsense'"),
        (("service", "inspect", "nothing"), 4, "swarmpy: service nothing not found"),
        (("service", "logs", "nothing"), 4, "swarmpy: no such service or task: nothing"),
        (("service", "logs", "--tail", "few", "x"), 2, "swarmpy: --tail few: give a number of lines, or all"),
        (("service", "logs", "--since", "soon", "x"), 2, "swarmpy: --since soon: give a time such as"),
        (("service", "scale", "web"), 2, "swarmpy: 'web' is not of the form SERVICE=REPLICAS"),
        (("service", "ls", "-f", "name"), 2, "swarmpy: filter 'name' is not of the form KEY=VALUE"),
        (("service", "ls", "-f", "color=red"), 2, "color"),
        (("stack", "deploy", "-c", "none.yaml", "s"), 2, "swarmpy: none.yaml: No such file or directory"),
        (("stack", "deploy", "-c", "stack.yaml", "--timeout", "soon", "s"), 2, "--timeout: 'soon' is no duration"),
        (("stack", "deploy", "s"), 2, "Missing option '-c'"),
        (("-H", "tcp://1.2.3.4:2376", "service", "ls"), 2, "only unix:///PATH is carried out yet"),
        (("-H", "unix:///nowhere/s.sock", "service", "ls"), 6, "no swarmpy manager answers at unix:///nowhere/s.sock"),
    ],
)
async def test_bad_input_is_one_sentence_and_a_number(
    shell: Shell, words: tuple[str, ...], code: int, sentence: str
) -> None:
    said = await shell.run(*words)
    assert said.code == code
    assert sentence in said.err
    assert "Traceback" not in said.err


async def test_the_resolved_file_is_printed(shell: Shell) -> None:
    (shell.folder / "s.yaml").write_text("services:\n  a: {image: 'x:${TAG}', ports: [80]}\n")
    said = await shell.run("stack", "config", "-c", "s.yaml")
    assert said.out == (
        'version: "3.13"\nservices:\n  a:\n    image: "x:"\n    ports:\n      - mode: ingress\n        target: 80\n'
        "        protocol: tcp\n"
    )
    assert said.err == "warning: the variable TAG is not set and became empty\n"


async def loaded_by(shell: Shell, *words: str) -> list[str]:
    """Of what is slow to load, what this command loads."""
    slow = {"pydantic", "rich", "ruamel", "asyncio", "docker", "fastapi", "http.client"}
    code = (
        f"import sys; from swarmpy.cli.main import main; main(sys.argv[1:]); print(*sorted({slow} & set(sys.modules)))"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, "-H", shell.host, *words), cwd=shell.folder,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    return (await shell.finished(process)).out.splitlines()[-1].split()


async def test_help_and_lists_load_nothing_that_is_slow(shell: Shell) -> None:
    assert await loaded_by(shell, "--help") == []
    assert await loaded_by(shell, "service", "ls") == ["http.client"]


async def test_a_deployment_is_written_without_what_is_slow_to_load(shell: Shell) -> None:
    loaded = await loaded_by(shell, "stack", "deploy", "--detach", "-c", "stack.yaml", "shop")
    assert shell.service("shop_web").spec.task_template.container_spec is not None
    assert loaded == ["http.client", "ruamel"]
