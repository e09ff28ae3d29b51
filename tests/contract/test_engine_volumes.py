"""What becomes of a task's mounts on a real engine: volumes with their options, binds, memory; and what is refused."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import docker
import pytest
from support.agents import FakeManager, agent_settings, running_agent
from support.assignments import an_assignment
from support.dockerd import Dockerd
from support.engines import NODE
from support.images import BUSYBOX

from agent.engine.docker import DockerEngine
from agent.task.container import create_request
from agent.task.mounts import VolumeFacts
from swarmpy.ids import id_from_number
from swarmpy.labels import VOLUME_AFFINITY
from swarmpy.models.base import Driver
from swarmpy.models.mount import BindOptions, Mount, MountType, TmpfsOptions, VolumeOptions
from swarmpy.wire import LogOptions, TaskAssignment

pytestmark = pytest.mark.docker

NODE_ID = id_from_number(910)
SLEEPS = ("sleep", "600")
QUICKLY = 100_000_000
UNREACHABLE = "192.0.2.1"


@pytest.fixture
def client(real_engine: Dockerd) -> Any:
    """An operator's look at the engine."""
    client = docker.APIClient(real_engine.host)
    before = names(client)
    yield client
    for name in names(client) - before:
        client.remove_volume(name, force=True)
    client.close()


@pytest.fixture(autouse=True)
async def engine(real_engine: Dockerd, client: Any) -> AsyncGenerator[DockerEngine, None]:
    engine = DockerEngine(real_engine.host)
    yield engine
    for container in await engine.containers(NODE_ID):
        await engine.remove(container.id)
    await engine.close()


def names(client: Any) -> set[str]:
    return {volume["Name"] for volume in client.volumes()["Volumes"] or ()}


def a_task(number: int, *command: str, mounts: tuple[Mount, ...], **fields: Any) -> TaskAssignment:
    return an_assignment(
        number, image=BUSYBOX, node_id=NODE_ID, command=command or SLEEPS, stop_grace_period=QUICKLY, mounts=mounts,
        **fields,
    )  # fmt: skip


def nfs(server: str, *, name: str, no_copy: bool = True) -> Mount:
    driver = Driver(name="local", options={"type": "nfs", "o": f"addr={server},rw,soft", "device": ":/exports/a"})
    return Mount(
        source=name, target="/mnt", volume_options=VolumeOptions(driver_config=driver, no_copy=no_copy or None)
    )


async def output_of(engine: DockerEngine, task: TaskAssignment) -> list[str]:
    container = await engine.create(create_request(task, NODE, {}))
    await engine.start(container)
    options = LogOptions(follow=True, timestamps=False)
    async with asyncio.timeout(20):
        return [line.line.decode().rstrip() async for line in engine.logs(container, options, tty=False)]


