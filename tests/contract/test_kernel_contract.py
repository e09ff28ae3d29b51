"""What every kernel promises of links and routes: the one in memory, and the real one in a namespace of its own."""

import asyncio
from collections.abc import AsyncIterator, Set
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from support.kernels import CONTAINER, FakeBench, KernelBench, RealBench
from support.netlab import netlab, why_not
from support.pictures import a_network, a_peer, a_picture

from agent.network.links import (
    BridgePort,
    ContainerRoutes,
    FdbEntry,
    Links,
    Neighbour,
    Operation,
    Put,
    Remove,
    Route,
    Sysctl,
    Thing,
    Vtep,
    leftovers,
    plan,
)
from agent.network.picture import LocalTask, Picture
from agent.network.wanted import wanted
from swarmpy.errors import BadRequest, BrokenInvariant, Conflict, NotFound
from swarmpy.network_map import MappedPort, MappedService

LIMIT = 10
NETWORK = a_network("ingress", "10.0.1.0/24", vni=4097, is_ingress=True)
OTHER = a_network("other", "10.0.5.0/24", vni=4098)
PEERS = (
    a_peer("node-2", "10.0.2.0/24", "192.0.2.2", "ingress"),
    a_peer("node-3", "10.0.3.0/24", "192.0.2.3", "ingress"),
    a_peer("node-3", "10.0.6.0/24", "192.0.2.3", "other"),
)


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.skipif(bool(why_not()), reason=why_not()))])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[KernelBench]:
    if request.param == "fake":
        yield FakeBench()
        return
    with netlab() as lab:
        real = RealBench(lab, lab.node("node-1"))
        try:
            yield real
        finally:
            await real.close()


@pytest.fixture
def picture(bench: KernelBench) -> Picture:
    return a_picture(NETWORK, OTHER, peers=PEERS, underlay=bench.underlay)


async def bring(bench: KernelBench, picture: Picture) -> tuple[Operation, ...]:
    operations = plan(wanted(picture), await bench.port.read(picture))
    for operation in operations:
        await bench.port.perform(operation)
    return operations


def things_of(links: Links) -> list[Thing]:
    parts: tuple[Set[Thing], ...] = (
        links.neighbours, links.fdb, links.routes, links.rules, links.sysctls, links.vteps, links.bridges,
    )  # fmt: skip
    return [thing for part in parts for thing in sorted(part, key=repr)]


async def test_a_fresh_node_has_nothing_of_ours_but_the_systems_values(bench: KernelBench, picture: Picture) -> None:
    have = await bench.port.read(picture)

    assert replace(have, sysctls=frozenset()) == Links()
    assert {setting.path for setting in have.sysctls} == {
        "net/ipv4/ip_forward", "net/ipv4/conf/all/rp_filter", "net/ipv4/conf/all/send_redirects",
    }  # fmt: skip


async def test_what_was_put_is_what_is_read(bench: KernelBench, picture: Picture) -> None:
    await bring(bench, picture)

    assert await bench.port.read(picture) == wanted(picture)


async def test_an_encrypted_network_leads_by_the_tunnel(bench: KernelBench) -> None:
    sealed = a_network("sealed", "10.0.7.0/24", vni=4099, mtu=1390, encrypted=True)
    peer = a_peer("node-2", "10.0.8.0/24", "192.0.2.2", "sealed").model_copy(update={"wireguard_key": "k2"})
    picture = a_picture(sealed, peers=(peer,), underlay=bench.underlay)
    with pytest.raises(NotFound, match="device spwg0 is not there"):
        await bring(bench, picture)
    bench.add_device("spwg0")

    await bring(bench, picture)

    assert await bench.port.read(picture) == wanted(picture)
    (entry,) = wanted(picture).fdb
    for past_the_tunnel in (replace(entry, by=""), replace(entry, by="eth0")):
        await bench.port.perform(Put(past_the_tunnel))
        assert (await bring(bench, picture))[0].thing == entry
    bench.lose(entry)
    await bring(bench, picture)
    assert await bench.port.read(picture) == wanted(picture)


