"""Names in SkyDNS's layout, read as CoreDNS's etcd plugin reads them, and the leader that keeps them there."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest
from support.counting import counted_calls
from support.picture import a_network, a_node, a_service, a_task, a_template, picture
from support.stepping import advance, settle

from manager.ledger import Ledger
from manager.name_book import AT_ONCE, NameBook, services_renamed
from manager.objects import AnyObject, Service, Task, TaskNetwork, VirtualIP
from manager.publish_names import NamePublisher
from manager.skydns import Layout, name_records, plan_writes
from manager.state import Changed
from manager.store.codec import encode
from manager.store.keys import LEADER, key_of
from manager.store.memory import MemoryDatabase
from manager.store.port import Delete, Fence, Put, Store, Unit
from manager.store.published import MemoryPublished
from swarmpy.clock import ManualClock
from swarmpy.errors import LeadershipLost, Unavailable
from swarmpy.models.task import NetworkAttachmentConfig
from swarmpy.network_map import Endpoint, MappedPort, MappedService, NetworkMap
from swarmpy.states import NodeState

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
    writes = plan_writes(RECORDS, have, {*RECORDS, *have, "never/there"})
    assert (writes.put, writes.drop) == ({changed: RECORDS[changed]}, ("/skydns/local/swarm/front/gone/x",))
    assert not plan_writes(RECORDS, RECORDS, RECORDS)


def many_ports(count: int) -> tuple[MappedPort, ...]:
    return tuple(MappedPort(protocol="tcp", published=number, target=number, name="") for number in range(1, count + 1))


def test_ports_of_a_service_with_a_great_many_are_no_names_but_the_service_has_its_own() -> None:
    endpoints = [an_endpoint("web", slot, f"10.9.0.{slot}") for slot in range(1, 11)]
    some, many = (
        name_records(LAYOUT, {"net": "front"}, [a_mapped("web", "10.8.0.5", ports=many_ports(count))], endpoints)
        for count in (100, 101)
    )

    assert coredns_finds(some, "_100._tcp.web.front.swarm.local") == ["10.8.0.5:100"]
    assert not [key for key in many if "/_" in key]
    assert coredns_finds(many, "web.front.swarm.local") == ["10.8.0.5:1"]
    assert len(many) < 60


def test_a_value_is_made_once_for_all_names() -> None:
    endpoints = [an_endpoint("web", slot, f"10.77.0.{slot}") for slot in range(1, 11)]
    service = a_mapped("web", "10.77.1.1", ports=many_ports(50))
    with counted_calls() as calls:
        records = name_records(LAYOUT, {"net": "front"}, [service], endpoints)

    assert len(records) > 2 * 11 * 50
    assert calls["JSONEncoder.encode"] < 11 * (50 + 4)


NET = a_network("net", subnets={"n1": "10.9.0.0/24"})


def named(name: str, vip: str) -> Service:
    template = a_template(networks=(NetworkAttachmentConfig(target="net"),))
    return a_service(name, template=template).model_copy(
        update={"virtual_ips": (VirtualIP(network_id="net", address=vip),)}
    )


def at_address(id: str, service: str, address: str) -> Task:
    return a_task(id, service=service).model_copy(
        update={"networks": (TaskNetwork(network_id="net", address=address),)}
    )


WEB, DB = named("web", "10.8.0.5"), named("db", "10.8.0.6")
WEB1, DB1 = at_address("t1", "web", "10.9.0.11/24"), at_address("t2", "db", "10.9.0.12/24")


def records_of(*objects: AnyObject) -> dict[str, bytes]:
    book, state = NameBook(LAYOUT), picture(NET, a_node(), *objects)
    for service_id in state.services:
        book.revise(state, service_id)
    return dict(book.records)


def test_what_is_published_is_what_the_nodes_are_told() -> None:
    records = records_of(WEB, WEB1)
    assert coredns_finds(records, "web.net.swarm.local") == ["10.8.0.5"]
    assert coredns_finds(records, "tasks.web.net.swarm.local") == ["10.9.0.11"]


def test_the_book_follows_one_service_and_leaves_the_others() -> None:
    book, state = NameBook(LAYOUT), picture(NET, a_node(), WEB, WEB1, DB, DB1)
    for service_id in ("web", "db"):
        book.revise(state, service_id)
    state = picture(NET, a_node(), WEB, DB, DB1)

    assert book.revise(state, "web") == records_of(WEB, WEB1).keys()
    assert book.records == records_of(WEB, DB, DB1)
    book.revise(picture(NET), "web")
    assert book.records == records_of(DB, DB1)
    assert book.services == {"db"}


def test_names_of_many_tasks_are_made_in_short_steps_and_the_book_changes_with_the_last() -> None:
    tasks = [at_address(f"t{number}", "web", f"10.9.{number // 250}.{number % 250 + 2}/24") for number in range(1200)]
    book, state = NameBook(LAYOUT), picture(NET, a_node(), WEB, *tasks)
    steps = [(keys, bool(book.records)) for keys in book.revising(state, "web")]

    assert [is_there for _, is_there in steps] == [False] * (len(steps) - 1) + [True]
    assert max(len(keys) for keys, _ in steps) <= AT_ONCE
    assert frozenset().union(*(keys for keys, _ in steps)) == book.records.keys() == records_of(WEB, *tasks).keys()
    assert len(list(book.revising(picture(NET), "web"))) == 1
    assert not book.records


def test_a_reverse_name_stays_with_who_has_the_address_now() -> None:
    book = NameBook(LAYOUT)
    book.revise(picture(NET, a_node(), WEB), "web")
    moved = WEB.model_copy(update={"id": "www", "spec": WEB.spec.model_copy(update={"name": "www"})})
    book.revise(picture(NET, a_node(), moved), "www")
    book.revise(picture(NET, a_node(), moved), "web")

    assert coredns_finds(book.records, "5.0.8.10.in-addr.arpa") == ["www.net.swarm.local"]


@pytest.mark.parametrize(
    ("before", "after", "renamed"),
    [
        (None, WEB, {"web"}),
        (WEB1, WEB1.model_copy(update={"spec_version": 2}), set()),
        (WEB1, WEB1.model_copy(update={"networks": ()}), {"web"}),
        (DB1, None, {"db"}),
        (NET, NET.model_copy(update={"node_subnets": ()}), set()),
        (NET, None, {"web", "db"}),
        (None, NET, {"web", "db"}),
        (None, a_network("other"), set()),
        (a_node(), a_node(labels={"a": "b"}), set()),
        (a_node(), a_node(state=NodeState.DOWN), {"web", "db"}),
    ],
)
def test_changes_that_concern_no_name_are_told_from_those_that_do(
    before: AnyObject | None, after: AnyObject | None, renamed: set[str]
) -> None:
    state = picture(NET, a_node(), WEB, WEB1, DB, DB1)
    assert set(services_renamed(state, Changed("", before, after))) == renamed


class Counted(MemoryPublished):
    """Knows what was written, and may be away."""

    is_away = False
    written: tuple[str, ...] = ()

    async def load(self, prefix: str) -> Mapping[str, bytes]:
        if self.is_away:
            raise Unavailable("etcd is away; try again")
        return await super().load(prefix)

    async def write(self, put: Mapping[str, bytes], drop: Sequence[str], fence: Fence) -> None:
        if self.is_away:
            raise Unavailable("etcd is away; try again")
        await super().write(put, drop, fence)
        self.written += (*put, *drop)


@dataclass
class Term:
    clock: ManualClock
    store: Store
    publishing: "asyncio.Task[None]"

    async def write(self, *objects: AnyObject) -> None:
        await self.store.commit([Unit(tuple(Put(key_of(value), encode(value)) for value in objects))])
        await advance(self.clock, 1)

    async def delete(self, value: AnyObject) -> None:
        await self.store.commit([Unit((Delete(key_of(value)),))])
        await advance(self.clock, 1)


@asynccontextmanager
async def a_term(published: MemoryPublished) -> AsyncIterator[Term]:
    clock = ManualClock()
    store = MemoryDatabase(clock).open()
    ledger = Ledger(store, clock)
    following = asyncio.create_task(ledger.follow())
    objects = (NET, a_node(), WEB, WEB1, DB, DB1)
    await store.commit([Unit(tuple(Put(key_of(value), encode(value)) for value in objects))])
    await settle(clock)
    ledger.fence = Fence(LEADER, 1)
    publisher = NamePublisher(ledger, published, clock, LAYOUT)
    term = Term(clock, store, asyncio.create_task(publisher.run()))
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
        want = records_of(WEB, WEB1, DB, DB1)
        assert published.keys == {**theirs, **want}
        del published.keys[next(iter(want))]
        await advance(term.clock, 61)
        assert published.keys == {**theirs, **want}


async def test_a_change_is_published_soon_and_nothing_else_is_written() -> None:
    published = Counted()
    async with a_term(published) as term:
        await advance(term.clock, 1)
        published.written = ()
        await term.delete(WEB1)
        assert published.keys == records_of(WEB, DB, DB1)
        assert set(published.written) == records_of(WEB, WEB1).keys() - records_of(WEB).keys()
        published.written = ()
        await term.write(DB1.model_copy(update={"spec_version": 2}))
        assert published.written == ()


async def test_what_is_away_is_tried_again_and_looked_at_anew() -> None:
    published = Counted()
    published.is_away = True
    async with a_term(published) as term:
        await advance(term.clock, 2)
        published.is_away = False
        await advance(term.clock, 2)
        assert published.keys == records_of(WEB, WEB1, DB, DB1)
        published.is_away = True
        await term.delete(WEB1)
        published.keys.clear()
        published.is_away = False
        await advance(term.clock, 2)
        assert published.keys == records_of(WEB, DB, DB1)


async def test_who_leads_no_more_publishes_no_more() -> None:
    published = MemoryPublished(term=2)
    async with a_term(published) as term:
        with pytest.raises(LeadershipLost):
            await term.publishing
        assert published.keys == {}
