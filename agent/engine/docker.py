"""The engine port over the Docker SDK. The SDK is synchronous: its calls run in a bounded pool of threads.

Owns the client, the pools and the deadlines. What the engine's JSON means is in `docker_wire`, its errors in
`docker_errors`, streams in `docker_stream`.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import docker
from docker.types import CancellableStream
from requests import Response

from agent.engine.docker_errors import ENGINE_ERRORS, translated
from agent.engine.docker_stream import Reader
from agent.engine.docker_wire import (
    LogFrames,
    container_facts,
    engine_event,
    engine_info,
    engine_network,
    limit_of,
    listed,
    network_body,
)
from agent.engine.port import EngineEvent, EngineInfo, LogLine, OnProgress
from agent.engine.ranges import obstacle
from agent.task.container import CreateRequest, NetworkToJoin
from agent.task.facts import ContainerFacts, ListedContainer
from agent.task.mounts import VolumeFacts
from agent.task.names import NODE_LABEL, network_name
from agent.task.pull import PullProgress, asks_registry_first, credentials
from swarmpy.errors import Conflict, NotFound, SwarmpyError, TimedOut, Unavailable
from swarmpy.wire import LogOptions, NetworkAssignment

T = TypeVar("T")

# Calls that wait in the engine at the same time: creating and starting are slow there, and gain from company.
CALLS_AT_ONCE = 16
# A start waits as long as a file server does that a volume is on: it must not keep the others from theirs.
STARTS_AT_ONCE = 64
# Pulls take minutes and must not keep other calls waiting.
PULLS_AT_ONCE = 4
QUICK = 15.0
SLOW = 120.0


class DockerEngine:
    """Connects on the first call, and again after the engine was away."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._client: docker.APIClient | None = None
        self._calls = ThreadPoolExecutor(CALLS_AT_ONCE, "engine-call")
        self._starts = ThreadPoolExecutor(STARTS_AT_ONCE, "engine-start")
        self._pulls = ThreadPoolExecutor(PULLS_AT_ONCE, "engine-pull")
        self._connecting = asyncio.Lock()

    async def describe(self) -> EngineInfo:
        client = await self._connected()
        info = await self._call(client.info)
        return engine_info(info, client.api_version)

    # Containers.

    async def containers(self, node_id: str) -> tuple[ListedContainer, ...]:
        client = await self._connected()
        found = await self._call(client.containers, all=True, filters=_of_node(node_id))
        return tuple(listed(container) for container in found)

    async def create(self, request: CreateRequest) -> str:
        client = await self._connected()
        return await self._call(_create, client, request, limit=SLOW, pool=self._starts)

    async def find(self, name: str) -> ContainerFacts | None:
        try:
            return await self.inspect(name)
        except NotFound:
            return None

    async def start(self, container_id: str) -> None:
        client = await self._connected()
        await self._call(client.start, container_id, limit=SLOW, pool=self._starts)

    async def inspect(self, container_id: str) -> ContainerFacts:
        client = await self._connected()
        return container_facts(await self._call(client.inspect_container, container_id))

    async def signal(self, container_id: str, signal: str) -> None:
        client = await self._connected()
        await self._call(client.kill, container_id, signal)

    async def remove(self, container_id: str) -> None:
        client = await self._connected()
        try:
            await self._call(client.remove_container, container_id, v=True, force=True, limit=SLOW)
        except NotFound:
            return

    # Images.

    async def ensure_image(self, reference: str, pull_auth: str | None, on_progress: OnProgress) -> None:
        auth = credentials(pull_auth)
        here = await self._has_image(reference)
        if here and not asks_registry_first(reference, bool(auth)):
            return
        client = await self._connected()
        loop = asyncio.get_running_loop()

        def tell(progress: PullProgress) -> None:
            loop.call_soon_threadsafe(on_progress, progress)

        try:
            await self._call(_pull, client, reference, auth, tell, limit=None, pool=self._pulls)
        except Unavailable:
            raise  # the engine went away, not the registry
        except SwarmpyError as error:
            if here:
                return
            raise NotFound(f"No such image: {reference} (pulling it failed: {error})") from None

    async def _has_image(self, reference: str) -> bool:
        client = await self._connected()
        try:
            await self._call(client.inspect_image, reference)
        except NotFound:
            return False
        return True

    # Networks.

    async def ensure_network(self, network: NetworkAssignment, node_id: str) -> str:
        client = await self._connected()
        version = (await self._call(client.version))["Version"]
        body = network_body(network, node_id, version)
        try:
            await self._call(client.create_network, **body, limit=SLOW)
        except Conflict as refusal:
            name = network_name(network)
            existing = tuple(map(engine_network, await self._call(client.networks)))
            why = obstacle(existing, name, network)
            if why is not None:
                raise Conflict(why or str(refusal)) from None
            return next((limit_of(found, network, version) for found in existing if found.name == name), "")
        return ""

    async def networks(self, node_id: str) -> tuple[str, ...]:
        client = await self._connected()
        found = await self._call(client.networks, filters=_of_node(node_id))
        return tuple(network["Name"] for network in found)

    async def remove_network(self, name: str) -> None:
        client = await self._connected()
        try:
            await self._call(client.remove_network, name, limit=SLOW)
        except NotFound:
            return

    # Volumes.

    async def volumes(self, label: str) -> tuple[str, ...]:
        client = await self._connected()
        # By driver: else the engine asks the plugins, too, and waits for one that is away.
        found = await self._call(client.volumes, filters={"label": label, "driver": "local"})
        return tuple(sorted(volume["Name"] for volume in found.get("Volumes") or ()))

    async def volume(self, name: str) -> VolumeFacts | None:
        client = await self._connected()
        try:
            found = await self._call(client.inspect_volume, name)
        except NotFound:
            return None
        return VolumeFacts(found["Driver"], found.get("Options") or {})

    # Streams.

    async def events(self, node_id: str) -> AsyncGenerator[EngineEvent | None, None]:
        client = await self._connected()
        # Each health check makes three events of its own, which say nothing to us.
        filters = {"type": "container", "event": ["die", "destroy", "health_status"], **_of_node(node_id)}
        stream: Any = await self._call(client.events, decode=True, filters=filters)
        reader: Reader[dict[str, Any]] = Reader(stream)
        try:
            yield None
            async for event in reader:
                if news := engine_event(event):
                    yield news
        except ENGINE_ERRORS as error:
            raise translated(error, self._host) from None
        finally:
            await reader.aclose()

    async def logs(self, container_id: str, options: LogOptions, *, tty: bool) -> AsyncGenerator[LogLine, None]:
        client = await self._connected()
        response = await self._call(_open_logs, client, container_id, options)
        reader: Reader[bytes] = Reader(CancellableStream(response.iter_content(None), response))
        frames = LogFrames(tty=tty)
        try:
            async for data in reader:
                for line in frames.feed(data):
                    yield line
            for line in frames.end():
                yield line
        except ENGINE_ERRORS as error:
            raise translated(error, self._host) from None
        finally:
            await reader.aclose()

    async def close(self) -> None:
        self._calls.shutdown(wait=False, cancel_futures=True)
        self._starts.shutdown(wait=False, cancel_futures=True)
        self._pulls.shutdown(wait=False, cancel_futures=True)
        self._disconnect()

    # How calls are made.

    async def _connected(self) -> docker.APIClient:
        if self._client is None:
            async with self._connecting:
                if self._client is None:
                    self._client = await self._call(_connect, self._host)
        return self._client

    async def _call(
        self,
        function: Callable[..., T],
        *args: Any,
        limit: float | None = QUICK,
        pool: ThreadPoolExecutor | None = None,
        **kwargs: Any,
    ) -> T:
        """The call's result, or one of our errors. What runs past its limit goes on in its thread, unheard."""
        work = asyncio.get_running_loop().run_in_executor(pool or self._calls, partial(function, *args, **kwargs))
        try:
            async with asyncio.timeout(limit):
                return await work
        except TimeoutError:
            raise TimedOut(f"the Docker engine at {self._host} did not answer within {limit:.0f} s") from None
        except ENGINE_ERRORS as error:
            ours = translated(error, self._host)
            if isinstance(ours, Unavailable):
                # Another engine, of another version, may answer next.
                self._disconnect()
            raise ours from None

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _connect(host: str) -> docker.APIClient:
    if host.startswith("unix://"):
        # The SDK leaves a socket open when nobody listens.
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(QUICK)
            probe.connect(host.removeprefix("unix://"))
    client = docker.APIClient(host, timeout=int(SLOW), max_pool_size=CALLS_AT_ONCE + PULLS_AT_ONCE)
    # Proxy variables and .netrc are not for a local socket, and cost a file read in each call.
    client.trust_env = False
    return client


