"""The DNS server of a node: it listens on the gateway address of each overlay network, by UDP and by TCP."""

import asyncio
import errno
import socket
import struct
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from ipaddress import IPv4Address
from typing import Any

from agent.dns.forwards import Asker, Forwards
from agent.dns.kept_sockets import KeptSockets
from agent.dns.replies import Outside, Replies
from agent.dns.shares import Shares
from agent.dns.upstream import PORT, Upstream
from agent.dns.zone import EMPTY_ZONE, Zone
from swarmpy.clock import Clock
from swarmpy.logs import logger

log = logger("dns")

_LARGEST_QUERY = 4096
# So many datagrams are answered before others have their turn.
_BATCH = 64
CONNECTIONS, CONNECTIONS_OF_ONE = 128, 8
# RFC 7766 wants seconds, and lets a busy server choose.
IDLE_SECONDS = 5.0
RETRY = timedelta(seconds=1)
# A socket that was just forgotten has its address until whoever keeps it has heard so.
SOON = (0.02, 0.05, 0.1, 0.2)
_LENGTH = struct.Struct("!H")


class DnsServer:
    """`show` and `listen_on` may be called at any time; `serve` keeps what could not be bound under review, and ends
    all when it ends; `sockets` may outlive it."""

    def __init__(self, upstream: Upstream, clock: Clock, port: int = PORT, sockets: KeptSockets | None = None) -> None:
        self._upstream = upstream
        self._clock = clock
        self._port = port
        self._sockets = sockets or KeptSockets()
        self._zone = EMPTY_ZONE
        self._replies = Replies()
        self._wanted: dict[str, IPv4Address] = {}
        self._listeners: dict[str, _Listener] = {}
        self._work: set[asyncio.Task[None]] = set()
        self._connections = Shares(CONNECTIONS, CONNECTIONS_OF_ONE)
        self._forwards = Forwards(self._forward, clock)
        self._problems: dict[str, str] = {}
        self._said: dict[str, str] = {}
        self._soon: asyncio.TimerHandle | None = None

    @property
    def problems(self) -> Mapping[str, str]:
        """By network: why its gateway is not listened on."""
        return self._problems

    def show(self, zone: Zone) -> None:
        """What is answered from now on."""
        self._zone = zone
        self._replies.show(zone)

    def listen_on(self, gateways: Mapping[str, IPv4Address]) -> Mapping[str, str]:
        """Exactly these, by network; listeners that stay lose nothing. The problems left."""
        self._wanted = dict(gateways)
        self._upstream.avoid({str(address) for address in gateways.values()})
        for network_id, listener in list(self._listeners.items()):
            if gateways.get(network_id) != listener.address:
                listener.close()
                del self._listeners[network_id]
                self._sockets.forget(network_id)
        self._sockets.forget_others(gateways)
        known = self._problems.items()
        self._open_missing()
        if self._problems.items() - known:
            self._try_soon(SOON)
        return self._problems

    async def serve(self) -> None:
        try:
            while True:
                await self._clock.sleep(RETRY)
                if self._soon is None:
                    self._try_again(())
        finally:
            self._stop_trying()
            for listener in self._listeners.values():
                listener.close()
            self._listeners.clear()
            self._sockets.close()
            work = list(self._work)
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            await self._upstream.close()

    def _try_soon(self, pauses: Sequence[float]) -> None:
        self._stop_trying()
        self._soon = asyncio.get_running_loop().call_later(pauses[0], self._try_again, pauses[1:])

    def _stop_trying(self) -> None:
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None

    def _try_again(self, pauses: Sequence[float]) -> None:
        """And again after these; what is a problem still is said then, when it was not yet."""
        self._soon = None
        self._open_missing()
        if self._problems and pauses:
            self._try_soon(pauses)
            return
        for network_id, problem in self._problems.items():
            if self._said.get(network_id) != problem:
                log.error("dns.not_listening", network=self._zone.name_of(network_id), reason=problem)
        self._said = self._problems

    def _open_missing(self) -> None:
        problems = {}
        for network_id, address in self._wanted.items():
            if network_id in self._listeners:
                continue
            try:
                self._listeners[network_id] = self._open(network_id, address)
            except OSError as error:
                problems[network_id] = _problem(address, self._port, error)
        self._problems = problems

    def _open(self, network_id: str, address: IPv4Address) -> "_Listener":
        udp, tcp = self._sockets.take(network_id, address, self._port)
        try:
            return _Listener(self, network_id, address, udp, tcp)
        except OSError:
            # Kept without a listener, they would be in the way of the next try.
            self._sockets.forget(network_id)
            raise

    def datagram(self, udp: socket.socket, network_id: str, wire: bytes, source: tuple[str, int]) -> None:
        reply = self._replies.reply(wire, source[0], network_id)
        if isinstance(reply, Outside):
            reply = self._upstream.remembered(reply.question, reply.servers, reply.limit) or reply
        if isinstance(reply, bytes):
            _send(udp, reply, source)
        elif reply is not None:
            self._forwards.add(udp, reply, source)

    def connection(self, taken: socket.socket, network_id: str, source: str) -> None:
        if not self._connections.take(source):
            taken.close()
            return
        task = self._begin(self._converse(taken, network_id, source))
        task.add_done_callback(lambda _: self._hung_up(source, taken))

    def _hung_up(self, source: str, taken: socket.socket) -> None:
        self._connections.give_back(source)
        taken.close()

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._work.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("dns.question_failed", error=repr(error))

    def _forward(self, asker: Asker) -> None:
        self._begin(self._ask_outside(asker)).add_done_callback(lambda _: self._forwards.landed(asker))

    async def _ask_outside(self, asker: Asker) -> None:
        asked = asker.asked
        _send(asker.udp, await self._upstream.ask(asked.question, asked.servers, asked.limit), asker.source)

    async def _converse(self, taken: socket.socket, network_id: str, source: str) -> None:
        """One question after the other, until the asker hangs up, is silent, or sends what is none."""
        reader, writer = await asyncio.open_connection(sock=taken)
        try:
            while True:
                async with asyncio.timeout(IDLE_SECONDS):
                    length = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))[0]
                    wire = await reader.readexactly(length)
                reply = self._replies.reply_by_stream(wire, source, network_id)
                if isinstance(reply, Outside):
                    reply = await self._upstream.ask(reply.question, reply.servers, reply.limit)
                if reply is None:
                    return
                writer.write(_LENGTH.pack(len(reply)) + reply)
                async with asyncio.timeout(IDLE_SECONDS):
                    await writer.drain()
        except (OSError, EOFError):
            return
        finally:
            writer.close()


