"""What links and routes a node is to have, and the way there from whatever is there."""

import copy
from dataclasses import fields, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pictures import a_network, a_peer, a_picture

from agent.network.fake import SimulatedKernel
from agent.network.links import (
    END_PRIORITY,
    MARK_PRIORITY,
    SKIP_PRIORITY,
    Bridge,
    BridgePort,
    ContainerRoutes,
    FdbEntry,
    Links,
    Neighbour,
    Ports,
    Put,
    Remove,
    Route,
    Rule,
    Sysctl,
    Thing,
    Vtep,
    Way,
    describe,
    leftovers,
    plan,
)
from agent.network.picture import LocalNetwork, LocalTask, Picture, Underlay, mark_of
from agent.network.wanted import wanted
from swarmpy.errors import Conflict
from swarmpy.network_map import MappedPort, MappedService, Peer

UNDERLAY = Underlay(IPv4Address("192.0.2.1"), "eth0")
SUBNETS = [IPv4Network(f"10.0.{number}.0/24") for number in range(2, 6)]
VETHS = ("veth1", "veth2")
STRANGERS: tuple[Thing, ...] = (
    Bridge("docker0", IPv4Interface("172.17.0.1/16"), "02:42:00:00:00:01", 1500),
    Vtep("vx-other", 9000, "02:00:00:00:00:01", UNDERLAY.address, "eth0", 1450, None),
    Neighbour("vx-other", IPv4Address("10.0.2.0"), "02:00:0a:00:02:00"),
    FdbEntry("vx-other", "02:00:0a:00:02:00", IPv4Address("192.0.2.2")),
    Route(IPv4Network("10.9.0.0/16"), None, "eth0"),
    Route(IPv4Network("0.0.0.0/0"), IPv4Address("192.0.2.254"), "eth0"),
    Route(IPv4Network("0.0.0.0/0"), IPv4Address("10.0.2.0"), "vx-other", 77),
    Rule(100, 7, 77),
    Rule(MARK_PRIORITY + 1000, 7, 77),
)

a_small_network = st.builds(
    a_network,
    id=st.sampled_from(["net1", "net2", "net3"]),
    subnet=st.sampled_from(["10.0.1.0/24", "10.0.9.0/24"]),
    vni=st.sampled_from([4097, 4098]),
    mtu=st.sampled_from([1450, 1400, 9000]),
    is_ingress=st.booleans(),
    service_subnets=st.sampled_from([(), (IPv4Network("10.0.64.0/24"),), (IPv4Network("10.0.65.0/24"),)]),
)
a_small_peer = st.builds(
    a_peer,
    node_id=st.sampled_from(["node-1", "node-2", "node-3"]),
    subnet=st.sampled_from([str(subnet) for subnet in (*SUBNETS, IPv4Network("10.0.1.0/24"))]),
    address=st.sampled_from(["192.0.2.2", "192.0.2.3"]),
    network_id=st.sampled_from(["net1", "net2", "net3"]),
)
ports = st.dictionaries(st.sampled_from(VETHS), st.sampled_from(["spbnet1", "spbnet2"])).map(
    lambda places: frozenset(BridgePort(veth, bridge) for veth, bridge in places.items())
)


def _services_of(network: LocalNetwork) -> object:
    return network.service_subnets or network.id


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    """Networks differ in subnet and VNI, as the cluster gives them; peers may be out of date."""
    networks = draw(
        st.lists(a_small_network, max_size=3, unique_by=(lambda one: one.vni, lambda one: one.subnet, _services_of))
    )
    by_id = {network.id: network for network in networks}
    peers = tuple(draw(st.lists(a_small_peer, max_size=5, unique_by=lambda peer: peer.key)))
    underlay = draw(st.sampled_from([UNDERLAY, Underlay(IPv4Address("192.0.2.9"), "eth1", 1400)]))
    return a_picture(*by_id.values(), peers=_of_one_network(peers), underlay=underlay)


def _of_one_network(peers: tuple[Peer, ...]) -> tuple[Peer, ...]:
    """Two networks never share a node subnet; two nodes of one may for a while."""
    owner: dict[str, str] = {}
    return tuple(peer for peer in peers if owner.setdefault(peer.subnet, peer.network_id) == peer.network_id)


def a_kernel(*strangers: Thing) -> SimulatedKernel:
    kernel = SimulatedKernel(devices={"eth0": 1500, "eth1": 1500, **dict.fromkeys(VETHS, 1500)})
    for stranger in strangers:
        kernel.perform(Put(stranger))
    return kernel


