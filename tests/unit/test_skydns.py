"""Names in SkyDNS's layout, read as CoreDNS's etcd plugin reads them, and the leader that keeps them there."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest
from support.builders import a_network
from support.picture import a_network as a_stored_network
from support.picture import a_node, a_service, a_task, picture
from support.stepping import advance, settle

from manager.ledger import Ledger
from manager.objects import TaskNetwork, VirtualIP
from manager.publish_names import NamePublisher, mapped_everywhere
from manager.skydns import Layout, name_records, plan_writes
from manager.store.codec import encode
from manager.store.keys import LEADER, key_of
from manager.store.memory import MemoryDatabase
from manager.store.port import Fence, Put, Unit
from manager.store.published import MemoryPublished
from swarmpy.clock import ManualClock
from swarmpy.errors import LeadershipLost, Unavailable
from swarmpy.models.task import NetworkAttachmentConfig
from swarmpy.network_map import Endpoint, MappedPort, MappedService, NetworkMap

LAYOUT = Layout("swarm.local")
PORTS = (MappedPort(protocol="tcp", published=8080, target=80, name="http"),)


def a_mapped(name: str, vip: str = "", network: str = "net", ports: tuple[MappedPort, ...] = ()) -> MappedService:
    return MappedService(
        network_id=network, service_id=f"id-{name}", names=(f"shop_{name}", name), vip=vip, ports=ports
    )


def an_endpoint(service: str, slot: int, address: str, network: str = "net") -> Endpoint:
    return Endpoint(
        network_id=network,
        task_id=f"{service}-task{slot}",
        service_id=f"id-{service}",
        node_id="n1",
        address=address,
        slot=slot,
    )


TOLD = NetworkMap(
    services=(a_mapped("web", "10.8.0.5"), a_mapped("web", network="mesh", ports=PORTS), a_mapped("db")),
    endpoints=(
        an_endpoint("web", 1, "10.9.0.11"),
        an_endpoint("web", 2, "10.9.1.12"),
        an_endpoint("db", 1, "10.9.0.21"),
        an_endpoint("db", 2, "10.9.1.22"),
        an_endpoint("web", 1, "10.7.0.1", network="mesh"),
    ),
)
RECORDS = name_records(LAYOUT, {"net": "Front"}, TOLD.services, TOLD.endpoints)


def coredns_finds(records: Mapping[str, bytes], name: str) -> list[str]:
    """All beneath the name, else the name itself; of several groups that of the shortest key, if it is one."""
    key = "/".join(("/skydns", *reversed(name.split("."))))
    found = {path: value for path, value in records.items() if path.startswith(f"{key}/")} or {
        path: value for path, value in records.items() if path == key
    }
    services = [(path.count("/"), json.loads(value)) for path, value in sorted(found.items())]
    shortest = min((depth for depth, _ in services), default=0)
    groups = {service.get("group", "") for depth, service in services if depth == shortest}
    hosts = [
        (service["host"], service.get("port"))
        for _, service in services
        if len(groups) != 1 or service.get("group", "") in groups
    ]
    return [f"{host}:{port}" if port else host for host, port in hosts]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("web.front.swarm.local", ["10.8.0.5:80"]),
        ("shop_web.front.swarm.local", ["10.8.0.5:80"]),
        ("tasks.web.front.swarm.local", ["10.9.0.11:80", "10.9.1.12:80"]),
        ("web-task2.tasks.web.front.swarm.local", ["10.9.1.12:80"]),
        ("2.web.front.swarm.local", ["10.9.1.12:80"]),
        ("_http._tcp.web.front.swarm.local", ["10.8.0.5:80"]),
        ("_80._tcp.web.front.swarm.local", ["10.8.0.5:80"]),
        ("_http._tcp.tasks.web.front.swarm.local", ["10.9.0.11:80", "10.9.1.12:80"]),
        ("db.front.swarm.local", ["10.9.0.21", "10.9.1.22"]),
        ("tasks.db.front.swarm.local", ["10.9.0.21", "10.9.1.22"]),
        ("1.db.front.swarm.local", ["10.9.0.21"]),
        ("web.mesh.swarm.local", []),
        ("5.0.8.10.in-addr.arpa", ["shop_web.front.swarm.local"]),
        ("22.1.9.10.in-addr.arpa", ["db-task2.tasks.shop_db.front.swarm.local"]),
    ],
)
def test_a_name_is_found_as(name: str, expected: list[str]) -> None:
    assert coredns_finds(RECORDS, name) == expected


def test_every_record_says_how_long_it_may_be_believed() -> None:
    assert {json.loads(value)["ttl"] for value in RECORDS.values()} == {1, 5}


def test_only_what_differs_is_written() -> None:
    have = {**RECORDS, "/skydns/local/swarm/front/gone/x": b"{}"}
    changed = next(iter(RECORDS))
    have[changed] = b"{}"
    writes = plan_writes(RECORDS, have)
    assert (writes.put, writes.drop) == ({changed: RECORDS[changed]}, ("/skydns/local/swarm/front/gone/x",))
    assert not plan_writes(RECORDS, RECORDS)


@dataclass
class Term:
    clock: ManualClock
    published: MemoryPublished
    ledger: Ledger
    told: NetworkMap
    publishing: "asyncio.Task[None]"


class Away(MemoryPublished):
    """Unavailable until it is told otherwise."""

    is_away = True

    async def load(self, prefix: str) -> Mapping[str, bytes]:
        if self.is_away:
            raise Unavailable("etcd is away; try again")
        return await super().load(prefix)


@asynccontextmanager
async def a_term(published: MemoryPublished) -> AsyncIterator[Term]:
    clock = ManualClock()
    store = MemoryDatabase(clock).open()
    ledger = Ledger(store, clock)
    following = asyncio.create_task(ledger.follow())
    await store.commit([Unit((Put(key_of(a_network()), encode(a_network())),))])
    await settle(clock)
    ledger.fence = Fence(LEADER, 1)
    publisher = NamePublisher(ledger, published, clock, LAYOUT, lambda state: term.told)
    term = Term(clock, published, ledger, TOLD, asyncio.create_task(publisher.run()))
    try:
        yield term
    finally:
        for task in (term.publishing, following):
            task.cancel()
            with suppress(asyncio.CancelledError, LeadershipLost):
                await task
        await store.close()


async def test_the_leader_publishes_mends_and_leaves_others_names_alone() -> None:
    theirs = {"/skydns/local/other/x": b"{}", "/skydns/arpa/in-addr/1/2/3/4": b'{"host":"a.org"}'}
    published = MemoryPublished()
    published.keys = {**theirs, "/skydns/local/swarm/old": b"{}"}
    async with a_term(published) as term:
        await advance(term.clock, 1)
        want = name_records(LAYOUT, {"net": "net"}, TOLD.services, TOLD.endpoints)
        assert published.keys == {**theirs, **want}
        del published.keys[next(iter(want))]
        await advance(term.clock, 61)
        assert published.keys == {**theirs, **want}


def test_what_is_published_is_what_the_nodes_are_told() -> None:
    service = a_service("web", networks=(NetworkAttachmentConfig(target="net"),)).model_copy(
        update={"virtual_ips": (VirtualIP(network_id="net", address="10.8.0.5"),)}
    )
    task = a_task("t1").model_copy(update={"networks": (TaskNetwork(network_id="net", address="10.9.0.11/24"),)})
    told = mapped_everywhere(picture(service, task, a_node(), a_stored_network("net", subnets={"n1": "10.9.0.0/24"})))
    records = name_records(LAYOUT, {"net": "net"}, told.services, told.endpoints)
    assert coredns_finds(records, "web.net.swarm.local") == ["10.8.0.5"]
    assert coredns_finds(records, "tasks.web.net.swarm.local") == ["10.9.0.11"]


async def test_a_change_is_published_soon() -> None:
    published = MemoryPublished()
    async with a_term(published) as term:
        await advance(term.clock, 1)
        term.told = NetworkMap(services=TOLD.services[:1])
        await term.ledger.commit([])
        for subscription in term.ledger._subscriptions:
            subscription.poke()
        await advance(term.clock, 1)
        assert published.keys == name_records(LAYOUT, {"net": "net"}, TOLD.services[:1], ())


async def test_what_is_away_is_tried_again() -> None:
    published = Away()
    async with a_term(published) as term:
        await advance(term.clock, 2)
        published.is_away = False
        await advance(term.clock, 2)
        assert published.keys


async def test_who_leads_no_more_publishes_no_more() -> None:
    published = MemoryPublished(term=2)
    async with a_term(published) as term:
        with pytest.raises(LeadershipLost):
            await term.publishing
        assert published.keys == {}