class _Listener:
    """The two sockets on one gateway. Answers leave from the address that was asked, for the sockets are bound. Raises
    `OSError`, and has closed them then."""

    def __init__(
        self, server: DnsServer, network_id: str, address: IPv4Address, udp: socket.socket, tcp: socket.socket
    ) -> None:
        self.address = address
        self._server = server
        self._network_id = network_id
        self._udp = udp
        self._tcp = tcp
        self._rest: asyncio.TimerHandle | None = None
        try:
            asyncio.get_running_loop().add_reader(self._udp, self._guarded(self._read))
            self._accept_again()
        except OSError:
            self.close()
            raise

    def _accept_again(self) -> None:
        asyncio.get_running_loop().add_reader(self._tcp, self._guarded(self._accept))

    def close(self) -> None:
        loop = asyncio.get_running_loop()
        if self._rest is not None:
            self._rest.cancel()
        for bound in (self._udp, self._tcp):
            loop.remove_reader(bound)
            bound.close()

    def _guarded(self, read: Callable[[], None]) -> Callable[[], None]:
        def guarded() -> None:
            try:
                read()
            except BlockingIOError:
                return
            except OSError as error:
                # What an earlier packet met with (a port that nobody has any more), or no descriptor left.
                log.debug("dns.read_failed", error=str(error))

        return guarded

    def _read(self) -> None:
        for _ in range(_BATCH):
            wire, source = self._udp.recvfrom(_LARGEST_QUERY)
            self._server.datagram(self._udp, self._network_id, wire, source)

    def _accept(self) -> None:
        try:
            taken, source = self._tcp.accept()
        except BlockingIOError:
            return
        except OSError:
            # Most likely no descriptor is left; whoever waits would wake us again and again.
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._tcp)
            self._rest = loop.call_later(RETRY.total_seconds(), self._accept_again)
            raise
        taken.setblocking(False)
        self._server.connection(taken, self._network_id, source[0])


def _problem(address: IPv4Address, port: int, error: OSError) -> str:
    advice = "; end what else uses that port there" if error.errno == errno.EADDRINUSE else ""
    return f"names cannot be answered on {address} port {port}: {error.strerror}{advice}"


def _send(udp: socket.socket, wire: bytes, source: tuple[str, int]) -> None:
    try:
        udp.sendto(wire, source)
    except OSError as error:
        # As good as lost on the way; whoever asked asks again. A closed socket: its network is gone.
        log.debug("dns.not_sent", error=str(error))
