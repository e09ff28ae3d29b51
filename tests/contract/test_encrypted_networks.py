"""Real packets of an encrypted network: they arrive, and nobody between two nodes can read one or slip one in. Each
assertion that something is not seen has its counterpart on a plain network, where it is."""

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from support.netlab import Namespace, NetLab, NetNode, ask, echo, netlab
from support.pictures import a_network, a_peer, a_picture
from support.tunnels import TunnelNode, tapped, why_not

from agent.network.links import plan
from agent.network.netlink import Kernel
from agent.network.nft import Nft
from agent.network.picture import VXLAN_PORT, LocalNetwork, LocalTask, bridge_mac, overhead_of, vtep_mac
from agent.network.rules import rules_of
from agent.network.table import render
from agent.network.tunnel_keeper import TunnelKeeper
from agent.network.wanted import wanted
from swarmpy.errors import SwarmpyError

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

PORT = 7000
PATTERN = b"the crown jewels are in the cellar"
MUCH = PATTERN * 10_000
SECRET, PLAIN = "secret000001", "plain0000001"
SECOND_NUMBERS = {SECRET: 10, PLAIN: 11}


class Site:
    """A node on both networks, with a container on each."""

    def __init__(self, lab: NetLab, node: NetNode, number: int, folder: Path) -> None:
        self.node, self.number = node, number
        self.served = TunnelNode(node)
        self.tunnel = TunnelKeeper(self.served.wg, folder / node.name / "wireguard.key")
        self.networks = {id: _network(id, number) for id in (SECRET, PLAIN)}
        self.containers = {id: self._container(lab, network) for id, network in self.networks.items()}
        self.kernel = Kernel(node.enter)
        self.nft = Nft(("nsenter", f"--net=/proc/{node.pid}/ns/net", "nft"))
        self.picture = a_picture()

    def _container(self, lab: NetLab, network: LocalNetwork) -> Namespace:
        gateway = f"{network.gateway}/24"
        self.node.bridge(network.bridge, gateway, network.mtu)
        address = f"{network.subnet[10]}/24"
        return lab.container(self.node, network.bridge, address, str(network.gateway), mtu=network.mtu)

    async def meet(self, others: "list[Site]") -> None:
        peers = [
            a_peer(site.node.name, str(network.subnet), str(site.node.address), network.id).model_copy(
                update={"wireguard_key": await site.tunnel.public_key() if network.encrypted else ""}
            )
            for site in others
            for network in site.networks.values()
        ]
        underlay = await self.kernel.underlay_of(str(self.node.address))
        self.picture = a_picture(
            *self.networks.values(), peers=tuple(peers), node_id=self.node.name, underlay=underlay
        )  # fmt: skip

    async def mend(self) -> tuple[str, ...]:
        """One round, as the keeper makes it; the answer is what was refused."""
        await self.tunnel.differences()
        refused = [await self.tunnel.bring_about(self.picture)]
        held = ((id, self.networks[id].subnet[10], made.pid) for id, made in self.containers.items())
        tasks = [LocalTask(id, "", {id: address}, pid=pid) for id, address, pid in held]
        found = await self.kernel.ports_of(tasks, self.picture.networks)
        ports = frozenset(port for ports in found.values() for port in ports)
        for operation in plan(wanted(self.picture, ports), await self.kernel.read(self.picture, ports)):
            try:
                await self.kernel.perform(operation)
            except SwarmpyError as error:
                refused.append(str(error))
        macs = {id: bridge_mac(network.subnet) for id, network in self.networks.items()}
        await self.nft.apply(render(rules_of(self.picture, macs)))
        return tuple(filter(None, refused))

    async def close(self) -> None:
        await self.kernel.close()
        self.served.close()


@dataclass
class Land:
    """Two nodes, and a stranger beside them, to whom their default routes lead."""

    lab: NetLab
    stranger: NetNode
    here: Site
    there: Site

    async def sent(self, network: str) -> bool:
        """Whether the pattern, sent from here to there, is to be read by whoever listens on the switch."""
        with tapped(self.lab.switch, self.here.node.name) as tap, suppress(OSError):
            ask(self.here.containers[network], self.there.containers[network].name, PORT, PATTERN, udp=True, within=0.3)
        return tap.saw(PATTERN)


@pytest.fixture
async def land(tmp_path: Path) -> AsyncIterator[Land]:
    with netlab() as lab, ExitStack() as servers:
        stranger = lab.node("stranger")
        made = [Site(lab, lab.node(f"node-{number}"), number, tmp_path) for number in (1, 2)]
        try:
            for site in made:
                site.node.ip(f"route add default via {stranger.address}")
            for site in made:
                await site.meet(made)
            for site in made:
                assert await site.mend() == ()
                for container in site.containers.values():
                    servers.enter_context(echo(container, PORT))
            yield Land(lab, stranger, *made)
        finally:
            for site in made:
                await site.close()


def _network(id: str, number: int) -> LocalNetwork:
    second = SECOND_NUMBERS[id]
    return a_network(
        id,
        f"10.{second}.{number}.0/24",
        vni=4097 + second,
        mtu=1500 - overhead_of(encrypted=id == SECRET),
        encrypted=id == SECRET,
        ranges=(IPv4Network(f"10.{second}.0.0/16"),),
    )


