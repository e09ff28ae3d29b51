"""Logs of services and tasks: frames as Docker's clients read them, never waiting for a lost node."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from support.api import Api, Exchange, running_api
from support.builders import a_node, a_revision, a_service, a_task

from manager.api.log_lines import frame
from manager.objects import Service, Task
from swarmpy.errors import Unavailable
from swarmpy.models.container import ContainerSpec
from swarmpy.models.task import ContainerStatus, TaskSpec, TaskStatus
from swarmpy.states import TaskState

BOTH = {"stdout": 1, "stderr": 1}


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running_api() as running:
        await running.keep(a_node("n1"), a_node("n2"))
        yield running


def started(task: Task) -> Task:
    status = TaskStatus(state=task.state, container_status=ContainerStatus(container_id=task.id))
    return task.model_copy(update={"status": status})


async def deploy(api: Api, *tasks: Task, tty: bool = False) -> Service:
    web = a_service("web", template=TaskSpec(container_spec=ContainerSpec(image="web:1", tty=tty)))
    await api.keep(web, a_revision(web), *tasks)
    return web


def frames(body: bytes) -> list[tuple[int, str]]:
    found = []
    while body:
        length = int.from_bytes(body[4:8], "big")
        found.append((body[0], body[8 : 8 + length].decode()))
        body = body[8 + length :]
    return found


async def test_each_line_is_a_frame_of_its_stream(api: Api) -> None:
    await deploy(api, started(a_task("t1")))
    api.logs.scripts["t1"] = [(1, b"hello\n"), (2, b"oops\n")]
    answer = await api.get("/v1.41/services/web/logs", **BOTH)
    assert answer.headers["content-type"] == "application/vnd.docker.multiplexed-stream"
    assert frames(answer.body) == [(1, "hello\n"), (2, "oops\n")]


def test_a_frame_is_eight_bytes_and_the_line() -> None:
    assert frame(2, b"ab\n") == b"\x02\x00\x00\x00\x00\x00\x00\x03ab\n"


async def test_the_log_of_a_terminal_is_raw(api: Api) -> None:
    await deploy(api, started(a_task("t1")), tty=True)
    api.logs.scripts["t1"] = [(1, b"hello\r\n")]
    for path in ("/services/web/logs", "/tasks/t1/logs"):
        answer = await api.get(path, **BOTH)
        assert answer.headers["content-type"] == "application/vnd.docker.raw-stream"
        assert answer.body == b"hello\r\n"


async def test_the_agent_is_asked_what_the_client_asked(api: Api) -> None:
    await deploy(api, started(a_task("t1")))
    api.logs.scripts["t1"] = []
    await api.get("/services/web/logs", stdout="True", stderr="0", since="12.5", tail="7", timestamps="1")
    asked = api.logs.asked["t1"]
    assert (asked.stdout, asked.stderr, asked.since, asked.tail, asked.timestamps) == (True, False, 12.5, 7, True)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({}, "at least one stream"),
        ({**BOTH, "tail": "x"}, "invalid tail 'x'"),
        ({**BOTH, "since": "x"}, "invalid since 'x'"),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(api: Api, query: dict[str, object], words: str) -> None:
    await deploy(api)
    answer = await api.get("/services/web/logs", **query)
    assert answer.status == 400
    assert words in answer.message


@pytest.mark.parametrize(("timestamps", "before"), [(1, "2030-01-01T00:00:00Z "), (0, "")])
async def test_details_stand_between_timestamp_and_text(api: Api, timestamps: int, before: str) -> None:
    await deploy(api, started(a_task("t1")))
    api.logs.scripts["t1"] = [(1, f"{before}hello\n".encode())]
    answer = await api.get("/services/web/logs", **BOTH, timestamps=timestamps, details=1)
    details = "com.docker.swarm.node.id=n1,com.docker.swarm.service.id=web,com.docker.swarm.task.id=t1"
    assert frames(answer.body) == [(1, f"{before}{details} hello\n")]


async def test_a_node_that_is_away_is_named_at_the_end(api: Api) -> None:
    await deploy(api, started(a_task("t1", node="n1")), started(a_task("t2", slot=2, node="n2")))
    api.logs.scripts["t1"] = [(1, b"hello\n")]
    api.logs.scripts["t2"] = [Unavailable("its agent has no session")]
    answer = await api.get("/services/web/logs", **BOTH)
    assert frames(answer.body) == [
        (1, "hello\n"),
        (2, "swarmpy: the log of task t2 on node n2 is incomplete: its agent has no session\n"),
    ]


async def test_a_node_that_falls_silent_is_not_waited_for(api: Api) -> None:
    await deploy(api, started(a_task("t1")))
    asking = asyncio.create_task(api.get("/services/web/logs", **BOTH))
    async with asyncio.timeout(5):
        while api.clock.next_wake() is None:
            await asyncio.sleep(0)
    api.clock.advance(timedelta(seconds=11))
    assert frames((await asking).body) == [
        (2, "swarmpy: the log of task t1 on node n1 is incomplete: no line within 10 s\n")
    ]
    assert api.logs.closed == ["t1"]


async def test_tasks_without_a_container_are_not_asked(api: Api) -> None:
    await deploy(api, a_task("t1", node="", state=TaskState.PENDING), a_task("t2", slot=2, state=TaskState.REJECTED))
    assert (await api.get("/services/web/logs", **BOTH)).body == b""
    assert api.logs.asked == {}


async def test_following_picks_up_later_tasks_and_ends_with_the_service(api: Api) -> None:
    web = await deploy(api, started(a_task("t1")))
    api.logs.scripts = {"t1": [(1, b"one\n")], "t2": [(1, b"two\n")]}
    exchange = Exchange(api.app, "GET", "/services/web/logs", query={**BOTH, "follow": 1})
    async with exchange.running(), asyncio.timeout(5):
        chunks = exchange.chunks()
        assert frames(await anext(chunks)) == [(1, "one\n")]
        await api.keep(started(a_task("t2", slot=2)))
        assert frames(await anext(chunks)) == [(1, "two\n")]
        await api.drop(web)
        assert [chunk async for chunk in chunks] == []
    assert exchange.status == 200


async def test_following_a_task_that_has_not_started_waits_for_its_container(api: Api) -> None:
    await deploy(api, a_task("t1", state=TaskState.PREPARING))
    api.logs.scripts["t1"] = [(1, b"one\n")]
    exchange = Exchange(api.app, "GET", "/tasks/t1/logs", query={**BOTH, "follow": 1})
    async with exchange.running(), asyncio.timeout(5):
        await api.keep(started(a_task("t1")))
        assert [frames(chunk) async for chunk in exchange.chunks()] == [[(1, "one\n")]]


async def test_hanging_up_closes_the_streams_on_the_nodes(api: Api) -> None:
    await deploy(api, started(a_task("t1")), started(a_task("t2", slot=2)))
    api.logs.scripts["t1"] = [(1, b"one\n")]
    exchange = Exchange(api.app, "GET", "/services/web/logs", query={**BOTH, "follow": 1})
    async with exchange.running(), asyncio.timeout(5):
        await anext(exchange.chunks())
    assert sorted(api.logs.closed) == ["t1", "t2"]


async def test_logs_of_what_is_not_there_are_not_found(api: Api) -> None:
    assert (await api.get("/services/web/logs", **BOTH)).status == 404
    assert (await api.get("/tasks/t1/logs", **BOTH)).status == 404


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tail", "-5"),
        ("tail", "many"),
        ("tail", "9" * 5000),
        ("since", "nan"),
        ("since", "-inf"),
        ("since", "x" * 5000),
    ],
)
async def test_what_no_engine_could_read_is_refused_in_one_sentence(api: Api, name: str, value: str) -> None:
    await deploy(api)
    answer = await api.get("/services/web/logs", **BOTH, **{name: value})
    assert answer.status == 400
    assert answer.message.startswith(f"invalid {name} ")
    assert len(answer.message) < 200