def a_copy(kernel: SimulatedKernel) -> SimulatedKernel:
    return replace(kernel, **{part.name: copy.copy(getattr(kernel, part.name)) for part in fields(kernel)})


def bring(kernel: SimulatedKernel, picture: Picture, ports: frozenset[BridgePort] = frozenset()) -> None:
    """Until nothing is left to do; that is at once, so twice is too often."""
    want = wanted(picture, ports)
    for operation in plan(want, kernel.look(picture, ports)):
        kernel.perform(operation)
    assert plan(want, kernel.look(picture, ports)) == ()


def everything(kernel: SimulatedKernel) -> set[Thing]:
    return {
        *kernel.bridges.values(), *kernel.ports.values(), *kernel.vteps.values(), *kernel.sysctls.values(),
        *kernel.neighbours.values(), *kernel.fdb.values(), *kernel.routes.values(), *kernel.rules,
    }  # fmt: skip


INGRESS = a_network("ingress", "10.0.1.0/24", vni=4097, is_ingress=True)
FRONT_ADDRESS, INGRESS_ADDRESS = IPv4Address("10.8.1.5"), IPv4Address("10.0.1.5")
PICTURE = a_picture(INGRESS, peers=(a_peer("node-2", "10.0.2.0/24", "192.0.2.2", "ingress"),))


def test_a_peer_is_a_neighbour_an_fdb_entry_and_a_route() -> None:
    plain = replace(INGRESS, is_ingress=False)
    want = wanted(a_picture(plain, peers=tuple(PICTURE.map.peers.values())))

    assert want.neighbours == {Neighbour("spxingress", IPv4Address("10.0.2.0"), "02:00:0a:00:02:00")}
    assert want.fdb == {FdbEntry("spxingress", "02:00:0a:00:02:00", IPv4Address("192.0.2.2"))}
    assert want.routes == {Route(IPv4Network("10.0.2.0/24"), IPv4Address("10.0.2.0"), "spxingress")}
    assert want.rules == frozenset()


def test_a_peer_on_the_ingress_network_has_a_way_back_for_its_mark() -> None:
    want = wanted(PICTURE)
    mark = mark_of(IPv4Network("10.0.2.0/24"))

    assert Route(IPv4Network("0.0.0.0/0"), IPv4Address("10.0.2.0"), "spxingress", mark) in want.routes
    assert want.rules == {
        Rule(SKIP_PRIORITY, 0, goto=END_PRIORITY),
        Rule(MARK_PRIORITY, mark, mark),
        Rule(END_PRIORITY),
    }


def test_this_node_is_not_its_own_peer_and_its_subnet_is_nobody_elses() -> None:
    own = a_peer("node-1", "10.0.1.0/24", "192.0.2.1", "ingress")
    stale = a_peer("node-0", "10.0.1.0/24", "192.0.2.7", "ingress")

    assert wanted(a_picture(INGRESS, peers=(own, stale))).neighbours == frozenset()


def test_a_vtep_is_no_larger_than_the_underlay_carries() -> None:
    (vtep,) = wanted(a_picture(INGRESS, underlay=replace(UNDERLAY, mtu=1400))).vteps

    assert vtep.mtu == 1350


@pytest.mark.parametrize("mtu", [1350, 1500])
def test_a_bridge_carries_what_its_containers_do_whatever_the_underlay_leaves_now(mtu: int) -> None:
    places = (BridgePort("veth1", "spbnet1", mtu=mtu), BridgePort("veth2", "spbnet1", mtu=1300))
    picture = a_picture(INGRESS, a_network())

    found = {bridge.name: bridge.mtu for bridge in wanted(picture, frozenset(places)).bridges}

    assert found == {"spbnet1": mtu, "spbingress": 1450}


def test_the_mtu_of_a_containers_port_is_the_engines() -> None:
    want, have = (
        replace(wanted(PICTURE), ports=frozenset({BridgePort("veth1", "spbingress", mtu=mtu)})) for mtu in (1450, 1400)
    )

    assert plan(want, have) == ()


def test_a_node_without_networks_leaves_the_system_as_it_is() -> None:
    assert wanted(a_picture()) == Links()


def test_neighbour_fdb_entry_and_route_come_in_this_order_and_go_in_the_other() -> None:
    kernel = a_kernel()
    bring(kernel, a_picture(INGRESS))
    lone, met = wanted(a_picture(INGRESS)), wanted(PICTURE)

    coming = [type(operation.thing) for operation in plan(met, lone)]
    going = [type(operation.thing) for operation in plan(lone, met)]

    assert coming == [Neighbour, FdbEntry, Route, Route, Rule, Rule, Rule]
    assert going == coming[::-1]


