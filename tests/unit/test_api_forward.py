"""Any manager works: two of them over one store, with TLS between them."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from support.api import Answer, Api, Exchange
from support.builders import a_node, a_revision, a_service, a_task
from support.managers import Managers, RudeLeader, managers_of
from support.node_certificates import ClusterCa
from support.tls_port import stranger, tls_port
from support.waits import until

from manager.api.for_managers import ForManagers
from manager.api.transport import STALE_HEADER
from manager.objects import Task
from swarmpy.limits import LARGEST_BODY
from swarmpy.models.task import ContainerStatus, TaskStatus

# Nobody listens there.
CLOSED = "127.0.0.1:9"
LOGS = {"stdout": 1, "follow": 1}


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Managers]:
    """`m1` leads; the tests talk to `m2`."""
    async with managers_of(tmp_path, "m1", "m2") as managers:
        yield managers


def a_wish(name: str = "web") -> dict[str, Any]:
    return {
        "Name": name,
        "TaskTemplate": {"ContainerSpec": {"Image": "web:1"}},
        "Mode": {"Replicated": {"Replicas": 1}},
    }


def names(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.body
    return sorted(service["Spec"]["Name"] for service in answer.json)


async def a_log(api: Api) -> None:
    """Of task t1, which has begun to run and is silent."""
    web = a_service("web")
    task: Task = a_task("t1")
    status = TaskStatus(state=task.state, container_status=ContainerStatus(container_id="c1"))
    await api.keep(a_node("n1"), web, a_revision(web), task.model_copy(update={"status": status}))


# a follower works


async def test_services_are_made_listed_and_removed_through_a_follower(two: Managers) -> None:
    made = await two["m2"].post("/v1.41/services/create", a_wish())
    assert made.status == 201, made.body
    assert names(await two["m2"].get("/services")) == ["web"]
    assert (await two["m2"].delete(f"/services/{made.json['ID']}")).status == 200


async def test_the_query_travels(two: Managers) -> None:
    for name in ("web", "db"):
        await two["m2"].post("/services/create", a_wish(name))
    assert names(await two["m2"].get("/v1.45/services", filters={"name": ["db"]})) == ["db"]


async def test_a_refusal_of_the_leader_arrives_as_it_is(two: Managers) -> None:
    answer = await two["m2"].get("/services/none")
    assert (answer.status, answer.message) == (404, "service none not found")


async def test_each_header_arrives_once(two: Managers) -> None:
    raw = await two["m2"].say(b"GET /v1.45/services HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
    head, _, body = raw.partition(b"\r\n\r\n")
    found = [line.split(b":")[0].lower() for line in head.split(b"\r\n")[1:]]

    assert body == b"[]"
    assert {b"api-version", b"ostype", b"docker-experimental", b"server", b"date", b"content-length"} <= set(found)
    assert sorted(found) == sorted(set(found))


async def test_a_body_in_pieces_arrives_whole(two: Managers) -> None:
    body = json.dumps(a_wish()).encode()
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (body[:10], body[10:])) + b"0\r\n\r\n"
    head = b"POST /services/create HTTP/1.1\r\nHost: d\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"

    assert b"201 Created" in await two["m2"].say(head + pieces)


async def test_a_hundred_at_once_are_answered(two: Managers) -> None:
    answers = await asyncio.gather(*(two["m2"].post("/services/create", a_wish(f"s{n}")) for n in range(100)))
    assert [answer.status for answer in answers] == [201] * 100
    assert len(names(await two["m2"].get("/services"))) == 100


async def test_a_body_that_is_too_large_is_refused_at_once(two: Managers) -> None:
    answer = await two["m2"].post("/services/create", b"x" * (LARGEST_BODY + 1))
    assert answer.status == 400
    assert "larger than 4 MiB" in answer.message


async def test_what_tells_of_the_manager_is_answered_without_a_leader(two: Managers) -> None:
    await two.elect(None)
    assert (await two["m2"].get("/_ping")).body == b"OK"
    assert (await two["m2"].get("/v1.45/info")).status == 200
    assert (await two["m2"].get("/status")).status == 200
    assert (await two["m2"].get("/containers/json")).json == []


async def test_the_leader_asks_nobody(two: Managers) -> None:
    two.addresses.clear()
    assert (await two["m1"].post("/services/create", a_wish())).status == 201


# streams


async def test_events_come_through_a_follower_as_they_happen(two: Managers) -> None:
    journal = two["m1"].api.app.state.journal
    exchange = two["m2"].open("/events")
    async with exchange.running():
        chunks = exchange.chunks()
        await until(lambda: bool(journal._listeners))
        await two["m1"].api.keep(a_service("web"))
        assert json.loads(await asyncio.wait_for(anext(chunks), 10))["Actor"]["ID"] == "web"
    await until(lambda: not journal._listeners)


async def test_a_log_is_followed_through_a_follower_and_let_go_when_the_client_leaves(two: Managers) -> None:
    leader = two["m1"].api
    await a_log(leader)
    exchange = two["m2"].open("/services/web/logs", **LOGS)
    async with exchange.running():
        await until(lambda: "t1" in leader.logs.asked)
        assert leader.logs.closed == []
    await until(lambda: leader.logs.closed == ["t1"])


async def test_clients_that_leave_before_the_answer_begins_let_go_too(two: Managers) -> None:
    mute = RudeLeader(is_mute=True)
    async with mute.serving(two["m1"].credentials) as address:
        whole, two.addresses["m1"] = two.addresses["m1"], address
        async with AsyncExitStack() as clients:
            for _ in range(50):
                await clients.enter_async_context(two["m2"].open("/services").running())
            await until(lambda: len(mute.heard) == 50)
            assert mute.left == 0
        await until(lambda: mute.left == 50)
        two.addresses["m1"] = whole
    assert names(await two["m2"].get("/services")) == []


async def test_a_stream_ends_when_the_leaders_does(two: Managers) -> None:
    leader = two["m1"].api
    await a_log(leader)
    leader.logs.scripts["t1"] = [(1, b"the end\n")]
    answer = await two["m2"].get("/services/web/logs", stdout=1)
    assert answer.body.endswith(b"the end\n")


async def test_an_answer_that_breaks_off_is_not_taken_for_whole(tmp_path: Path) -> None:
    async with managers_of(tmp_path, "m1", "m2") as two:
        async with two.port_of("m1"):
            leader = two["m1"].api
            await a_log(leader)
            request = b"GET /services/web/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: d\r\n\r\n"
            reading = asyncio.create_task(two["m2"].say(request))
            await until(lambda: "t1" in leader.logs.asked)
        raw = await reading

    assert b"200 OK" in raw
    assert not raw.endswith(b"0\r\n\r\n")


# another leads


async def test_a_request_waits_for_the_next_leader(two: Managers) -> None:
    await two.elect(None)
    asking = asyncio.create_task(two["m2"].post("/services/create", a_wish()))
    await until(lambda: two.clock.next_wake() is not None)
    assert not asking.done()
    await two.elect("m1")

    assert (await two.passing(asking)).status == 201


async def test_who_gains_the_lead_meanwhile_answers_itself(two: Managers) -> None:
    await two.elect(None)
    asking = asyncio.create_task(two["m2"].post("/services/create", a_wish()))
    await until(lambda: two.clock.next_wake() is not None)
    two.addresses.clear()
    await two.elect("m2")

    assert (await two.passing(asking)).status == 201


async def test_one_that_does_not_lead_yet_is_asked_again(two: Managers) -> None:
    ledger = two["m1"].api.ledger
    fence, ledger.fence = ledger.fence, None
    asking = asyncio.create_task(two["m2"].post("/services/create", a_wish()))
    await until(lambda: two.askers == ["m2"])
    ledger.fence = fence

    assert (await two.passing(asking)).status == 201
    assert two.askers == ["m2", "m2"]
    assert names(await two["m2"].get("/services")) == ["web"]


async def test_one_whose_port_is_closed_is_asked_again(two: Managers) -> None:
    address, two.addresses["m1"] = two.addresses["m1"], CLOSED
    asking = asyncio.create_task(two["m2"].post("/services/create", a_wish()))
    await two.pass_seconds(1)
    assert not asking.done()
    two.addresses["m1"] = address

    assert (await two.passing(asking)).status == 201


async def test_a_leader_that_falls_silent_is_left_for_the_next(tmp_path: Path) -> None:
    mute = RudeLeader(is_mute=True)
    async with managers_of(tmp_path, "m1", "m2", "m3") as three, mute.serving(three["m1"].credentials) as address:
        three.addresses["m1"] = address
        asking = asyncio.create_task(three["m2"].post("/services/create", a_wish()))
        reading = asyncio.create_task(three["m2"].get("/services"))
        await until(lambda: len(mute.heard) == 2)
        began = three.clock.monotonic()
        await three.elect("m3")

        assert names(await three.passing(reading)) == []
        assert "another manager leads now" in (await three.passing(asking)).message
        assert three.clock.monotonic() - began < 5


# nobody leads


async def test_a_write_without_a_leader_is_refused_in_time(two: Managers) -> None:
    await two.elect(None)
    began = two.clock.monotonic()
    answer = await two.passing(two["m2"].post("/services/create", a_wish()))

    assert answer.status == 503
    assert "no manager leads it" in answer.message
    assert answer.headers["api-version"]
    assert 5 <= two.clock.monotonic() - began < 6


async def test_a_write_to_a_leader_that_cannot_be_reached_is_refused_with_the_reason(two: Managers) -> None:
    two.addresses["m1"] = CLOSED
    answer = await two.passing(two["m2"].post("/services/create", a_wish()))
    assert answer.status == 503
    assert f"the leader at {CLOSED} was asked in vain" in answer.message


@pytest.mark.parametrize("is_known", [True, False])
async def test_what_is_only_read_is_answered_here_in_the_end(two: Managers, is_known: bool) -> None:
    await two["m1"].api.keep(a_service("web"))
    await until(lambda: "web" in two["m2"].api.state.services)
    two.addresses["m1"] = CLOSED
    if not is_known:
        await two.elect(None)
    assert names(await two.passing(two["m2"].get("/services"))) == ["web"]


async def test_a_client_that_leaves_is_waited_for_no_longer(two: Managers) -> None:
    await two.elect(None)
    async with Exchange(two["m2"].front, "POST", "/services/create", body=a_wish()).running():
        await until(lambda: two.clock.next_wake() is not None)
    # Leaving ends within a bound, although no time has passed.


# a connection that breaks


async def test_a_write_whose_connection_broke_is_not_repeated(two: Managers) -> None:
    rude = RudeLeader()
    async with rude.serving(two["m1"].credentials) as address:
        two.addresses["m1"] = address
        answers = [await two["m2"].post("/services/create", a_wish()), await two["m2"].delete("/services/web")]

    assert rude.heard == ["POST /api/services/create", "DELETE /api/services/web"]
    for answer in answers:
        assert answer.status == 503
        assert "may or may not" in answer.message


async def test_what_is_only_read_is_asked_again(two: Managers) -> None:
    rude = RudeLeader()
    async with rude.serving(two["m1"].credentials) as address:
        whole, two.addresses["m1"] = two.addresses["m1"], address
        asking = asyncio.create_task(two["m2"].get("/services"))
        await until(lambda: len(rude.heard) == 1)
        two.addresses["m1"] = whole
        assert names(await two.passing(asking)) == []

    assert rude.heard == ["GET /api/services"]


async def test_a_leader_that_never_answers_a_write_is_waited_for_longer_but_not_for_ever(two: Managers) -> None:
    mute = RudeLeader(is_mute=True)
    async with mute.serving(two["m1"].credentials) as address:
        two.addresses["m1"] = address
        asking = asyncio.create_task(two["m2"].post("/services/create", a_wish()))
        await until(lambda: len(mute.heard) == 1)
        await two.pass_seconds(20)
        assert not asking.done()
        answer = await two.passing(asking)

    assert "may or may not" in answer.message
    assert mute.heard == ["POST /api/services/create"]


# the store is away from the follower


async def test_without_the_store_what_is_read_comes_from_memory_and_says_so(two: Managers) -> None:
    await two["m2"].api.lose_store()
    answer = await two["m2"].get("/services")
    assert names(answer) == []
    assert STALE_HEADER.lower() in answer.headers


async def test_without_the_store_a_write_still_reaches_the_leader(two: Managers) -> None:
    await two["m2"].api.lose_store()
    assert (await two["m2"].post("/services/create", a_wish())).status == 201
    assert list(two["m1"].api.state.services)


async def test_without_store_and_leader_a_write_is_refused_with_the_reason_at_once(two: Managers) -> None:
    two.addresses["m1"] = CLOSED
    await two["m2"].api.lose_store()
    answer = await two["m2"].post("/services/create", a_wish())
    assert answer.status == 503
    assert "etcd is away" in answer.message


# who may ask


async def test_a_renewed_certificate_is_used_and_streams_live_on(two: Managers) -> None:
    leader = two["m1"].api
    await a_log(leader)
    exchange = two["m2"].open("/services/web/logs", **LOGS)
    async with exchange.running():
        await until(lambda: "t1" in leader.logs.asked)
        renewed = two.ca.manager("renewed")
        two["m2"].credentials.cert_file.write_bytes(renewed.cert_file.read_bytes())
        two["m2"].credentials.key_file.write_bytes(renewed.key_file.read_bytes())
        assert names(await two["m2"].get("/services")) == ["web"]
        assert two.askers == ["m2", "renewed"]
        assert leader.logs.closed == []
    await until(lambda: leader.logs.closed == ["t1"])


async def test_half_a_certificate_does_not_stop_a_manager_that_has_a_whole_one(two: Managers) -> None:
    assert names(await two["m2"].get("/services")) == []
    two["m2"].credentials.key_file.write_text("half")
    assert names(await two["m2"].get("/services")) == []
    assert two.askers == ["m2", "m2"]


async def test_without_a_certificate_of_its_own_a_manager_says_so(two: Managers) -> None:
    two["m2"].credentials.key_file.unlink()
    answer = await two.passing(two["m2"].post("/services/create", a_wish()))
    assert answer.status == 503
    assert "own certificate cannot be used" in answer.message


async def test_only_managers_may_ask_the_leader(two: Managers, tmp_path: Path) -> None:
    api, ca = two["m1"].api, two.ca
    async with tls_port(two["m1"].credentials, ForManagers(api.app, api.ledger)) as port:
        assert await _status(port, ca, ca.worker("n1").client_context()) == 403
        assert await _status(port, ca, stranger(ca.ca_file)) == 403
        assert await _status(port, ca, two["m2"].credentials.client_context()) == 200


async def _status(port: Any, ca: ClusterCa, context: ssl.SSLContext) -> int:
    status: int = (await port.get("/api/services", context))[0]
    return status
