"""Secrets and configs in the containers of a real engine."""

import base64
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from support.agents import FakeManager, agent_settings, running_agent, wait_until
from support.assignments import an_assignment
from support.dockerd import Dockerd
from support.images import BUSYBOX

from agent.cache import FILE_NAME
from agent.daemon import places_of_files
from agent.engine.docker import DockerEngine
from swarmpy.ids import id_from_number
from swarmpy.models.container import ConfigReference, ReferenceFile, SecretReference
from swarmpy.settings import AgentSettings
from swarmpy.wire import FileAssignment, LogOptions, TaskAssignment

pytestmark = pytest.mark.docker

NODE_ID = id_from_number(901)
QUICKLY = 100_000_000


@pytest.fixture
async def engine(real_engine: Dockerd) -> AsyncGenerator[DockerEngine, None]:
    engine = DockerEngine(real_engine.host)
    yield engine
    for container in await engine.containers(NODE_ID):
        await engine.remove(container.id)
    await engine.close()


def a_file(id: str, data: bytes, *, is_secret: bool = True, is_template: bool = False) -> FileAssignment:
    encoded = base64.b64encode(data).decode()
    return FileAssignment(id=id, name=id, is_secret=is_secret, is_template=is_template, data=encoded)


def a_task(number: int, *command: str, **fields: Any) -> TaskAssignment:
    return an_assignment(
        number, image=BUSYBOX, node_id=NODE_ID, command=command, stop_grace_period=QUICKLY, read_only=True, **fields
    )


async def output_of(engine: DockerEngine, task: TaskAssignment) -> list[str]:
    """All that the task's container prints, until it ends."""
    (container,) = [found.id for found in await engine.containers(NODE_ID) if found.task_id == task.id]
    async with aclosing(engine.logs(container, LogOptions(timestamps=False, follow=True), tty=False)) as lines:
        return [line.line.decode().rstrip() async for line in lines]


def folders(settings: AgentSettings) -> list[Path]:
    return [place for place in places_of_files(settings) if place.exists()]


async def test_a_container_finds_them_with_owner_mode_and_content_and_cannot_change_them(
    engine: DockerEngine, real_engine: Dockerd, tmp_path: Path
) -> None:
    settings, manager = agent_settings(tmp_path, real_engine.host, NODE_ID), FakeManager()
    script = "cd /run/secrets; stat -c '%n %u %g %a' key /etc/app.conf; cat key /etc/app.conf; echo x 2>&1 >> key"
    key, conf = (
        ReferenceFile(name="key", uid="65534", gid="44", mode=0o400),
        ReferenceFile(name="/etc/app.conf"),
    )
    task = a_task(
        7, "sh", "-c", script,
        secrets=(SecretReference(secret_id="s1", secret_name="key", file=key),),
        configs=(ConfigReference(config_id="c1", config_name="conf", file=conf),),
    )  # fmt: skip
    files = (
        a_file("s1", b"hunter2\n"),
        a_file("c1", b'{{.Service.Name}} has {{secret "key"}}', is_secret=False, is_template=True),
    )
    async with running_agent(settings, DockerEngine(real_engine.host), manager):
        await wait_until(lambda: manager.hellos)
        manager.assign(task, files=files)
        await manager.wait_until_states("failed")
        assert await output_of(engine, task) == [
            "key 65534 44 400", "/etc/app.conf 0 0 444", "hunter2", "web has hunter2",
            "sh: can't create key: Read-only file system",
        ]  # fmt: skip
        (place,) = folders(settings)
        assert [folder.name for folder in place.iterdir()] == [task.id]
        manager.drop(task.id)
        await wait_until(lambda: not folders(settings))
    assert not any(file.data in (tmp_path / FILE_NAME).read_text() for file in files)
