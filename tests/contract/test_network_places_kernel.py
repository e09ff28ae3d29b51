"""Who may change the devices of a container does not choose which bridge of the node it, or another one, is on."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from support.netlab import Namespace, NetLab, NetNode, netlab, why_not
from support.pictures import a_network

from agent.network.links import BridgePort
from agent.network.netlink import Kernel
from agent.network.picture import LocalNetwork, LocalTask

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

OURS, OTHER = a_network("ours", "10.0.1.0/24"), a_network("other", "10.0.5.0/24", vni=4098)
NETWORKS = {network.id: network for network in (OURS, OTHER)}


@dataclass
class Land:
    lab: NetLab
    node: NetNode

    def container(self, network: LocalNetwork) -> tuple[Namespace, str]:
        """One with that network's tenth address, and the node's end of its veth."""
        made = Namespace("container")
        self.lab.own(made)
        return made, self.lab.attach(made, self.node, network.bridge, f"{network.subnet[10]}/24", "eth0")


def _index(machine: Namespace) -> str:
    return machine.run("ip", "-o", "link", "show", "dev", "eth0").split(":")[0]


@pytest.fixture
def land() -> Iterator[Land]:
    with netlab() as lab:
        node = lab.node("node-1")
        for network in NETWORKS.values():
            node.bridge(network.bridge, f"{network.gateway}/24")
        yield Land(lab, node)


async def places(land: Land, *tasks: LocalTask) -> dict[int, frozenset[BridgePort]]:
    kernel = Kernel(land.node.enter)
    try:
        return dict(await kernel.ports_of(tasks, NETWORKS))
    finally:
        await kernel.close()


def a_task(made: Namespace, network: LocalNetwork) -> LocalTask:
    return LocalTask(made.name, "s", {network.id: network.subnet[10]}, pid=made.pid)


async def test_another_networks_address_moves_a_container_nowhere(land: Land) -> None:
    made, device = land.container(OURS)
    made.ip(f"addr add {OTHER.subnet[66]}/24 dev eth0")

    assert await places(land, a_task(made, OURS)) == {made.pid: {BridgePort(device, OURS.bridge)}}


async def test_a_pair_that_was_made_inside_names_nobody_elses_device(land: Land) -> None:
    """Its indexes are those of another container's veth, on both ends."""
    victim, device = land.container(OTHER)
    there = land.node.run("ip", "-o", "link", "show", "dev", device).split(":")[0]
    inside = _index(victim)
    made, _ = land.container(OURS)
    address = OURS.subnet[10]
    made.ip("link set eth0 down", "link del eth0")
    made.ip(f"link add name eth0 index {inside} type veth peer name eth9 index {there}")
    made.ip("link set eth0 up", "link set eth9 up", f"addr add {address}/24 dev eth0")

    assert await places(land, a_task(made, OURS)) == {made.pid: frozenset()}
    assert await places(land, a_task(victim, OTHER)) == {victim.pid: {BridgePort(device, OTHER.bridge)}}
