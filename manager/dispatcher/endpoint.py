"""The agents' door: two WebSocket routes, that turn frames into messages and back. Decides nothing."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from pydantic import ValidationError
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from manager.dispatcher.channel import ChannelClosed
from manager.dispatcher.frames import frame_of
from manager.dispatcher.sessions import Sessions
from manager.dispatcher.streams import LogBroker, Stream, StreamClosed
from manager.peer import cut, peer_of
from swarmpy.errors import BadRequest, NotFound
from swarmpy.together import together
from swarmpy.wire import FromAgent, FromManager, from_agent

# WebSocket close codes: RFC 6455, section 7.4.
NORMAL = 1000
GOING_AWAY = 1001
NO_CODE = 1005
UNWANTED = 1008

# In seconds. A peer that does not read for so long holds nobody up any more: its connection is cut.
_SENDS_WITHIN = 10.0
_CLOSES_WITHIN = 2.0

OnCrash = Callable[[Exception], None]


class WebSocketChannel:
    """A `Channel` over one accepted WebSocket."""

    def __init__(self, socket: WebSocket, *, sends_within: float = _SENDS_WITHIN) -> None:
        self._socket = socket
        self._sends_within = sends_within

    async def receive(self) -> FromAgent:
        try:
            text = await self._socket.receive_text()
        except (WebSocketDisconnect, RuntimeError, KeyError) as cause:
            raise ChannelClosed from cause
        try:
            return from_agent.validate_json(text)
        except ValidationError as cause:
            first = cause.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise BadRequest(f"not a message of this protocol: {place}: {first['msg']}") from cause

    async def send(self, message: FromManager) -> None:
        try:
            async with asyncio.timeout(self._sends_within):
                await self._socket.send_text(frame_of(message))
        except TimeoutError as cause:
            cut(self._socket.scope)
            raise ChannelClosed from cause
        except (WebSocketDisconnect, RuntimeError) as cause:
            raise ChannelClosed from cause

    async def close(self) -> None:
        await close_socket(self._socket, GOING_AWAY)


async def close_socket(socket: WebSocket, code: int, reason: str = "") -> None:
    if socket.application_state is WebSocketState.DISCONNECTED or socket.client_state is WebSocketState.DISCONNECTED:
        return
    try:
        async with asyncio.timeout(_CLOSES_WITHIN):
            await socket.close(code, reason)
    except TimeoutError:
        cut(socket.scope)
    except (WebSocketDisconnect, RuntimeError):
        return  # closed from the other side meanwhile


def agent_routes(sessions: Sessions, logs: LogBroker, on_crash: OnCrash) -> list[BaseRoute]:
    """`on_crash` is told of errors nobody foresaw: the process is to end, loudly."""

    async def session(socket: WebSocket) -> None:
        await socket.accept()
        await _guarded(sessions.serve(WebSocketChannel(socket), _node_of(socket)), on_crash)

    async def stream(socket: WebSocket) -> None:
        await socket.accept()
        try:
            accepted = logs.accept(socket.path_params["stream_id"], _node_of(socket))
        except NotFound as error:
            await close_socket(socket, UNWANTED, str(error))
            return
        await _guarded(_pump(socket, accepted), on_crash)

    return [WebSocketRoute("/agent/session", session), WebSocketRoute("/agent/streams/{stream_id}", stream)]


def _node_of(socket: WebSocket) -> str:
    """Whose certificate opened the connection; the door lets nobody in without one."""
    peer = peer_of(socket.scope)
    assert peer is not None
    return peer.node_id


async def _guarded(work: Coroutine[Any, Any, None], on_crash: OnCrash) -> None:
    try:
        await work
    except Exception as error:
        on_crash(error)
        raise


async def _pump(socket: WebSocket, stream: Stream) -> None:
    """Until the log ends or nobody reads it any more."""
    with suppress(StreamClosed):
        await together(_fill(socket, stream), stream.wait_until_closed())
    await close_socket(socket, GOING_AWAY)


async def _fill(socket: WebSocket, stream: Stream) -> None:
    """Frames of one byte (1 stdout, 2 stderr) and a line each."""
    while True:
        event = await socket.receive()
        if event["type"] == "websocket.disconnect":
            is_whole = event.get("code") in (NORMAL, NO_CODE)
            why = event.get("reason") or "the agent went away"
            await stream.end("" if is_whole else f"the log broke off: {why}")
            return
        if frame := event.get("bytes"):
            await stream.put((frame[0], frame[1:]))
