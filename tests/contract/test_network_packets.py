"""Real packets between containers of two nodes, over what is planned and carried out; and every loss mended."""

from collections.abc import AsyncIterator, Set
from contextlib import ExitStack

import pytest
from support.kernels import lose_by_hand
from support.netlab import Namespace, NetLab, NetNode, ask, echo, netlab, why_not
from support.pictures import a_network, a_peer, a_picture

from agent.network.links import BridgePort, Operation, Thing, plan
from agent.network.netlink import Kernel
from agent.network.picture import LocalTask
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

    def tasks(self) -> list[LocalTask]:
        held = zip(self.containers, (10, 11), strict=True)
        return [
            LocalTask(each.name, "", {self.network.id: self.network.subnet[last]}, pid=each.pid) for each, last in held
        ]

    def things(self) -> list[Thing]:
        want = wanted(self.picture)
        parts: tuple[Set[Thing], ...] = (want.neighbours, want.fdb, want.routes, want.rules, want.sysctls, want.vteps)
        return [thing for part in parts for thing in sorted(part, key=repr)]

    async def mend(self) -> tuple[Operation, ...]:
        """One round; the answer is what it did."""
        by_pid = await self.kernel.ports_of(self.tasks(), self.picture.networks)
        ports = frozenset(port for held in by_pid.values() for port in held)
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


async def test_whatever_is_lost_by_hand_comes_back_and_packets_pass(sites: list[Site]) -> None:
    here, there = sites
    for thing in here.things():
        lose_by_hand(here.node, thing)

        assert await here.mend(), thing

        reach(here.containers[0], there.containers[1])
        reach(there.containers[0], here.containers[1])


async def test_a_bridge_that_was_lost_has_its_containers_again(sites: list[Site]) -> None:
    here, there = sites
    reach(here.containers[0], there.containers[0])
    here.node.ip(f"link del {here.network.bridge}")

    mended = await here.mend()

    assert sum(isinstance(operation.thing, BridgePort) for operation in mended) == len(here.containers)
    for container in here.containers:
        reach(there.containers[0], container, MUCH)


async def test_a_device_that_is_down_is_up_again(sites: list[Site]) -> None:
    here, there = sites
    here.node.ip(f"link set {here.network.vtep} down", f"link set {here.network.bridge} down")

    await here.mend()

    reach(here.containers[0], there.containers[0])


async def test_nothing_of_others_is_touched(sites: list[Site]) -> None:
    (here, _) = sites
    here.node.ip(
        "link add name docker0 type bridge",
        "addr add 172.17.0.1/16 dev docker0",
        "link set docker0 up",
        "route add 10.99.0.0/16 dev docker0",
        "neigh add 172.17.0.9 lladdr 02:42:00:00:00:09 dev docker0",
        "rule add fwmark 7 lookup 77 priority 100",
        "route add default dev docker0 table 77",
    )
    before = strangers(here.node)

    here.picture = a_picture(underlay=here.picture.underlay)
    await here.mend()

    assert strangers(here.node) == before
    assert here.node.run("ip", "rule", "show", "priority", "21001") == ""
    assert here.network.vtep not in here.node.run("ip", "link")


async def test_other_devices_keep_their_reverse_path_filter(sites: list[Site]) -> None:
    (here, _) = sites
    here.node.sysctl(conf__all__rp_filter=1, conf__eth0__rp_filter=0, conf__lo__rp_filter=2)

    await here.mend()

    show = "cat /proc/sys/net/ipv4/conf/{all,eth0,lo}/rp_filter"
    assert here.node.run("bash", "-c", show).split() == ["0", "1", "2"]


def strangers(node: Namespace) -> list[str]:
    """All that is not ours, line by line."""
    lists = ("ip -o addr", "ip route show table all", "ip neigh show nud permanent", "ip rule")
    lines = [line for command in lists for line in node.run(*command.split()).splitlines()]
    return [line for line in lines if "spx" not in line and "spb" not in line and not line.startswith("2100")]
