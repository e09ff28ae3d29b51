"""Names that the cluster does not know, asked of other servers: of several in time, over TCP where the answer is long,
once for all who ask the same at the same time, and from memory while it may be believed."""

import asyncio
import struct
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from agent.dns.cache import AnswerCache, Key, given_to, is_answer_to, is_cut, is_refusal, key_of
from agent.dns.wire import Answer, Question, Rcode, write_answer, write_query
from swarmpy.clock import Clock
from swarmpy.idgen import new_query_id
from swarmpy.logs import logger

log = logger("dns")

PORT = 53
# Each holds a socket or two.
QUESTIONS_AT_ONCE = 500
ROUNDS = 3
_LENGTH = struct.Struct("!H")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an answer may take in all, and after what silence the next server is asked as well. One that was silent
    is asked last for as long as `shunned`. Resolvers give up on us after 5 s, and on a server of ours after 2."""

    whole: timedelta = timedelta(seconds=1.9)
    step: timedelta = timedelta(seconds=0.4)
    shunned: timedelta = timedelta(seconds=10)


class Upstream:
    """`node_servers` says whom the node itself asks; `port` is that of all servers."""

    def __init__(
        self,
        clock: Clock,
        node_servers: Callable[[], Sequence[str]],
        patience: Patience | None = None,
        port: int = PORT,
    ) -> None:
        self._clock = clock
        self._node_servers = node_servers
        self._patience = patience or Patience()
        self._port = port
        self._ours: frozenset[str] = frozenset()
        self._cache = AnswerCache()
        self._flights: dict[Key, asyncio.Task[bytes | None]] = {}
        self._shunned: dict[str, float] = {}

    def avoid(self, ours: Collection[str]) -> None:
        """Addresses of our own: a question asked there would come round again."""
        self._ours = frozenset(ours)

    async def ask(self, question: Question, servers: Sequence[str], limit: int) -> bytes:
        """The answer, under the question's id and within `limit`; SERVFAIL when no server has given one in time."""
        asked = self._to_be_asked(servers)
        key = key_of(question, asked)
        wire = self._cache.get(key, self._clock.monotonic())
        if wire is None and asked:
            wire = await self._together(key, question, asked)
        if wire is None:
            return write_answer(question, Answer(Rcode.SERVFAIL, is_ours=False), limit)
        return given_to(question, wire, limit)

    def remembered(self, question: Question, servers: Sequence[str], limit: int) -> bytes | None:
        """The answer that `ask` would give without asking anybody."""
        wire = self._cache.get(key_of(question, self._to_be_asked(servers)), self._clock.monotonic())
        return None if wire is None else given_to(question, wire, limit)

    def _to_be_asked(self, servers: Sequence[str]) -> tuple[str, ...]:
        return tuple(server for server in servers or self._node_servers() if server not in self._ours)

    async def close(self) -> None:
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    async def _together(self, key: Key, question: Question, servers: tuple[str, ...]) -> bytes | None:
        flight = self._flights.get(key)
        if flight is None:
            if len(self._flights) >= QUESTIONS_AT_ONCE:
                return None
            flight = asyncio.ensure_future(self._fetch(key, question, servers))
            self._flights[key] = flight
            flight.add_done_callback(lambda _: self._flights.pop(key, None))
        # Who gives up waiting does not end it for the others.
        return await asyncio.shield(flight)

    async def _fetch(self, key: Key, question: Question, servers: tuple[str, ...]) -> bytes | None:
        now = self._clock.monotonic()
        order = sorted(servers, key=lambda server: self._shunned.get(server, 0.0) > now)
        wire = await self._first_good(question, order)
        if wire is not None:
            self._cache.put(key, wire, self._clock.monotonic())
        return wire

    async def _first_good(self, question: Question, servers: Sequence[str]) -> bytes | None:
        """A new attempt whenever the last has failed, or was silent for a while; all go on until one succeeds. What a
        server gives as its own failure counts only if none does better."""
        begun, step = self._clock.monotonic(), self._patience.step.total_seconds()
        plan = [server for _ in range(ROUNDS) for server in servers]
        running: dict[asyncio.Task[bytes], str] = {}
        refusal: bytes | None = None
        try:
            while True:
                left = self._patience.whole.total_seconds() - (self._clock.monotonic() - begun)
                if left <= 0 or not (plan or running):
                    return refusal
                if plan:
                    running[asyncio.ensure_future(self._attempt(plan[0], question))] = plan[0]
                done, _ = await asyncio.wait(
                    running, timeout=min(left, step) if plan else left, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    self._shun(plan[:1])
                plan = plan[1:]
                for task in done:
                    failed, wire = running.pop(task), _result(task)
                    if wire is not None and not is_refusal(wire):
                        return wire
                    refusal = refusal or wire
                    plan = [server for server in plan if server != failed]
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _shun(self, servers: Sequence[str]) -> None:
        now = self._clock.monotonic()
        self._shunned = {server: until for server, until in self._shunned.items() if until > now}
        self._shunned.update(dict.fromkeys(servers, now + self._patience.shunned.total_seconds()))

    async def _attempt(self, server: str, question: Question) -> bytes:
        wire = await _ask_by_datagram(server, self._port, question)
        if is_cut(wire):
            wire = await _ask_by_stream(server, self._port, question)
        self._shunned.pop(server, None)
        return wire


def _result(task: asyncio.Task[bytes]) -> bytes | None:
    error = task.exception()
    if error is None:
        return task.result()
    if not isinstance(error, OSError | EOFError):
        log.error("dns.attempt_failed", error=repr(error))
    return None


class _Waiting(asyncio.DatagramProtocol):
    """For one answer; the socket is connected, so that the kernel drops what comes from elsewhere."""

    def __init__(self, id: int, question: Question) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._id = id
        self._question = question

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self.answer.done() and is_answer_to(data, self._id, self._question):
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _ask_by_datagram(server: str, port: int, question: Question) -> bytes:
    id = new_query_id()
    loop = asyncio.get_running_loop()
    # A socket of its own for each: the kernel draws its port, which is half of what a forger must guess.
    transport, waiting = await loop.create_datagram_endpoint(lambda: _Waiting(id, question), remote_addr=(server, port))
    try:
        transport.sendto(write_query(question, id))
        return await waiting.answer
    finally:
        transport.close()


async def _ask_by_stream(server: str, port: int, question: Question) -> bytes:
    id = new_query_id()
    reader, writer = await asyncio.open_connection(server, port)
    try:
        query = write_query(question, id)
        writer.write(_LENGTH.pack(len(query)) + query)
        wire = await reader.readexactly(_LENGTH.unpack(await reader.readexactly(_LENGTH.size))[0])
    finally:
        writer.close()
    if not is_answer_to(wire, id, question) or is_cut(wire):
        raise EOFError("the server sent something else than the answer")
    return wire