async def test_every_operation_may_be_repeated(bench: KernelBench, picture: Picture) -> None:
    for there in (picture, a_picture(NETWORK, underlay=bench.underlay), a_picture(underlay=bench.underlay)):
        for operation in await bring(bench, there):
            if isinstance(operation, Remove) or there is picture:
                await bench.port.perform(operation)
        assert plan(wanted(there), await bench.port.read(there)) == ()


async def test_whatever_is_lost_by_hand_is_missing_and_comes_back(bench: KernelBench, picture: Picture) -> None:
    await bring(bench, picture)
    for thing in things_of(wanted(picture)):
        bench.lose(thing)

        operations = await bring(bench, picture)

        assert any(operation.thing == thing for operation in operations), thing
        assert await bench.port.read(picture) == wanted(picture)


async def test_a_device_takes_with_it_what_is_on_it(bench: KernelBench, picture: Picture) -> None:
    await bring(bench, picture)

    await bench.port.perform(Remove(next(vtep for vtep in wanted(picture).vteps if vtep.device == NETWORK.vtep)))

    assert await bench.port.read(picture) == wanted(picture).without({NETWORK.vtep})


async def test_what_points_elsewhere_is_put_right(bench: KernelBench, picture: Picture) -> None:
    await bring(bench, picture)
    (neighbour, *_), (entry, *_) = sorted(wanted(picture).neighbours, key=repr), sorted(wanted(picture).fdb, key=repr)
    await bench.port.perform(Put(replace(neighbour, mac="02:00:00:00:00:09")))
    await bench.port.perform(Put(replace(entry, underlay=bench.underlay.address + 8)))

    operations = await bring(bench, picture)

    assert [operation.thing for operation in operations] == [neighbour, entry]
    assert await bench.port.read(picture) == wanted(picture)


async def test_a_peer_that_moved_is_found_where_it_is(bench: KernelBench, picture: Picture) -> None:
    await bring(bench, picture)
    moved = [peer.model_copy(update={"address": "192.0.2.33"}) for peer in PEERS]
    after = a_picture(NETWORK, OTHER, peers=tuple(moved), underlay=bench.underlay)

    await bring(bench, after)

    assert await bench.port.read(after) == wanted(after)


async def test_a_network_with_another_subnet_and_vni_is_made_anew(bench: KernelBench, picture: Picture) -> None:
    await bring(bench, picture)
    after = a_picture(
        replace(NETWORK, subnet=IPv4Network("10.0.8.0/24"), gateway=IPv4Network("10.0.8.0/24")[1], vni=4099),
        peers=PEERS,
        underlay=bench.underlay,
    )

    await bring(bench, after)

    assert (await bench.port.read(after)).vteps == wanted(after).vteps


async def test_an_entry_needs_its_device(bench: KernelBench, picture: Picture) -> None:
    want = wanted(picture)
    entries: tuple[Thing, ...] = (*want.neighbours, *want.fdb, *want.routes)
    for thing in entries:
        with pytest.raises(NotFound, match=r"device spx\w+ is not there"):
            await bench.port.perform(Put(thing))
    with pytest.raises(NotFound, match="net/ipv4/conf/spxgone/rp_filter"):
        await bench.port.perform(Put(Sysctl("net/ipv4/conf/spxgone/rp_filter", "0", "spxgone")))


async def test_a_vtep_needs_the_underlay(bench: KernelBench, picture: Picture) -> None:
    (vtep, _) = wanted(picture).vteps
    with pytest.raises(NotFound, match="device eth7 is not there"):
        await bench.port.perform(Put(replace(vtep, underlay_device="eth7")))


async def test_removing_what_is_not_there_is_no_error(bench: KernelBench, picture: Picture) -> None:
    want = wanted(picture)
    things: tuple[Thing, ...] = (*want.rules, *want.routes, *want.fdb, *want.neighbours, *want.vteps)
    for thing in things:
        await bench.port.perform(Remove(thing))


