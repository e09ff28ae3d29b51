"""What containers and strangers try to get into networks that are not theirs, and get nothing."""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from ipaddress import IPv4Address

import pytest
from support.netlab import Namespace, ask, echo, why_not
from support.rules_lab import (
    PORT,
    RulesLab,
    Wanted,
    address_of,
    gateway_of,
    local_network,
    rules_lab,
    subnet_of,
)

from agent.network.picture import VXLAN_PORT, vtep_mac
from agent.network.rules_port import Features

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

SILENCE = 0.4
HIDDEN = 7777
DOCKER0 = "172.17.0.1/16"
DATABASE = Wanted("database", 5, ("db1", "db2"), network="back")

with_and_without_fib = pytest.mark.parametrize("fib", [True, False], ids=["fib", "no fib"])


@contextmanager
def neighbour_of(lab: RulesLab, node: str) -> Iterator[Namespace]:
    """A container of that node's engine that is on no network of ours, and goes out in the node's name."""
    here, made = lab.nodes[node], Namespace("neighbour")
    try:
        here.bridge("docker0", DOCKER0)
        here.ip(
            f"link add name vdocker type veth peer name eth0 netns {made.pid}",
            "link set dev vdocker master docker0",
            "link set dev vdocker up",
        )
        made.ip("addr add 172.17.0.2/16 dev eth0", "link set eth0 up", "route add default via 172.17.0.1")
        here.nft(
            "table ip engine { chain out { type nat hook postrouting priority 100; "
            'ip saddr 172.17.0.0/16 oifname != "docker0" masquerade; }; }\n'
        )
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def made() -> Iterator[RulesLab]:
    with rules_lab() as lab, neighbour_of(lab, "n1") as neighbour:
        lab.containers = {**lab.containers, "neighbour": neighbour}
        yield lab


@pytest.fixture
def lab(made: RulesLab) -> RulesLab:
    made.provide(DATABASE, whole=True)
    return made


def datagram(sender: str, target: str, port: int, payload: bytes) -> bytes:
    """As IP has it, without UDP's check sum."""
    addresses = IPv4Address(sender).packed + IPv4Address(target).packed
    udp = struct.pack("!4H", 4000, port, 8 + len(payload), 0) + payload
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0) + addresses
    total = sum(struct.unpack("!10H", head))
    check = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return head[:10] + struct.pack("!H", check) + head[12:] + udp


def envelope(network: str, sender: str, receiver: str, inner: bytes) -> bytes:
    """What one node sends another: all of it can be computed by anybody."""
    macs = (vtep_mac(subnet_of(network, node)).replace(":", "") for node in (receiver, sender))
    vxlan = struct.pack("!II", 0x08000000, local_network(network, sender).vni << 8)
    return vxlan + b"".join(map(bytes.fromhex, macs)) + b"\x08\x00" + inner


def forged(sender: str, receiver: str, victim: str) -> bytes:
    inner = datagram(str(subnet_of("back", sender)[66]), address_of(victim, "back"), HIDDEN, b"in")
    return envelope("back", sender, receiver, inner)


def send(machine: Namespace, target: object, wire: bytes, port: int = VXLAN_PORT, source: str = "") -> None:
    with machine.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sending:
        if source:
            sending.bind((source, 0))
        sending.sendto(wire, (str(target), port))


def hears(victim: Namespace, deed: Callable[[], None]) -> bool:
    with victim.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as hearing:
        hearing.bind(("0.0.0.0", HIDDEN))
        hearing.settimeout(SILENCE)
        deed()
        try:
            return hearing.recv(10) == b"in"
        except TimeoutError:
            return False


def test_a_node_is_heard_when_it_sends_by_itself(lab: RulesLab) -> None:
    """Or else the tests beneath would prove nothing."""
    wire = forged("n1", "n2", "db2")
    assert hears(lab.containers["db2"], lambda: send(lab.nodes["n1"], lab.nodes["n2"].address, wire))


@with_and_without_fib
@pytest.mark.parametrize("attacker", ["app1", "db1", "neighbour", "client"])
def test_nobody_enters_a_network_of_another_node_by_an_envelope_of_their_own(
    lab: RulesLab, attacker: str, fib: bool
) -> None:
    lab.provide(DATABASE, features=Features(fib=fib))
    machine = lab.client if attacker == "client" else lab.containers[attacker]
    for target in (lab.nodes["n2"].address, gateway_of("front", "n2"), gateway_of("back", "n2")):

        def attack(target: object = target) -> None:
            try:
                send(machine, target, forged("n1", "n2", "db2"))
            except OSError:
                return

        assert not hears(lab.containers["db2"], attack), target


