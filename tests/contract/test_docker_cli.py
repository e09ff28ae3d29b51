"""The real docker client against the API over a unix socket: every swarm command reads, writes and prints.

The control loop does not run here; a test writes what it and the agents would.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.api import NODE_ID, Api
from support.builders import T0, a_cluster, a_node, a_revision, a_task
from support.served import Said, served_api
from support.shell import Shell

from manager.objects import Network, Node, NodeSubnet, Reason, ReasonCode, Service, Task, TaskNetwork, VirtualIP
from swarmpy.models.node import EngineDescription, NodeDescription, NodeSpec, Platform
from swarmpy.models.resources import Resources
from swarmpy.models.task import ContainerStatus, TaskStatus
from swarmpy.stack.changes import NOT_COMPARED
from swarmpy.states import Availability, NodeState, Role, TaskState

DOCKER = shutil.which("docker")
pytestmark = pytest.mark.skipif(DOCKER is None, reason="the docker client is not installed")

STACK = """
version: "3.8"
services:
  web:
    image: shop/web:1
    deploy:
      replicas: 2
    networks: [front]
  agent:
    image: shop/agent:1
    deploy:
      mode: global
networks:
  front: {}
"""

SECRET_STACK = """
version: "3.8"
services:
  web: {image: "shop/web:1", secrets: [key], configs: [{source: conf, target: /etc/conf}]}
secrets: {key: {file: ./data}}
configs: {conf: {file: ./data}}
"""


PARTLY_TOLD = """
version: "3.8"
services:
  web:
    image: shop/web:1
    volumes: ["data:/data"]
    ports: [{target: 80, published: 8080, mode: host}]
    deploy:
      update_config: {parallelism: 2}
      rollback_config: {parallelism: 2}
      restart_policy: {delay: 1s}
