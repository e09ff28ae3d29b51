"""Datagrams of many packets to a service: real fragments, whether or not bridged frames pass the rules of IP, and
whatever room the underlay left when the engine made its networks."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from support.netlab import Answer, ask, why_not
from support.rules_lab import CONTAINERS, PORT, RulesLab, Wanted, address_of, gateway_of, mac_of, rules_lab

from agent.network.links import Put
from agent.network.netlink import Kernel
from agent.network.wanted import wanted

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

HERE, THERE = Wanted("here", 5, ("web1",)), Wanted("there", 6, ("web2",))
AS_NOW, LARGER, SMALLER = 1450, 1500, 1400
# What one packet carries of one that is as large as these networks allow, and the least that needs two.
SIZES = (1400, AS_NOW - 28, AS_NOW - 27, LARGER - 28, LARGER - 27, 3000, 65_000)


@pytest.fixture(scope="module", params=["1", "0"], ids=["bridges pass iptables", "bridges do not"])
def rules(request: pytest.FixtureRequest) -> Iterator[RulesLab]:
    with rules_lab() as lab:
        for node in lab.nodes.values():
            node.run("sh", "-c", f"echo {request.param} > /proc/sys/net/bridge/bridge-nf-call-iptables")
        lab.provide(HERE, THERE)
        yield lab


@pytest.fixture(scope="module", params=[AS_NOW, LARGER, SMALLER], ids=["as now", "larger before", "smaller before"])
def lab(rules: RulesLab, request: pytest.FixtureRequest) -> RulesLab:
    """Containers have the MTU of the engine's networks, and bridges what the agent gives them."""
    for name, (node, _, networks) in CONTAINERS.items():
        for number, network in enumerate(networks):
            veth = f"v{int(IPv4Address(address_of(name, network))):08x}"
            rules.nodes[node].ip(f"link set {veth} mtu {request.param}")
            rules.containers[name].ip(f"link set eth{number} mtu {request.param}")
    asyncio.run(bridges_are_as_wanted(rules))
    return rules


async def bridges_are_as_wanted(lab: RulesLab) -> None:
    for name, picture in lab.pictures.items():
        kernel = Kernel(lab.nodes[name].enter)
        try:
            by_pid = await kernel.ports_of(picture.tasks.values(), picture.networks)
            macs = {network.bridge: mac_of(id, name) for id, network in picture.networks.items()}
            for bridge in wanted(picture, frozenset().union(*by_pid.values())).bridges:
                await kernel.perform(Put(replace(bridge, mac=macs[bridge.name])))
        finally:
            await kernel.close()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("asking", "service", "seen"),
    [
        ("app1", HERE, address_of("app1", "front")),
        ("web1", HERE, gateway_of("front", "n1")),
        ("app1", THERE, address_of("app1", "front")),
        ("web1", THERE, address_of("web1", "front")),
    ],
    ids=["same bridge", "itself", "another node", "another node, from two networks"],
)
def test_a_datagram_of_any_size_reaches_the_service_and_its_answer_the_client(
    lab: RulesLab, asking: str, service: Wanted, seen: str, size: int
) -> None:
    payload = bytes(number % 251 for number in range(size))
    assert told_the_size(lab, asking, service, payload) == Answer(service.backends[0], seen, payload)


def told_the_size(lab: RulesLab, asking: str, service: Wanted, payload: bytes) -> Answer:
    """A larger packet than the way carries is sent once more, in pieces, by who has been told so, be it the one that
    asks or the one that answers."""
    for _ in range(2):
        try:
            return ask(lab.containers[asking], service.vip, PORT, payload, udp=True, within=0.5)
        except OSError:
            continue
    return ask(lab.containers[asking], service.vip, PORT, payload, udp=True)
