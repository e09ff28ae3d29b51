"""Real packets between containers of two nodes, over what is planned and carried out; and every loss mended."""

from collections.abc import AsyncIterator
from contextlib import ExitStack

import pytest
from support.netlab import Namespace, NetLab, NetNode, ask, echo, netlab, why_not
from support.pictures import a_network, a_peer, a_picture

from agent.network.links import Operation, plan
from agent.network.netlink import Kernel
from agent.network.wanted import wanted

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

PORT = 7000
MUCH = bytes(range(256)) * 4096


class Site:
    """A node with its network, two containers, and the kernel port inside."""

    def __init__(self, lab: NetLab, node: NetNode, number: int) -> None:
        self.node, self.number = node, number
        self.network = a_network(
            "ingress0001", f"10.0.{number}.0/24", vni=4097, is_ingress=True
        )  # fmt: skip
        node.bridge(self.network.bridge, f"{self.network.gateway}/24")
        self.containers = [
            lab.container(node, self.network.bridge, f"10.0.{number}.{last}/24", str(self.network.gateway))
            for last in (10, 11)
        ]
        self.kernel = Kernel(node.enter)
        self.picture = a_picture(self.network)

    async def meet(self, others: "list[Site]") -> None:
        peers = tuple(
            a_peer(site.node.name, str(site.network.subnet), str(site.node.address), self.network.id) for site in others
        )
        underlay = await self.kernel.underlay_of(str(self.node.address))
        self.picture = a_picture(self.network, peers=peers, node_id=self.node.name, underlay=underlay)

    async def mend(self) -> tuple[Operation, ...]:
        """One round; the answer is what it did."""
        ports = await self.kernel.ports_of([each.pid for each in self.containers], self.picture.networks)
        want = wanted(self.picture, ports)
        operations = plan(want, await self.kernel.read(self.picture, ports))
        for operation in operations:
            await self.kernel.perform(operation)
        assert plan(want, await self.kernel.read(self.picture, ports)) == ()
        return operations


@pytest.fixture
async def sites() -> AsyncIterator[list[Site]]:
    with netlab() as lab:
        made = [Site(lab, lab.node(f"node-{number}"), number) for number in (1, 2)]
        try:
            for site in made:
                await site.meet(made)
                await site.mend()
            with ExitStack() as servers:
                for site in made:
                    for container in site.containers:
                        servers.enter_context(echo(container, PORT))
                yield made
        finally:
            for site in made:
                await site.kernel.close()


def reach(client: Namespace, server: Namespace, payload: bytes = b"x") -> None:
    answer = ask(client, server.name, PORT, payload)
    assert (answer.server, answer.client, answer.payload) == (server.name, client.name, payload)


async def test_containers_of_different_nodes_reach_each_other(sites: list[Site]) -> None:
    for client in sites[0].containers:
        for server in sites[1].containers:
            reach(client, server)
            reach(server, client, MUCH)
            answer = ask(client, server.name, PORT, MUCH[:60000], udp=True)
            assert (answer.client, answer.payload) == (client.name, MUCH[:60000])