async def test_a_named_volume_is_made_with_its_labels_and_driver_options(engine: DockerEngine, client: Any) -> None:
    options = VolumeOptions(
        labels={"team": "shop", "slot": "{{.Task.Slot}}"},
        driver_config=Driver(name="local", options={"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=7"}),
    )
    task = a_task(
        4, "sh", "-c", "stat -c %u /d; df -k /d | tail -1 | awk '{print $2}'",
        mounts=(Mount(source="made-{{.Task.Slot}}", target="/d", volume_options=options),),
    )  # fmt: skip

    assert await output_of(engine, task) == ["7", "1024"]
    made = client.inspect_volume("made-4")
    assert made["Labels"] == {"team": "shop", "slot": "4"}
    assert made["Driver"] == "local"
    assert made["Options"] == {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=7"}


async def test_a_volume_is_filled_from_the_image_unless_nocopy(engine: DockerEngine, client: Any) -> None:
    copied = Mount(source="copied", target="/bin")
    bare = Mount(source="bare", target="/etc", volume_options=VolumeOptions(no_copy=True))

    await engine.create(create_request(a_task(1, mounts=(copied, bare)), NODE, {}))

    look = Mount(source="copied", target="/c"), Mount(source="bare", target="/b")
    shown = await output_of(
        engine, a_task(2, "sh", "-c", "test -e /c/busybox -o -e /c/sh && echo full; ls /b", mounts=look)
    )
    assert shown == ["full"]


async def test_memory_mounts_have_their_size_and_mode(engine: DockerEngine) -> None:
    memory = Mount(type=MountType.TMPFS, target="/m", tmpfs_options=TmpfsOptions(size_bytes=2 << 20, mode=0o1750))
    shown = await output_of(
        engine, a_task(1, "sh", "-c", "stat -c %a /m; df -k /m | tail -1 | awk '{print $2}'", mounts=(memory,))
    )
    assert shown == ["1750", "2048"]


async def test_a_bind_has_its_propagation_and_is_read_only(engine: DockerEngine, client: Any, tmp_path: Path) -> None:
    options = BindOptions(propagation="rslave", non_recursive=True)
    bind = Mount(type=MountType.BIND, source=str(tmp_path), target="/b", read_only=True, bind_options=options)

    container = await engine.create(create_request(a_task(1, mounts=(bind,)), NODE, {}))

    (shown,) = client.inspect_container(container)["Mounts"]
    assert (shown["Source"], shown["Propagation"], shown["RW"]) == (str(tmp_path), "rslave", False)
    asked = client.inspect_container(container)["HostConfig"]["Mounts"][0]["BindOptions"]
    assert asked == {"Propagation": "rslave", "NonRecursive": True}


async def test_anonymous_volumes_go_with_their_container_and_named_ones_stay(engine: DockerEngine, client: Any) -> None:
    before = names(client)
    container = await engine.create(
        create_request(a_task(1, mounts=(Mount(target="/anonymous"), Mount(source="stays", target="/d"))), NODE, {})
    )
    assert len(names(client) - before) == 2
    await engine.remove(container)

    assert names(client) - before == {"stays"}


async def test_the_engine_tells_which_of_its_volumes_carry_a_label(engine: DockerEngine, client: Any) -> None:
    kept = VolumeOptions(labels={VOLUME_AFFINITY: "true"})
    mounts = (
        Mount(source="kept-2", target="/a", volume_options=kept),
        Mount(source="kept-1", target="/b", volume_options=kept),
        Mount(source="other", target="/c", volume_options=VolumeOptions(labels={VOLUME_AFFINITY: "false"})),
    )
    await engine.create(create_request(a_task(1, mounts=mounts), NODE, {}))

    assert await engine.volumes(f"{VOLUME_AFFINITY}=true") == ("kept-1", "kept-2")


async def test_the_engine_tells_how_a_volume_was_made(engine: DockerEngine, client: Any) -> None:
    await engine.create(
        create_request(a_task(1, mounts=(nfs(UNREACHABLE, name="far"), Mount(source="plain", target="/d"))), NODE, {})
    )

    assert await engine.volume("plain") == VolumeFacts("local")
    options = {"type": "nfs", "o": f"addr={UNREACHABLE},rw,soft", "device": ":/exports/a"}
    assert await engine.volume("far") == VolumeFacts("local", options)
    assert await engine.volume("nowhere") is None


async def test_refusals_of_mounts_reach_the_report_and_hang_no_other_task(
    real_engine: Dockerd, client: Any, tmp_path: Path
) -> None:
    settings, manager = agent_settings(tmp_path, real_engine.host, NODE_ID), FakeManager()
    client.create_volume("other", driver_opts={"type": "tmpfs", "device": "tmpfs", "o": "size=1m"})
    missing = Mount(type=MountType.BIND, source="/not/there", target="/x")
    subpath = Mount(source="sub", target="/x", volume_options=VolumeOptions(subpath="a/b"))
    copied = nfs(UNREACHABLE, name="far", no_copy=False).model_copy(update={"target": "/bin"})
    async with running_agent(settings, DockerEngine(real_engine.host), manager):
        manager.assign(
            a_task(1, mounts=(missing,)),
            a_task(2, mounts=(subpath,)),
            a_task(3, mounts=(nfs(UNREACHABLE, name="other"),)),
            a_task(4, mounts=(copied,)),
            a_task(5, mounts=(nfs(UNREACHABLE, name="farther"),)),
            a_task(6, mounts=(Mount(source="good", target="/x"),)),
        )
        # What the engine mounts to fill it is refused when it is created, the rest when it is started.
        await manager.wait_until_states("rejected", "rejected", "rejected", "rejected", "failed", "running")

    errors = [manager.reports[id_from_number(n)].status.err or "" for n in range(1, 6)]
    assert "bind source path does not exist: /not/there" in errors[0]
    assert errors[1].startswith("mount at /x: VolumeOptions.Subpath needs engine API 1.45, and the engine of this node")
    assert errors[2] == (
        "volume other is on this node already, made with other driver options (device, o, type): "
        "remove it there, or give the volume another name"
    )
    assert "failed to mount local volume: mount :/exports/a:" in errors[3]
    assert f"addr={UNREACHABLE}" in errors[4]
