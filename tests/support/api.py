"""The manager's API over a store in memory, asked in-process: no socket, no server, no control loop."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI

from manager.api.app import create_app
from manager.api.context import ApiContext, LogLine
from manager.ca.sealing import Sealer
from manager.ledger import Ledger
from manager.objects import AnyObject, Network, Service
from manager.state import State
from manager.store.codec import put
from manager.store.keys import LEADER, key_of, name_key
from manager.store.memory import MemoryDatabase, MemoryStore
from manager.store.port import Delete, Fence, Put, Unit, Write
from swarmpy.clock import ManualClock
from swarmpy.idgen import CountingIds
from swarmpy.settings import EtcdSettings, ManagerSettings
from swarmpy.wire import LogOptions

NODE_ID = "manager0000000000000node1"


@dataclass(slots=True)
class ScriptedLogs:
    """Logs by task id: lines, then the end; an error in place of a line is raised; a task not named is silent."""

    scripts: dict[str, list[LogLine | Exception]] = field(default_factory=dict)
    asked: dict[str, LogOptions] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)

    async def open_logs(self, task_id: str, options: LogOptions) -> AsyncGenerator[LogLine, None]:
        self.asked[task_id] = options
        try:
            if task_id not in self.scripts:
                await asyncio.Event().wait()
            for entry in self.scripts[task_id]:
                if isinstance(entry, Exception):
                    raise entry
                yield entry
        finally:
            self.closed.append(task_id)


@dataclass(slots=True)
class Connections:
    """Nodes by id with the revision they have applied, and that of the map they show."""

    applied: dict[str, int] = field(default_factory=dict)
    mapped: dict[str, int] = field(default_factory=dict)

    def is_connected(self, node_id: str) -> bool:
        return node_id in self.applied

    def applied_revision(self, node_id: str) -> int | None:
        return self.applied.get(node_id)

    def mapped_revision(self, node_id: str) -> int | None:
        return self.mapped.get(node_id)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        text: str = self.json["message"]
        return text


class Api:
    """The API of a manager that leads. `keep` writes objects past the API, as control loop and agents would."""

    def __init__(self, store: MemoryStore, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock
        self.ledger = Ledger(store, clock)
        self.logs = ScriptedLogs()
        self.connections = Connections()
        self.context = ApiContext(
            ledger=self.ledger,
            clock=clock,
            mint=CountingIds(),
            logs=self.logs,
            sealer=Sealer(bytes(32)),
            node_sessions=self.connections,
            settings=manager_settings(),
        )
        self.app: FastAPI = create_app(self.context)

    @property
    def state(self) -> State:
        return self.ledger.state

    async def lead(self) -> None:
        batches = await self.store.commit([Unit((Put(LEADER, NODE_ID.encode(), modified=0),))])
        self.ledger.fence = Fence(LEADER, batches[0].revision)
        await self.wait_for_revision(batches[0].revision)

    async def keep(self, *objects: AnyObject) -> None:
        """Create or replace, names included."""
        writes: dict[str, Write] = {}
        for value in objects:
            write = put(value.model_copy(update={"version": self.state.version_of(key_of(value))}))
            writes[write.key] = write
            if isinstance(value, Service | Network):
                kind = "services" if isinstance(value, Service) else "networks"
                claim = name_key(kind, value.spec.name or "")
                writes[claim] = Delete(claim) if value.removed else Put(claim, value.id.encode())
        await self.ledger.commit([Unit(tuple(writes.values()))])

    async def drop(self, *objects: AnyObject) -> None:
        await self.ledger.commit([Unit(tuple(Delete(key_of(value)) for value in objects))])

    async def wait_for_revision(self, revision: int) -> None:
        changes = self.ledger.subscribe()
        try:
            async with asyncio.timeout(5):
                while self.state.revision < revision:
                    await changes.wait()
                    changes.take()
        finally:
            self.ledger.unsubscribe(changes)

    async def lose_store(self) -> None:
        """Until the manager has noticed."""
        self.store.cut()
        async with asyncio.timeout(5):
            while self.ledger.stale_since is None:
                await asyncio.sleep(0)

    async def find_store(self) -> None:
        self.store.mend()
        async with asyncio.timeout(5):
            while self.ledger.stale_since is not None:
                self.clock.advance(timedelta(seconds=1))
                await asyncio.sleep(0)

    async def get(self, path: str, **query: Any) -> Answer:
        return await request(self.app, "GET", path, query=query)

    async def post(
        self, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None, **query: Any
    ) -> Answer:
        return await request(self.app, "POST", path, query=query, body=body, headers=headers)

    async def delete(self, path: str, **query: Any) -> Answer:
        return await request(self.app, "DELETE", path, query=query)


@asynccontextmanager
async def running_api(*, leading: bool = True) -> AsyncIterator[Api]:
    """With its ledger following the store and its journal kept."""
    clock = ManualClock()
    store = MemoryDatabase(clock).open()
    api = Api(store, clock)
    following = asyncio.create_task(api.ledger.follow())
    try:
        await api.ledger.synced.wait()
        async with api.app.router.lifespan_context(api.app):
            if leading:
                await api.lead()
            yield api
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await store.close()


def manager_settings(**fields: Any) -> ManagerSettings:
    known = {
        "node_id": NODE_ID,
        "hostname": "manager-1",
        "data_dir": Path("/nowhere"),
        "api_socket": Path("/nowhere/api.sock"),
        "identity": Path("/nowhere/identity"),
        "advertise_address": "127.0.0.1:2377",
        "status_address": "127.0.0.1:2378",
        "etcd": EtcdSettings(endpoints=("unix:/nowhere/etcd.sock",)),
    }
    return ManagerSettings(**(known | fields))


class Exchange:
    """One request to an ASGI app whose answer is read as it comes."""

    def __init__(
        self,
        app: Any,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        is_whole: bool = True,
    ) -> None:
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        fields = {"host": "localhost", "content-type": "application/json"} | dict(headers or {})
        self._app = app
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": urlencode({name: _text(value) for name, value in (query or {}).items()}).encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in fields.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2378),
            "state": {},
        }
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._incoming.put_nowait({"type": "http.request", "body": raw, "more_body": not is_whole})
        self._outgoing: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.status = 0
        self.headers: dict[str, str] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Exchange"]:
        """Leaving it hangs up, as a client does. What the app raises is raised here."""
        serving = asyncio.create_task(self._app(self._scope, self._incoming.get, self._outgoing.put))
        serving.add_done_callback(lambda _: self._outgoing.put_nowait({"type": "end"}))
        try:
            yield self
        finally:
            self._incoming.put_nowait({"type": "http.disconnect"})
            async with asyncio.timeout(5):
                await serving

    async def chunks(self) -> AsyncIterator[bytes]:
        while (message := await self._outgoing.get())["type"] != "end":
            if message["type"] == "http.response.start":
                self.status = message["status"]
                self.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
            elif message["type"] == "http.response.body":
                if message.get("body"):
                    yield message["body"]
                if not message.get("more_body"):
                    return


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


async def request(
    app: Any,
    method: str,
    path: str,
    *,
    query: Mapping[str, Any] | None = None,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One request to an ASGI app, answered whole. `body` is JSON unless it is bytes."""
    stream = Exchange(app, method, path, query=query, body=body, headers=headers)
    async with stream.running(), asyncio.timeout(10):
        chunks = [chunk async for chunk in stream.chunks()]
    return Answer(stream.status, stream.headers, b"".join(chunks))