def reach(client: Namespace, server: Namespace, payload: bytes = b"x", *, udp: bool = False) -> None:
    answer = ask(client, server.name, PORT, payload, udp=udp)
    assert (answer.server, answer.client, answer.payload) == (server.name, client.name, payload)


async def test_packets_of_every_size_arrive_with_the_senders_address(land: Land) -> None:
    here, there = land.here.containers[SECRET], land.there.containers[SECRET]
    for size in (1, 1300, 1362, 1363, 1500, 60_000):
        reach(here, there, MUCH[:size], udp=True)
    reach(here, there, MUCH)
    reach(there, here, MUCH)


async def test_what_is_sent_on_an_encrypted_network_is_not_to_be_read_between_the_nodes(land: Land) -> None:
    with tapped(land.lab.switch, land.here.node.name) as tap:
        reach(land.here.containers[SECRET], land.there.containers[SECRET], MUCH)
        reach(land.there.containers[SECRET], land.here.containers[SECRET], MUCH)
    assert len(tap.frames) > 100
    assert not tap.saw(PATTERN)

    with tapped(land.lab.switch, land.here.node.name) as tap:
        reach(land.here.containers[PLAIN], land.there.containers[PLAIN], MUCH)
    assert tap.saw(PATTERN)


async def test_a_tunnel_that_has_ended_lets_nothing_out_and_is_whole_again_when_it_is_back(land: Land) -> None:
    land.here.served.kill()

    assert not await land.sent(SECRET)
    (trouble, *_) = await land.here.mend()
    assert trouble.startswith("networks cannot be encrypted: the kernel has no WireGuard, and no wireguard-go serves")
    assert not await land.sent(SECRET)
    assert await land.sent(PLAIN)

    land.here.served.serve()
    assert await land.here.mend() == ()
    reach(land.here.containers[SECRET], land.there.containers[SECRET], MUCH)


async def test_without_its_routes_an_encrypted_network_does_not_take_the_default_route(land: Land) -> None:
    for network in land.here.networks.values():
        land.here.node.ip(f"link del {network.vtep}")

    assert not await land.sent(SECRET)
    assert await land.sent(PLAIN)


async def test_an_entry_that_leads_past_the_tunnel_leads_nowhere(land: Land) -> None:
    network, peer = land.here.networks[SECRET], land.there
    mac = vtep_mac(peer.networks[SECRET].subnet)
    land.here.node.run(*f"bridge fdb del {mac} dev {network.vtep}".split())
    land.here.node.run(*f"bridge fdb add {mac} dev {network.vtep} dst {peer.node.address}".split())

    assert not await land.sent(SECRET)

    assert await land.here.mend() == ()
    reach(land.here.containers[SECRET], land.there.containers[SECRET])


async def test_a_peer_without_a_key_is_not_reached_in_the_clear_either(land: Land) -> None:
    told = land.here.picture.map
    bare = {key: peer.model_copy(update={"wireguard_key": ""}) for key, peer in told.peers.items()}
    land.here.picture = a_picture(
        *land.here.networks.values(), peers=tuple(bare.values()), node_id="node-1", underlay=land.here.picture.underlay
    )
    assert await land.here.mend() == ()

    assert not await land.sent(SECRET)
    assert await land.sent(PLAIN)


async def test_nobody_slips_a_packet_into_an_encrypted_network(land: Land) -> None:
    """A peer's own word is taken for networks in the clear alone, and a stranger's for none."""
    seen = {}
    for id in (SECRET, PLAIN):
        for who, machine in (("stranger", land.stranger), ("peer", land.there.node)):
            wire, target = _forged(land.here.networks[id], id), (str(land.here.node.address), VXLAN_PORT)
            with (
                tapped(land.here.containers[id], "eth0") as tap,
                _sender(machine) as sending,
                suppress(PermissionError),
            ):
                sending.sendto(wire, target)
            seen[id, who] = tap.saw(PATTERN)

    assert [each for each, was_seen in seen.items() if was_seen] == [(PLAIN, "peer")]


async def test_a_peer_that_is_lost_by_hand_comes_back(land: Land) -> None:
    (key,) = land.here.served.show("peers").split()
    land.here.served.set("peer", key, "remove")

    assert await land.here.tunnel.differences() == (f"WireGuard peer {land.there.node.name} was missing",)
    assert await land.here.mend() == ()

    reach(land.here.containers[SECRET], land.there.containers[SECRET])


def _sender(machine: Namespace) -> socket.socket:
    return machine.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))


def _forged(network: LocalNetwork, id: str) -> bytes:
    """A datagram to the container here, as the other node would send it, in VXLAN's envelope."""
    source, target = IPv4Address(f"10.{SECOND_NUMBERS[id]}.2.10"), network.subnet[10]
    datagram = struct.pack("!HHHH", 1234, 9, 8 + len(PATTERN), 0) + PATTERN
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 1, 0, 64, 17, 0, source.packed, target.packed)
    head = head[:10] + struct.pack("!H", _checksum(head)) + head[12:]
    ethernet = bytes.fromhex(vtep_mac(network.subnet).replace(":", "")) + b"\2\0\0\0\0\7" + b"\x08\x00"
    return struct.pack("!II", 0x08000000, network.vni << 8) + ethernet + head + datagram


def _checksum(head: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(head) // 2}H", head))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total