volumes: {data: {}}
"""


class Swarm:
    """The API on a socket, and the docker client pointed at it."""

    def __init__(self, api: Api, socket: Path, home: Path) -> None:
        self.api = api
        self.home = home
        self.socket = socket

    async def docker(self, *words: str) -> Said:
        assert DOCKER is not None
        # A home of its own: contexts and plugins of the person who runs the tests stay out.
        process = await asyncio.create_subprocess_exec(
            DOCKER, "-H", f"unix://{self.socket}", *words,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), "DOCKER_CONFIG": str(self.home)},
        )  # fmt: skip
        try:
            async with asyncio.timeout(20):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return Said(process.returncode or 0, out.decode(), err.decode())

    async def ok(self, *words: str) -> str:
        said = await self.docker(*words)
        assert said.code == 0, said.err
        return said.out

    def service(self, name: str) -> Service:
        found = self.api.state.named("services", name)
        assert found is not None
        return self.api.state.services[found]

    async def run_tasks(self, name: str) -> list[Task]:
        """What scheduler and agents would make of a replicated service."""
        service = self.service(name)
        replicas = service.spec.mode.replicated.replicas if service.spec.mode.replicated else 0
        tasks = [
            a_task(
                f"{name[-8:]}{slot}".rjust(25, "0").replace("_", "0"), service, slot=slot, node=NODE_ID, networks=()
            ).model_copy(
                update={
                    "service_name": name,
                    "spec_version": service.spec_version,
                    "status": TaskStatus(
                        timestamp=T0,
                        state=TaskState.RUNNING,
                        message="started",
                        container_status=ContainerStatus(container_id="c" * 64),
                    ),
                }
            )
            for slot in range(1, (replicas or 0) + 1)
        ]
        await self.api.keep(*tasks)
        return tasks


def manager_node() -> Node:
    return a_node(NODE_ID).model_copy(
        update={
            "spec": NodeSpec(role=Role.MANAGER),
            "description": NodeDescription(
                hostname="manager-1",
                platform=Platform(architecture="x86_64", os="linux"),
                resources=Resources(nano_cpus=2_000_000_000, memory_bytes=4 << 30),
                engine=EngineDescription(engine_version="20.10.24"),
            ),
            "addr": "127.0.0.1",
        }
    )


@pytest.fixture
async def swarm(tmp_path: Path) -> AsyncIterator[Swarm]:
    async with served_api() as (api, socket):
        await api.keep(a_cluster(history_limit=5), manager_node())
        yield Swarm(api, socket, tmp_path)


async def test_nodes_are_listed_inspected_and_updated(swarm: Swarm) -> None:
    listed = await swarm.ok("node", "ls")
    assert "manager-1" in listed
    assert "Leader" in listed
    assert f"{NODE_ID} *" in listed

    assert "Architecture:" in await swarm.ok("node", "inspect", "--pretty", "self")

    await swarm.ok("node", "update", "--availability", "drain", "--label-add", "rack=1", "manager-1")
    node = swarm.api.state.nodes[NODE_ID]
    assert node.spec.availability is Availability.DRAIN
    assert node.spec.labels == {"rack": "1"}


async def test_a_node_that_is_down_is_removed_and_others_are_not(swarm: Swarm) -> None:
    await swarm.api.keep(a_node("worker-1"), a_node("worker-2", state=NodeState.DOWN))

    refused = await swarm.docker("node", "rm", "worker-1")
    assert refused.code == 1
    assert "node worker-1 is not down and can't be removed" in refused.err

    await swarm.ok("node", "rm", "worker-2")
    assert "worker-2" not in swarm.api.state.nodes


async def test_a_service_is_created_listed_and_inspected(swarm: Swarm) -> None:
    created = await swarm.docker(
        "service", "create", "-d", "--name", "web", "--replicas", "2", "--env", "A=1", "shop/web:1"
    )
    assert created.code == 0, created.err
    await swarm.run_tasks("web")

    assert "2/2" in await swarm.ok("service", "ls", "--format", "{{.Name}} {{.Mode}} {{.Replicas}}")
    pretty = await swarm.ok("service", "inspect", "--pretty", "web")
    assert "Service Mode:\tReplicated" in pretty
    assert "shop/web:1" in pretty
    tasks = await swarm.ok("service", "ps", "web")
    assert "web.1" in tasks
    assert "manager-1" in tasks
    assert "web.2" in await swarm.ok("node", "ps", "self")


async def test_a_waiting_task_says_why(swarm: Swarm) -> None:
    await swarm.ok("service", "create", "-d", "--name", "web", "--constraint", "node.labels.gpu==1", "shop/web:1")
    service = swarm.service("web")
    reason = Reason(code=ReasonCode.NO_NODE, text="no suitable node (1 node lacks the label gpu)", since=T0)
    await swarm.api.keep(a_task("t1", service, node="", state=TaskState.PENDING, reason=reason))

    assert reason.text in await swarm.ok("service", "ps", "--no-trunc", "web")


async def test_a_service_is_updated_scaled_rolled_back_and_removed(swarm: Swarm) -> None:
    await swarm.ok("service", "create", "-d", "--name", "web", "shop/web:1")

    await swarm.ok("service", "update", "-d", "--image", "shop/web:2", "web")
    assert swarm.service("web").spec_version == 2
    await swarm.ok("service", "scale", "-d", "web=5")
    assert swarm.service("web").spec.mode.replicated.replicas == 5  # type: ignore[union-attr]
    await swarm.ok("service", "rollback", "-d", "web")
    assert swarm.service("web").spec.mode.replicated.replicas == 1  # type: ignore[union-attr]

    service_id = swarm.service("web").id
    await swarm.ok("service", "rm", "web")
    assert swarm.api.state.services[service_id].removed
    assert "no such service" in (await swarm.docker("service", "inspect", "web")).err.lower()


async def test_waiting_for_convergence_ends_when_the_tasks_run(swarm: Swarm) -> None:
    creating = asyncio.create_task(
        swarm.docker("service", "create", "--name", "web", "--update-monitor", "10ms", "shop/web:1")
    )
    changes = swarm.api.ledger.subscribe()
    while swarm.api.state.named("services", "web") is None:
        await changes.wait()
        changes.take()
    swarm.api.ledger.unsubscribe(changes)
    await swarm.run_tasks("web")

    said = await creating
    assert said.code == 0, said.err
    assert "converged" in said.out


async def test_waiting_for_a_job_ends_when_each_of_its_runs_is_complete(swarm: Swarm) -> None:
    """The client waits for a run in each slot, and counts these from 0."""
    creating = asyncio.create_task(
        swarm.docker("service", "create", "--name", "job", "--mode", "replicated-job", "--replicas", "3", "shop/job:1")
    )
    changes = swarm.api.ledger.subscribe()
    while swarm.api.state.named("services", "job") is None:
        await changes.wait()
        changes.take()
    swarm.api.ledger.unsubscribe(changes)
    job = swarm.service("job")
    tasks = [
        a_task(f"job{slot}".rjust(25, "0"), job, slot=slot, node=NODE_ID, state=TaskState.COMPLETE, job_iteration=0)
        for slot in (1, 2, 3)
    ]
    await swarm.api.keep(*(task.model_copy(update={"service_name": "job"}) for task in tasks))

    said = await creating
    assert said.code == 0, said.err
    assert "job complete" in said.out
    assert "3/3 completed" in await swarm.ok("service", "ls")
    # By its client a slot that is 0 is none, and the task goes by its node.
    names = await swarm.ok("service", "ps", "--format", "{{.Name}}", "job")
    assert sorted(names.split()) == ["job.1", "job.2", f"job.{NODE_ID}"]


async def test_logs_are_printed_with_the_task_and_node_they_come_from(swarm: Swarm) -> None:
    await swarm.ok("service", "create", "-d", "--name", "web", "shop/web:1")
    (task,) = await swarm.run_tasks("web")
    swarm.api.logs.scripts[task.id] = [(1, b"hello\n"), (2, b"oops\n")]

    said = await swarm.docker("service", "logs", "web")
    assert said.code == 0, said.err
    assert said.out.startswith("web.1.")
    assert "@manager-1    | hello" in said.out
    assert "| oops" in said.err


async def test_a_stack_is_deployed_twice_listed_and_removed(swarm: Swarm) -> None:
    file = swarm.home / "stack.yaml"
    file.write_text(STACK)
    deploy = ("stack", "deploy", "--resolve-image", "never", "-c", str(file), "shop")
    await swarm.ok(*deploy)
    await swarm.run_tasks("shop_web")
    before = {service.id: service.version for service in swarm.api.state.services.values()}

    await swarm.ok(*deploy)
    assert {service.id: service.version for service in swarm.api.state.services.values()} == before

    assert "shop" in await swarm.ok("stack", "ls")
    assert "shop_web.1" in await swarm.ok("stack", "ps", "shop")
    services = await swarm.ok("stack", "services", "shop")
    assert "2/2" in services
    assert "shop_agent" in services
    assert (await swarm.api.get("/stacks")).json[0]["Services"] == 2

    await swarm.ok("stack", "rm", "shop")
    assert all(service.removed for service in swarm.api.state.services.values())
    assert all(network.removed for network in swarm.api.state.networks.values())


async def test_a_stack_whose_file_leaves_words_out_is_deployed(swarm: Swarm) -> None:
    """The client sends those that nobody wrote as empty strings."""
    file = swarm.home / "stack.yaml"
    file.write_text(PARTLY_TOLD)
    await swarm.ok("stack", "deploy", "--resolve-image", "never", "-c", str(file), "shop")
    update = swarm.service("shop_web").spec.update_config
    assert update is not None
    assert (update.parallelism, update.order, update.failure_action) == (2, None, None)


async def test_networks_are_created_listed_inspected_and_removed(swarm: Swarm) -> None:
    await swarm.ok("network", "create", "-d", "overlay", "--subnet", "10.9.0.0/16", "--label", "a=b", "front")
    assert "overlay" in await swarm.ok("network", "ls", "--filter", "name=front")
    assert '"Scope": "swarm"' in await swarm.ok("network", "inspect", "front")

    refused = await swarm.docker("network", "create", "-d", "bridge", "back")
    assert refused.code == 1
    assert "Driver bridge: the only driver is overlay" in refused.err

    await swarm.ok("network", "rm", "front")
    assert all(isinstance(network, Network) and network.removed for network in swarm.api.state.networks.values())


async def test_published_ports_and_addresses_are_shown_where_docker_shows_them(swarm: Swarm) -> None:
    await swarm.ok("network", "create", "-d", "overlay", "--attachable", "front")
    await swarm.ok(
        "service", "create", "-d", "--name", "web", "-p", "8080:80", "-p", "81", "--network", "front", "web:1"
    )
    service = swarm.service("web")
    (front,) = swarm.api.state.networks.values()
    allocated = {"subnet": "10.0.0.0/16", "gateway": "10.0.0.1", "service_subnets": ("10.0.0.0/24",)}
    share = NodeSubnet(node_id=NODE_ID, subnet="10.0.1.0/24", gateway="10.0.1.1")
    vip = VirtualIP(network_id=front.id, address="10.0.0.5")
    await swarm.api.keep(
        front.model_copy(update={**allocated, "node_subnets": (share,)}),
        service.model_copy(update={"virtual_ips": (vip,)}),
    )
    (task,) = await swarm.run_tasks("web")
    joined = TaskNetwork(network_id=front.id, address="10.0.1.7/24")
    await swarm.api.keep(task.model_copy(update={"networks": (joined,)}))

    assert "*:8080->80/tcp, *:30000->81/tcp" in await swarm.ok("service", "ls")
    vips = "{{range .Endpoint.VirtualIPs}}{{.NetworkID}} {{.Addr}}{{end}}"
    assert await swarm.ok("service", "inspect", "--format", vips, "web") == f"{front.id} 10.0.0.5/16\n"
    assert "Endpoint Mode:\tvip" in await swarm.ok("service", "inspect", "--pretty", "web")
    verbose = (
        "{{range $name, $service := .Services}}{{$name}} {{$service.VIP}} {{range .Tasks}}{{.EndpointIP}}{{end}}{{end}}"
    )
    assert await swarm.ok("network", "inspect", "-v", "--format", verbose, "front") == "web 10.0.0.5 10.0.1.7\n"
    peers = "{{range .Peers}}{{.Name}}{{end}} {{.Attachable}}"
    assert await swarm.ok("network", "inspect", "--format", peers, "front") == "manager-1 true\n"

    taken = await swarm.docker("service", "create", "-d", "-p", "8080:80", "shop/web:1")
    assert taken.code == 1
    assert "port 8080/tcp is already in use by service web as an ingress port" in taken.err
    await swarm.ok("network", "create", "-d", "overlay", "idle")
    assert "idle" in await swarm.ok("network", "prune", "-f")


async def test_what_is_not_carried_out_is_refused_by_name(swarm: Swarm) -> None:
    assert "being set up" in (await swarm.docker("swarm", "join-token", "worker")).err
    assert "already part of a swarm" in (await swarm.docker("swarm", "init")).err


async def test_secrets_and_configs_live_as_in_a_swarm(swarm: Swarm) -> None:
    data = swarm.home / "data"
    data.write_text("hunter2")
    await swarm.ok("secret", "create", "-l", "team=a", "key", str(data))
    await swarm.ok("config", "create", "--template-driver", "golang", "conf", str(data))
    assert "key" in await swarm.ok("secret", "ls", "--filter", "label=team=a")
    assert "hunter2" not in await swarm.ok("secret", "inspect", "key")
    assert "hunter2" in await swarm.ok("config", "inspect", "--pretty", "conf")
    again = await swarm.docker("secret", "create", "key", str(data))
    assert "already exists" in again.err

    given = ("--secret", "source=key,target=k,uid=5,mode=0400", "--config", "source=conf,target=/etc/conf")
    await swarm.ok("service", "create", "-d", "--name", "web", *given, "shop/web:1")
    container = swarm.service("web").spec.task_template.container_spec
    assert container is not None
    assert [(item.secret_name, item.file and item.file.mode) for item in container.secrets or ()] == [("key", 0o400)]
    refused = await swarm.docker("secret", "rm", "key")
    assert "secret 'key' is in use by the following service: web" in refused.err

    await swarm.ok("service", "rm", "web")
    await swarm.ok("secret", "rm", "key")
    await swarm.ok("config", "rm", "conf")
    assert "not found" in (await swarm.docker("secret", "inspect", "key")).err


async def test_a_stack_with_secrets_and_configs_is_deployed_and_removed(swarm: Swarm) -> None:
    (swarm.home / "data").write_text("hunter2")
    (swarm.home / "stack.yaml").write_text(SECRET_STACK)
    for _ in range(2):
        await swarm.ok(
            "stack", "deploy", "-d", "--resolve-image", "never", "-c", str(swarm.home / "stack.yaml"), "shop"
        )
    assert [secret.spec.name for secret in swarm.api.state.secrets.values()] == ["shop_key"]
    assert [config.spec.name for config in swarm.api.state.configs.values()] == ["shop_conf"]
    await swarm.ok("stack", "rm", "shop")
    assert not swarm.api.state.secrets
    assert not swarm.api.state.configs


FORMS = """
version: "3.8"
services:
  web:
    image: shop/web:1
    secrets: [word, {source: key, target: other}]
    configs: [conf, {source: page, target: page.html}, {source: rule, target: /etc/rule}]
