"""`stack diff`, `--dry-run`, revisions and rollback, as a user types them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.shell import FAILED, RUNNING, Shell, running_shell

ONE = "services: {web: {image: 'shop/web:1'}, once: {image: 'shop/once:1'}}\n"
TWO = "services: {web: {image: 'shop/web:2', environment: {A: 1}}}\n"
DEPLOY = ("stack", "deploy", "-d", "-c", "s.yaml", "shop")


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    async with running_shell(tmp_path) as running:
        yield running


def watched_briefly(text: str) -> str:
    """What the stack runs is watched for less time, before a command says that all is well."""
    return text.replace("{image", "{deploy: {update_config: {monitor: 300ms}}, image")


async def deployed(shell: Shell, text: str, *words: str) -> str:
    (shell.folder / "s.yaml").write_text(text)
    return await shell.ok(*DEPLOY, *words)


def image(shell: Shell, name: str = "shop_web") -> str | None:
    container = shell.service(name).spec.task_template.container_spec
    return container.image if container else None


async def test_a_diff_says_what_a_deployment_would_do_and_does_nothing(shell: Shell) -> None:
    (shell.folder / "s.yaml").write_text(ONE)
    said = await shell.run("stack", "diff", "-c", "s.yaml", "shop")
    assert (said.code, said.err) == (1, "")
    assert said.out.splitlines() == ["+ network shop_default", "+ service shop_web", "+ service shop_once"]
    assert shell.api.state.services == {}

    await shell.ok(*DEPLOY)
    revision = shell.api.state.revision
    assert await shell.ok("stack", "diff", "-c", "s.yaml", "shop") == ""

    (shell.folder / "s.yaml").write_text(TWO)
    said = await shell.run("stack", "diff", "--prune", "-c", "s.yaml", "shop")
    assert said.code == 1
    assert said.out.splitlines() == [
        "~ service shop_web",
        '    Labels.com.docker.stack.image: "shop/web:1" -> "shop/web:2"',
        "    TaskTemplate.ContainerSpec.Env:",
        '      + "A=1"',
        '    TaskTemplate.ContainerSpec.Image: "shop/web:1" -> "shop/web:2"',
        "- service shop_once",
    ]
    assert await shell.ok(*DEPLOY, "--dry-run", "--prune") == said.out
    assert shell.api.state.revision == revision


async def test_a_diff_is_json_lines_on_demand(shell: Shell) -> None:
    await deployed(shell, ONE)
    (shell.folder / "s.yaml").write_text(TWO)
    said = await shell.run("stack", "diff", "--format", "json", "-c", "s.yaml", "shop")
    (line,) = said.out.splitlines()
    found = json.loads(line)
    assert (found["Kind"], found["Name"], found["Action"]) == ("service", "shop_web", "update")
    assert {"Path": "TaskTemplate.ContainerSpec.Env", "Old": None, "New": ["A=1"]} in found["Fields"]


@pytest.mark.parametrize("verb", ["ps", "services", "revisions"])
async def test_an_empty_name_is_that_of_no_stack(shell: Shell, verb: str) -> None:
    said = await shell.run("stack", verb, "")
    assert (said.code, said.err) == (2, "swarmpy: '' is the name of no stack; give its name or its id\n")


async def test_a_diff_that_cannot_be_made_is_neither_0_nor_1(shell: Shell) -> None:
    (shell.folder / "s.yaml").write_text("services: {web: {imagee: x}}\n")
    assert (await shell.run("stack", "diff", "-c", "s.yaml", "shop")).code == 2


async def test_each_deployment_that_changes_something_is_a_revision(shell: Shell) -> None:
    await deployed(shell, ONE)
    await deployed(shell, ONE)
    await deployed(shell, TWO)
    out = (await shell.ok("stack", "revisions", "shop")).splitlines()
    assert [line.split()[0] for line in out] == ["REVISION", "2", "1"]
    assert out[2].endswith("ago   unknown: detached   shop_web, shop_once")
    found = [
        json.loads(line) for line in (await shell.ok("stack", "revisions", "--format", "json", "shop")).splitlines()
    ]
    assert [item["Outcome"] for item in found] == [{"State": "unknown", "Reason": "detached"}] * 2
    assert [item["Services"] for item in found] == [["shop_web"], ["shop_web", "shop_once"]]
    assert (await shell.run("stack", "revisions", "other")).code == 4


async def test_a_rollback_deploys_what_was_before_removes_what_it_lacks_and_is_a_revision(shell: Shell) -> None:
    await deployed(shell, watched_briefly(ONE))
    await deployed(shell, watched_briefly(TWO), "--prune")
    process = await shell.start("stack", "rollback", "shop")
    await shell.service_appears("shop_once")
    await shell.tasks_become("shop_web", RUNNING)
    await shell.tasks_become("shop_once", RUNNING)
    said = await shell.finished(process)
    assert (said.code, said.err.splitlines()) == (0, ["shop: going back to revision 1", "shop: back at revision 1"])
    assert said.out.startswith("service shop_web: updated (Labels.com.docker.stack.image, ")
    assert image(shell) == "shop/web:1"
    assert {revision.number for revision in shell.api.state.stacks.values()} == {1, 2, 3}

    out = await shell.ok("stack", "rollback", "-d", "--to", "2", "shop")
    assert "service shop_once: removed, it left the file" in out.splitlines()
    assert image(shell) == "shop/web:2"
    assert shell.api.state.named("services", "shop_once") is None


async def test_a_rollback_with_nowhere_to_go_says_so(shell: Shell) -> None:
    said = await shell.run("stack", "rollback", "shop")
    assert (said.code, said.err) == (
        4,
        "swarmpy: stack shop has no revisions: `swarmpy stack deploy` makes them\n",
    )
    await deployed(shell, ONE)
    said = await shell.run("stack", "rollback", "shop")
    assert (said.code, said.err) == (2, "swarmpy: stack shop has one revision only, 1: there is none before it\n")
    said = await shell.run("stack", "rollback", "--to", "7", "shop")
    assert (said.code, said.err) == (4, "swarmpy: stack shop has no revision 7\n")


async def test_a_rollback_to_what_needs_a_secret_that_is_gone_writes_nothing(shell: Shell) -> None:
    wish = {"Services": [{"Name": "shop_web"}], "Secrets": ["shop_key"]}
    await shell.api.post("/stacks/shop/revisions", wish)
    revision = shell.api.state.revision
    said = await shell.run("stack", "rollback", "--to", "1", "shop")
    assert (said.code, said.err) == (
        4,
        "swarmpy: secret shop_key, which revision 1 of stack shop needs, is gone; create it first\n",
    )
    assert shell.api.state.revision == revision


async def test_revisions_of_a_stack_that_another_client_removed_say_so(shell: Shell) -> None:
    await deployed(shell, ONE)
    await deployed(shell, TWO)
    service = shell.api.state.services[shell.api.state.named("services", "shop_web") or ""]
    for name in ("shop_web", "shop_once"):
        await shell.api.delete(f"/services/{name}")
    assert service.id not in shell.api.state.services or shell.api.state.services[service.id].removed
    _, newest, older = (await shell.ok("stack", "revisions", "shop")).splitlines()
    assert "its services are gone: `swarmpy stack rm shop` removes the revisions, too" in newest
    assert "gone" not in older


async def test_revisions_go_with_their_stack(shell: Shell) -> None:
    await deployed(shell, ONE)
    await shell.ok("stack", "rm", "shop")
    assert shell.api.state.stacks == {}


async def test_revisions_that_outlived_their_stack_can_be_removed(shell: Shell) -> None:
    await shell.api.post("/stacks/shop/revisions", {"Services": [{"Name": "shop_web"}]})
    assert await shell.ok("stack", "rm", "shop") == "stack shop: revisions removed, nothing else was left of it\n"
    assert shell.api.state.stacks == {}
    said = await shell.run("stack", "rm", "shop")
    assert (said.code, said.err) == (4, "swarmpy: nothing found in stack: shop\n")


async def test_after_a_deployment_that_came_half_way_a_rollback_goes_to_the_newest_revision(shell: Shell) -> None:
    await deployed(shell, ONE)
    await deployed(shell, ONE.replace("web:1", "web:2"))
    # As one whose manager went away: the service is written, the revision is not.
    await shell.ok("service", "update", "-d", "--image", "shop/web:3", "shop_web")
    assert image(shell) == "shop/web:3"

    said = await shell.run("stack", "rollback", "-d", "shop")
    assert (said.code, said.err.splitlines()[0]) == (0, "shop: going back to revision 2")
    assert image(shell) == "shop/web:2"
    # Now that is what runs, and the one before it is next.
    said = await shell.run("stack", "rollback", "-d", "shop")
    assert (said.err.splitlines()[0], image(shell)) == ("shop: going back to revision 1", "shop/web:1")


async def test_what_left_the_files_and_stayed_moves_no_rollback(shell: Shell) -> None:
    await deployed(shell, ONE)
    await deployed(shell, TWO)
    await deployed(shell, TWO.replace("web:2", "web:3"))
    said = await shell.run("stack", "rollback", "-d", "shop")
    assert (said.code, said.err.splitlines()[0]) == (0, "shop: going back to revision 2")


NETWORK = """
services: {web: {image: 'shop/web:1', networks: [n]}}
networks:
  n:
    internal: true
    driver_opts: {com.docker.network.driver.mtu: "1400"}
    ipam: {config: [{subnet: 10.77.0.0/24, gateway: 10.77.0.1}]}