async def test_a_bridge_that_is_left_over_is_removed(bench: KernelBench, picture: Picture) -> None:
    await bring(bench, picture)
    without = a_picture(NETWORK, underlay=bench.underlay)

    (removal,) = leftovers(wanted(without), await bench.port.read(without), frozenset())
    await bench.port.perform(removal)

    assert (await bench.port.read(picture)).bridges == wanted(without).bridges


async def test_settings_and_ports_are_not_removed(bench: KernelBench) -> None:
    for thing in (
        Sysctl("net/ipv4/ip_forward", "1"), BridgePort("veth1", NETWORK.bridge), ContainerRoutes(1, frozenset()),
    ):  # fmt: skip
        with pytest.raises(BrokenInvariant):
            await bench.port.perform(Remove(thing))


async def test_a_route_that_is_not_ours_is_in_the_way(bench: KernelBench, picture: Picture) -> None:
    await bring(bench, a_picture(NETWORK, underlay=bench.underlay))
    route = next(route for route in wanted(picture).routes if route.device == NETWORK.vtep and route.table == 254)
    bench.route_elsewhere(route)

    with pytest.raises(Conflict, match=r"another route to .* is in the way"):
        await bench.port.perform(Put(route))


async def test_two_vteps_do_not_have_one_vni(bench: KernelBench, picture: Picture) -> None:
    await bring(bench, picture)
    (vtep, _) = wanted(picture).vteps
    with pytest.raises(Conflict, match="VNI"):
        await bench.port.perform(Put(replace(vtep, device="spxsecond")))


async def test_a_device_is_not_made_another_one_in_place(bench: KernelBench, picture: Picture) -> None:
    await bring(bench, picture)
    (vtep, _) = wanted(picture).vteps

    await bench.port.perform(Put(replace(vtep, vni=5000)))

    assert vtep in (await bench.port.read(picture)).vteps


def a_task(pid: int, address: IPv4Address = CONTAINER) -> LocalTask:
    return LocalTask("t", "s", {NETWORK.id: address}, pid=pid)


async def test_an_address_that_the_task_was_not_given_is_no_place(bench: KernelBench, picture: Picture) -> None:
    """Who may change a container's devices takes what address it likes."""
    await bring(bench, picture)
    pid, _ = bench.container(NETWORK)

    assert await bench.port.ports_of([a_task(pid, CONTAINER + 1)], picture.networks) == {pid: frozenset()}


async def test_a_containers_place_is_found_and_kept(bench: KernelBench, picture: Picture) -> None:
    await bring(bench, picture)
    pid, place = bench.container(NETWORK)

    found = await bench.port.ports_of([a_task(each) for each in (pid, 2**22 + 1)], picture.networks)

    assert found == {pid: {place}}
    ports = found[pid]
    assert {port.mtu for port in ports} == {1450}
    assert {port.device for port in (await bench.port.read(picture, ports)).ports} == {place.device}
    await bench.port.perform(Put(place))
    assert (await bench.port.read(picture, ports)).ports == ports
    bench.lose(place)
    assert (await bench.port.read(picture, ports)).ports == frozenset()
    await bench.port.perform(Put(place))
    assert (await bench.port.read(picture, ports)).ports == ports


async def test_a_bridge_that_was_lost_is_there_again_with_its_containers(bench: KernelBench, picture: Picture) -> None:
    await bring(bench, picture)
    pid, _ = bench.container(NETWORK)
    (bridge,) = (bridge for bridge in wanted(picture).bridges if bridge.name == NETWORK.bridge)
    bench.lose(bridge)
    want = wanted(picture, (await bench.port.ports_of([a_task(pid)], picture.networks))[pid])

    for operation in plan(want, await bench.port.read(picture, want.ports)):
        await bench.port.perform(operation)

    assert want.ports
    assert await bench.port.read(picture, want.ports) == want


