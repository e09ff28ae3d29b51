"""What only a real engine can show: that a wish takes effect, that pulls and logs flow, that a whole agent works."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import pytest
from support.agents import FakeManager, agent_settings, running_agent, wait_until
from support.assignments import a_network, an_assignment, desired
from support.dockerd import Dockerd
from support.engines import NODE
from support.images import BUSYBOX
from support.registry import PASSWORD, Registry, credentials, registry

from agent.engine.docker import DockerEngine
from agent.engine.port import LogLine
from agent.task.container import create_request
from agent.task.names import network_name
from agent.task.pull import PullProgress
from swarmpy.errors import NotFound
from swarmpy.ids import id_from_number
from swarmpy.labels import HOST
from swarmpy.models.container import DNSConfig, HealthConfig, Privileges, SeccompOptions, Ulimit
from swarmpy.models.mount import Mount, MountType, TmpfsOptions
from swarmpy.models.port import PortConfig, PublishMode
from swarmpy.models.resources import Limits, ResourceRequirements
from swarmpy.states import TaskState
from swarmpy.wire import LogOptions, TaskAssignment

pytestmark = pytest.mark.docker

NODE_ID = id_from_number(900)
SLEEPS = ("sleep", "600")
QUICKLY = 100_000_000


@pytest.fixture(autouse=True)
async def engine(real_engine: Dockerd) -> AsyncGenerator[DockerEngine, None]:
    engine = DockerEngine(real_engine.host)
    yield engine
    for container in await engine.containers(NODE_ID):
        await engine.remove(container.id)
    await engine.close()


@pytest.fixture(scope="module")
def a_registry(real_engine: Dockerd) -> Iterator[Registry]:
    with registry(real_engine) as running:
        yield running


def a_task(number: int, *command: str, image: str = BUSYBOX, **fields: Any) -> TaskAssignment:
    return an_assignment(number, image=image, node_id=NODE_ID, command=command, stop_grace_period=QUICKLY, **fields)


async def output_of(engine: DockerEngine, task: TaskAssignment) -> list[str]:
    """What the task's container prints until it ends."""
    container = await engine.create(create_request(task, NODE, {}))
    await engine.start(container)
    lines = await lines_of(engine, container, LogOptions(follow=True, timestamps=False))
    return [line.line.decode().rstrip("\r\n") for line in lines]


def _host(**options: Any) -> dict[str, str]:
    return {HOST: json.dumps(options)}


def inspect(real_engine: Dockerd, name: str) -> Any:
    """As the engine itself tells of the container."""
    client: Any = real_engine.client()
    with closing(client):
        return client.inspect_container(name)


async def lines_of(engine: DockerEngine, container: str, options: LogOptions, *, tty: bool = False) -> list[LogLine]:
    async with asyncio.timeout(20), aclosing(engine.logs(container, options, tty=tty)) as lines:
        return [line async for line in lines]


