"""The server on real sockets: by UDP and TCP, with garbage and with addresses that come and go."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address

import dns.asyncquery
import dns.flags
import dns.message
import dns.name
import dns.rcode
import pytest
from support.addresses import UDP, a_free_port
from support.dns import ScriptedDns, a_dns_picture, a_local_network, a_mapped, an_endpoint, says, scripted_dns

from agent.dns.forwards import FORWARDS_OF_ONE
from agent.dns.server import CONNECTIONS_OF_ONE, DnsServer
from agent.dns.upstream import QUESTIONS_AT_ONCE, Upstream
from agent.dns.zone import zone_of
from swarmpy.clock import SystemClock

FRONT, BACK, SHUT = "127.0.9.1", "127.0.9.2", "127.0.9.3"
OUTSIDE = "127.0.9.9"
# Of no device here: what the address of a bridge is before the engine has made it.
NOT_YET = "192.0.2.77"
MANY = tuple(an_endpoint("many", slot, f"10.9.1.{slot}") for slot in range(2, 100))
ZONE = zone_of(
    a_dns_picture(
        a_mapped("web", vip="10.8.1.5"),
        a_mapped("web", vip="10.8.2.5", network="back"),
        a_mapped("many"),
        *MANY,
        networks=(a_local_network("front", 1), a_local_network("back", 2), a_local_network("shut", 3, internal=True)),
    )
)


@dataclass
class Served:
    server: DnsServer
    port: int
    outside: ScriptedDns

    async def udp(self, name: str, where: str = FRONT, **options: object) -> dns.message.Message:
        query = dns.message.make_query(name, "A", **options)  # type: ignore[arg-type]
        return await dns.asyncquery.udp(query, where, timeout=5, port=self.port)

    async def tcp(self, name: str, where: str = FRONT) -> dns.message.Message:
        return await dns.asyncquery.tcp(dns.message.make_query(name, "A"), where, timeout=5, port=self.port)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    port = a_free_port(FRONT, UDP)
    clock = SystemClock()
    server = DnsServer(Upstream(clock, lambda: (OUTSIDE,), port=port), clock, port)
    server.show(ZONE)
    gateways = {"front": FRONT, "back": BACK, "shut": SHUT}
    assert server.listen_on({id: IPv4Address(address) for id, address in gateways.items()}) == {}
    serving = asyncio.ensure_future(server.serve())
    async with scripted_dns(says("1.2.3.4"), OUTSIDE, port) as outside:
        yield Served(server, port, outside)
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving


def addresses(answer: dns.message.Message) -> list[str]:
    return [record.to_text() for rrset in answer.answer for record in rrset]


@pytest.mark.parametrize(("where", "expected"), [(FRONT, "10.8.1.5"), (BACK, "10.8.2.5")])
async def test_each_gateway_answers_for_its_network(served: Served, where: str, expected: str) -> None:
    assert addresses(await served.udp("web", where)) == [expected]
    assert addresses(await served.tcp("web", where)) == [expected]


async def test_names_of_outside_are_asked_there_by_either_way(served: Served) -> None:
    assert addresses(await served.udp("example.com")) == ["1.2.3.4"]
    assert addresses(await served.tcp("example.org")) == ["1.2.3.4"]


async def test_what_was_asked_outside_is_remembered_for_both_ways(served: Served) -> None:
    for _ in range(3):
        assert addresses(await served.udp("example.com")) == addresses(await served.tcp("EXAMPLE.com")) == ["1.2.3.4"]
    assert len(served.outside.asked) == 1


async def test_an_internal_network_is_told_nothing_of_outside(served: Served) -> None:
    assert (await served.udp("example.com", SHUT)).rcode() == dns.rcode.REFUSED
    assert (await served.tcp("example.com", SHUT)).rcode() == dns.rcode.REFUSED


async def test_a_long_answer_is_cut_by_udp_and_whole_by_tcp(served: Served) -> None:
    cut = await served.udp("many")
    assert cut.flags & dns.flags.TC
    assert len(addresses(await served.udp("many", use_edns=0, payload=1232))) > len(addresses(cut))
    assert len(addresses(await served.tcp("many"))) == len(MANY)


async def test_several_questions_go_over_one_connection(served: Served) -> None:
    reader, writer = await asyncio.open_connection(FRONT, served.port)
    for id in range(3):
        wire = dns.message.make_query("web", "A", id=id).to_wire()
        writer.write(struct.pack("!H", len(wire)) + wire)
        length = struct.unpack("!H", await reader.readexactly(2))[0]
        assert dns.message.from_wire(await reader.readexactly(length)).id == id
    writer.close()


async def test_garbage_harms_nobody(served: Served) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as garbler:
        for length in range(200):
            garbler.sendto(bytes([length]) * length, (FRONT, served.port))
    _, writer = await asyncio.open_connection(FRONT, served.port)
    writer.write(b"\xff\xff short")
    writer.close()
    assert addresses(await served.udp("web")) == ["10.8.1.5"]
    assert addresses(await served.tcp("web")) == ["10.8.1.5"]


async def test_one_asker_cannot_take_all_connections(served: Served) -> None:
    connections = [await asyncio.open_connection(FRONT, served.port) for _ in range(CONNECTIONS_OF_ONE)]
    reader, writer = await asyncio.open_connection(FRONT, served.port)
    async with asyncio.timeout(5):
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
    for _, each in [*connections, (reader, writer)]:
        each.close()


async def test_one_asker_cannot_take_all_that_is_asked_outside(served: Served) -> None:
    def is_slow(query: dns.message.Message, by_stream: bool) -> dns.message.Message | None:
        is_quick = query.question[0].name == dns.name.from_text("quick.org")
        return says("1.2.3.4")(query, by_stream) if is_quick else None  # type: ignore[return-value]

    served.outside.script = is_slow
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as greedy:
        greedy.bind(("127.0.9.50", 0))
        for number in range(QUESTIONS_AT_ONCE + FORWARDS_OF_ONE):
            greedy.sendto(dns.message.make_query(f"x{number}.org", "A").to_wire(), (FRONT, served.port))
        assert addresses(await served.udp("quick.org")) == ["1.2.3.4"]


async def test_a_gateway_can_be_listened_on_before_its_address_exists_and_others_stay(served: Served) -> None:
    assert served.server.listen_on({"front": IPv4Address(FRONT), "new": IPv4Address(NOT_YET)}) == {}
    assert addresses(await served.udp("web")) == ["10.8.1.5"]
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(BACK, served.port)


async def test_a_port_that_another_holds_is_named_and_taken_when_it_is_free(served: Served) -> None:
    async with AsyncExitStack() as stack:
        holder = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        holder.bind(("127.0.9.4", served.port))
        problems = served.server.listen_on({"front": IPv4Address("127.0.9.4")})
        assert "127.0.9.4" in problems["front"] and "in use" in problems["front"]
    assert served.server.listen_on({"front": IPv4Address("127.0.9.4")}) == served.server.problems == {}
    assert addresses(await served.udp("web", "127.0.9.4")) == ["10.8.1.5"]
