"""Ranges of networks: never twice the same, and a reason where there is none left."""

from collections.abc import Mapping
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise

from support.builders import T0, a_cluster, a_network, a_node, a_service, a_state, a_task, a_template, at

from manager.allocator.networks import DEFAULT_POOLS, allocate_networks, has_free_share, task_networks
from manager.allocator.vips import NOTHING_RESTS, Resting
from manager.allocator.vnis import FIRST_VNI
from manager.objects import AnyObject, Network, NodeSubnet, ReasonCode, RestingShare, Service, Task, VirtualIP
from manager.state import State
from swarmpy.models.network import IPAM, VNI_OPTION, IPAMConfig, NetworkCreate
from swarmpy.models.task import NetworkAttachmentConfig
from swarmpy.states import NodeState, TaskState


def allocated(
    *objects: AnyObject,
    pools: tuple[str, ...] = DEFAULT_POOLS,
    routes: tuple[str, ...] = (),
    joining: Mapping[str, set[str]] | None = None,
    sweep: bool = True,
) -> State:
    """The state as it is when what was decided is written."""
    cluster = a_cluster().model_copy(update={"address_pools": pools})
    router = a_node("router", state=NodeState.DOWN).model_copy(update={"routes": routes})
    state = a_state(a_service(), cluster, router, *objects)
    decision = allocate_networks(state, T0, joining=joining, sweep=sweep)
    for network in decision.replace:
        assert isinstance(network, Network)
        state.networks[network.id] = network
    return state


def net(state: State, name: str = "net") -> Network:
    return state.networks[name]


def shares(network: Network) -> dict[str, str]:
    return {share.node_id: share.subnet for share in network.node_subnets}


def on(node: str, name: str = "net", task_id: str = "", **fields: object) -> Task:
    return a_task(task_id or f"{name}-{node}", node=node, networks=(name,), **fields)  # type: ignore[arg-type]


def given(network: Network, joins: str, now: datetime, *held: str) -> Network:
    """The network when these nodes have tasks there, after `now`."""
    state = a_state(a_service(), a_cluster(), network, *(on(node) for node in (joins, *held) if node))
    decision = allocate_networks(state, now)
    return next((after for after in decision.replace if isinstance(after, Network)), network)


def given_back(network: Network, node: str, now: datetime) -> Network:
    """A share that the node had, and has no more."""
    return given(given(network, node, now), "", now)


def test_a_network_gets_a_vni_a_range_and_a_gateway() -> None:
    network = net(allocated(a_network()))

    assert (network.vni, network.subnet, network.gateway) == (FIRST_VNI, "10.0.0.0/16", "10.0.0.1")
    assert network.reason is None


def test_networks_share_neither_vni_nor_range() -> None:
    state = allocated(a_network("b", created_at=at(1)), a_network("a", created_at=at(2)))

    assert (net(state, "b").vni, net(state, "b").subnet) == (65537, "10.0.0.0/16")
    assert (net(state, "a").vni, net(state, "a").subnet) == (65538, "10.1.0.0/16")


def test_a_wished_vni_that_another_network_has_is_refused_by_name() -> None:
    wish = {"spec": NetworkCreate(name="net", options={VNI_OPTION: "5000"})}
    has = a_network("other", vni=5000, subnet="10.9.0.0/16")
    network = net(allocated(has, a_network().model_copy(update=wish)))

    assert (network.vni, network.subnet) == (0, "")
    assert network.reason is not None
    assert network.reason.text == "VNI 5000 is that of network other: choose another"


def test_what_is_allocated_stays_as_it_is() -> None:
    state = allocated(a_network(vni=5000, subnet="10.9.0.0/16", gateway="10.9.0.1"))

    assert net(state).vni == 5000
    assert not allocate_networks(state, T0)


def test_routes_of_the_machines_are_left_alone_but_a_default_route_is_none() -> None:
    assert net(allocated(a_network(), routes=("0.0.0.0/0", "10.0.3.7/24"))).subnet == "10.1.0.0/16"


def test_a_wished_subnet_and_gateway_are_taken() -> None:
    config = IPAMConfig(subnet="172.30.0.0/20", gateway="172.30.0.254")
    spec = NetworkCreate(name="net", ipam=IPAM(config=(config,)))
    network = net(allocated(a_network().model_copy(update={"spec": spec})))

    assert (network.subnet, network.gateway) == ("172.30.0.0/20", "172.30.0.254")


