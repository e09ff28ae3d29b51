"""The packet rules in a real kernel: nodes, containers and a client made of namespaces, and real packets."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv4Network

import pytest
from support.netlab import Answer, Namespace, ask, why_not
from support.rules_lab import (
    PORT,
    RulesLab,
    Wanted,
    address_of,
    gateway_of,
    local_network,
    rules_lab,
    subnet_of,
    vip_of,
)

from agent.network.conntrack import forget
from agent.network.departures import departed
from agent.network.nft import Nft
from agent.network.picture import Picture, Underlay
from agent.network.rules import rules_of
from agent.network.rules_port import Features, RulesRefused
from agent.network.table import render, script
from swarmpy.network_map import Endpoint, IndexedMap, MappedService, NetworkMap

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

# Nobody answers: long enough for an answer to have come, short enough to wait for it.
SILENCE = 0.4
AT_ONCE = 0.5

FRONT = "10.9.0.0/16"
ONE = Wanted("one", 5, ("web1",), published=8081)
TWO = Wanted("two", 6, ("web2",), published=8082)
BOTH = Wanted("both", 4, ("web1", "web2"), published=8080)
NONE = Wanted("none", 7, (), published=8083)
DATABASE = Wanted("database", 5, ("db1", "db2"), network="back")
CONSOLE = Wanted("console", 6, ("db1",), network="back", published=9090)
ALL = (ONE, TWO, BOTH, NONE, DATABASE, CONSOLE)

either_protocol = pytest.mark.parametrize("udp", [False, True], ids=["tcp", "udp"])
either_node = pytest.mark.parametrize("node", ["n1", "n2"])


@pytest.fixture(scope="module", params=["1", "0"], ids=["bridges pass iptables", "bridges do not"])
def made(request: pytest.FixtureRequest) -> Iterator[RulesLab]:
    """On some nodes bridged frames pass the rules of IP, for engines and others want that; on some they do not."""
    with rules_lab() as lab:
        for node in lab.nodes.values():
            node.run("sh", "-c", f"echo {request.param} > /proc/sys/net/bridge/bridge-nf-call-iptables")
        yield lab


@pytest.fixture
def lab(made: RulesLab) -> RulesLab:
    made.provide(*ALL)
    return made


def refusal(machine: Namespace, address: object, port: int, *, udp: bool) -> float:
    """How long it took to hear that there is nobody."""
    began = time.monotonic()
    # A node's own datagram is not even sent.
    with pytest.raises((ConnectionRefusedError, PermissionError)):
        ask(machine, address, port, udp=udp)
    return time.monotonic() - began


def is_silent(machine: Namespace, address: object, port: int = PORT, *, udp: bool = False) -> bool:
    try:
        ask(machine, address, port, udp=udp, within=SILENCE)
    except TimeoutError:
        return True
    return False


# Addresses of services


@either_protocol
@pytest.mark.parametrize(
    ("asking", "service", "seen"),
    [
        ("app1", ONE, address_of("app1", "front")),
        ("app1", TWO, address_of("app1", "front")),
        ("web2", ONE, address_of("web2", "front")),
        ("web1", ONE, gateway_of("front", "n1")),
        ("db2", CONSOLE, address_of("db2", "back")),
    ],
    ids=["same node", "another node", "the other way", "itself", "an internal network"],
)
def test_a_service_is_reached_and_sees_who_asks(
    lab: RulesLab, asking: str, service: Wanted, seen: str, udp: bool
) -> None:
    answer = ask(lab.containers[asking], service.vip, PORT, b"x" * 1000, udp=udp)
    assert answer == Answer(service.backends[0], seen, b"x" * 1000)


@either_protocol
def test_all_back_ends_of_a_service_are_drawn(lab: RulesLab, udp: bool) -> None:
    answers = [ask(lab.containers["app1"], BOTH.vip, PORT, udp=udp) for _ in range(40)]
    assert {answer.server for answer in answers} == {"web1", "web2"}


@either_node
@either_protocol
def test_the_node_itself_reaches_services(lab: RulesLab, node: str, udp: bool) -> None:
    assert ask(lab.nodes[node], ONE.vip, PORT, udp=udp).server == "web1"
    assert ask(lab.nodes[node], TWO.vip, PORT, udp=udp).server == "web2"


def test_a_service_answers_a_ping(lab: RulesLab) -> None:
    for service in (ONE, TWO):
        assert pings(lab.containers["app1"], service.vip)


def pings(machine: Namespace, address: str) -> bool:
    with machine.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)) as pinging:
        pinging.settimeout(3)
        pinging.sendto(b"\x08\x00\x00\x00\x00\x00\x00\x01hello", (address, 0))
        echoed, (sender, _) = pinging.recvfrom(1024)
    return sender == address and echoed.endswith(b"hello")


@either_protocol
def test_a_task_on_two_networks_reaches_both_through_its_one_gateway(lab: RulesLab, udp: bool) -> None:
    web = lab.containers["web1"]
    web.ip(f"route delete {FRONT}")
    try:
        for service in (ONE, TWO):
            seen = gateway_of("front", "n1") if service is ONE else address_of("web1", "front")
            assert ask(web, service.vip, PORT, udp=udp) == Answer(service.backends[0], seen, b"?")
        assert ask(web, address_of("web2", "front"), PORT, udp=udp).client == address_of("web1", "front")
        assert is_silent(web, address_of("db2", "back"), udp=udp)
        assert refusal(web, DATABASE.vip, PORT, udp=udp) < AT_ONCE
    finally:
        web.ip(f"route add {FRONT} via {gateway_of('front', 'n1')}")


# Published ports


@either_node
@either_protocol
@pytest.mark.parametrize("service", [ONE, TWO], ids=["back end on n1", "back end on n2"])
def test_a_port_is_taken_on_every_node_and_the_back_end_sees_the_client(
    lab: RulesLab, node: str, service: Wanted, udp: bool
) -> None:
    answer = ask(lab.client, lab.nodes[node].address, service.published, b"x" * 1000, udp=udp)
    assert answer == Answer(service.backends[0], str(lab.client.address), b"x" * 1000)


@either_node
@either_protocol
def test_a_port_is_taken_from_the_node_itself(lab: RulesLab, node: str, udp: bool) -> None:
    for service in (ONE, TWO):
        for address in ("127.0.0.1", lab.nodes[node].address, gateway_of("front", node)):
            assert ask(lab.nodes[node], address, service.published, udp=udp).server == service.backends[0]


@either_protocol
def test_a_container_reaches_ports_at_its_gateway_and_at_nodes(lab: RulesLab, udp: bool) -> None:
    for service in (ONE, TWO):
        for address in (gateway_of("front", "n1"), lab.nodes["n1"].address, lab.nodes["n2"].address):
            assert ask(lab.containers["app1"], address, service.published, udp=udp).server == service.backends[0]


@either_node
def test_a_task_of_an_internal_network_is_reached_by_its_port_and_answers_by_another_bridge(
    lab: RulesLab, node: str
) -> None:
    answer = ask(lab.client, lab.nodes[node].address, CONSOLE.published)
    assert answer == Answer("db1", str(lab.client.address), b"?")


def test_a_process_of_the_node_on_the_same_port_gets_nothing(lab: RulesLab) -> None:
    with lab.nodes["n1"].call(lambda: socket.create_server(("0.0.0.0", ONE.published))) as listening:
        assert ask(lab.client, lab.nodes["n1"].address, ONE.published).server == "web1"
        lab.provide(ONE.without("web1"))
        assert refusal(lab.client, lab.nodes["n1"].address, ONE.published, udp=False) < AT_ONCE
        listening.settimeout(0)
        with pytest.raises(BlockingIOError):
            listening.accept()


def test_sctp_is_carried_as_well(lab: RulesLab) -> None:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
    except OSError as error:
        pytest.skip(f"the kernel has no SCTP sockets: {error.strerror}")
    lab.provide(Wanted("one", 5, ("web1",), published=8081, protocols=("sctp",)))

    def listen() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
        made.bind(("0.0.0.0", PORT))
        made.listen()
        return made

    def connect() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
        made.settimeout(3)
        made.connect((str(lab.nodes["n2"].address), 8081))
        return made

    with lab.containers["web1"].call(listen) as listening, lab.client.call(connect):
        listening.settimeout(3)
        connection, (client, _) = listening.accept()
        connection.close()
        assert client == str(lab.client.address)


# No back end


@either_protocol
def test_what_has_no_back_end_is_refused_at_once(lab: RulesLab, udp: bool) -> None:
    node = lab.nodes["n1"]
    for machine in (lab.containers["app1"], node):
        assert refusal(machine, NONE.vip, PORT, udp=udp) < AT_ONCE
    for machine, address in (
        (lab.client, node.address),
        (node, node.address),
        (node, "127.0.0.1"),
        (lab.containers["app1"], gateway_of("front", "n1")),
        (lab.containers["app1"], lab.nodes["n2"].address),
    ):
        assert refusal(machine, address, NONE.published, udp=udp) < AT_ONCE


def test_a_back_end_that_left_gets_nothing_new_and_keeps_what_it_has(lab: RulesLab) -> None:
    app = lab.containers["app1"]
    lab.provide(BOTH.without("web2"))
    with app.call(lambda: socket.create_connection((BOTH.vip, PORT), 3)) as held:
        held.sendall(b"hello ")
        lab.provide(BOTH.without("web1"))
        assert {ask(app, BOTH.vip, PORT).server for _ in range(10)} == {"web2"}

        held.sendall(b"world")
        held.shutdown(socket.SHUT_WR)
        with held.makefile("rb") as answered:
            assert answered.read() == b"web1 %s\nhello world" % address_of("app1", "front").encode()


def test_datagrams_of_a_known_client_go_to_another_back_end_when_theirs_left(lab: RulesLab) -> None:
    node = lab.nodes["n1"]
    asked = {lab.containers["app1"]: (BOTH.vip, PORT), lab.client: (str(node.address), BOTH.published)}
    for machine, target in asked.items():
        lab.provide(*ALL)
        with machine.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sending:
            sending.settimeout(3)
            sending.connect(target)
            sending.send(b"?")
            held = sending.recv(1024).split()[0].decode()
            before = lab.pictures["n1"]
            lab.provide(BOTH.without(held))
            sending.send(b"?")
            assert sending.recv(1024).split()[0].decode() == held

            departures = departed(before, lab.pictures["n1"])
            forgotten = node.call(partial(forget, departures))
            assert (forgotten.count > 0, forgotten.why_not) == (True, "")
            sending.send(b"?")
            assert sending.recv(1024).split()[0].decode() not in (held, "")


def test_datagrams_that_came_before_the_port_was_published_do_not_keep_it_closed(lab: RulesLab) -> None:
    node = lab.nodes["n1"]
    lab.provide()
    before = lab.pictures["n1"]
    with lab.client.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sending:
        sending.settimeout(3)
        sending.connect((str(node.address), ONE.published))
        sending.send(b"?")
        with pytest.raises(ConnectionRefusedError):
            sending.recv(1024)
        lab.provide(ONE)
        node.call(partial(forget, departed(before, lab.pictures["n1"])))
        sending.send(b"?")
        assert sending.recv(1024).split()[0] == b"web1"


def test_datagrams_to_another_machine_are_not_those_of_the_port_that_is_published_here(lab: RulesLab) -> None:
    node = lab.nodes["n1"]
    lab.provide()
    before = lab.pictures["n1"]
    app, elsewhere = lab.containers["app1"], str(lab.client.address)
    with app.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sending:
        sending.sendto(b"?", (elsewhere, ONE.published))
        lab.provide(ONE)
        departures = departed(before, lab.pictures["n1"])
        assert [one.backend for one in departures] == [""]
        assert node.call(partial(forget, departures)).count == 0


# Isolation


@either_protocol
def test_networks_do_not_reach_each_other(lab: RulesLab, udp: bool) -> None:
    app = lab.containers["app1"]
    assert is_silent(app, address_of("db1", "back"), udp=udp)
    assert is_silent(app, address_of("db2", "back"), udp=udp)
    assert is_silent(app, address_of("web1", "ingress"), udp=udp)
    assert refusal(app, DATABASE.vip, PORT, udp=udp) < AT_ONCE
    assert refusal(app, vip_of("ingress", ONE.last), PORT, udp=udp) < AT_ONCE


def test_the_outside_is_reached_in_the_nodes_name_but_not_from_an_internal_network(lab: RulesLab) -> None:
    outside = lab.client.address
    for name in ("app1", "web1"):
        assert ask(lab.containers[name], outside, PORT) == Answer("client", str(lab.nodes["n1"].address), b"?")
    for name in ("db1", "db2"):
        with pytest.raises(OSError, match="No route to host"):
            ask(lab.containers[name], outside, PORT)


def test_the_outside_reaches_no_container_that_publishes_nothing(lab: RulesLab) -> None:
    for network in ("front", "back", "ingress"):
        lab.client.ip(f"route replace {subnet_of(network, 'n1')} via {lab.nodes['n1'].address}")
    assert is_silent(lab.client, address_of("app1", "front"))
    assert is_silent(lab.client, address_of("db1", "back"))
    assert is_silent(lab.client, address_of("web1", "ingress"))


def test_a_container_cannot_send_in_anothers_name(lab: RulesLab) -> None:
    app, false = lab.containers["app1"], "10.9.2.99"
    app.ip(f"address replace {false}/32 dev lo")

    def socket_in_its_name() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((false, 0))
        return made

    with lab.client.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as hearing:
        hearing.bind(("0.0.0.0", 5353))
        hearing.settimeout(SILENCE)
        with app.call(socket_in_its_name) as sending:
            sending.sendto(b"?", (str(lab.client.address), 5353))
            with pytest.raises(TimeoutError):
                hearing.recv(10)
        app.ip(f"address delete {false}/32 dev lo")


def test_loopback_addresses_of_a_node_are_its_own(lab: RulesLab) -> None:
    node = lab.nodes["n1"]
    app = lab.containers["app1"]
    with node.call(lambda: socket.create_server(("127.0.0.1", 7777))):
        app.run("ip", "address", "delete", "127.0.0.1/8", "dev", "lo")
        app.sysctl(conf__all__route_localnet=1)
        app.ip(f"route replace 127.0.0.1/32 via {gateway_of('front', 'n1')} dev eth0")
        try:
            assert is_silent(app, "127.0.0.1", 7777)
        finally:
            app.ip("route delete 127.0.0.1/32", "address add 127.0.0.1/8 dev lo")


# Changes


def test_changes_under_load_lose_no_request(lab: RulesLab) -> None:
    """Back ends come and go, and services; the whole is set anew as well."""
    app, ended, failed, done = lab.containers["app1"], threading.Event(), [], [0]
    targets = ((app, BOTH.vip, PORT), (lab.client, str(lab.nodes["n2"].address), BOTH.published))

    def load(machine: Namespace, address: str, port: int) -> None:
        while not ended.is_set():
            try:
                ask(machine, address, port)
                done[0] += 1
            except OSError as error:
                failed.append(error)

    threads = [threading.Thread(target=load, args=target) for target in targets for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(30):
            others = (TWO, NONE, CONSOLE) if number % 3 else (ONE, DATABASE)
            one = BOTH if number % 2 else BOTH.without("web1" if number % 4 else "web2")
            lab.provide(*others, one, whole=number % 5 == 0)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert failed == []
    assert done[0] > 50


# `nft` itself


def nft_of(machine: Namespace) -> Nft:
    return Nft(("nsenter", f"--net=/proc/{machine.pid}/ns/net", "nft"), machine.enter)


async def test_a_script_is_taken_whole_or_not_at_all(lab: RulesLab) -> None:
    nft = nft_of(lab.nodes["n1"])
    before = await nft.fingerprint()
    with pytest.raises(RulesRefused, match="in `add rule ip swarmpy nowhere accept`"):
        await nft.apply("add chain ip swarmpy more\nadd rule ip swarmpy nowhere accept\n")
    assert await nft.fingerprint() == before


@pytest.mark.parametrize(
    "by_hand",
    [
        "delete element ip swarmpy published { tcp . 8081 }",
        "flush chain ip swarmpy refuse",
        "add rule ip swarmpy passing accept",
        "delete table bridge swarmpy",
    ],
)
async def test_what_is_changed_by_hand_is_noticed_and_what_is_only_used_is_not(lab: RulesLab, by_hand: str) -> None:
    lab.provide(*ALL, whole=True)
    nft = nft_of(lab.nodes["n1"])
    before = await nft.fingerprint()
    await asyncio.to_thread(ask, lab.client, lab.nodes["n1"].address, ONE.published)
    assert await nft.fingerprint() == before
    lab.nodes["n1"].nft(by_hand)
    assert await nft.fingerprint() != before
    lab.provide(*ALL, whole=True)
    assert await nft.fingerprint() == before


async def test_a_probe_leaves_nothing_behind(lab: RulesLab) -> None:
    node = lab.nodes["n1"]
    assert await nft_of(node).probe() == Features()
    assert "swarmpy_probe" not in node.run("nft", "list", "tables")


async def test_a_node_without_nft_says_so() -> None:
    features = await Nft(("no-such-nft",)).probe()
    assert not features.rules
    assert "no-such-nft" in features.reason


async def test_two_thousand_services_are_taken_and_one_change_takes_a_moment(
    record_property: Callable[[str, float], None],
) -> None:
    """Figures of one machine go with the report; the bounds are for slow ones."""
    many = 2000, 10
    before, after = rules_of(services_of(*many), {}), rules_of(services_of(*many, more=1), {})
    machine = Namespace("many")
    try:
        nft, took = nft_of(machine), []
        for text in (render(before), script(before, after), script(after, before)):
            began = time.monotonic()
            await nft.apply(text)
            took.append(time.monotonic() - began)
    finally:
        machine.close()
    record_property("whole", took[0])
    record_property("one change", max(took[1:]))
    assert took[0] < 30
    assert max(took[1:]) < took[0] / 2


def services_of(services: int, backends: int, more: int = 0) -> Picture:
    """All on one network; the first of them has some more back ends."""
    network = replace(local_network("front", "n1"), service_subnets=(IPv4Network("10.128.0.0/9"),))
    told = NetworkMap(
        services=tuple(
            MappedService(
                network_id="front", service_id=f"s{number}", names=(), vip=str(network.service_subnets[0][number])
            )
            for number in range(services)
        ),
        endpoints=tuple(
            Endpoint(
                network_id="front",
                task_id=f"s{number}.{each}",
                service_id=f"s{number}",
                node_id="n2",
                address=f"10.9.2.{each}",
            )
            for number in range(services)
            for each in range(backends + (0 if number else more))
        ),
    )
    return Picture("n1", Underlay(IPv4Address("192.0.2.1"), "eth0"), {"front": network}, IndexedMap.of(told))


@either_protocol
def test_without_rules_for_bridges_services_are_reached_all_the_same(lab: RulesLab, udp: bool) -> None:
    lab.provide(*ALL, features=Features(bridge=False))
    assert ask(lab.containers["app1"], ONE.vip, PORT, udp=udp).server == "web1"
