"""Packet rules as values: scripts lead from any ruleset to any other, and say what the picture says."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.nft_model import Kernel, Refused

from agent.network.departures import Departure, departed
from agent.network.nft import in_fixed_order, in_one_sentence
from agent.network.picture import NO_PICTURE, LocalNetwork, LocalTask, Picture, Underlay
from agent.network.rules import ALL_FEATURES, rules_of, why_not
from agent.network.rules_port import Features
from agent.network.table import NO_RULES, Chain, Lookup, Ruleset, Table, render, script
from swarmpy.network_map import Endpoint, IndexedMap, MappedPort, MappedService, NetworkMap, Peer

NETWORKS = {"ingress": 7, "back": 8, "front": 9}
MACS = {name: f"02:42:0a:{octet:02x}:01:01" for name, octet in NETWORKS.items()}
UNDERLAY = Underlay(IPv4Address("192.0.2.1"), "eth0")


def network(name: str) -> LocalNetwork:
    octet = NETWORKS[name]
    return LocalNetwork(
        id=name,
        name=name,
        subnet=IPv4Network(f"10.{octet}.1.0/24"),
        gateway=IPv4Address(f"10.{octet}.1.1"),
        vni=4097 + octet,
        mtu=1450,
        service_subnets=(IPv4Network(f"10.{octet}.0.0/24"),),
        internal=name == "back",
        is_ingress=name == "ingress",
    )


def service(
    name: str = "web", on: str = "front", last: int = 5, vip: bool = True, ports: tuple[MappedPort, ...] = ()
) -> MappedService:
    address = f"10.{NETWORKS[on]}.0.{last}" if vip else ""
    return MappedService(network_id=on, service_id=name, names=(name,), vip=address, ports=ports)


def endpoint(number: int = 1, of: str = "web", on: str = "front", node: int = 1) -> Endpoint:
    address = f"10.{NETWORKS[on]}.{node}.{10 + number}"
    return Endpoint(
        network_id=on, task_id=f"{of}.{number}", service_id=of, node_id=f"n{node}", address=address, slot=number
    )


def peer(node: int, on: str = "ingress") -> Peer:
    return Peer(network_id=on, node_id=f"n{node}", subnet=f"10.{NETWORKS[on]}.{node}.0/24", address=f"192.0.2.{node}")


def a_picture(
    services: tuple[MappedService, ...] = (),
    endpoints: tuple[Endpoint, ...] = (),
    peers: tuple[Peer, ...] = (),
    on: tuple[str, ...] = tuple(NETWORKS),
    tasks: tuple[LocalTask, ...] = (),
) -> Picture:
    told = IndexedMap.of(NetworkMap(services=services, endpoints=endpoints, peers=peers))
    return Picture("n1", UNDERLAY, {name: network(name) for name in on}, told, {task.task_id: task for task in tasks})


def routed(picture: Picture, features: Features = ALL_FEATURES) -> Table:
    return rules_of(picture, MACS, features).tables["ip"]


TCP_80 = MappedPort(protocol="tcp", published=8080, target=80)
UDP_53 = MappedPort(protocol="udp", published=53, target=53)


# Scripts


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    """Few names, so that much is common to two of them and much differs."""
    ports = st.lists(
        st.builds(
            MappedPort,
            protocol=st.sampled_from(["tcp", "udp", "sctp"]),
            published=st.integers(8080, 8083),
            target=st.integers(80, 81),
        ),
        max_size=3,
    ).map(tuple)
    names, everywhere = st.sampled_from(["api", "db", "web"]), st.sampled_from(sorted(NETWORKS))
    services = st.builds(service, names, everywhere, st.integers(4, 8), st.booleans(), ports)
    endpoints = st.builds(endpoint, st.integers(1, 4), names, everywhere, st.integers(1, 3))
    tasks = st.builds(_task, st.integers(1, 3), st.sets(everywhere))
    return a_picture(
        services=_each_vip_once(draw(st.lists(services, max_size=6))),
        endpoints=tuple(draw(st.lists(endpoints, max_size=12))),
        peers=tuple(draw(st.lists(st.builds(peer, st.integers(1, 4), everywhere), max_size=6))),
        on=tuple(draw(st.sets(everywhere))),
        tasks=tuple(draw(st.lists(tasks, max_size=3))),
    )


def _each_vip_once(services: list[MappedService]) -> tuple[MappedService, ...]:
    return tuple({one.vip or one.key: one for one in services}.values())


def _task(number: int, on: set[str]) -> LocalTask:
    addresses = {name: IPv4Network(f"10.{NETWORKS[name]}.1.0/24")[10 + number] for name in sorted(on)}
    return LocalTask(f"t{number}", "web", addresses)


FEATURES = st.builds(Features, bridge=st.booleans(), fib=st.booleans())


@given(st.lists(st.tuples(pictures(), FEATURES), min_size=1, max_size=6))
def test_scripts_lead_through_any_walk_of_pictures(walk: list[tuple[Picture, Features]]) -> None:
    kernel, had = Kernel(), NO_RULES
    for picture, features in walk:
        wanted = rules_of(picture, MACS, features)
        kernel.apply(script(had, wanted))
        assert kernel.ruleset() == wanted
        had = wanted


@given(pictures(), pictures())
def test_the_whole_replaces_whatever_is_there(first: Picture, second: Picture) -> None:
    kernel = Kernel()
    kernel.apply(render(rules_of(first, MACS)))
    kernel.apply(render(rules_of(second, MACS)))
    assert kernel.ruleset() == rules_of(second, MACS)


@given(pictures())
def test_equal_pictures_give_equal_text_and_no_change(picture: Picture) -> None:
    told = picture.map.as_document()
    mixed = NetworkMap(peers=told.peers[::-1], services=told.services[::-1], endpoints=told.endpoints[::-1])
    same = replace(picture, map=IndexedMap.of(mixed), networks=dict(reversed(list(picture.networks.items()))))
    assert render(rules_of(same, MACS)) == render(rules_of(picture, MACS))
    assert script(rules_of(picture, MACS), rules_of(same, MACS)) == ""


def test_a_hook_or_a_type_that_changes_replaces_the_table() -> None:
    before = Ruleset({"ip": Table({"base": Chain(hook="type filter hook input priority 0;")}, {"one": Lookup("mark")})})
    hooked = Ruleset({"ip": Table({"base": Chain(hook="type filter hook input priority 1;")}, {"one": Lookup("mark")})})
    typed = Ruleset({"ip": Table({"base": before.tables["ip"].chains["base"]}, {"one": Lookup("ifname")})})
    for after in (hooked, typed):
        kernel = Kernel()
        kernel.apply(render(before))
        kernel.apply(script(before, after))
        assert kernel.ruleset() == after


def test_the_model_refuses_what_points_at_nothing() -> None:
    with pytest.raises(Refused):
        Kernel().apply("add table ip swarmpy\nadd chain ip swarmpy one\nadd rule ip swarmpy one goto two\n")


def test_one_back_end_more_touches_one_chain() -> None:
    before = a_picture((service(),), (endpoint(1),))
    after = a_picture((service(),), (endpoint(1), endpoint(2)))
    assert script(rules_of(before, MACS), rules_of(after, MACS)).splitlines() == [
        "flush chain ip swarmpy vip_front_web",
        "add rule ip swarmpy vip_front_web dnat to numgen random mod 2 map { 0 : 10.9.1.11, 1 : 10.9.1.12 }",
    ]


def test_a_service_that_ends_is_pointed_at_no_more_before_it_goes() -> None:
    before, after = rules_of(a_picture((service(),), (endpoint(1),)), MACS), rules_of(a_picture(), MACS)
    assert script(before, after).splitlines() == [
        "delete element ip swarmpy vips { 10.9.0.5 : goto vip_front_web }",
        "flush chain ip swarmpy vip_front_web",
        "delete chain ip swarmpy vip_front_web",
    ]


# What the rules say


def test_a_service_without_an_address_of_its_own_still_has_its_ports() -> None:
    table = routed(a_picture((service(on="ingress", vip=False, ports=(TCP_80,)),), (endpoint(on="ingress"),)))
    assert table.lookups["vips"].elements == {}
    assert table.chains["port_tcp_8080"].rules == ("meta l4proto tcp dnat to 10.7.1.11:80",)


def test_a_service_without_back_ends_translates_nothing() -> None:
    table = routed(a_picture((service(on="ingress", ports=(TCP_80,)),)))
    assert table.chains["vip_ingress_web"].rules == table.chains["port_tcp_8080"].rules == ()
    assert "tcp . 8080" in table.lookups["published"].elements


def test_a_port_that_two_services_claim_is_the_first_ones() -> None:
    services = (service("b", "ingress", 5, ports=(TCP_80,)), service("a", "ingress", 6, ports=(TCP_80,)))
    table = routed(a_picture(services, (endpoint(1, "a", "ingress"), endpoint(2, "b", "ingress"))))
    assert table.chains["port_tcp_8080"].rules == ("meta l4proto tcp dnat to 10.7.1.11:80",)


def test_names_are_asked_at_gateways_even_where_their_port_is_published() -> None:
    rules = routed(a_picture((service(on="ingress", ports=(UDP_53,)),))).chains["enter_front"].rules
    asked = next(number for number, rule in enumerate(rules) if "dport 53 return" in rule)
    taken = next(number for number, rule in enumerate(rules) if "@ports" in rule)
    assert asked < taken


def test_an_internal_network_has_no_published_ports() -> None:
    assert not any("@ports" in rule for rule in routed(a_picture()).chains["enter_back"].rules)


def test_a_service_address_outside_the_ranges_that_were_told_is_known_too() -> None:
    stray = service().model_copy(update={"vip": "10.99.0.1"})
    assert "ip daddr { 10.9.0.0/24, 10.99.0.1 } ip daddr vmap @vips" in (
        routed(a_picture((stray,))).chains["enter_front"].rules
    )


def test_only_peers_of_the_ingress_network_leave_marks() -> None:
    table = routed(a_picture(peers=(peer(1), peer(2), peer(3, "front"))))
    assert table.lookups["mesh_senders"].elements == {"02:00:0a:07:02:00": "0x0a070200"}
    assert table.lookups["mesh_marks"].elements == {"0x0a070200": ""}


@pytest.mark.parametrize(
    ("on", "may_leave"),
    [({"ingress"}, True), ({"ingress", "front"}, True), ({"ingress", "front", "back"}, True),
     ({"back", "front"}, True), ({"ingress", "back"}, False), ({"back"}, False), ({"front"}, False)],
)  # fmt: skip
def test_a_task_leaves_by_networks_that_lead_nobody_out_unless_all_of_its_networks_keep_it_in(
    on: set[str], may_leave: bool
) -> None:
    assert bool(routed(a_picture(tasks=(_task(1, on),))).lookups["may_leave"].elements) is may_leave


def test_a_task_on_two_networks_has_on_each_the_address_that_it_has_there() -> None:
    table = routed(a_picture(tasks=(_task(1, {"front", "back"}), _task(2, {"front"}))))
    assert table.lookups["own_addresses"].elements == {
        '10.9.1.11 . "spbback"': "10.8.1.11",
        '10.9.1.11 . "spxback"': "10.8.1.11",
        '10.8.1.11 . "spbfront"': "10.9.1.11",
        '10.8.1.11 . "spxfront"': "10.9.1.11",
    }
    assert table.chains["member_t1"].rules == ("ip daddr { 10.8.0.0/24, 10.9.0.0/24 } ip daddr vmap @vips",)


def test_without_rules_for_bridges_senders_on_the_same_bridge_are_hidden() -> None:
    rules = rules_of(a_picture(), MACS, Features(bridge=False))
    assert set(rules.tables) == {"ip"}
    assert 'iifname "spbfront" oifname "spbfront" ct status dnat masquerade' in (
        rules.tables["ip"].chains["translate_leaving"].rules
    )


def test_without_fib_the_known_addresses_of_the_node_take_ports() -> None:
    text = render(rules_of(a_picture(), MACS, Features(fib=False)))
    assert "fib" not in text
    assert "ip daddr { 127.0.0.0/8, 10.7.1.1, 10.8.1.1, 10.9.1.1, 192.0.2.1 }" in text


def test_what_does_not_work_here_is_said_in_sentences() -> None:
    assert why_not(Features()) == ()
    assert len(why_not(Features(bridge=False, fib=False))) == 2
    (sentence,) = why_not(Features(rules=False, reason="nft cannot be started: No such file or directory"))
    assert "nft cannot be started" in sentence


# Back ends that left


def test_datagrams_to_a_back_end_that_left_are_named_by_each_way() -> None:
    services = (service(on="front"), service(on="ingress", ports=(TCP_80, UDP_53)))
    both = (endpoint(1), endpoint(2), endpoint(1, on="ingress"), endpoint(2, on="ingress"))
    left = tuple(one for one in both if one.task_id != "web.2")
    assert departed(a_picture(services, both), a_picture(services, left)) == (
        Departure("10.7.1.12", port=53),
        Departure("10.7.1.12", address="10.7.0.5"),
        Departure("10.9.1.12", address="10.9.0.5"),
    )


def test_nothing_left_when_services_and_back_ends_only_come() -> None:
    before = a_picture((service(),), (endpoint(1),))
    after = a_picture((service(), service("api", last=6)), (endpoint(1), endpoint(2), endpoint(3, "api")))
    assert departed(before, after) == ()


def test_a_port_that_is_published_no_more_leads_to_no_back_end() -> None:
    backends = (endpoint(1, on="ingress"),)
    before, after = (a_picture((service(on="ingress", ports=ports),), backends) for ports in ((UDP_53,), ()))
    assert departed(before, after) == (Departure("10.7.1.11", port=53),)


def test_a_port_that_is_published_now_is_the_nodes_own_no_more() -> None:
    after = a_picture((service(on="ingress", ports=(TCP_80, UDP_53)),))
    assert departed(a_picture(), after) == (Departure("", port=53),)
    assert departed(after, after) == ()


def test_at_the_start_of_an_agent_no_port_is_newly_published() -> None:
    after = a_picture((service(on="ingress", ports=(TCP_80, UDP_53)),), (endpoint(on="ingress"),))
    assert departed(NO_PICTURE, after) == ()


# What it takes


class _Counted(Mapping[str, MappedService]):
    def __init__(self, services: Mapping[str, MappedService]) -> None:
        self._services, self.times = services, 0

    def __iter__(self) -> Iterator[str]:
        self.times += 1
        return iter(self._services)

    def __getitem__(self, key: str) -> MappedService:
        return self._services[key]

    def __len__(self) -> int:
        return len(self._services)


@pytest.mark.parametrize("tasks", [0, 200])
def test_services_are_gone_through_as_often_however_many_networks_and_tasks_there_are(tasks: int) -> None:
    def times(on: tuple[str, ...], count: int) -> int:
        joined = tuple(_task(number, set(on)) for number in range(count))
        picture = a_picture((service(), service("api", last=6)), on=on, tasks=joined)
        counted = _Counted(picture.map.services)
        rules_of(replace(picture, map=replace(picture.map, services=counted)), MACS)
        return counted.times

    assert times(tuple(NETWORKS), tasks) == times(("front",), 0) <= 2


# Words of nft


def test_an_error_of_nft_becomes_one_sentence() -> None:
    script = "add table ip swarmpy\nadd rule ip swarmpy none accept\n"
    complaint = "/dev/stdin:2:21-24: Error: No such file or directory\nadd rule ip swarmpy none accept\n     ^^^^\n"
    assert in_one_sentence(complaint, script) == "No such file or directory in `add rule ip swarmpy none accept`"
    # Of a command that had no script.
    assert in_one_sentence(complaint, "") == " ".join(complaint.split())
    assert in_one_sentence("netlink: Error:\n not permitted", "") == "netlink: Error: not permitted"


def test_a_listing_does_not_depend_on_the_order_of_elements() -> None:
    one, other = "elements = { a : goto b,\n\t\t c : goto d }", "elements = { c : goto d, a : goto b }"
    assert in_fixed_order(f"set x {{ {one} }}") == in_fixed_order(f"set x {{ {other} }}")
    assert in_fixed_order(one) != in_fixed_order("elements = { a : goto d, c : goto b }")
