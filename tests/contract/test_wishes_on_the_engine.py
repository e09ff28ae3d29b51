"""What the manager refuses at admission, a real engine refuses too; and what just passes, it takes."""

import asyncio
import json
from typing import Any

import pytest
from support.assignments import an_assignment
from support.dockerd import Dockerd
from support.engines import NODE
from support.images import BUSYBOX

from agent.engine.docker import DockerEngine
from agent.task.container import create_request
from manager.admission.host import check_host
from manager.admission.template import check_template
from swarmpy.errors import BadRequest, SwarmpyError
from swarmpy.ids import id_from_number
from swarmpy.labels import HOST
from swarmpy.models.task import TaskSpec
from swarmpy.wire import TaskAssignment

pytestmark = pytest.mark.docker

NODE_ID = id_from_number(910)
MIB = 1 << 20
Wish = dict[str, Any]


def limits(**amounts: int) -> Wish:
    return {"template:Resources": {"Limits": amounts}}


def mount(**fields: Any) -> Wish:
    return {"Mounts": [{"Type": "volume", "Source": "data", "Target": "/data"} | fields]}


REFUSED: tuple[Wish, ...] = (
    {"StopSignal": "FOO"}, {"Sysctls": {"x": ""}}, {"Dir": "a/b"}, {"CapabilityAdd": ["FOO"]}, {"Env": ["=x"]},
    {"Healthcheck": {"Interval": 1}}, {"Healthcheck": {"Retries": -1}}, {"User": "-1"}, {"Hostname": "a" * 65},
    {"User": "00002147483648"},
    {"Ulimits": [{"Name": "files", "Soft": 1, "Hard": 1}]}, {"Ulimits": [{"Name": "nofile", "Soft": 2, "Hard": 1}]},
    limits(MemoryBytes=6 * MIB - 1), limits(NanoCPUs=9_999_999), limits(Pids=4194305),
    {"template:Resources": {"Reservations": {"MemoryBytes": 5 * MIB}}},
    mount(Source="a"), mount(Source="", ReadOnly=True), mount(Target="/data/.."),
    {"Mounts": [*mount()["Mounts"], *mount(Target="/a/../data")["Mounts"]]},
    {"Image": "A B"}, {"Image": "x@sha256:abcd"}, {"Labels": {HOST: json.dumps({"CpuQuota": 999})}},
)  # fmt: skip
# Each on its own would be a start of its own, and those take long.
TAKEN: tuple[Wish, ...] = (
    {
        "StopSignal": "RTMIN+3", "Sysctls": {"net/core/somaxconn": "77"}, "Dir": "/a/../b", "Env": ["A", "B="],
        "CapabilityAdd": ["net_admin"], "CapabilityDrop": ["KILL"], "User": "2147483647", "Hostname": "web_1.local",
        "Healthcheck": {"Interval": 1_000_000, "Retries": 0}, "Hosts": ["host-gateway outside"],
        "Ulimits": [{"Name": "NOFILE", "Soft": 99, "Hard": 99}], "Command": [""], "Args": ["sleep", "9"],
        "DNSConfig": {"Options": ["ndots:2 timeout:1"], "Search": ["."]},
    } | limits(NanoCPUs=10_000_000, Pids=4194304),
    {"StopSignal": "sigterm"} | limits(MemoryBytes=6 * MIB) | mount(Source="v" * 255),
)  # fmt: skip


def template_of(wish: Wish) -> TaskSpec:
    fields = {name.removeprefix("template:"): value for name, value in wish.items() if name.startswith("template:")}
    container = {name: value for name, value in wish.items() if not name.startswith("template:")}
    return TaskSpec.model_validate({"ContainerSpec": {"Image": BUSYBOX, "Args": ["sleep", "9"]} | container} | fields)


def is_admitted(template: TaskSpec) -> bool:
    try:
        check_template(template)
        check_host(template, frozenset())
    except BadRequest:
        return False
    return True


async def runs(engine: DockerEngine, task: TaskAssignment) -> bool:
    """False where the engine refuses the wish, in a sentence of its own; that it was away or slow, or lacks the image,
    says nothing of the wish."""
    try:
        container = await engine.create(create_request(task, NODE, {}))
        await engine.start(container)
    except SwarmpyError as error:
        # A start that fails below the engine, in the kernel say, is answered with status 500.
        if isinstance(error, BadRequest) or type(error) is SwarmpyError:
            return False
        raise
    return True


async def test_manager_and_engine_judge_alike(real_engine: Dockerd) -> None:
    templates = [template_of(wish) for wish in (*REFUSED, *TAKEN)]
    tasks = [
        an_assignment(number, node_id=NODE_ID).model_copy(update={"spec": template})
        for number, template in enumerate(templates, start=1)
    ]
    engine = DockerEngine(real_engine.host)
    try:
        ran = await asyncio.gather(*(runs(engine, task) for task in tasks))
        await asyncio.gather(*(engine.remove(container.id) for container in await engine.containers(NODE_ID)))
    finally:
        await engine.close()
    expected = [False] * len(REFUSED) + [True] * len(TAKEN)
    wishes = (*REFUSED, *TAKEN)
    assert [wish for wish, did, want in zip(wishes, ran, expected, strict=True) if did is not want] == []
    assert [w for w, t, want in zip(wishes, templates, expected, strict=True) if is_admitted(t) is not want] == []