"""


async def test_a_network_that_was_made_as_the_file_says_is_kept_and_one_that_would_change_refused(shell: Shell) -> None:
    await deployed(shell, NETWORK)
    assert await shell.ok("stack", "diff", "-c", "s.yaml", "shop") == ""

    (shell.folder / "s.yaml").write_text(NETWORK.replace("internal: true", "internal: false"))
    revision = shell.api.state.revision
    said = await shell.run(*DEPLOY)
    assert (said.code, shell.api.state.revision) == (5, revision)
    place, _, sentence = said.err.partition(": network ")
    assert place.startswith("swarmpy: s.yaml:")
    assert sentence == (
        "n: shop_n is there with other settings (Internal True -> False); networks never change: "
        "give it another name, or remove it first\n"
    )


async def test_a_rollback_passes_over_what_failed_and_each_revision_tells_how_it_ended(shell: Shell) -> None:
    await deployed(shell, ONE)
    await shell.api.post("/stacks/shop/revisions/1/outcome", {"State": "converged"})
    await deployed(shell, ONE.replace("web:1", "web:2"))
    await shell.api.post("/stacks/shop/revisions/2/outcome", {"State": "failed", "Reason": "shop_web: it crashed"})

    (shell.folder / "s.yaml").write_text("services: {bad: {image: 'shop/bad:1', restart: 'no'}}\n")
    process = await shell.start("stack", "deploy", "-c", "s.yaml", "shop")
    await shell.service_appears("shop_bad")
    (task,) = await shell.tasks_become("shop_bad", FAILED)
    shell.api.logs.scripts[task.id] = []
    assert (await shell.finished(process)).code == 1

    said = await shell.run("stack", "rollback", "-d", "shop")
    assert (said.code, said.err.splitlines()[:2]) == (
        0,
        ["shop: revision 2 failed: shop_web: it crashed; passed over", "shop: going back to revision 1"],
    )
    outcomes = [line.split(" ago")[1].split("   ")[1].strip() for line in await revisions(shell)]
    assert outcomes[0] == "unknown: detached"
    assert outcomes[1].startswith("failed: shop_bad: ")
    assert outcomes[2:] == ["failed: shop_web: it crashed", "converged"]

    said = await shell.run("stack", "rollback", "shop")
    assert said.code == 2
    assert said.err.startswith("swarmpy: stack shop has no revision that is good to go back to: revision 3 failed: ")
    assert said.err.endswith("revision 2 failed: shop_web: it crashed; name one with --to\n")


async def test_a_deployment_that_ran_is_recorded_as_one_and_one_whose_time_was_up_as_unknown(shell: Shell) -> None:
    (shell.folder / "s.yaml").write_text(TWO)
    said = await shell.run("stack", "deploy", "--timeout", "1s", "-c", "s.yaml", "shop")
    assert said.code == 3
    assert "unknown: not there after 1 s" in (await revisions(shell))[0]

    await shell.tasks_become("shop_web", RUNNING)
    assert (await shell.run("stack", "deploy", "-c", "s.yaml", "shop")).code == 0
    assert "ago   converged   shop_web" in (await revisions(shell))[0]


async def revisions(shell: Shell) -> list[str]:
    return (await shell.ok("stack", "revisions", "shop")).splitlines()[1:]