async def test_what_a_task_wishes_takes_effect_in_its_container(engine: DockerEngine, tmp_path: Path) -> None:
    (tmp_path / "given").write_text("from the node\n")
    task = a_task(
        2,
        "sh",
        "-c",
        "hostname; pwd; id -u; id -G; echo $SLOT; cat /given/given; cat /proc/sys/net/core/somaxconn; ulimit -n;"
        " grep -c nameserver.10.9.8.7 /etc/resolv.conf; grep -c 10.1.1.1.db /etc/hosts; touch /x 2>&1;"
        " touch /tmp/x && echo wrote;"
        " grep NoNewPrivs /proc/self/status; cat /sys/fs/cgroup/pids/pids.max; echo $1",
        args=("sh", "argument"),
        hostname="{{.Service.Name}}-{{.Task.Slot}}",
        dir="/data",
        user="65534",
        groups=("44",),
        env=("SLOT={{.Task.Slot}}",),
        mounts=(
            Mount(type=MountType.BIND, source=str(tmp_path), target="/given", read_only=True),
            Mount(type=MountType.TMPFS, target="/tmp", tmpfs_options=TmpfsOptions(mode=0o1777)),
            Mount(source="vol-{{.Task.Slot}}", target="/vol"),
        ),
        sysctls={"net.core.somaxconn": "77"},
        ulimits=(Ulimit(name="nofile", soft=64, hard=64),),
        dns_config=DNSConfig(nameservers=("10.9.8.7",)),
        hosts=("10.1.1.1 db",),
        read_only=True,
        privileges=Privileges(no_new_privileges=True, seccomp=SeccompOptions(mode="unconfined")),
        task_spec={"resources": ResourceRequirements(limits=Limits(pids=40, memory_bytes=64 << 20, nano_cpus=10**9))},
    )
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)

    assert await output_of(engine, task) == [
        "web-2", "/data", "65534", "65534 44", "2", "from the node", "77", "64", "1", "1",
        "touch: /x: Read-only file system", "wrote", "NoNewPrivs:\t1", "40", "argument",
    ]  # fmt: skip


async def test_options_of_the_host_take_effect(engine: DockerEngine, real_engine: Dockerd) -> None:
    parent = f"/{real_engine.folder.name}/mine"  # below the engine's own, which is removed with it
    device = {"PathOnHost": "/dev/null", "PathInContainer": "/dev/mine", "CgroupPermissions": "rw"}
    asked = {
        "ShmSize": 8 << 20, "Devices": [device], "SecurityOpt": ["no-new-privileges", "seccomp=unconfined"],
        "PidMode": "host", "IpcMode": "shareable", "UTSMode": "host", "OomScoreAdj": 10, "CgroupParent": parent,
        "CgroupnsMode": "host", "CpuShares": 512, "Runtime": "runc",
    }  # fmt: skip
    script = (
        "cat /proc/self/oom_score_adj; df -k /dev/shm | tail -1 | awk '{print $2}'; ls /dev/mine;"
        " grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status; cat /proc/1/comm"
    )
    task = a_task(1, "sh", "-c", script, labels=_host(**asked))

    said = await output_of(engine, task)

    inspected = inspect(real_engine, create_request(task, NODE, {}).name)
    # The engine itself adds an option where processes of the machine are seen.
    made = {**inspected["HostConfig"], "SecurityOpt": inspected["HostConfig"]["SecurityOpt"][:2]}
    assert {name: made[name] for name in asked} == asked
    assert inspected["Config"]["Labels"][HOST] == json.dumps(asked)
    *said, first = said
    assert said == ["10", "8192", "/dev/mine", "NoNewPrivs:\t1", "Seccomp:\t0"]
    assert first != "sh", "its own first process, not the machine's"


async def test_a_privileged_container_with_open_system_paths_is_made(
    engine: DockerEngine, real_engine: Dockerd
) -> None:
    """It is not started: a machine that is itself confined may not give away all that it takes."""
    asked = {"Privileged": True, "SecurityOpt": ["systempaths=unconfined"], "Domainname": "example.org"}
    task = a_task(1, *SLEEPS, labels=_host(**asked))

    await engine.create(create_request(task, NODE, {}))

    inspected = inspect(real_engine, create_request(task, NODE, {}).name)
    host = inspected["HostConfig"]
    assert (host["Privileged"], host["MaskedPaths"], host["ReadonlyPaths"]) == (True, [], [])
    assert inspected["Config"]["Domainname"] == "example.org"


async def test_a_hardware_address_is_had_on_the_tasks_network(engine: DockerEngine) -> None:
    network, wished = a_network(91), "02:42:00:00:00:99"
    await engine.ensure_network(network, NODE_ID)
    task = a_task(1, "cat", "/sys/class/net/eth0/address", networks=(network.id,), labels=_host(MacAddress=wished))
    request = create_request(task, NODE, {network.id: network})

    await engine.start(container := await engine.create(request))
    said = await lines_of(engine, container, LogOptions(follow=True, timestamps=False))

    assert said == [LogLine(1, f"{wished}\n".encode())]
    await engine.remove(container)
    await engine.remove_network(network_name(network))