def test_a_wished_subnet_that_overlaps_is_refused_by_name() -> None:
    taken = a_network("other", vni=65537, subnet="172.30.0.0/16")
    reason = net(allocated(taken, a_network(wished_subnet="172.30.4.0/24"))).reason

    assert reason is not None
    assert (reason.code, reason.since) == (ReasonCode.NO_ADDRESS, T0)
    assert reason.text == "subnet 172.30.4.0/24 overlaps network other: choose another"


def test_a_wished_subnet_that_a_machine_routes_is_refused() -> None:
    reason = net(allocated(a_network(wished_subnet="192.168.1.0/24"), routes=("192.168.0.0/16",))).reason

    assert reason is not None and "route 192.168.0.0/16 of node router" in reason.text


def test_a_range_is_not_chosen_over_one_that_someone_wished_for() -> None:
    state = allocated(a_network("auto"), a_network("wish", wished_subnet="10.0.7.0/24", created_at=at(9)))

    assert net(state, "auto").subnet == "10.1.0.0/16"
    assert net(state, "wish").subnet == "10.0.7.0/24"


def test_a_crowded_pool_gives_smaller_ranges_before_it_gives_none() -> None:
    names = ["a", "b", "c"]
    state = allocated(*(a_network(name) for name in names), pools=("10.5.0.0/23",))

    assert [net(state, name).subnet for name in names] == ["10.5.0.0/24", "10.5.1.0/24", ""]
    reason = net(state, "c").reason
    assert reason is not None
    assert reason.text == "no free range is left in 10.5.0.0/23: remove networks that nothing uses"


def test_a_reason_goes_when_there_is_room_again() -> None:
    crowded = allocated(a_network("a"), a_network("b"), pools=("10.5.0.0/24",))
    lacking = net(crowded, "b")

    assert lacking.reason is not None
    assert net(allocated(lacking, pools=("10.5.0.0/24",)), "b").reason is None


def test_removed_networks_get_nothing_and_keep_their_range_until_they_are_gone() -> None:
    removed = a_network("old", vni=65537, subnet="10.0.0.0/16", removed=True)
    state = allocated(removed, a_network(), a_network("new-but-removed", removed=True))

    assert net(state).subnet == "10.1.0.0/16"
    assert net(state, "new-but-removed").subnet == ""


def test_each_node_with_a_task_gets_its_own_share_beside_the_addresses_of_services() -> None:
    network = net(allocated(a_network(), on("n1"), on("n2")))

    assert shares(network) == {"n1": "10.0.1.0/24", "n2": "10.0.2.0/24"}
    assert [share.gateway for share in network.node_subnets] == ["10.0.1.1", "10.0.2.1"]


def test_a_node_whose_tasks_are_placed_in_this_pass_gets_its_share_with_them() -> None:
    state = allocated(a_network(), joining={"net": {"n1"}}, sweep=False)

    assert shares(net(state)) == {"n1": "10.0.1.0/24"}


ALL = ["172.30.0.0/28", "172.30.0.16/28", "172.30.0.32/28"]


def crowded_by_services(*services: Service) -> State:
    """A /24 of which services have three /28, and nodes could have the rest."""
    network = a_network(wished_subnet="172.30.0.0/24", subnet="172.30.0.0/24", vni=5, service_subnets=tuple(ALL))
    return a_state(a_cluster(), network, *services)


def subnets_left(state: State, resting: Resting = NOTHING_RESTS, *, sweep: bool = True) -> list[str]:
    replaced = [n for n in allocate_networks(state, T0, sweep=sweep, resting=resting).replace if isinstance(n, Network)]
    return list((replaced or [state.networks["net"]])[0].service_subnets)


def test_subnets_that_services_do_not_need_are_given_back_but_for_one_and_only_in_a_sweep() -> None:
    assert subnets_left(crowded_by_services()) == ["172.30.0.0/28"]
    assert subnets_left(crowded_by_services(), sweep=False) == ALL