def with_its_task(picture: Picture, pid: int, **changes: object) -> Picture:
    """Of a service that publishes two ports, one of them of UDP."""
    ports = (MappedPort(protocol="udp", published=53, target=5353), MappedPort(protocol="tcp", published=80, target=80))
    service = MappedService(network_id="ingress", service_id="s", names=("dns",), ports=ports)
    network = replace(picture.networks["ingress"], **{"ranges": (IPv4Network("10.0.0.0/20"),), **changes})  # type: ignore[arg-type]
    task = LocalTask("t", "s", {"ingress": CONTAINER}, pid=pid)
    told = replace(picture.map, services={service.key: service})
    return replace(picture, networks={**picture.networks, "ingress": network}, map=told, tasks={"t": task})


async def test_a_container_has_the_routes_that_are_wanted_and_no_others_of_ours(
    bench: KernelBench, picture: Picture
) -> None:
    await bring(bench, picture)
    pid, _ = bench.container(NETWORK)
    empty = with_its_task(picture, pid, is_ingress=False, ranges=())
    assert (await bench.port.read(empty)).containers == {ContainerRoutes(pid, frozenset({CONTAINER}))}

    for there in (
        with_its_task(picture, pid),
        with_its_task(picture, pid, ranges=(IPv4Network("10.0.0.0/22"), IPv4Network("10.7.0.0/16"))),
        with_its_task(picture, pid, is_ingress=False),
        empty,
    ):
        want = wanted(there).containers
        (routes,) = want
        for _ in range(2):
            await bench.port.perform(Put(routes))
        assert (await bench.port.read(there)).containers == want


async def test_routes_of_containers_that_have_ended_or_are_others_are_nobodys(
    bench: KernelBench, picture: Picture
) -> None:
    await bring(bench, picture)
    pid, _ = bench.container(NETWORK)
    stranger = with_its_task(picture, pid)
    stranger = replace(stranger, tasks={"t": LocalTask("t", "s", {"ingress": CONTAINER + 1}, pid=pid)})
    for there in (with_its_task(picture, 2**22 + 1), stranger):
        (routes,) = wanted(there).containers
        await bench.port.perform(Put(routes))
        assert (await bench.port.read(there)).containers == frozenset()


async def test_a_container_that_lost_one_of_its_addresses_is_told_by_name(bench: KernelBench, picture: Picture) -> None:
    await bring(bench, picture)
    pid, _ = bench.container(NETWORK)
    there = with_its_task(picture, pid)
    addresses = {"ingress": CONTAINER, "other": OTHER.subnet[9]}
    there = replace(there, tasks={"t": LocalTask("t", "s", addresses, pid=pid)})
    (routes,) = wanted(there).containers

    with pytest.raises(NotFound, match=r"in the container of task t cannot be set: it has no address 10\.0\.5\.9"):
        await bench.port.perform(Put(routes))


async def test_a_port_needs_its_devices(bench: KernelBench, picture: Picture) -> None:
    await bring(bench, picture)
    with pytest.raises(NotFound, match="device veth9 is not there"):
        await bench.port.perform(Put(BridgePort("veth9", NETWORK.bridge)))


async def test_the_underlay_is_the_device_that_has_the_address(bench: KernelBench) -> None:
    assert await bench.port.underlay_of(str(bench.underlay.address)) == bench.underlay
    with pytest.raises(NotFound, match=r"198\.51\.100\.1"):
        await bench.port.underlay_of("198.51.100.1")
    with pytest.raises(BadRequest, match="no IPv4 address"):
        await bench.port.underlay_of("node-1")


@pytest.mark.parametrize("kind", [Neighbour, FdbEntry, Route, Vtep])
async def test_a_loss_is_told_at_once(bench: KernelBench, picture: Picture, kind: type[Thing]) -> None:
    await bring(bench, picture)
    await bench.port.read(picture)
    lost = next(thing for thing in things_of(wanted(picture)) if isinstance(thing, kind))
    told = asyncio.create_task(bench.port.wait_until_changed())

    bench.lose(lost)

    await asyncio.wait_for(told, LIMIT)
