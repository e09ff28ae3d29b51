"""Frames to a manager and back, over a real socket."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import pytest
from support.node import free_port
from support.node_certificates import ClusterCa
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from agent.channel import Channel, ChannelClosed, Connect, connector
from swarmpy.errors import Unavailable
from swarmpy.pki import Credentials


async def _echo(connection: ServerConnection) -> None:
    async for frame in connection:
        if frame == "hang up":
            return
        await connection.send(frame)


def _only_the_session(connection: ServerConnection, request: Request) -> Response | None:
    if request.path == "/agent/session":
        return None
    return connection.respond(HTTPStatus.NOT_FOUND, "no such path\n")


@pytest.fixture
def ca(tmp_path: Path) -> ClusterCa:
    return ClusterCa(tmp_path)


@pytest.fixture
def connect(ca: ClusterCa) -> Connect:
    return connector(ca.worker("w1"))


@asynccontextmanager
async def listening(credentials: Credentials) -> AsyncGenerator[str, None]:
    context = credentials.server_context()
    async with serve(_echo, "127.0.0.1", 0, process_request=_only_the_session, max_size=None, ssl=context) as server:
        yield f"127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


@pytest.fixture
async def address(ca: ClusterCa) -> AsyncGenerator[str, None]:
    async with listening(ca.manager("m1")) as address:
        yield address


@pytest.fixture
async def channel(address: str, connect: Connect) -> AsyncGenerator[Channel, None]:
    channel = await connect(address, "/agent/session")
    yield channel
    await channel.close()


async def test_text_and_bytes_arrive_as_they_were_sent(channel: Channel) -> None:
    await channel.send('{"type": "beat"}')
    await channel.send(b"\x01line\n")

    assert [await channel.receive(), await channel.receive()] == ['{"type": "beat"}', b"\x01line\n"]


async def test_a_frame_may_be_as_large_as_the_set_of_a_full_node(channel: Channel) -> None:
    frame = "x" * (8 * 1024 * 1024)

    await channel.send(frame)

    assert await channel.receive() == frame


async def test_a_manager_that_hangs_up_is_noticed_by_reader_and_writer(channel: Channel) -> None:
    await channel.send("hang up")

    with pytest.raises(ChannelClosed):
        await channel.receive()
    with pytest.raises(ChannelClosed):
        await channel.send("still there?")
    await channel.close("no error when it is closed already")


async def test_a_path_that_the_manager_does_not_serve_is_unavailable(address: str, connect: Connect) -> None:
    with pytest.raises(Unavailable, match=r"does not answer: .*404"):
        await connect(address, "/agent/streams/none")


async def test_a_manager_that_is_not_there_is_named(connect: Connect) -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(Unavailable, match=rf"the manager at {address} does not answer: .*Connect call failed"):
        await connect(address, "/agent/session")


async def test_what_is_no_address_at_all_is_like_a_manager_that_is_not_there(connect: Connect) -> None:
    with pytest.raises(Unavailable, match="the manager at a#b:1 does not answer"):
        await connect("a#b:1", "/agent/session")


async def test_a_worker_that_passes_for_a_manager_is_not_believed(ca: ClusterCa, connect: Connect) -> None:
    async with listening(ca.worker("w2")) as address:
        with pytest.raises(Unavailable, match="does not answer"):
            await connect(address, "/agent/session")


async def test_a_manager_of_another_cluster_is_not_believed(tmp_path: Path, connect: Connect) -> None:
    async with listening(ClusterCa(tmp_path, "cluster2").manager("m1")) as address:
        with pytest.raises(Unavailable, match="certificate verify failed"):
            await connect(address, "/agent/session")
