"""What names mean, and to whom: a table of questions and answers."""

from ipaddress import IPv4Network

import dns.message
import dns.rcode
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.dns import a_dns_picture, a_local_network, a_local_task, a_mapped, an_endpoint

from agent.dns.answer import NEGATIVE_TTL, TASK_TTL, VIP_TTL, Forward, answer
from agent.dns.wire import Answer, read_question, write_answer
from agent.dns.zone import EMPTY_ZONE, Zone, zone_of
from agent.network.addresses import REST
from agent.network.picture import Picture
from swarmpy.network_map import Endpoint, MappedPort, MappedService, Peer

FRONT = a_local_network("front", 1)
BACK = a_local_network("back", 2, name="Shop_back")
SHUT = a_local_network("shut", 3, internal=True)
MESH = a_local_network("mesh", 4, is_ingress=True)
TASK = "t1".ljust(25, "x")
PORTS = (MappedPort(protocol="tcp", published=8080, target=80, name="http"),)

WORLD = a_dns_picture(
    a_mapped("shop_web", "web", vip="10.8.1.5"),
    a_mapped("shop_web", vip="10.8.4.5", network="mesh", ports=PORTS),
    a_mapped("db", "store"),
    a_mapped("idle"),
    a_mapped("web", "api.example.com", vip="10.8.2.5", network="back"),
    a_mapped("com", vip="10.8.1.7"),
    a_mapped("vault", vip="10.8.3.5", network="shut"),
    an_endpoint("shop_web", 1, "10.9.1.11", task=TASK),
    an_endpoint("shop_web", 2, "10.9.11.12"),
    an_endpoint("db", 1, "10.9.1.21"),
    an_endpoint("db", 2, "10.9.11.22"),
    Peer(network_id="front", node_id="n2", subnet="10.9.11.0/24", address="192.168.0.2"),
    networks=(FRONT, BACK, SHUT, MESH),
    tasks={
        "both": a_local_task("both", front="10.9.1.50", back="10.9.2.50"),
        "back": a_local_task("back", ("9.9.9.9",), back="10.9.2.51", front="10.9.1.51"),
        "shut": a_local_task("shut", shut="10.9.3.50"),
        "meshed": a_local_task("meshed", mesh="10.9.4.50"),
    },
)
ZONE = zone_of(WORLD)
OUTSIDE = "asked outside"
REFUSED, NO_SUCH_NAME, NO_ADDRESS = "REFUSED", "NXDOMAIN", "NOERROR"


def told(zone: Zone, name: str, type: str = "A", source: str = "10.9.1.50", gateway: str = "front") -> str | list[str]:
    query = dns.message.make_query(name, type)
    question = read_question(query.to_wire())
    assert question is not None
    found = answer(zone, zone.asker(source, gateway), question)
    if isinstance(found, Forward):
        return OUTSIDE
    message = dns.message.from_wire(write_answer(question, found))
    assert query.is_response(message)
    records = [record.to_text() for rrset in message.answer for record in rrset]
    return records or dns.rcode.to_text(message.rcode())