async def test_an_engine_tells_its_runtimes(engine: DockerEngine) -> None:
    assert ("Runtime", "runc") in (await engine.describe()).plugins


async def test_output_and_errors_are_told_apart_and_stamped(engine: DockerEngine) -> None:
    container = await engine.create(create_request(a_task(1, "sh", "-c", "echo out; echo err >&2"), NODE, {}))
    await engine.start(container)
    await lines_of(engine, container, LogOptions(follow=True))

    lines = await lines_of(engine, container, LogOptions())

    assert sorted((line.stream, line.line.split()[1]) for line in lines) == [(1, b"out"), (2, b"err")]
    assert all(line.line.split()[0].endswith(b"Z") for line in lines)
    only = await lines_of(engine, container, LogOptions(stdout=False, timestamps=False))
    assert only == [LogLine(2, b"err\n")]


async def test_a_terminal_has_one_stream(engine: DockerEngine) -> None:
    task = a_task(1, "sh", "-c", "echo out; echo err >&2", tty=True)
    container = await engine.create(create_request(task, NODE, {}))
    await engine.start(container)

    lines = await lines_of(engine, container, LogOptions(follow=True, timestamps=False), tty=True)

    assert lines == [LogLine(1, b"out\r\n"), LogLine(1, b"err\r\n")]


async def test_a_followed_log_can_be_left(engine: DockerEngine) -> None:
    task = a_task(1, "sh", "-c", "while true; do echo again; done")
    container = await engine.create(create_request(task, NODE, {}))
    await engine.start(container)

    async with asyncio.timeout(10), aclosing(engine.logs(container, LogOptions(follow=True), tty=False)) as lines:
        for _ in range(500):
            await anext(lines)


async def test_an_image_is_pulled_with_its_credentials_and_the_progress_is_told(
    engine: DockerEngine, a_registry: Registry
) -> None:
    told: list[PullProgress] = []

    await engine.ensure_image(a_registry.reference, credentials(), told.append)

    assert "1 of 1 layers" in told[-1].text()
    assert any("/blobs/" in path for path in a_registry.asked)
    asked = len(a_registry.asked)
    await engine.ensure_image(a_registry.reference, credentials(), told.append)
    assert len(a_registry.asked) == asked


async def test_a_pull_with_the_wrong_password_says_so_and_does_not_repeat_it(
    engine: DockerEngine, a_registry: Registry
) -> None:
    other = a_registry.reference.replace("/app:", "/other:")

    with pytest.raises(NotFound, match=f"^No such image: {other}") as refusal:
        await engine.ensure_image(other, credentials("wrong-word"), lambda progress: None)

    assert "wrong-word" not in str(refusal.value)
    assert "unauthorized" in str(refusal.value) or "basic auth" in str(refusal.value)
    assert PASSWORD not in str(refusal.value)


async def test_ten_tasks_run_and_are_adopted_by_the_next_agent(
    engine: DockerEngine, real_engine: Dockerd, tmp_path: Path
) -> None:
    settings, manager, network = agent_settings(tmp_path, real_engine.host, NODE_ID), FakeManager(), a_network(90)
    tasks = [a_task(number, *SLEEPS, networks=(network.id,)) for number in range(1, 11)]
    manager.assign(*tasks, networks=(network,))
    async with running_agent(settings, DockerEngine(real_engine.host), manager):
        await manager.wait_until_states(*["running"] * 10)
    before = {(c.id, c.life) for c in await engine.containers(NODE_ID)}
    manager.reports.clear()

    async with running_agent(settings, DockerEngine(real_engine.host), manager):
        await wait_until(lambda: len(manager.hellos) == 2)
        await manager.wait_until_states(*["running"] * 10)
        assert {(c.id, c.life) for c in await engine.containers(NODE_ID)} == before
        addresses = {report.addresses[network.id] for report in manager.reports.values()}
        assert len(addresses) == 10
        manager.drop(*(task.id for task in tasks))
        async with asyncio.timeout(20):
            while await engine.containers(NODE_ID):
                await asyncio.sleep(0.05)


