"""`make bench-churn`: containers of a network come and go; how long until every node of it shows each change.

One manager with its store in memory, and whole agents over engines in memory in a process of their own; the session
between them is the real one, TLS and all, and there is no kernel. Services are scaled down and up again, and containers
crash at random and are replaced: each end and each start is a change of the network map. Most of them are not crashes,
for a slot that crashes again and again is made to wait. Timed from the commit of the change until all agents have said
`Mapped`.
"""

import argparse
import asyncio
import random
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, redirect_stderr, suppress
from datetime import datetime
from io import StringIO
from itertools import cycle
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

import machine

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from starlette.applications import Starlette
from support.node_certificates import ClusterCa
from support.tls_port import tls_port

from agent import daemon
from agent.channel import connector
from agent.engine.fake import FakeEngine
from manager.ca.sealing import Sealer
from manager.control.bootstrap import first_cluster
from manager.dispatcher.endpoint import agent_routes
from manager.dispatcher.map_entries import is_serving
from manager.manager import Manager
from manager.objects import Network, Node, Service, SpecRevision, Task
from manager.state import Changed
from manager.store.codec import put
from manager.store.errors import CommitConflict
from manager.store.memory import MemoryDatabase, MemoryStore
from manager.store.port import Unit
from swarmpy.clock import SystemClock
from swarmpy.idgen import new_id
from swarmpy.ids import id_from_number
from swarmpy.logs import configure
from swarmpy.models.container import ContainerSpec
from swarmpy.models.network import NetworkCreate
from swarmpy.models.node import NodeDescription, NodeSpec
from swarmpy.models.service import Replicated, ServiceMode, ServiceSpec
from swarmpy.models.task import NetworkAttachmentConfig, RestartPolicy, TaskSpec
from swarmpy.pki import Credentials
from swarmpy.settings import AgentSettings, EtcdSettings, ManagerSettings

