"""What goes wrong is told: with its reason, its last words, and the right exit code."""

import pytest
from support.node import Node, wait_until

# Documented in docs/exit-codes.md.
OK, FAILED, TIMED_OUT = 0, 1, 3


def a_service(name: str, *lines: str) -> str:
    return "\n".join(["services:", f"  {name}:", "    image: lab:1", *(f"    {line}" for line in lines)])


def test_a_crash_loop_fails_the_deployment_with_reason_and_last_log_lines(node: Node) -> None:
    crashing = a_service("web", 'command: ["sh", "-c", "echo no database; exit 3"]')
    result = node.deploy("loop", crashing, "--timeout", "20s")
    assert result.code == FAILED, result.all
    assert "no database" in result.all
    assert "exit" in result.all
    node.must("stack", "rm", "loop")


def test_restarts_of_a_crash_loop_are_further_and_further_apart(node: Node) -> None:
    node.deploy("loop2", a_service("web", 'command: ["false"]'), "--detach")
    wait_until("three attempts have failed", lambda: len(node.tasks("loop2_web")) > 3)
    (line,) = node.get("/status")["services"]
    assert [reason["code"] for reason in line["reasons"]] == ["waiting-restart-delay"]
    node.must("stack", "rm", "loop2")


def test_an_image_that_is_nowhere_is_named(node: Node) -> None:
    result = node.deploy("gone", "services:\n  web:\n    image: nowhere.invalid/none:1\n", "--timeout", "20s")
    assert result.code == FAILED, result.all
    assert "nowhere.invalid/none:1" in result.all
    node.must("stack", "rm", "gone")


def test_resources_that_no_node_has_are_told_per_node(node: Node) -> None:
    greedy = a_service("web", 'command: ["sleep", "1000"]', "deploy: {resources: {reservations: {cpus: '500'}}}")
    result = node.deploy("greedy", greedy, "--timeout", "5s")
    assert result.code == TIMED_OUT
    assert "1 node" in result.all
    (line,) = node.get("/status")["services"]
    assert "CPU" in line["reasons"][0]["nodes"]["node-1"]
    node.must("stack", "rm", "greedy")


def test_an_unhealthy_container_is_replaced_and_its_last_output_is_the_reason(node: Node) -> None:
    health = """test: ["CMD-SHELL", "test ! -e /tmp/sick || { echo the disk is full; exit 1; }"]"""
    well = a_service(
        "web",
        'command: ["sleep", "1000"]',
        "stop_grace_period: 0s",
        f"healthcheck: {{interval: 500ms, retries: 1, {health}}}",
    )
    assert node.deploy("ill", well).code == OK
    (before,) = node.containers("ill_web")

    sick = node.docker.exec_create(before.id, ["touch", "/tmp/sick"])["Id"]
    node.docker.exec_start(sick)

    wait_until("another runs", lambda: before not in (seen := node.containers("ill_web")) and len(seen) == 1)
    (failed,) = [task for task in node.tasks("ill_web") if task["ID"] == before.task_id]
    assert "the disk is full" in str(failed["Status"])
    node.must("stack", "rm", "ill")


def test_a_removed_stack_leaves_nothing_in_the_way_of_the_next(node: Node) -> None:
    """The next may be given the range of the network that has just gone."""
    sleeper = a_service("web", 'command: ["sleep", "1000"]', "stop_grace_period: 0s")
    for name in ("first", "second"):
        deployed = node.deploy(name, sleeper)
        assert deployed.code == OK, deployed.all
        node.must("stack", "rm", name)
        wait_until("its containers are gone", lambda: not node.docker.containers(all=True))


def test_a_one_shot_that_succeeds_is_success(node: Node) -> None:
    once = a_service("web", 'command: ["true"]', "deploy: {mode: replicated-job}")
    assert node.deploy("once", once, "--timeout", "30s").code == OK
    node.must("stack", "rm", "once")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("services:\n  web:\n    image: [", ["stack.yaml", "3"]),
        ("services:\n  web:\n    imag: x\n", ["imag", "stack.yaml"]),
        ("services:\n  web:\n    image: 5\n", ["image"]),
        ("services:\n  web:\n    image: ${UNSET:?set it}\n", ["UNSET", "set it"]),
        ("services:\n  web:\n    image: lab:1\n    deploy: {replicas: many}\n", ["replicas"]),
        ("services:\n  web:\n    image: lab:1\n    networks: [none]\n", ["none"]),
        ("services:\n  web:\n    image: lab:1\n    privileged: maybe\n", ["privileged"]),
        ("web:\n  image: lab:1\n", ["web"]),
        ("", ["stack.yaml"]),
    ],
)
def test_bad_stack_files_get_one_clear_sentence(node: Node, text: str, words: list[str]) -> None:
    result = node.deploy("bad", text)
    assert result.code == 2, result.all
    assert [word for word in words if word not in result.err] == []
    assert "Traceback" not in result.err
    assert node.must("stack", "ls", "--format", "json").out.count('"bad"') == 0


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["service", "ps", "none"], 4, "none"),
        (["service", "scale", "none=2"], 4, "none"),
        (["node", "inspect", "none"], 4, "none"),
        (["task", "inspect", "none"], 4, "none"),
        (["service", "scale", "none=many"], 2, "many"),
        (["stack", "deploy", "-c", "/does/not/exist.yaml", "x"], 2, "/does/not/exist.yaml"),
        (["--host", "unix:///does/not/exist.sock", "service", "ls"], 6, "/does/not/exist.sock"),
    ],
)
def test_commands_that_cannot_be_carried_out_end_with_their_code(
    node: Node, words: list[str], code: int, told: str
) -> None:
    result = node.swarmpy(*words)
    assert result.code == code, result.all
    assert told in result.err
    assert "Traceback" not in result.err