def test_those_where_a_service_has_an_address_or_had_one_of_late_stay() -> None:
    template = a_template(networks=(NetworkAttachmentConfig(target="net"),))
    vip = VirtualIP(network_id="net", address="172.30.0.20")
    assert subnets_left(crowded_by_services(a_service(template=template, virtual_ips=(vip,)))) == ["172.30.0.16/28"]
    assert subnets_left(crowded_by_services(), Resting({vip: T0})) == ["172.30.0.16/28"]
    doubtful = Resting(doubtful={"net": int(IPv4Address("172.30.0.34"))}, began=T0)
    assert subnets_left(crowded_by_services(), doubtful) == ALL


def test_those_that_services_which_have_no_address_yet_will_need_stay_too() -> None:
    template = a_template(networks=(NetworkAttachmentConfig(target="net"),))
    assert subnets_left(crowded_by_services(*(a_service(f"s{n}", template=template) for n in range(15)))) == ALL[:2]


def test_a_share_that_was_given_back_of_late_is_not_the_next_node_s() -> None:
    crowded = given_back(given_back(a_network(subnet="10.0.0.0/16", vni=5), "n1", T0), "n2", at(1))
    assert [share.subnet for share in crowded.resting_shares] == ["10.0.1.0/24", "10.0.2.0/24"]
    assert shares(given(crowded, "n3", at(30))) == {"n3": "10.0.3.0/24"}
    assert shares(given(crowded, "n3", at(60.5))) == {"n3": "10.0.1.0/24"}


def test_where_there_is_no_other_the_longest_unused_is_given_and_no_longer_rests() -> None:
    small = a_network(wished_subnet="172.30.0.0/26")
    for second in range(3):
        small = given(small, f"n{second}", at(0), *(f"n{each}" for each in range(second)))
    for second, node in enumerate(("n1", "n0", "n2"), start=1):
        kept = [share.node_id for share in small.node_subnets if share.node_id != node]
        small = given(small, "", at(second), *kept)
    assert small.node_subnets == ()

    again = given(small, "next", at(10))
    first = min(small.resting_shares, key=lambda share: share.since)
    assert (first.since, shares(again)) == (at(1), {"next": first.subnet})
    assert {share.since for share in again.resting_shares} == {at(2), at(3)}


def test_what_one_network_gave_back_to_the_pools_rests_for_the_others_too() -> None:
    share = RestingShare(subnet="10.0.1.0/24", since=T0)
    former = a_network("former", subnet="10.7.0.0/16", vni=5, resting_shares=(share,))
    state = allocated(former, a_network(), on("n1"))

    assert shares(net(state)) == {"n1": "10.0.2.0/24"}


def test_shares_are_given_back_when_no_task_is_left_but_only_in_a_sweep() -> None:
    held = NodeSubnet(node_id="n1", subnet="10.0.1.0/24", gateway="10.0.1.1")
    network = a_network(vni=65537, subnet="10.0.0.0/16", gateway="10.0.0.1", node_subnets=(held,))
    gone = on("n1", state=TaskState.SHUTDOWN, desired=TaskState.SHUTDOWN)

    assert shares(net(allocated(network, gone))) == {}
    assert shares(net(allocated(network, gone, sweep=False))) == {"n1": "10.0.1.0/24"}
    assert shares(net(allocated(network, on("n1", desired=TaskState.SHUTDOWN)))) == {"n1": "10.0.1.0/24"}


def test_a_share_given_back_can_be_given_again() -> None:
    held = NodeSubnet(node_id="n2", subnet="10.0.2.0/24", gateway="10.0.2.1")
    network = a_network(vni=65537, subnet="10.0.0.0/16", gateway="10.0.0.1", node_subnets=(held,))

    assert shares(net(allocated(network, on("n2"), on("n3")))) == {"n2": "10.0.2.0/24", "n3": "10.0.1.0/24"}


def test_small_wished_subnets_are_cut_smaller() -> None:
    network = net(allocated(a_network(wished_subnet="172.30.0.0/24"), on("n1")))
    tiny = net(allocated(a_network(wished_subnet="172.30.0.0/28"), on("n1")))

    assert shares(network) == {"n1": "172.30.0.16/28"}
    assert shares(tiny) == {"n1": "172.30.0.8/29"}


def test_shares_stay_inside_the_wished_range_of_addresses() -> None:
    config = IPAMConfig(subnet="172.30.0.0/16", ip_range="172.30.8.0/21")
    spec = NetworkCreate(name="net", ipam=IPAM(config=(config,)))
    network = a_network().model_copy(update={"spec": spec})

    assert shares(net(allocated(network, on("n1")))) == {"n1": "172.30.8.128/25"}