@with_and_without_fib
@pytest.mark.parametrize("attacker", ["app1", "neighbour", "client"])
def test_nobody_enters_a_network_of_this_node_by_an_envelope_of_their_own(
    lab: RulesLab, attacker: str, fib: bool
) -> None:
    lab.provide(DATABASE, features=Features(fib=fib))
    machine = lab.client if attacker == "client" else lab.containers[attacker]
    for target in (lab.nodes["n1"].address, gateway_of("front", "n1"), "172.17.0.1"):

        def attack(target: object = target) -> None:
            try:
                send(machine, target, forged("n2", "n1", "db1"))
            except OSError:
                return

        assert not hears(lab.containers["db1"], attack), target


@with_and_without_fib
@pytest.mark.parametrize("attacker", ["app1", "neighbour"])
@pytest.mark.parametrize("aim", ["n1", "n2"])
def test_an_envelope_in_a_nodes_name_is_none(lab: RulesLab, attacker: str, aim: str, fib: bool) -> None:
    lab.provide(DATABASE, features=Features(fib=fib))
    machine, name = lab.containers[attacker], str(lab.nodes["n2" if aim == "n1" else "n1"].address)
    receiver, victim, sender = ("n1", "db1", "n2") if aim == "n1" else ("n2", "db2", "n1")
    machine.ip(f"address add {name}/32 dev lo")
    try:
        wire = forged(sender, receiver, victim)
        assert not hears(lab.containers[victim], lambda: send(machine, lab.nodes[receiver].address, wire, source=name))
    finally:
        machine.ip(f"address delete {name}/32 dev lo")


def test_other_envelopes_are_left_alone(lab: RulesLab) -> None:
    """Somebody else's VXLAN on the same port: between containers, and between the node and others."""
    strange = struct.pack("!II", 0x08000000, 77 << 8) + bytes(40)
    node = lab.nodes["n1"]
    with lab.containers["web2"].call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as hearing:
        hearing.bind(("0.0.0.0", VXLAN_PORT))
        hearing.settimeout(3)
        send(lab.containers["app1"], address_of("web2", "front"), strange)
        assert hearing.recv(100) == strange
    with lab.client.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as hearing:
        hearing.bind(("0.0.0.0", VXLAN_PORT))
        hearing.settimeout(3)
        send(node, lab.client.address, strange)
        assert hearing.recv(100) == strange


def test_names_are_asked_at_gateways_by_containers_and_the_node_alone(lab: RulesLab) -> None:
    node, gateway = lab.nodes["n1"], gateway_of("back", "n1")
    lab.client.ip(f"route replace {gateway}/32 via {node.address}")
    try:
        with echo(node, 53):
            for udp in (False, True):
                for stranger in (lab.client, lab.containers["neighbour"]):
                    with pytest.raises(TimeoutError):
                        ask(stranger, gateway, 53, udp=udp, within=SILENCE)
                for friend in (lab.containers["db1"], node):
                    assert ask(friend, gateway, 53, udp=udp).server == "n1"
                assert ask(lab.client, node.address, 53, udp=udp).server == "n1"
    finally:
        lab.client.ip(f"route delete {gateway}/32")


def test_what_nodes_send_each_other_still_comes(lab: RulesLab) -> None:
    for udp in (False, True):
        assert ask(lab.containers["app1"], address_of("web2", "front"), PORT, udp=udp).server == "web2"


def test_what_listens_on_the_node_is_outside_of_an_internal_network(lab: RulesLab) -> None:
    node = lab.nodes["n1"]
    inside, outside = gateway_of("back", "n1"), gateway_of("front", "n1")

    with node.call(lambda: socket.create_server(("0.0.0.0", HIDDEN))):
        for address in (inside, str(node.address)):
            with pytest.raises(ConnectionRefusedError):
                lab.containers["db1"].call(partial(socket.create_connection, (address, HIDDEN), 2))
        lab.containers["app1"].call(lambda: socket.create_connection((outside, HIDDEN), 2).close())
