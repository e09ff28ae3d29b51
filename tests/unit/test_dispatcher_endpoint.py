"""The agents' sessions with a real server and real WebSockets over TLS."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from support.cluster import Cluster, cluster_of
from support.node_certificates import ClusterCa
from support.scripted_agent import description
from support.tls_port import TlsPort, tls_port
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from manager.dispatcher.channel import ChannelClosed
from manager.dispatcher.endpoint import WebSocketChannel, agent_routes
from manager.listening import listen_tcp, listen_unix
from swarmpy.errors import BadRequest, Unavailable
from swarmpy.wire import (
    LARGEST_TO_MANAGER,
    Bearings,
    Beat,
    Beaten,
    FromManager,
    Full,
    Hello,
    LogOptions,
    OpenLogs,
    Refused,
    Welcome,
    from_manager,
)

BOUND = 10


class Door:
    def __init__(self, cluster: Cluster, ca: ClusterCa) -> None:
        self.cluster = cluster
        self.manager = cluster.leader.manager
        self.ca = ca
        self.crashes: list[Exception] = []
        self.port: TlsPort

    def connect(self, route: str = "/agent/session", node: str = "n1") -> AbstractAsyncContextManager[ClientConnection]:
        return self.port.websocket(route, self.ca.worker(node).client_context())

    async def a_task(self) -> str:
        """The id of a task placed on the one node there is."""
        await self.cluster.deploy("web")
        return self.cluster.tasks("web")[0].id

    async def read_log(self, task_id: str) -> list[tuple[int, bytes]]:
        return [line async for line in self.manager.logs.open_logs(task_id, LogOptions())]


@asynccontextmanager
async def a_door(tmp_path: Path) -> AsyncIterator[Door]:
    async with cluster_of(agents=0) as cluster:
        cluster.join("n1")
        await cluster.settle()
        door = Door(cluster, ClusterCa(tmp_path))
        app = Starlette(routes=agent_routes(door.manager.sessions, door.manager.logs, door.crashes.append))
        async with tls_port(door.ca.manager("m1"), app) as port:
            door.port = port
            yield door


async def hear(socket: ClientConnection) -> FromManager:
    return from_manager.validate_json(await asyncio.wait_for(socket.recv(), BOUND))


async def asked_for(socket: ClientConnection) -> OpenLogs:
    while not isinstance(message := await hear(socket), OpenLogs):
        pass
    return message


async def introduce(socket: ClientConnection) -> str:
    await socket.send(Hello(description=description("n1")).model_dump_json(exclude_none=True))
    welcome = await hear(socket)
    assert isinstance(welcome, Welcome)
    assert isinstance(await hear(socket), Bearings)
    assert isinstance(await hear(socket), Full)
    return welcome.session_id


async def test_an_agent_registers_and_beats_over_a_real_socket(tmp_path: Path) -> None:
    async with a_door(tmp_path) as door, door.connect() as socket:
        session_id = await introduce(socket)
        await socket.send(Beat(session_id=session_id).model_dump_json())

        assert isinstance(await hear(socket), Beaten)
        assert door.manager.sessions.is_connected("n1")
        assert not door.crashes


async def test_nonsense_is_answered_with_what_is_wrong_with_it(tmp_path: Path) -> None:
    async with a_door(tmp_path) as door, door.connect() as socket:
        await socket.send('{"type": "hello"}')
        refusal = await hear(socket)

        assert isinstance(refusal, Refused)
        assert "description" in refusal.reason
        with pytest.raises(ConnectionClosed):
            await hear(socket)
        assert not door.crashes


async def test_a_frame_that_would_hold_the_manager_up_ends_the_session(tmp_path: Path) -> None:
    async with a_door(tmp_path) as door, door.connect() as socket:
        await introduce(socket)
        await socket.send(" " * (LARGEST_TO_MANAGER + 1))

        with pytest.raises(ConnectionClosed) as closed:
            await hear(socket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
        assert not door.crashes


async def test_an_agent_that_hangs_up_has_no_session_any_more(tmp_path: Path) -> None:
    async with a_door(tmp_path) as door:
        async with door.connect() as socket:
            await introduce(socket)
        async with asyncio.timeout(BOUND):
            while door.manager.sessions.is_connected("n1"):
                await asyncio.sleep(0)

        assert not door.crashes


async def test_a_log_travels_over_a_stream_of_its_own(tmp_path: Path) -> None:
    async with a_door(tmp_path) as door, door.connect() as socket:
        await introduce(socket)
        reading = asyncio.create_task(door.read_log(await door.a_task()))
        asked = await asked_for(socket)
        async with door.connect(f"/agent/streams/{asked.stream_id}") as stream:
            await stream.send(b"\x01hello\n")
            await stream.send(b"\x02oops\n")

        assert await asyncio.wait_for(reading, BOUND) == [(1, b"hello\n"), (2, b"oops\n")]


async def test_a_stream_nobody_asked_for_is_closed(tmp_path: Path) -> None:
    async with a_door(tmp_path) as door, door.connect("/agent/streams/made-up") as stream:
        with pytest.raises(ConnectionClosed, match="waiting to be opened"):
            await asyncio.wait_for(stream.recv(), BOUND)


async def test_a_reader_that_leaves_closes_the_agents_stream_although_nothing_is_said(tmp_path: Path) -> None:
    async with a_door(tmp_path) as door, door.connect() as socket:
        await introduce(socket)
        generator = door.manager.logs.open_logs(await door.a_task(), LogOptions(follow=True))
        first = asyncio.ensure_future(anext(generator))
        asked = await asked_for(socket)
        async with door.connect(f"/agent/streams/{asked.stream_id}") as stream:
            await stream.send(b"\x01hello\n")
            assert await asyncio.wait_for(first, BOUND) == (1, b"hello\n")
            await generator.aclose()
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(stream.recv(), BOUND)


async def test_when_the_leader_steps_down_the_socket_is_closed_as_going_away(tmp_path: Path) -> None:
    async with a_door(tmp_path) as door, door.connect() as socket:
        await introduce(socket)
        door.manager.ledger.fence = None
        closing = asyncio.create_task(hear(socket))
        await door.cluster.advance(3)

        with pytest.raises(ConnectionClosed) as closed:
            await closing
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001


# peers that do not read


async def test_who_does_not_read_is_told_goodbye_for_a_moment_only(tmp_path: Path) -> None:
    async with filled(tmp_path) as (socket, ended):
        await asyncio.wait_for(WebSocketChannel(socket).close(), BOUND)
        await asyncio.wait_for(ended.wait(), BOUND)


async def test_what_cannot_be_sent_in_time_ends_the_connection(tmp_path: Path) -> None:
    async with filled(tmp_path) as (socket, ended):
        with pytest.raises(ChannelClosed):
            await asyncio.wait_for(WebSocketChannel(socket, sends_within=0.1).send(Beaten(beat_every=1)), BOUND)
        await asyncio.wait_for(ended.wait(), BOUND)


@asynccontextmanager
async def filled(tmp_path: Path) -> AsyncIterator[tuple[WebSocket, asyncio.Event]]:
    """The manager's end of a connection whose buffers are full, and whether it has ended."""
    accepted: asyncio.Queue[WebSocket] = asyncio.Queue()
    ended = asyncio.Event()

    async def accept(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive_text()
        # One for the transport's buffer, one for that of TLS: the next would have to wait.
        for _ in range(2):
            await socket.send_bytes(bytes(32 << 20))
        accepted.put_nowait(socket)
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass
        ended.set()

    ca = ClusterCa(tmp_path)
    async with (
        tls_port(ca.manager("m1"), Starlette(routes=[WebSocketRoute("/x", accept)])) as port,
        port.websocket("/x", ca.worker("n1").client_context()) as client,
    ):
        client.transport.pause_reading()
        await client.send("not read from now on")
        yield await asyncio.wait_for(accepted.get(), BOUND), ended
        client.transport.abort()


# listening


def test_a_socket_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    listen_unix(path, mode=0o600).close()
    listen_unix(path, mode=0o660).close()

    assert path.stat().st_mode & 0o777 == 0o660


def test_a_socket_on_which_somebody_answers_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    living = listen_unix(path, mode=0o600)

    with pytest.raises(Unavailable, match="another process answers"):
        listen_unix(path, mode=0o600)
    living.close()


def test_a_file_in_the_way_is_named_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    path.write_text("mine")

    with pytest.raises(BadRequest, match="no socket is in the way"):
        listen_unix(path, mode=0o600)
    assert path.read_text() == "mine"


def test_a_port_sends_without_waiting_for_acknowledgements() -> None:
    """asyncio sees to it, on sockets that name their protocol."""
    listener = listen_tcp("127.0.0.1:0")
    assert listener.proto == socket.IPPROTO_TCP
    listener.close()


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    taken = listen_tcp("127.0.0.1:0")
    port = taken.getsockname()[1]

    with pytest.raises(Unavailable, match=f"cannot listen on 127.0.0.1:{port}"):
        listen_tcp(f"127.0.0.1:{port}")
    taken.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:http", "127.0.0.1:70000"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(BadRequest, match="write host:port"):
        listen_tcp(address)