@pytest.mark.parametrize(
    ("name", "type", "expected"),
    [
        ("shop_web", "A", ["10.8.1.5"]),
        ("web", "A", ["10.8.1.5"]),
        ("SHOP_Web.", "A", ["10.8.1.5"]),
        ("web", "ANY", ["10.8.1.5"]),
        ("web", "AAAA", NO_ADDRESS),
        ("web", "MX", NO_ADDRESS),
        ("web.front", "A", ["10.8.1.5"]),
        ("web.shop_back", "A", ["10.8.2.5"]),
        ("api.example.com", "A", ["10.8.2.5"]),
        ("db", "A", ["10.9.1.21", "10.9.11.22"]),
        ("store", "A", ["10.9.1.21", "10.9.11.22"]),
        ("idle", "A", NO_ADDRESS),
        ("tasks.web", "A", ["10.9.1.11", "10.9.11.12"]),
        ("tasks.web.front", "A", ["10.9.1.11", "10.9.11.12"]),
        ("tasks.idle", "A", NO_ADDRESS),
        ("2.shop_web", "A", ["10.9.11.12"]),
        ("3.shop_web", "A", NO_SUCH_NAME),
        ("0.shop_web", "A", NO_SUCH_NAME),
        (f"shop_web.1.{TASK}", "A", ["10.9.1.11"]),
        (f"shop_web.1.{TASK}.front", "A", ["10.9.1.11"]),
        (f"shop_web.2.{TASK}", "A", NO_SUCH_NAME),
        (f"shop_web.1.{'y' * 25}", "A", NO_SUCH_NAME),
        ("vault", "A", OUTSIDE),
        ("example.com", "A", OUTSIDE),
        ("www.example.com", "AAAA", OUTSIDE),
        ("elsewhere", "A", OUTSIDE),
        (".", "NS", OUTSIDE),
        ("web", "AXFR", REFUSED),
        ("5.1.8.10.in-addr.arpa", "PTR", ["shop_web.front."]),
        ("11.1.9.10.in-addr.arpa", "PTR", [f"shop_web.1.{TASK}.front."]),
        ("11.1.9.10.in-addr.arpa", "A", NO_ADDRESS),
        ("99.11.9.10.in-addr.arpa", "PTR", NO_SUCH_NAME),
        ("8.8.8.8.in-addr.arpa", "PTR", OUTSIDE),
        ("08.8.8.8.in-addr.arpa", "PTR", OUTSIDE),
        ("web", "SRV", ["0 1 80 shop_web.front."]),
        (
            "tasks.web",
            "SRV",
            [f"0 1 80 shop_web.1.{TASK}.front.", f"0 1 80 shop_web.2.{'shop_web2'.ljust(25, 'z')}.front."],
        ),
        ("_http._tcp.web", "SRV", ["0 1 80 shop_web.front."]),
        ("_80._tcp.web", "SRV", ["0 1 80 shop_web.front."]),
        ("_8080._tcp.web", "SRV", ["0 1 80 shop_web.front."]),
        ("_8080._tcp.web", "A", NO_ADDRESS),
        ("_80._udp.web", "SRV", NO_SUCH_NAME),
        ("_9100._tcp.web", "SRV", NO_SUCH_NAME),
        ("_1234._tcp.db", "SRV", NO_SUCH_NAME),
        ("_1234._tcp.db", "A", NO_SUCH_NAME),
        ("_http._udp.web", "SRV", NO_SUCH_NAME),
        ("_http._tcp.web", "A", NO_ADDRESS),
        ("_http._tcp.elsewhere", "SRV", OUTSIDE),
        ("idle", "SRV", NO_ADDRESS),
        ("1.db", "SRV", [f"0 1 0 db.1.{'db1'.ljust(25, 'z')}.front."]),
    ],
)
def test_a_task_on_two_networks_is_told(name: str, type: str, expected: str | list[str]) -> None:
    assert told(ZONE, name, type) == expected


@pytest.mark.parametrize(
    ("source", "gateway", "name", "expected"),
    [
        ("10.9.2.50", "back", "web", ["10.8.1.5"]),
        ("10.9.1.50", "back", "shop_web", ["10.8.1.5"]),
        ("10.9.2.51", "back", "web", ["10.8.2.5"]),
        ("10.9.1.51", "front", "web", ["10.8.2.5"]),
        ("10.9.1.99", "front", "web", ["10.8.1.5"]),
        ("10.9.1.99", "front", "api.example.com", OUTSIDE),
        ("10.9.1.1", "back", "web", ["10.8.2.5"]),
        ("10.9.3.50", "shut", "vault", ["10.8.3.5"]),
        ("10.9.3.50", "shut", "example.com", REFUSED),
        ("10.9.3.99", "shut", "example.com", REFUSED),
        ("10.9.4.50", "mesh", "shop_web", OUTSIDE),
        ("10.9.1.50", "gone", "web", ["10.8.1.5"]),
        ("10.9.1.99", "gone", "web", REFUSED),
        ("192.168.0.1", "shut", "vault", ["10.8.3.5"]),
        ("10.9.3.1", "shut", "vault", ["10.8.3.5"]),
        ("10.9.1.99", "shut", "vault", REFUSED),
        ("10.9.11.99", "front", "web", REFUSED),
        ("192.168.0.66", "shut", "vault", REFUSED),
        ("192.168.0.66", "front", "web", REFUSED),
        ("192.168.0.66", "front", "example.com", REFUSED),
        ("192.168.0.66", "front", "99.11.9.10.in-addr.arpa", REFUSED),
    ],
)
def test_who_asks_decides_which_networks_names_are_told(
    source: str, gateway: str, name: str, expected: str | list[str]
) -> None:
    assert told(ZONE, name, source=source, gateway=gateway) == expected