def test_a_wished_subnet_that_is_full_says_so_and_the_others_keep_their_shares() -> None:
    nodes = [f"n{number:02}" for number in range(16)]
    network = net(allocated(a_network(wished_subnet="172.30.0.0/24"), *(on(node) for node in nodes)))

    assert len(network.node_subnets) == 15
    assert network.reason is not None
    assert network.reason.text == "172.30.0.0/24 has no room for 16 nodes: choose a wider subnet"


def test_a_network_of_the_pool_that_is_full_takes_further_room_that_is_nobody_elses() -> None:
    nodes = [f"n{number:03}" for number in range(257)]
    state = allocated(a_network("other", vni=5000, subnet="10.1.0.0/16"), a_network(), *(on(node) for node in nodes))

    ranges = [IPv4Network(subnet) for subnet in shares(net(state)).values()]
    assert len(set(ranges)) == 257
    assert net(state).reason is None
    assert not any(piece.overlaps(IPv4Network("10.1.0.0/16")) for piece in ranges)
    beyond = [str(piece) for piece in ranges if not piece.subnet_of(IPv4Network("10.0.0.0/16"))]
    assert beyond == ["10.2.0.0/24", "10.2.1.0/24"]


def test_a_network_that_has_all_of_the_pool_says_when_that_is_full() -> None:
    nodes = [f"n{number:02}" for number in range(16)]
    network = net(allocated(a_network(), *(on(node) for node in nodes), pools=("10.5.0.0/24",)))

    assert len(network.node_subnets) == 15
    assert network.reason is not None
    assert network.reason.text == "no free range is left in 10.5.0.0/24: remove networks that nothing uses"


def test_the_reason_of_a_full_network_stays_until_a_node_can_have_a_share_again() -> None:
    nodes = [f"n{number:02}" for number in range(16)]
    pools = ("10.5.0.0/24",)
    full = net(allocated(a_network(), *(on(node) for node in nodes), pools=pools))
    quiet = net(allocated(full, *(on(node) for node in nodes[:15]), pools=pools))
    roomy = net(allocated(full, *(on(node) for node in nodes[:14]), pools=pools))

    assert full.reason is not None
    assert quiet == full
    assert not has_free_share(quiet)
    assert roomy.reason is None
    assert has_free_share(roomy)


def test_the_reason_goes_when_another_network_makes_room() -> None:
    nodes = [f"n{number:02}" for number in range(16)]
    pools = ("10.5.0.0/23",)
    other = a_network("other", vni=5000, subnet="10.5.1.0/24", service_subnets=("10.5.1.0/28",))
    full = net(allocated(a_network(), other, *(on(node) for node in nodes), pools=pools))
    again = net(allocated(full, *(on(node) for node in nodes[:15]), pools=pools))

    assert full.reason is not None
    assert again.reason is None


def test_room_that_a_full_network_took_is_not_given_to_another() -> None:
    outside = NodeSubnet(node_id="n1", subnet="10.1.0.0/24", gateway="10.1.0.1")
    grown = a_network("grown", vni=65537, subnet="10.0.0.0/16", node_subnets=(outside,))

    assert net(allocated(grown, on("n1", "grown"), a_network())).subnet == "10.2.0.0/16"


def test_a_vni_that_became_free_is_given_again() -> None:
    later = a_network("later", vni=65538, subnet="10.1.0.0/16")

    assert net(allocated(later, a_network())).vni == 65537


def test_a_task_is_on_the_networks_of_its_wish_under_its_aliases() -> None:
    template = a_template(
        networks=(
            NetworkAttachmentConfig(target="net", aliases=("www",)),
            NetworkAttachmentConfig(target="back"),
            NetworkAttachmentConfig(),
        )
    )

    attachments = task_networks(a_service(), template, None)
    assert [(attachment.network_id, attachment.aliases) for attachment in attachments] == [
        ("net", ("www",)),
        ("back", ()),
    ]
    assert task_networks(a_service(), a_template(), None) == ()


