"""A secret's way on a whole node: from the command line into a container, and into no file on the way."""

from pathlib import Path

import pytest
from support.node import Container, Node, wait_until

CONFLICT = 5
PLAIN, ROTATED = "correct-horse-battery", "staple-and-more-horses"


def a_wish(*secrets: str) -> dict[str, object]:
    """A service that finds the secret named last at /run/secrets/key, whatever its name."""
    reference = {"SecretName": secrets[-1], "File": {"Name": "key", "UID": "7", "GID": "8", "Mode": 0o440}}
    config = {"ConfigName": "conf", "File": {"Name": "/etc/app.conf", "UID": "0", "GID": "0", "Mode": 0o444}}
    container = {"Image": "lab:1", "Command": ["sleep", "1000"], "StopGracePeriod": 1, "ReadOnly": True}
    template = {"ContainerSpec": {**container, "Secrets": [reference], "Configs": [config]}}
    return {"Name": "vault", "TaskTemplate": template, "Mode": {"Replicated": {"Replicas": 1}}}


def read(node: Node, container: Container, *command: str) -> str:
    made = node.docker.exec_create(container.id, list(command))
    return str(node.docker.exec_start(made["Id"]).decode())


@pytest.fixture(scope="module")
def served(node: Node) -> Node:
    for name, text in (("key_1", PLAIN), ("key_2", ROTATED)):
        path = node.directory / name
        path.write_text(text)
        node.must("secret", "create", name, str(path))
        path.unlink()
    template = node.directory / "template"
    template.write_text('{{.Service.Name}} of {{.Node.Hostname}} has {{ secret "key" }}')
    node.must("config", "create", "--template-driver", "golang", "conf", str(template))
    status, answer = node.request("/services/create", "POST", a_wish("key_1"))
    assert status == 201, answer
    node.wait_until_running("vault", 1)
    return node


def test_a_container_reads_it_and_a_template_is_filled_in(served: Node) -> None:
    (container,) = served.wait_until_running("vault", 1)
    assert read(served, container, "cat", "/run/secrets/key") == PLAIN
    assert read(served, container, "stat", "-c", "%u %g %a", "/run/secrets/key") == "7 8 440\n"
    assert read(served, container, "cat", "/etc/app.conf") == f"vault of node-1 has {PLAIN}"


def test_it_is_not_removed_while_a_service_uses_it(served: Node) -> None:
    refused = served.swarmpy("secret", "rm", "key_1")
    assert (refused.code, refused.out) == (CONFLICT, "")
    assert "secret 'key_1' is in use by the following service: vault" in refused.err


def test_its_text_is_in_no_file_of_the_node(served: Node) -> None:
    files = [path for path in served.directory.rglob("*") if path.is_file()]
    held = b"".join(path.read_bytes() for path in files) + served.log.encode()

    assert b"key_1" in held
    assert any(path.name == "agent.json" for path in files)
    for text in (PLAIN, ROTATED):
        assert text.encode() not in held


def test_an_agent_started_again_leaves_it_where_it_is(served: Node) -> None:
    before = served.wait_until_running("vault", 1)
    served.kill_child("agent")
    wait_until("the node is ready", lambda: served.get("/nodes")[0]["Status"]["State"] == "ready")
    (container,) = served.wait_until_running("vault", 1)
    assert {container} == set(before)
    assert read(served, container, "cat", "/run/secrets/key") == PLAIN


def test_a_service_takes_another_and_the_old_one_can_go(served: Node) -> None:
    (before,) = served.wait_until_running("vault", 1)
    index = served.get("/services/vault")["Version"]["Index"]
    status, answer = served.request(f"/services/vault/update?version={index}", "POST", a_wish("key_1", "key_2"))
    assert status == 200, answer
    served.must("secret", "rm", "key_1")

    def replaced() -> Container | None:
        return next((one for one in served.containers("vault") if one != before), None)

    container = wait_until("the task is replaced", replaced)
    assert container is not None
    assert read(served, container, "cat", "/run/secrets/key") == ROTATED


def test_nothing_is_left_when_the_service_is_gone(served: Node) -> None:
    def laid_out() -> list[Path]:
        node_id = served.get("/nodes")[0]["ID"]
        places = (
            served.run_dir / "secrets",
            Path("/run", f"swarmpy.{node_id}"),
            Path("/dev/shm", f"swarmpy.{node_id}"),
        )
        return [place for place in places if place.exists()]

    assert laid_out()
    served.must("service", "rm", "vault")
    wait_until("the folder is gone", lambda: not laid_out())
    served.wait_until_done("secret", "rm", "key_2")
    served.must("config", "rm", "conf")