def _of_node(node_id: str) -> dict[str, str]:
    return {"label": f"{NODE_LABEL}={node_id}"}


def _create(client: docker.APIClient, request: CreateRequest) -> str:
    # Engines before 1.44 take one network at creation; the others are joined before the start, which is the same.
    config = dict(request.config)
    others = request.networks[1:]
    if request.networks:
        first = request.networks[0]
        config["HostConfig"] = {**config["HostConfig"], "NetworkMode": first.name}
        config["NetworkingConfig"] = {"EndpointsConfig": {first.name: _endpoint(first)}}
    create: Callable[..., dict[str, str]] = client.create_container_from_config
    created = create(config, request.name)["Id"]
    try:
        for network in others:
            address = str(network.address) if network.address else None
            client.connect_container_to_network(created, network.name, ipv4_address=address)
    except ENGINE_ERRORS:
        client.remove_container(created, v=True, force=True)
        raise
    return created


def _endpoint(network: NetworkToJoin) -> dict[str, Any]:
    return {"IPAMConfig": {"IPv4Address": str(network.address)}} if network.address else {}


def _pull(client: docker.APIClient, reference: str, auth: dict[str, str], tell: OnProgress) -> None:
    progress = PullProgress(reference)
    # An empty credential, not None: with None the SDK looks into the home of whoever started this process.
    for line in client.pull(reference, stream=True, decode=True, auth_config=auth):
        if "error" in line:
            raise SwarmpyError(str(line["error"]))
        progress = progress.with_line(line)
        tell(progress)


def _open_logs(client: docker.APIClient, container_id: str, options: LogOptions) -> Response:
    """The SDK's own `logs` mixes standard output and standard error."""
    query: dict[str, str | int | float] = {
        "stdout": int(options.stdout),
        "stderr": int(options.stderr),
        "follow": int(options.follow),
        "timestamps": int(options.timestamps),
        "since": f"{options.since:.9f}",
        "tail": "all" if options.tail is None else options.tail,
    }
    url = f"{client.base_url}/v{client.api_version}/containers/{container_id}/logs"
    response = client.get(url, params=query, stream=True, timeout=(QUICK, None))
    if response.status_code >= 400:
        try:
            raise NotFound(response.json().get("message", response.reason))
        finally:
            response.close()
    return response
