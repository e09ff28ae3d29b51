"""Any manager answers for the cluster: what it cannot say itself it passes on to the leader, within a few seconds.

Stands around the operators' app. What is to be done with a request is decided in `forwarding`.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress
from datetime import timedelta

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from manager.api.client_side import ClientGone, ClientSide, read_whole, watched
from manager.api.forwarding import (
    MOUNT,
    Failure,
    Here,
    Refuse,
    Standing,
    There,
    decide,
    headers_to_client,
    headers_to_leader,
    is_of_this_manager,
    is_reading,
    uncertain,
)
from manager.api.leader_client import BrokenOff, LeaderAnswer, LeaderClient, LeaderRequest, NotCarriedOut
from manager.api.problems import problem
from manager.api.transport import DockerTransport
from manager.ledger import Ledger
from swarmpy.clock import Clock, within
from swarmpy.errors import SwarmpyError, Unavailable
from swarmpy.logs import logger
from swarmpy.pki import Credentials
from swarmpy.together import together

log = logger("forward")

# An operator waits this long in all for a leader to be found and to begin its answer.
PATIENCE = timedelta(seconds=5)
# The leader itself may wait for the store a while before it answers a write.
WRITE_WITHIN = timedelta(seconds=30)
_PAUSE = timedelta(milliseconds=200)
# One that steps down may still finish what it was asked.
_LAST_WORDS = timedelta(seconds=1)


class ForwardToLeader:
    """`leader_address` is `host:port` of the leader's port, None while that is not known."""

    def __init__(
        self,
        app: ASGIApp,
        ledger: Ledger,
        clock: Clock,
        leader_address: Callable[[], str | None],
        credentials: Credentials,
    ) -> None:
        self._app = app
        self._ledger = ledger
        self._clock = clock
        self._leader_address = leader_address
        self._client = LeaderClient(credentials)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._closing(send))
        elif scope["type"] != "http" or self._ledger.is_leading or is_of_this_manager(scope["path"]):
            await self._app(scope, receive, send)
        else:
            with suppress(ClientGone):
                await self._serve_elsewhere(scope, receive, send)

    def _closing(self, send: Send) -> Send:
        """The server waits for no more than the last word of the app's life: connections end before it."""

        async def close_first(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown"):
                await self._client.close()
            await send(message)

        return close_first

    async def _serve_elsewhere(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await read_whole(receive)
        except SwarmpyError as refusal:
            await self._refusal(refusal)(scope, receive, send)
            return
        async with watched(body, receive) as client:
            try:
                answer = await self._find_answer(_request(scope, body), client)
            except SwarmpyError as refusal:
                await self._refusal(refusal)(scope, client.receive, send)
                return
            if answer is None:
                await self._app(scope, client.receive, send)
            else:
                await _pass_on(answer, client, send)

    def _refusal(self, reason: SwarmpyError) -> ASGIApp:
        return DockerTransport(problem(reason.http_status, str(reason)), self._ledger)

    async def _find_answer(self, request: LeaderRequest, client: ClientSide) -> LeaderAnswer | None:
        """None: the app here is to answer. Raises `Unavailable` when nobody can, `ClientGone`."""
        reading, end = is_reading(request.method), self._clock.monotonic() + PATIENCE.total_seconds()
        failure, is_rested = None, True
        while True:
            left = timedelta(seconds=end - self._clock.monotonic())
            match decide(reading=reading, now=self._standing(left, failure, is_rested)):
                case Here():
                    return None
                case Refuse(reason):
                    raise Unavailable(reason)
                case There(leader):
                    try:
                        return await self._ask(leader, request, client, left if reading else WRITE_WITHIN)
                    except NotCarriedOut as error:
                        failure, is_rested = Failure(leader, str(error)), False
                    except BrokenOff as error:
                        if not reading:
                            raise Unavailable(uncertain(leader, str(error))) from error
                        failure, is_rested = Failure(leader, str(error)), False
                case _:
                    await self._wait_for_another(client, min(left, _PAUSE))
                    is_rested = True

    def _standing(self, left: timedelta, failure: Failure | None, is_rested: bool) -> Standing:
        ledger = self._ledger
        return Standing(
            is_leading=ledger.is_leading,
            is_stale=ledger.stale_since is not None,
            leader=self._leader_address(),
            is_late=left <= timedelta(0),
            failure=failure,
            is_rested=is_rested,
        )

    async def _ask(self, leader: str, request: LeaderRequest, client: ClientSide, limit: timedelta) -> LeaderAnswer:
        """Its answer, once it begins. One that does not begin before another leads, or the time is over, has failed.
        Raises `NotCarriedOut`, `BrokenOff`, `ClientGone`, `BadRequest`."""
        asking = asyncio.create_task(self._client.ask(leader, request))
        moved = asyncio.create_task(self._until_another(leader, _LAST_WORDS))
        alarm = asyncio.create_task(self._clock.sleep(limit))
        is_taken = False
        try:
            await asyncio.wait((asking, moved, alarm, client.gone), return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                is_taken = True
                return asking.result()
            if client.gone.done():
                raise ClientGone
            why = "another manager leads now" if moved.done() else "no answer in time"
            raise (BrokenOff if request.is_sent else NotCarriedOut)(why)
        finally:
            for task in (asking, moved, alarm):
                task.cancel()
            await asyncio.gather(asking, moved, alarm, return_exceptions=True)
            if not is_taken and not asking.cancelled() and asking.exception() is None:
                await asking.result().close()

    async def _wait_for_another(self, client: ClientSide, limit: timedelta) -> None:
        """Than the leader there is, or until the limit. Raises `ClientGone`."""
        with suppress(TimeoutError):
            changed = self._until_another(self._leader_address(), timedelta(0))
            await within(self._clock, limit, together(changed, client.wait_until_gone()))
        if client.gone.done():
            raise ClientGone

    async def _until_another(self, leader: str | None, rest: timedelta) -> None:
        news = self._ledger.subscribe()
        try:
            while self._leader_address() == leader and not self._ledger.is_leading:
                await news.wait()
                news.take()
        finally:
            self._ledger.unsubscribe(news)
        await self._clock.sleep(rest)


def _request(scope: Scope, body: bytes) -> LeaderRequest:
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    target = MOUNT.encode() + path + (b"?" + query if query else b"")
    return LeaderRequest(scope["method"], target, headers_to_leader(scope["headers"], body), body)


async def _pass_on(answer: LeaderAnswer, client: ClientSide, send: Send) -> None:
    """Until it ends or the client goes away. An answer that breaks off is not ended: the server then cuts the
    connection, so that the client knows."""
    try:
        headers = headers_to_client(answer.headers)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await together(_pump(answer, send), client.wait_until_gone())
    except BrokenOff as error:
        log.info("forward.answer_broke_off", reason=str(error))
    finally:
        await answer.close()


async def _pump(answer: LeaderAnswer, send: Send) -> None:
    async with aclosing(answer.chunks()) as chunks:
        async for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
