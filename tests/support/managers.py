"""Several managers over one store in memory, each with its port and its operators' socket, in one process.

Who leads is said by hand; time stands still but where a test lets it pass.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send
from support.api import Answer, Api, Exchange, request
from support.node_certificates import ClusterCa
from support.tls_port import BOUND, TlsPort, tls_port
from support.waits import until

from manager.api.for_managers import ForManagers
from manager.api.forward import ForwardToLeader
from manager.listening import HttpServer, listen_unix
from manager.peer import peer_of
from manager.store.keys import LEADER
from manager.store.memory import MemoryDatabase
from manager.store.port import Delete, Fence, Put, Unit
from swarmpy.clock import ManualClock
from swarmpy.pki import Credentials

T = TypeVar("T")


@dataclass(slots=True)
class Member:
    """`front` is what its operators' socket serves."""

    name: str
    api: Api
    credentials: Credentials
    front: ForwardToLeader
    socket: Path
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def get(self, path: str, **query: Any) -> Answer:
        return await request(self.front, "GET", path, query=query)

    async def post(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None, **query: Any) -> Answer:
        return await request(self.front, "POST", path, body=body, headers=headers, query=query)

    async def delete(self, path: str) -> Answer:
        return await request(self.front, "DELETE", path)

    def open(self, path: str, **query: Any) -> Exchange:
        return Exchange(self.front, "GET", path, query=query)

    async def say(self, raw: bytes) -> bytes:
        """To its socket, as a client without any library; all that comes back."""
        async with asyncio.timeout(BOUND):
            reader, writer = await asyncio.open_unix_connection(str(self.socket))
            writer.write(raw)
            answer = await reader.read()
            writer.close()
            return answer


class Managers:
    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.ca = ClusterCa(folder)
        self.members: dict[str, Member] = {}
        # Where each one's port is; a test may say otherwise.
        self.addresses: dict[str, str] = {}
        # Who sent each request that came to a port.
        self.askers: list[str] = []
        self._folder = folder
        self._database = MemoryDatabase(self.clock)

    def __getitem__(self, name: str) -> Member:
        return self.members[name]

    @property
    def leader(self) -> str:
        return next(iter(self.members.values())).api.state.leader

    async def add(self, name: str) -> Member:
        api = Api(self._database.open(), self.clock)
        credentials = self.ca.manager(name)
        ledger = api.ledger
        front = ForwardToLeader(
            api.app, ledger, self.clock, lambda: self.addresses.get(ledger.state.leader), credentials
        )
        member = Member(name, api, credentials, front, self._folder / f"{name}.sock")
        self.members[name] = member
        await member.stack.enter_async_context(_following(api))
        await member.stack.enter_async_context(_serving(front, member.socket))
        return member

    @asynccontextmanager
    async def port_of(self, name: str) -> AsyncIterator[TlsPort]:
        """Open for the other managers meanwhile."""
        member = self[name]
        app = ForManagers(member.api.app, member.api.ledger)

        async def noted(scope: Scope, receive: Receive, send: Send) -> None:
            peer = peer_of(scope)
            self.askers.append(peer.node_id if peer else "")
            await app(scope, receive, send)

        async with tls_port(member.credentials, Starlette(routes=[Mount("/api", app=noted)])) as port:
            self.addresses[name] = f"127.0.0.1:{port.number}"
            yield port

    async def elect(self, name: str | None) -> None:
        """All know it when this returns. None: nobody leads."""
        for member in self.members.values():
            member.api.ledger.fence = None
        store = next(iter(self.members.values())).api.store
        if self.leader:
            await store.commit([Unit((Delete(LEADER),))])
        if name is not None:
            batches = await store.commit([Unit((Put(LEADER, name.encode(), modified=0),))])
            self[name].api.ledger.fence = Fence(LEADER, batches[0].revision)
        await until(lambda: all(member.api.state.leader == (name or "") for member in self.members.values()))

    async def pass_seconds(self, seconds: int) -> None:
        """In steps, with room for what follows from each."""
        for _ in range(seconds * 10):
            self.clock.advance(timedelta(milliseconds=100))
            await asyncio.sleep(0.005)

    async def passing(self, work: Awaitable[T]) -> T:
        """What it comes to while time passes, fifty times as fast as it does."""
        task = asyncio.ensure_future(work)
        async with asyncio.timeout(BOUND):
            while not task.done():
                self.clock.advance(timedelta(milliseconds=100))
                await asyncio.wait((task,), timeout=0.002)
        return await task

    async def close(self) -> None:
        for member in self.members.values():
            await member.stack.aclose()


@asynccontextmanager
async def managers_of(folder: Path, *names: str) -> AsyncIterator[Managers]:
    """With open ports; the first one leads."""
    managers = Managers(folder)
    try:
        async with AsyncExitStack() as ports:
            for name in names:
                await managers.add(name)
                await ports.enter_async_context(managers.port_of(name))
            await managers.elect(names[0])
            yield managers
    finally:
        await managers.close()


@asynccontextmanager
async def _following(api: Api) -> AsyncIterator[None]:
    following = asyncio.create_task(api.ledger.follow())
    try:
        await api.ledger.synced.wait()
        yield
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await api.store.close()


@asynccontextmanager
async def _serving(app: Any, path: Path) -> AsyncIterator[None]:
    server = HttpServer(app, [listen_unix(path, mode=0o600)])
    serving = asyncio.create_task(server.run_until_stopped())
    try:
        await until(lambda: server.started)
        yield
    finally:
        server.stop()
        await asyncio.wait_for(serving, BOUND)


class RudeLeader:
    """Takes each request and hangs up, or never answers (`is_mute`) until the client leaves. `heard` has the
    first line of each."""

    def __init__(self, *, is_mute: bool = False) -> None:
        self.heard: list[str] = []
        self.left = 0
        self._is_mute = is_mute

    @asynccontextmanager
    async def serving(self, credentials: Credentials) -> AsyncIterator[str]:
        """Its address."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=credentials.server_context())
        try:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.heard.append((await reader.readline()).decode().rpartition(" ")[0])
            while await reader.readline() != b"\r\n":
                pass
            if self._is_mute:
                await reader.read()
                self.left += 1
        finally:
            writer.transport.abort()