def test_an_operator_chooses_how_large_networks_are() -> None:
    cluster = a_cluster().model_copy(update={"address_pools": ("10.5.0.0/22",), "subnet_size": 23})
    state = a_state(cluster, *(a_network(name) for name in ("a", "b", "c")))
    after = {net.id: net.subnet for net in allocate_networks(state, T0).replace if isinstance(net, Network)}

    assert after == {"a": "10.5.0.0/23", "b": "10.5.2.0/23", "c": ""}


def small_networks(pool: str, size: int, nodes: int) -> dict[str, Network]:
    """Two networks of a cluster whose networks are that small; on one of them are tasks of so many nodes."""
    cluster = a_cluster().model_copy(update={"address_pools": (pool,), "subnet_size": size})
    tasks = [on(f"n{number:02}") for number in range(nodes)]
    state = a_state(a_service(), cluster, a_network("first"), a_network("net"), *tasks)
    return {net.id: net for net in allocate_networks(state, T0).replace if isinstance(net, Network)}


def test_where_networks_are_small_further_room_is_as_large_as_their_own_shares() -> None:
    network = small_networks("10.9.0.0/24", 28, 3)["net"]
    assert shares(network) == {"n00": "10.9.0.24/29", "n01": "10.9.0.32/29", "n02": "10.9.0.40/29"}
    assert network.reason is None

    network = small_networks("10.9.0.0/22", 26, 12)["net"]
    assert len(shares(network)) == 12
    assert {IPv4Network(subnet).prefixlen for subnet in shares(network).values()} == {28}
    assert network.reason is None


def test_small_networks_use_all_of_the_pool_before_they_lack_anything() -> None:
    networks = small_networks("10.9.0.0/22", 26, 80)
    given = [text for net in networks.values() for text in (*net.service_subnets, *shares(net).values())]

    # 64 parts in all, of which the other network keeps its four.
    assert len(shares(networks["net"])) == 64 - 4 - 1
    assert len(set(given)) == len(given)
    reason = networks["net"].reason
    assert reason is not None
    assert reason.text == "no free range is left in 10.9.0.0/22: remove networks that nothing uses"


def test_a_network_sets_a_subnet_aside_for_services() -> None:
    assert net(allocated(a_network())).service_subnets == ("10.0.0.0/24",)
    assert net(allocated(a_network(wished_subnet="172.30.0.0/28"))).service_subnets == ("172.30.0.0/29",)


def test_one_from_before_that_was_the_rule_gets_the_subnet_that_was_left_free_for_it() -> None:
    held = NodeSubnet(node_id="n1", subnet="10.0.1.0/24", gateway="10.0.1.1")
    old = a_network(vni=4097, subnet="10.0.0.0/16", gateway="10.0.0.1", node_subnets=(held,))
    network = net(allocated(old, on("n1")))

    assert (network.vni, network.service_subnets, network.node_subnets) == (4097, ("10.0.0.0/24",), (held,))


def test_every_node_takes_part_in_ingress_however_many_there_are() -> None:
    spec = NetworkCreate(name="ingress", ingress=True)
    nodes = [a_node(f"n{number:04}") for number in range(1000)]
    state = allocated(a_network("ingress").model_copy(update={"spec": spec}), *nodes)
    pieces = sorted(IPv4Network(subnet) for subnet in shares(net(state, "ingress")).values())

    assert len(pieces) == 1000
    assert net(state, "ingress").reason is None
    assert not any(one.overlaps(other) for one, other in pairwise(pieces))


def services_on(count: int, network_id: str = "net") -> list[Service]:
    wish = a_template(networks=(NetworkAttachmentConfig(target=network_id),))
    return [a_service(f"s{number}", template=wish) for number in range(count)]


def test_services_leave_nodes_half_of_a_range_that_was_named() -> None:
    network = net(allocated(a_network(wished_subnet="172.30.0.0/26"), *services_on(60), joining={"net": {"n1", "n2"}}))

    assert len(network.service_subnets) == 2
    assert set(shares(network)) == {"n1", "n2"}
    assert network.reason is None


def test_nodes_are_served_before_services_get_a_further_subnet() -> None:
    nodes = {f"n{number}" for number in range(3)}
    network = net(allocated(a_network(wished_subnet="172.30.0.0/26"), *services_on(30), joining={"net": nodes}))

    assert len(network.service_subnets) == 1
    assert set(shares(network)) == nodes