def test_outside_names_are_asked_of_the_tasks_own_servers() -> None:
    question = read_question(dns.message.make_query("example.com", "A").to_wire())
    assert question is not None
    assert answer(ZONE, ZONE.asker("10.9.2.51", "back"), question) == Forward(("9.9.9.9",))


def test_addresses_come_in_turn() -> None:
    question = read_question(dns.message.make_query("db", "A").to_wire())
    assert question is not None
    first = [answer(ZONE, ZONE.asker("10.9.1.50", "front"), question, turn) for turn in range(4)]
    leading = [found.records[0].data[-1] for found in first if isinstance(found, Answer)]
    assert leading == [21, 22, 21, 22]


def test_no_name_is_believed_for_as_long_as_its_address_rests() -> None:
    assert max(TASK_TTL, NEGATIVE_TTL) < REST.total_seconds()
    assert REST.total_seconds() >= VIP_TTL


def test_a_negative_answer_says_how_long_it_may_be_believed() -> None:
    question = read_question(dns.message.make_query("9.db", "A").to_wire())
    assert question is not None
    found = answer(ZONE, ZONE.asker("10.9.1.50", "front"), question)
    assert isinstance(found, Answer)
    message = dns.message.from_wire(write_answer(question, found))
    assert message.authority[0].ttl == message.authority[0][0].minimum == NEGATIVE_TTL


NETWORKS = (FRONT, BACK)
ADDRESSES = st.integers(2, 200)
ENTRIES = st.one_of(
    st.builds(
        lambda net, number, has_vip, alias: a_mapped(
            f"s{number}", alias, network=net.id, vip=f"10.8.{net.vni % 8}.{number}" if has_vip else ""
        ),
        st.sampled_from(NETWORKS),
        st.integers(1, 5),
        st.booleans(),
        st.sampled_from(["x", "y"]),
    ),
    st.builds(
        lambda net, service, slot, node: an_endpoint(
            f"s{service}", slot, f"10.9.{net.vni % 8 + 10 * node}.{service * 10 + slot}", network=net.id
        ),
        st.sampled_from(NETWORKS),
        st.integers(1, 5),
        st.integers(0, 5),
        st.integers(0, 1),
    ),
)
PICTURES = st.lists(ENTRIES, max_size=12)


def _drawn(entries: list[MappedService | Endpoint], last: Picture | None) -> Picture:
    """With the very objects of the last picture where they are equal, as an agent has them."""
    old: dict[MappedService | Endpoint, MappedService | Endpoint] = {}
    if last is not None:
        old.update((entry, entry) for entry in last.map.services.values())
        old.update((entry, entry) for entry in last.map.endpoints.values())
    return a_dns_picture(*(old.get(entry, entry) for entry in entries), networks=NETWORKS)


@settings(max_examples=150, deadline=None)
@given(st.lists(PICTURES, max_size=6))
def test_a_zone_made_from_the_last_one_equals_one_made_anew(steps: list[list[MappedService | Endpoint]]) -> None:
    zone, last = EMPTY_ZONE, None
    for entries in steps:
        last = _drawn(entries, last)
        zone = zone_of(last, zone)
        assert zone == zone_of(last)


def test_a_network_that_changes_its_peers_changes_what_is_ours() -> None:
    assert told(ZONE, "9.77.9.10.in-addr.arpa", "PTR") == OUTSIDE
    peer = Peer(network_id="front", node_id="n3", subnet="10.9.77.0/24", address="192.168.0.3")
    later = a_dns_picture(peer, networks=(FRONT,))
    assert told(
        zone_of(later, zone_of(a_dns_picture(networks=(FRONT,)))), "9.77.9.10.in-addr.arpa", "PTR", "10.9.1.9"
    ) == (NO_SUCH_NAME)
    assert IPv4Network(peer.subnet) in zone_of(later).networks["front"].subnets