NODES = 25
SERVICES, REPLICAS = 25, 8
# Together 50 changes a second, for a crash makes two: an end and a start.
SCALED_A_SECOND, CRASHES_A_SECOND = 45, 2.5
# In seconds.
P99, WORST = 1.0, 5.0
LOOK_EVERY = 0.002
LIMIT = 60
NETWORK = id_from_number(1)
CLOCK = SystemClock()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--nodes", type=int, default=NODES)
    parser.add_argument("--agents-of", nargs=2, metavar=("PORT", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    with redirect_stderr(StringIO()):
        # What is logged from now on goes there.
        configure()
    if options.agents_of:
        port, folder = options.agents_of
        return asyncio.run(run_agents(int(port), Path(folder), options.nodes))
    print(machine.describe())
    with TemporaryDirectory() as folder:
        return asyncio.run(measure(Path(folder), options.nodes, options.seconds))


# the manager's side


async def measure(folder: Path, nodes: int, seconds: float) -> int:
    ca = ClusterCa(folder)
    for number in range(nodes):
        ca.worker(name_of(number))
    manager = a_manager(folder)
    working = asyncio.ensure_future(manager.run())
    app = Starlette(routes=agent_routes(manager.sessions, manager.logs, _fail))
    try:
        async with tls_port(ca.manager("m1"), app) as port:
            await wait_until(lambda: manager.ledger.is_leading and manager.ledger.state.cluster is not None)
            await populate(manager, nodes)
            async with agents(port.number, folder, nodes):
                await wait_until(lambda: running(manager) == SERVICES * REPLICAS)
                watch = Watch(manager, nodes)
                _, asked = await asyncio.gather(watch.run(seconds), scale(manager, seconds))
        print(f"asked for: {asked} by scaling, {2 * CRASHES_A_SECOND * seconds:.0f} by crashes")
        return watch.report(seconds)
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


def _fail(error: Exception) -> None:
    raise error


class Watch:
    """Changes of the map, from their commit until every agent has said that it shows them."""

    def __init__(self, manager: Manager, nodes: int) -> None:
        self._manager = manager
        self._nodes = [name_of(number) for number in range(nodes)]
        self._open: deque[tuple[int, float]] = deque()
        self._lasted: list[float] = []

    async def run(self, seconds: float) -> None:
        """Then until the last change is shown."""
        changes = self._manager.ledger.subscribe()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or (self._open and time.perf_counter() < end + LIMIT):
            taken = changes.take() or ()
            if time.perf_counter() < end:
                revision, now = self._manager.ledger.state.revision, time.perf_counter()
                self._open.extend((revision, now) for change in taken if is_of_the_map(change))
            shown = min(self._manager.sessions.mapped_revision(node) or 0 for node in self._nodes)
            while self._open and self._open[0][0] <= shown:
                self._lasted.append(time.perf_counter() - self._open.popleft()[1])
            await asyncio.sleep(LOOK_EVERY)
        self._manager.ledger.unsubscribe(changes)

    def report(self, seconds: float) -> int:
        if self._open or len(self._lasted) < 100:
            print(f"{len(self._open)} changes were never shown by all, {len(self._lasted)} were: nothing to judge")
            return 1
        marks = quantiles(self._lasted, n=100)
        half, p99, worst = marks[49], marks[98], max(self._lasted)
        rate = len(self._lasted) / seconds
        print(f"{len(self._lasted)} changes in {seconds:g} s ({rate:.0f} a second), shown by {len(self._nodes)} nodes")
        print(f"  from commit to shown by all: p50 {half:.3f} s, p99 {p99:.3f} s, worst {worst:.3f} s")
        kept = p99 <= P99 and worst <= WORST
        print(f"  bar: p99 at most {P99:g} s, worst at most {WORST:g} s: {'kept' if kept else 'MISSED'}")
        return 0 if kept else 1


def is_of_the_map(change: Changed) -> bool:
    before, after = change.before, change.after
    if not isinstance(after, Task):
        return False
    return (isinstance(before, Task) and is_serving(before)) != is_serving(after)


def running(manager: Manager) -> int:
    return sum(is_serving(task) for task in manager.ledger.state.tasks.values())


async def scale(manager: Manager, seconds: float) -> int:
    """What operators do: one service after the other loses a replica, and gets it back in the next turn. Returns how
    many changes it made."""
    asked, due = 0, time.monotonic()
    end = due + seconds
    for number in cycle(range(SERVICES)):
        due += 1 / SCALED_A_SECOND
        if due > end:
            break
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        service = manager.ledger.state.services[service_of(number)]
        count = REPLICAS - (service.spec.mode == mode_of(REPLICAS))
        spec = service.spec.model_copy(update={"mode": mode_of(count)})
        with suppress(CommitConflict):
            await manager.ledger.commit([Unit((put(service.model_copy(update={"spec": spec})),))])
            asked += 1
    return asked


async def populate(manager: Manager, nodes: int) -> None:
    now = CLOCK.now()
    times = {"created_at": now, "updated_at": now}
    members = tuple(
        Node(id=name_of(number), spec=NodeSpec(), description=NodeDescription(), since=now, **times)
        for number in range(nodes)
    )
    network = Network(id=NETWORK, spec=NetworkCreate(name="net"), **times)
    await manager.ledger.commit([Unit((put(network, create=True), *(put(each, create=True) for each in members)))])
    await wait_until(lambda: bool(manager.ledger.state.networks[NETWORK].subnet))
    await manager.ledger.commit([a_service(number, now) for number in range(SERVICES)])


def a_service(number: int, now: datetime) -> Unit:
    id, times = service_of(number), {"created_at": now, "updated_at": now}
    template = TaskSpec(
        container_spec=ContainerSpec(image="app:1"),
        networks=(NetworkAttachmentConfig(target=NETWORK),),
        restart_policy=RestartPolicy(delay=0),
    )
    spec = ServiceSpec(name=f"web{number}", mode=mode_of(REPLICAS), task_template=template)
    wish = SpecRevision(id=f"{id}/1", service_id=id, number=1, template=template, **times)
    return Unit((put(wish, create=True), put(Service(id=id, spec=spec, spec_version=1, **times), create=True)))


def mode_of(count: int) -> ServiceMode:
    return ServiceMode(replicated=Replicated(replicas=count))


def a_manager(folder: Path) -> Manager:
    settings = ManagerSettings(
        node_id="m1",
        hostname="m1",
        data_dir=folder,
        api_socket=folder / "api.sock",
        identity=folder / "identity",
        advertise_address="127.0.0.1:2377",
        status_address="127.0.0.1:0",
        etcd=EtcdSettings(endpoints=("unix:/nowhere/etcd.sock",)),
    )
    store = MemoryStore(MemoryDatabase(CLOCK))
    return Manager(
        settings, store, Sealer(bytes(32)), CLOCK, new_id, first_objects=lambda now: (first_cluster("cluster1", now),)
    )


# the agents' side


@asynccontextmanager
async def agents(port: int, folder: Path, nodes: int) -> AsyncIterator[None]:
    arguments = [__file__, "--nodes", str(nodes), "--agents-of", str(port), str(folder)]
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def run_agents(port: int, folder: Path, nodes: int) -> int:
    engines = [FakeEngine(CLOCK) for _ in range(nodes)]
    lives = [live(number, engine, port, folder) for number, engine in enumerate(engines)]
    await asyncio.gather(*lives, crash(engines))
    return 0


async def live(number: int, engine: FakeEngine, port: int, folder: Path) -> None:
    name, certificates = name_of(number), folder / "cluster1"
    settings = AgentSettings(
        node_id=name,
        hostname=name,
        data_dir=folder / name,
        identity=folder / name / "identity",
        managers=(f"127.0.0.1:{port}",),
        address=f"192.0.2.{number % 250 + 1}:2377",
        ready_file=folder / f"{name}.ready",
    )
    kept = Credentials(certificates / "ca.crt", certificates / f"{name}.crt", certificates / f"{name}.key")
    await daemon.run(settings, CLOCK, engine, connector(kept))


async def crash(engines: Sequence[FakeEngine]) -> None:
    """From when all run."""
    chance = random.Random(1)
    while sum(len(engine.running()) for engine in engines) < SERVICES * REPLICAS:
        await asyncio.sleep(0.1)
    due = time.monotonic()
    while True:
        due += 1 / CRASHES_A_SECOND
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        engine = chance.choice(engines)
        if up := engine.running():
            engine.crash(chance.choice(up).id)


# both


def name_of(number: int) -> str:
    return id_from_number(1000 + number)


def service_of(number: int) -> str:
    return id_from_number(2000 + number)


async def wait_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT):
        while not condition():
            await asyncio.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main())