async def test_what_hands_do_to_containers_is_noticed(
    engine: DockerEngine, real_engine: Dockerd, tmp_path: Path
) -> None:
    settings, manager = agent_settings(tmp_path, real_engine.host, NODE_ID), FakeManager()
    manager.assign(a_task(1, *SLEEPS), a_task(2, *SLEEPS), a_task(3, "sh", "-c", "exit 7"))
    async with running_agent(settings, DockerEngine(real_engine.host), manager):
        await manager.wait_until_states("running", "running", "failed")
        await engine.signal(f"web.1.{id_from_number(1)}", "SIGKILL")
        await engine.remove(f"web.2.{id_from_number(2)}")
        await manager.wait_until_states("failed", "failed", "failed")

    errors = [manager.reports[id_from_number(n)].status.err for n in (1, 2, 3)]
    assert errors == [
        "task: non-zero exit (137)",
        "task: non-zero exit (137): container was removed by hand",
        "task: non-zero exit (7)",
    ]


async def test_refusals_of_the_engine_reach_the_report(real_engine: Dockerd, tmp_path: Path) -> None:
    settings, manager = agent_settings(tmp_path, real_engine.host, NODE_ID), FakeManager()
    taken = PortConfig(target_port=80, published_port=18080, publish_mode=PublishMode.HOST)
    bind = Mount(type=MountType.BIND, source="/not/there", target="/x")
    sick = HealthConfig(test=("CMD-SHELL", "echo sick; false"), interval=QUICKLY, retries=1, timeout=10 * QUICKLY)
    async with running_agent(settings, DockerEngine(real_engine.host), manager):
        manager.assign(a_task(1, *SLEEPS, ports=(taken,)))
        await manager.wait_until_states("running")
        port_status = manager.reports[id_from_number(1)].status.port_status
        manager.assign(
            a_task(2, *SLEEPS, ports=(taken,)),
            a_task(3, *SLEEPS, mounts=(bind,)),
            a_task(4, "no-such-program"),
            an_assignment(5, image="nowhere:1", node_id=NODE_ID),
            a_task(6, *SLEEPS, health_check=sick),
        )
        await manager.wait_until_states("running", "failed", "rejected", "failed", "rejected", "failed")
        manager.assign(desired(manager.tasks[id_from_number(1)], TaskState.SHUTDOWN))
        await wait_until(lambda: manager.states()[0] == "shutdown")

    assert port_status is not None
    assert port_status.ports == (taken.model_copy(update={"protocol": "tcp"}),)
    errors = [manager.reports[id_from_number(n)].status.err or "" for n in range(2, 7)]
    assert "port is already allocated" in errors[0]
    assert "bind source path does not exist: /not/there" in errors[1]
    assert "no-such-program" in errors[2]
    assert errors[3].startswith("No such image: nowhere:1")
    assert errors[4] == "task: non-zero exit (137): dockerexec: unhealthy container: sick"


async def test_credentials_do_not_reach_the_disk_or_the_report(
    real_engine: Dockerd, a_registry: Registry, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings, manager = agent_settings(tmp_path, real_engine.host, NODE_ID), FakeManager()
    task = a_task(1, *SLEEPS, image=a_registry.reference, pull_auth=credentials())
    manager.assign(task)
    async with running_agent(settings, DockerEngine(real_engine.host), manager):
        await manager.wait_until_states("running")
        manager.drop(task.id)

    told = "".join(report.model_dump_json() for report in manager.reports.values())
    said = "".join(capfd.readouterr()) + repr(task) + told
    written = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert credentials() not in said + written
    assert PASSWORD not in said + written