secrets: {word: {file: ./data}, key: {file: ./data}}
configs: {conf: {file: ./data}, page: {file: ./data}, rule: {file: ./data}}
"""


async def test_what_docker_deployed_is_the_same_to_swarmpy_and_the_other_way_round(swarm: Swarm) -> None:
    shell = Shell(swarm.api, swarm.socket, swarm.home)
    (swarm.home / "data").write_text("open sesame")
    (swarm.home / "s.yaml").write_text(FORMS)
    deploy = ("stack", "deploy", "-d", "--resolve-image", "never", "-c", str(swarm.home / "s.yaml"), "shop")
    await swarm.ok(*deploy)
    as_docker_made_it = swarm.service("shop_web")
    said = await shell.run("stack", "diff", "-c", "s.yaml", "shop")
    assert (said.code, said.out) == (0, "")
    assert said.err.splitlines() == [f"note: secret shop_{name}: {NOT_COMPARED}" for name in ("word", "key")]

    assert "service shop_web: unchanged" in await shell.ok("stack", "deploy", "-d", "-c", "s.yaml", "shop")
    assert swarm.service("shop_web") == as_docker_made_it
    await shell.ok("stack", "rm", "shop")
    await shell.ok("stack", "deploy", "-d", "-c", "s.yaml", "shop")
    template = swarm.service("shop_web").spec.task_template.container_spec
    await swarm.ok(*deploy)
    after = swarm.service("shop_web").spec.task_template.container_spec
    assert template is not None and after is not None
    assert (after.secrets, after.configs) == (template.secrets, template.configs)


async def test_info_and_version_tell_of_a_swarm(swarm: Swarm) -> None:
    assert (
        await swarm.ok("info", "--format", "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}") == "active true\n"
    )
    assert "Is Manager: true" in await swarm.ok("info")
    assert "API version:      1.45" in await swarm.ok("version")


async def test_inspect_without_a_kind_finds_a_service_after_all_else(swarm: Swarm) -> None:
    await swarm.ok("service", "create", "-d", "--name", "web", "shop/web:1")
    assert '"Image": "shop/web:1"' in await swarm.ok("inspect", "web")
    assert (await swarm.docker("inspect", "nothing")).code == 1


async def test_empty_lists_are_lists(swarm: Swarm) -> None:
    for words in (
        ("ps",),
        ("images",),
        ("volume", "ls"),
        ("secret", "ls"),
        ("config", "ls"),
        ("service", "ls"),
        ("system", "df"),
    ):
        assert (await swarm.docker(*words)).code == 0


async def test_events_of_the_past_are_told(swarm: Swarm) -> None:
    await swarm.ok("service", "create", "-d", "--name", "web", "shop/web:1")
    told = await swarm.ok(
        "events", "--since", "2029-12-31T00:00:00Z", "--until", "2030-01-01T00:00:00Z", "--filter", "type=service"
    )
    assert "service create" in told
    assert "name=web" in told


async def test_the_revision_of_a_task_is_shown_as_its_spec(swarm: Swarm) -> None:
    await swarm.ok("service", "create", "-d", "--name", "web", "shop/web:1")
    (task,) = await swarm.run_tasks("web")
    assert a_revision(swarm.service("web")).template.container_spec is not None
    assert "shop/web:1" in await swarm.ok(
        "inspect", "--type", "task", "--format", "{{.Spec.ContainerSpec.Image}}", task.id
    )