def test_a_vtep_of_another_nature_is_made_again_with_all_that_is_on_it() -> None:
    want = wanted(PICTURE)
    (vtep,) = want.vteps
    have = replace(want, vteps=frozenset({replace(vtep, vni=5)}))

    first, second, *others = plan(want, have)

    assert (first, second) == (Remove(replace(vtep, vni=5)), Put(vtep))
    assert {type(operation.thing) for operation in others} == {Sysctl, Neighbour, FdbEntry, Route}


def test_what_can_be_changed_is_changed_in_place() -> None:
    want = wanted(PICTURE)
    (vtep,) = want.vteps
    worse = replace(vtep, mtu=1280, up=False)

    assert plan(want, replace(want, vteps=frozenset({worse}))) == (Put(vtep, worse),)


def test_bridges_are_the_engines_to_remove_and_ours_when_it_does_not_know_them() -> None:
    have = Links(bridges=wanted(PICTURE).bridges)

    assert plan(Links(), have) == ()
    assert leftovers(Links(), have, {"spbingress"}) == ()
    assert leftovers(wanted(PICTURE), have, frozenset()) == ()
    assert leftovers(Links(), have, frozenset()) == tuple(Remove(bridge) for bridge in have.bridges)


def a_picture_of_two_networks(**changes: Any) -> Picture:
    """A task on both, and on the ingress network by its service, which publishes a port of each protocol."""
    wide = (IPv4Network("10.0.0.0/20"), IPv4Network("10.5.0.0/24"), IPv4Network("10.0.1.0/25"))
    front = a_network("front", "10.8.1.0/24", ranges=(IPv4Network("10.8.1.0/24"),))
    ports = (MappedPort(protocol="udp", published=53, target=5353), MappedPort(protocol="tcp", published=80, target=80))
    service = MappedService(network_id="ingress", service_id="s", names=("dns",), ports=ports)
    task = LocalTask("t", "s", {"front": FRONT_ADDRESS, "ingress": INGRESS_ADDRESS, "gone": FRONT_ADDRESS}, pid=77)
    shown = a_picture(replace(INGRESS, ranges=wide), front)
    return replace(
        shown, map=replace(shown.map, services={service.key: service}), tasks={"t": replace(task, **changes)}
    )


def test_a_container_has_a_route_to_what_is_not_on_its_bridges_and_answers_datagrams_by_ingress() -> None:
    (routes,) = wanted(a_picture_of_two_networks()).containers

    gateway = INGRESS.gateway
    assert routes.ways == {
        Way(IPv4Network("10.0.0.0/20"), gateway, INGRESS_ADDRESS),
        Way(IPv4Network("10.5.0.0/24"), gateway, INGRESS_ADDRESS),
    }
    assert routes.answers == Way(IPv4Network("0.0.0.0/0"), gateway, INGRESS_ADDRESS)
    assert routes.answering == {Ports(5353, 5353)}
    assert routes.addresses == {FRONT_ADDRESS, INGRESS_ADDRESS}


def test_ports_in_a_row_are_one_range() -> None:
    picture = a_picture_of_two_networks()
    ports = tuple(MappedPort(protocol="udp", published=one, target=one) for one in (9, 5000, 5001, 5002, 5004, 5005))
    services = {key: one.model_copy(update={"ports": ports}) for key, one in picture.map.services.items()}
    (routes,) = wanted(replace(picture, map=replace(picture.map, services=services))).containers

    assert [str(ports) for ports in sorted(routes.answering)] == ["9", "5000-5002", "5004-5005"]


def test_a_task_whose_service_publishes_no_port_of_udp_answers_by_its_default_route() -> None:
    (routes,) = wanted(a_picture_of_two_networks(service_id="other")).containers

    assert (routes.answers, routes.answering) == (None, frozenset())
    assert routes.ways


def test_a_container_that_does_not_run_and_an_address_of_an_older_share_have_no_routes() -> None:
    assert wanted(a_picture_of_two_networks(pid=0)).containers == frozenset()
    (routes,) = wanted(a_picture_of_two_networks(addresses={"ingress": IPv4Address("10.0.3.5")})).containers
    assert routes == ContainerRoutes(77, frozenset())


