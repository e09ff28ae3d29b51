"""Pictures of a node's networks to make names of, a scripted server of outside names, and a client."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv4Network
from typing import Any, cast

import dns.message
import dns.rrset

from agent.network.picture import LocalNetwork, LocalTask, Picture, Underlay
from swarmpy.network_map import Endpoint, IndexedMap, MappedPort, MappedService, NetworkMap, Peer

UNDERLAY = Underlay(IPv4Address("192.168.0.1"), "eth0")


def a_local_network(id: str = "front", number: int = 1, **fields: Any) -> LocalNetwork:
    """`front` is 10.9.N.0/24 here and 10.9.1N.0/24 on the other node; VIPs are in 10.8.N.0/24."""
    return LocalNetwork(
        id=id,
        name=fields.pop("name", id),
        subnet=IPv4Network(f"10.9.{number}.0/24"),
        gateway=fields.pop("gateway", IPv4Address(f"10.9.{number}.1")),
        vni=4096 + number,
        mtu=1450,
        service_subnets=(IPv4Network(f"10.8.{number}.0/24"),),
        **fields,
    )


def an_endpoint(service: str, slot: int, address: str, network: str = "front", task: str = "") -> Endpoint:
    return Endpoint(
        network_id=network,
        task_id=task or f"{service}{slot}".ljust(25, "z"),
        service_id=f"id-{service}",
        node_id="n2",
        address=address,
        slot=slot,
    )


def a_mapped(*names: str, vip: str = "", network: str = "front", ports: tuple[MappedPort, ...] = ()) -> MappedService:
    return MappedService(network_id=network, service_id=f"id-{names[0]}", names=names, vip=vip, ports=ports)


def a_dns_picture(
    *entries: MappedService | Endpoint | Peer,
    networks: tuple[LocalNetwork, ...] = (),
    tasks: Mapping[str, LocalTask] | None = None,
) -> Picture:
    told = NetworkMap(
        peers=tuple(entry for entry in entries if isinstance(entry, Peer)),
        services=tuple(entry for entry in entries if isinstance(entry, MappedService)),
        endpoints=tuple(entry for entry in entries if isinstance(entry, Endpoint)),
    )
    local = {network.id: network for network in networks or (a_local_network(),)}
    return Picture("n1", UNDERLAY, local, IndexedMap.of(told), tasks or {})


def a_local_task(id: str, nameservers: tuple[str, ...] = (), **addresses: str) -> LocalTask:
    return LocalTask(id, "id-own", {net: IPv4Address(text) for net, text in addresses.items()}, nameservers)


Script = Callable[[dns.message.Message, bool], bytes | dns.message.Message | None]


def says(text: str, ttl: int = 60) -> Script:
    """Answers every question with this address."""

    def script(query: dns.message.Message, by_stream: bool) -> dns.message.Message:
        response = dns.message.make_response(query)
        response.answer.append(dns.rrset.from_text(query.question[0].name, ttl, "IN", "A", text))
        return response

    return script


def is_silent(query: dns.message.Message, by_stream: bool) -> None:
    return None


class ScriptedDns:
    """A server that answers as its script says: with bytes, a message, or not at all. Keeps the questions."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[dns.message.Message] = []
        self.asked_by_stream = 0

    def answer(self, wire: bytes, by_stream: bool) -> bytes | None:
        query = dns.message.from_wire(wire)
        self.asked.append(query)
        self.asked_by_stream += by_stream
        answer = self.script(query, by_stream)
        return answer.to_wire(max_size=65535) if isinstance(answer, dns.message.Message) else answer


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: ScriptedDns) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        answer = self._server.answer(data, by_stream=False)
        if answer is not None:
            self._transport.sendto(answer, addr)


@asynccontextmanager
async def scripted_dns(script: Script, address: str, port: int) -> AsyncIterator[ScriptedDns]:
    server = ScriptedDns(script)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = struct.unpack("!H", await reader.readexactly(2))[0]
        answer = server.answer(await reader.readexactly(length), by_stream=True)
        if answer is not None:
            writer.write(struct.pack("!H", len(answer)) + answer)
            await writer.drain()
        writer.close()

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(server), local_addr=(address, port))
    streams = await asyncio.start_server(converse, address, port)
    try:
        yield server
    finally:
        transport.close()
        streams.close()
        await streams.wait_closed()
