"""Frames to a manager and back, over a real socket."""

from collections.abc import AsyncGenerator
from http import HTTPStatus
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, unix_serve
from websockets.http11 import Request, Response

from agent.channel import Channel, ChannelClosed, open_channel
from swarmpy.errors import BadRequest, Unavailable


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
async def address(tmp_path: Path) -> AsyncGenerator[str, None]:
    path = str(tmp_path / "m.sock")
    async with unix_serve(_echo, path, process_request=_only_the_session, max_size=None):
        yield f"unix:{path}"


@pytest.fixture
async def channel(address: str) -> AsyncGenerator[Channel, None]:
    channel = await open_channel(address, "/agent/session")
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


async def test_a_path_that_the_manager_does_not_serve_is_unavailable(address: str) -> None:
    with pytest.raises(Unavailable, match=r"does not answer: .*404"):
        await open_channel(address, "/agent/streams/none")


async def test_a_manager_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=rf"the manager at unix:{tmp_path}/x does not answer: No such file"):
        await open_channel(f"unix:{tmp_path}/x", "/agent/session")


async def test_an_address_of_another_kind_is_refused() -> None:
    with pytest.raises(BadRequest, match="not of the form unix:"):
        await open_channel("10.0.0.1:2377", "/agent/session")
