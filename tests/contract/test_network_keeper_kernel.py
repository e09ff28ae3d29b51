"""All of a node's networking as its keeper makes it, with real packets; datagrams above all, to servers that are bound
to no address."""

import time
from collections.abc import Callable, Iterator

import pytest
from support.keeper_lab import KeeperLab, keeper_lab
from support.netlab import Answer, Namespace, ask, why_not
from support.rules_lab import PORT, Wanted, address_of, gateway_of

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

AT_ONCE = 0.5
ONE = Wanted("one", 5, ("web1",), published=8081)
TWO = Wanted("two", 6, ("web2",), published=8082)
NONE = Wanted("none", 7, (), published=8083)
CONSOLE = Wanted("console", 6, ("db1",), network="back", published=9090)
DATABASE = Wanted("database", 5, ("db2",), network="back")
EVERYWHERE = Wanted("everywhere", 8, ("all1",), published=8084)
ALL = (ONE, TWO, NONE, CONSOLE, DATABASE, EVERYWHERE)

either_protocol = pytest.mark.parametrize("udp", [False, True], ids=["tcp", "udp"])


@pytest.fixture(scope="module")
def lab() -> Iterator[KeeperLab]:
    with keeper_lab() as made:
        for node in made.nodes.values():
            node.run("sh", "-c", "echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables")
        # On internal networks the engine gives no default route.
        made.containers["db2"].ip("route del default")
        made.become(ALL)
        yield made


@either_protocol
@pytest.mark.parametrize("node", ["n1", "n2"])
@pytest.mark.parametrize("service", [ONE, TWO, CONSOLE, EVERYWHERE], ids=lambda service: service.name)
def test_the_mesh_answers_a_client_outside_who_is_seen_by_its_address(
    lab: KeeperLab, node: str, service: Wanted, udp: bool
) -> None:
    answer = ask(lab.client, lab.nodes[node].address, service.published, udp=udp)
    assert answer == Answer(service.backends[0], str(lab.client.address), b"?")


@either_protocol
@pytest.mark.parametrize(
    ("asking", "network", "asked"),
    [
        ("web2", "front", "web1"),
        ("web2", "ingress", "web1"),
        ("app1", "front", "web2"),
        ("web1", "ingress", "web2"),
        ("web2", "ingress", "db1"),
        ("db2", "back", "db1"),
        ("db1", "back", "db2"),
        ("web2", "front", "all1"),
        ("db2", "back", "all1"),
        ("web2", "ingress", "all1"),
    ],
)
def test_tasks_of_one_network_answer_each_other_from_the_address_that_was_asked(
    lab: KeeperLab, asking: str, network: str, asked: str, udp: bool
) -> None:
    answer = ask(lab.containers[asking], address_of(asked, network), PORT, udp=udp)
    assert answer == Answer(asked, address_of(asking, network), b"?")


@either_protocol
@pytest.mark.parametrize(
    ("asking", "service", "network"),
    [
        ("web2", ONE, "front"),
        ("web2", EVERYWHERE, "front"),
        ("app1", TWO, "front"),
        ("db2", CONSOLE, "back"),
        ("db1", DATABASE, "back"),
    ],
)
def test_services_answer_from_another_node_on_each_of_their_networks(
    lab: KeeperLab, asking: str, service: Wanted, network: str, udp: bool
) -> None:
    answer = ask(lab.containers[asking], service.vip, PORT, udp=udp)
    assert answer == Answer(service.backends[0], address_of(asking, network), b"?")


@either_protocol
def test_a_task_reaches_itself_through_its_service(lab: KeeperLab, udp: bool) -> None:
    for name, service in (("web1", ONE), ("web2", TWO), ("db1", CONSOLE), ("db2", DATABASE), ("all1", EVERYWHERE)):
        assert ask(lab.containers[name], service.vip, PORT, udp=udp).server == name


@either_protocol
def test_a_node_without_a_default_route_reaches_services(lab: KeeperLab, udp: bool) -> None:
    for node in lab.nodes.values():
        assert "default" not in node.run("ip", "route")
        for service in (ONE, TWO, DATABASE):
            assert ask(node, service.vip, PORT, udp=udp).server == service.backends[0]


@either_protocol
def test_a_service_without_back_ends_refuses_at_once(lab: KeeperLab, udp: bool) -> None:
    machines: tuple[Namespace, ...] = (lab.nodes["n1"], lab.containers["app1"], lab.containers["web2"])
    for machine in machines:
        began = time.monotonic()
        with pytest.raises((ConnectionRefusedError, PermissionError)):
            ask(machine, NONE.vip, PORT, udp=udp)
        assert time.monotonic() - began < AT_ONCE


def test_what_a_task_sends_outside_still_goes_by_its_default_network(lab: KeeperLab) -> None:
    lab.containers["web1"].ip(f"route replace default via {gateway_of('front', 'n1')}")
    try:
        for service in (ONE, TWO):
            answer = ask(lab.client, lab.nodes["n2"].address, service.published, udp=True)
            assert (answer.server, answer.client) == (service.backends[0], str(lab.client.address))
        way = lab.containers["web1"].run("ip", "route", "get", str(lab.client.address), "ipproto", "udp")
        assert address_of("web1", "front") in way
    finally:
        lab.containers["web1"].ip(f"route replace default via {gateway_of('ingress', 'n1')}")


def test_routes_that_are_wanted_no_more_leave_the_container_and_come_back(
    lab: KeeperLab, record_property: Callable[[str, float], None]
) -> None:
    web = lab.containers["web1"]
    lab.become((TWO,))
    assert "sport" not in web.run("ip", "rule")
    assert "10.9.0.0/16" in web.run("ip", "route")
    began = time.monotonic()
    lab.become(ALL)
    record_property("two nodes, one after the other", time.monotonic() - began)
    assert f"sport {PORT}" in web.run("ip", "rule")
    assert all(seat.repaired == [] for seat in lab.seats.values())