def test_services_have_a_route_where_no_default_one_is() -> None:
    want = wanted(a_picture(replace(INGRESS, service_subnets=(SUBNETS[3],))))

    assert want.routes == {Route(SUBNETS[3], None, "spxingress")}


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        (
            Put(Route(SUBNETS[0], SUBNETS[0][0], "spxnet1", node="node-2")),
            "route 10.0.2.0/24 to node-2 on spxnet1 was missing",
        ),
        (
            Remove(Route(SUBNETS[0], SUBNETS[0][0], "spxnet1", 7)),
            "route 10.0.2.0/24 on spxnet1 in table 7 was there, and is not to be",
        ),
        (
            Put(Sysctl("net/ipv4/ip_forward", "1"), Sysctl("net/ipv4/ip_forward", "0")),
            "setting net/ipv4/ip_forward was not as it is to be: value 0, not 1",
        ),
        (Put(BridgePort("veth1", "spbnet1")), "port veth1 of bridge spbnet1 was missing"),
        (
            Put(BridgePort("veth1", "spbnet1"), BridgePort("veth1", "spbnet1", hairpin=False)),
            "port veth1 of bridge spbnet1 was not as it is to be: hairpin False, not True",
        ),
        (
            Put(BridgePort("veth1", "spbnet1", mtu=1450), BridgePort("veth1", "spbnet2")),
            "port veth1 of bridge spbnet1 was not as it is to be: bridge spbnet2, not spbnet1",
        ),
        (Put(Rule(MARK_PRIORITY, 7, 7)), "routing rule 21001 for mark 7 was missing"),
        (Put(Rule(END_PRIORITY)), "routing rule 21002 for all packets was missing"),
        (
            Put(Neighbour("spx1", SUBNETS[0][0], "02:00:00:00:00:01", "node-2")),
            "neighbour 10.0.2.0 of node-2 on spx1 was missing",
        ),
        (Put(FdbEntry("spx1", "02:00:00:00:00:01", SUBNETS[0][1])), "FDB entry 02:00:00:00:00:01 on spx1 was missing"),
        (Put(STRANGERS[0]), "bridge docker0 was missing"),
        (Put(STRANGERS[1]), "VXLAN device vx-other (VNI 9000) was missing"),
    ],
)
def test_an_operation_says_what_it_mends(operation: Put | Remove, words: str) -> None:
    assert describe(operation) == words


@given(pictures(), ports)
def test_what_is_as_it_is_to_be_is_left_alone(picture: Picture, ports: frozenset[BridgePort]) -> None:
    want = wanted(picture, ports)

    assert plan(want, want) == ()


@given(pictures(), pictures(), ports)
@settings(max_examples=60, deadline=None)
def test_a_plan_that_is_cut_short_anywhere_is_finished_by_the_next(
    before: Picture, after: Picture, ports: frozenset[BridgePort]
) -> None:
    start = a_kernel(*STRANGERS)
    bring(start, before)
    operations = plan(wanted(after, ports), start.look(after, ports))
    for done in range(len(operations) + 1):
        kernel = a_copy(start)
        for operation in operations[:done]:
            kernel.perform(operation)
            kernel.perform(operation)
        bring(kernel, after, ports)


@given(st.lists(pictures(), max_size=6), st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_is_lost_on_the_way_the_last_picture_is_reached_and_no_stranger_is_touched(
    walk: list[Picture], data: st.DataObject
) -> None:
    kernel = a_kernel(*STRANGERS)
    for picture in walk:
        bring(kernel, picture)
        ours = sorted(everything(kernel) - set(STRANGERS), key=repr)
        for thing in data.draw(st.lists(st.sampled_from(ours), max_size=4)) if ours else ():
            kernel.lose(thing)
        bring(kernel, picture)
    assert set(STRANGERS) <= everything(kernel)


def test_no_network_leaves_nothing_but_bridges_and_the_system() -> None:
    kernel = a_kernel(*STRANGERS)
    strangers = everything(kernel)
    bring(kernel, PICTURE)

    bring(kernel, a_picture())

    assert {type(thing) for thing in everything(kernel) - strangers} == {Bridge, Sysctl}
    assert not any(isinstance(thing, Sysctl) and thing.device.startswith("spx") for thing in everything(kernel))


def test_a_stranger_in_the_way_stays_and_is_told_of() -> None:
    kernel = a_kernel(Route(SUBNETS[0], None, "eth0"))
    with pytest.raises(Conflict, match=r"another route to 10\.0\.2\.0/24 is in the way of route .* to node-2"):
        bring(kernel, PICTURE)

    assert Route(SUBNETS[0], None, "eth0") in everything(kernel)


def test_without_rules_loopback_addresses_are_routed_nowhere() -> None:
    picture = a_picture(a_network())
    for has_rules in (True, False):
        settings = wanted(picture, has_rules=has_rules).sysctls
        values = {setting.device: setting.value for setting in settings if setting.path.endswith("route_localnet")}
        assert values == dict.fromkeys(("spbnet1", "spxnet1"), str(int(has_rules)))
