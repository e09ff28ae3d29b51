"""The name server from one agent to the next: what is asked meanwhile is answered, and no address stays taken."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager, closing, suppress
from datetime import timedelta
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

import dns.asyncquery
import dns.message
import pytest
from structlog.testing import capture_logs
from support.addresses import TCP, UDP, a_free_port, is_free
from support.dns import a_dns_picture, a_local_network, a_mapped, is_silent, says, scripted_dns
from support.waits import BOUND, until

from agent.descriptors import Heirlooms, heirlooms_of
from agent.dns.forwards import FORWARDS_OF_ONE
from agent.dns.kept_sockets import KeptSockets
from agent.dns.server import DnsServer
from agent.dns.upstream import Patience, Upstream
from agent.dns.zone import zone_of
from swarmpy.clock import Clock, ManualClock, SystemClock
from swarmpy.descriptors import GIVEN, NOTIFY_SOCKET, told
from swarmpy.node.descriptor_store import DescriptorStore

FRONT, BACK, OUTSIDE = "127.0.10.1", "127.0.10.2", "127.0.10.9"
SYSTEM_CLOCK = SystemClock()
# However busy the machine is, it asks once.
PATIENT = Patience(whole=timedelta(seconds=BOUND), step=timedelta(seconds=BOUND))
ZONE = zone_of(
    a_dns_picture(a_mapped("web", vip="10.8.1.5"), networks=(a_local_network("front", 1), a_local_network("back", 2)))
)
BOTH = {"front": FRONT, "back": BACK}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DescriptorStore]:
    made = DescriptorStore(tmp_path / "agent" / "notify.sock")
    made.listen_to(os.getpid())
    yield made
    made.close()


@pytest.fixture
def port() -> int:
    return a_free_port(FRONT, UDP)


class UnwatchableOnce(KeptSockets):
    """The first pair has a file in place of one socket: no loop takes it, as none takes any where it has no room."""

    def __init__(self, heirlooms: Heirlooms, which: int) -> None:
        super().__init__(heirlooms)
        self._which: int | None = which

    def take(self, network_id: str, address: IPv4Address, port: int) -> tuple[socket.socket, socket.socket]:
        pair = super().take(network_id, address, port)
        if self._which is not None:
            with Path(__file__).open() as file:
                os.dup2(file.fileno(), pair[self._which].fileno())
            self._which = None
        return pair


@asynccontextmanager
async def an_agent(
    store: DescriptorStore,
    port: int,
    sockets_of: Callable[[Heirlooms], KeptSockets] = KeptSockets,
    clock: Clock = SYSTEM_CLOCK,
) -> AsyncIterator[DnsServer]:
    """It has not been told yet what there is to answer."""
    store.pause()
    copies = copies_of(store)
    store.listen_to(os.getpid())
    sockets = sockets_of(heirlooms_of(store.variables | {GIVEN: told(copies)}))
    server = DnsServer(Upstream(clock, lambda: (OUTSIDE,), PATIENT, port), clock, port, sockets)
    serving = asyncio.ensure_future(server.serve())
    await asyncio.sleep(0)
    yield server
    serving.cancel()
    with suppress(asyncio.CancelledError):
        await serving


def copies_of(store: DescriptorStore) -> dict[str, int]:
    """As by inheritance."""
    return {name: os.dup(number) for name, number in store.kept.items()}


def listen(server: DnsServer, gateways: Mapping[str, str]) -> Mapping[str, str]:
    server.show(ZONE)
    return server.listen_on({id: IPv4Address(address) for id, address in gateways.items()})


async def ask(port: int, where: str = FRONT, *, by_stream: bool = False) -> list[str]:
    how = dns.asyncquery.tcp if by_stream else dns.asyncquery.udp
    answer = await how(dns.message.make_query("web", "A"), where, timeout=BOUND, port=port)
    return [record.to_text() for rrset in answer.answer for record in rrset]


def names_of(*networks: str) -> set[str]:
    return {f"dns/{network}/{kind}" for network in networks for kind in ("udp", "tcp")}


@pytest.mark.parametrize("by_stream", [False, True], ids=["udp", "tcp"])
async def test_what_is_asked_while_no_agent_runs_is_answered_by_the_next(
    store: DescriptorStore, port: int, by_stream: bool
) -> None:
    async with an_agent(store, port) as first:
        assert listen(first, BOTH) == {}
    asking = asyncio.ensure_future(ask(port, by_stream=by_stream))
    async with an_agent(store, port) as second:
        # It knows nothing yet, and therefore says nothing.
        await asyncio.wait({asking}, timeout=0.1)
        assert not asking.done()
        assert listen(second, BOTH) == {}
        assert await asking == ["10.8.1.5"]
        assert await ask(port, BACK, by_stream=by_stream) == []


def test_a_gateways_socket_has_room_for_more_than_the_usual_one(port: int) -> None:
    udp, tcp = KeptSockets().take("front", IPv4Address(FRONT), port)
    with udp, tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as usual:
        assert room_of(udp) > room_of(usual)


def room_of(udp: socket.socket) -> int:
    return udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


@pytest.mark.parametrize("is_same", [False, True], ids=["different names", "one name"])
async def test_many_questions_for_outside_that_waited_for_an_agent_are_all_answered(
    store: DescriptorStore, port: int, is_same: bool
) -> None:
    ids = set(range(2 * FORWARDS_OF_ONE))
    names = {id: "x.org" if is_same else f"x{id}.org" for id in ids}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.setblocking(False)
        async with an_agent(store, port) as first:
            listen(first, BOTH)
            await until(lambda: len(store.kept) == 4)
        for id, name in names.items():
            asker.sendto(dns.message.make_query(name, "A", id=id).to_wire(), (FRONT, port))
        async with scripted_dns(says("1.2.3.4"), OUTSIDE, port) as outside, an_agent(store, port) as second:
            listen(second, BOTH)
            answers = [await received(asker) for _ in ids]
        assert {answer.id for answer in answers} == ids
        assert all(str(answer.question[0].name) == f"{names[answer.id]}." and answer.answer for answer in answers)
        assert len(outside.asked) == len(set(names.values()))


async def test_an_agent_that_ends_asks_for_nobody_any_more(store: DescriptorStore, port: int) -> None:
    before = asyncio.all_tasks()
    async with scripted_dns(is_silent, OUTSIDE, port) as outside, an_agent(store, port) as server:
        listen(server, BOTH)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            for id in range(2 * FORWARDS_OF_ONE):
                asker.sendto(dns.message.make_query(f"x{id}.org", "A").to_wire(), (FRONT, port))
        await until(lambda: len(outside.asked) == FORWARDS_OF_ONE)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def received(asker: socket.socket) -> dns.message.Message:
    async with asyncio.timeout(BOUND):
        return dns.message.from_wire(await asyncio.get_running_loop().sock_recv(asker, 4096))


async def test_each_agent_takes_over_from_the_one_before(store: DescriptorStore, port: int) -> None:
    for _ in range(3):
        async with an_agent(store, port) as server:
            assert listen(server, BOTH) == {}
            assert await ask(port) == await ask(port, by_stream=True) == ["10.8.1.5"]
    await until(lambda: set(store.kept) == names_of("front", "back"))


async def test_the_gateway_of_a_network_that_goes_is_free(store: DescriptorStore, port: int) -> None:
    async with an_agent(store, port) as server:
        listen(server, BOTH)
        await until(lambda: len(store.kept) == 4)
        assert not is_free(BACK, port, UDP, TCP)
        listen(server, {"front": FRONT})
        await until(lambda: set(store.kept) == names_of("front"))
        assert is_free(BACK, port, UDP, TCP)
        # A network that was made anew may have that address.
        assert listen(server, {"front": FRONT, "anew": BACK}) == {}


async def test_a_network_made_anew_with_the_same_gateway_is_answered_within_moments_and_nothing_is_said(
    store: DescriptorStore, port: int
) -> None:
    async with an_agent(store, port) as first:
        listen(first, {"gone": FRONT, "old": BACK})
        await until(lambda: len(store.kept) == 4)
    with capture_logs() as said:
        # By that clock, no second passes.
        async with an_agent(store, port, clock=ManualClock()) as second:
            # One went while no agent ran, one goes now; a pass more of the keeper changes nothing.
            listen(second, {"front": FRONT, "old": BACK})
            listen(second, {"front": FRONT, "back": BACK})
            listen(second, {"front": FRONT, "back": BACK})
            await until(lambda: not second.problems)
            assert await ask(port) == ["10.8.1.5"]
            assert await ask(port, BACK) == []
            await until(lambda: set(store.kept) == names_of("front", "back"))
    assert said == []


async def test_a_network_that_went_while_no_agent_ran_is_forgotten(store: DescriptorStore, port: int) -> None:
    async with an_agent(store, port) as first:
        listen(first, BOTH)
    async with an_agent(store, port) as second:
        await until(lambda: len(store.kept) == 4)
        listen(second, {"front": FRONT})
        await until(lambda: set(store.kept) == names_of("front"))
        assert is_free(BACK, port, UDP, TCP)
        assert await ask(port) == ["10.8.1.5"]


async def test_a_network_with_another_gateway_than_before_is_answered_there(store: DescriptorStore, port: int) -> None:
    async with an_agent(store, port) as first:
        listen(first, {"front": FRONT})
    async with an_agent(store, port) as second:
        listen(second, {"front": BACK})
        assert await ask(port, BACK) == await ask(port, BACK, by_stream=True) == ["10.8.1.5"]
        await until(lambda: is_free(FRONT, port, UDP, TCP))
        assert set(store.kept) == names_of("front")


async def test_what_is_no_such_socket_is_replaced(store: DescriptorStore, port: int) -> None:
    """Of another kind or family, without an address, or not listening."""
    with ExitStack() as stack:
        datagram = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        deaf = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        deaf.bind((BACK, port))
        one, other = map(stack.enter_context, socket.socketpair())
        heirlooms = heirlooms_of(store.variables)
        for name, odd in zip(sorted(names_of("front", "back")), (deaf, datagram, one, other), strict=True):
            heirlooms.keep(name, odd)
        heirlooms.close()
    async with an_agent(store, port) as server:
        listen(server, BOTH)
        async with asyncio.timeout(BOUND):
            while listen(server, BOTH):
                await asyncio.sleep(0.01)
        for by_stream in (False, True):
            assert await ask(port, by_stream=by_stream) == ["10.8.1.5"]
            assert await ask(port, BACK, by_stream=by_stream) == []


async def test_one_protocol_is_not_kept_without_the_other(store: DescriptorStore, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as holder:
        holder.bind((FRONT, port))
        holder.listen()
        async with an_agent(store, port) as server:
            assert set(listen(server, BOTH)) == {"front"}
            await until(lambda: set(store.kept) == names_of("back"))
            holder.close()
            assert listen(server, BOTH) == {}
            await until(lambda: len(store.kept) == 4)


async def test_a_supervisor_whose_place_is_gone_does_not_keep_the_agents_from_listening(
    store: DescriptorStore, port: int
) -> None:
    place = Path(store.variables[NOTIFY_SOCKET])
    async with an_agent(store, port) as first:
        listen(first, BOTH)
        await until(lambda: len(store.kept) == 4)
    with closing(heirlooms_of({NOTIFY_SOCKET: str(place / "none"), GIVEN: told(copies_of(store))})) as untold:
        server = DnsServer(Upstream(SYSTEM_CLOCK, lambda: (), port=port), SYSTEM_CLOCK, port, KeptSockets(untold))
        assert listen(server, BOTH) == {}
        serving = asyncio.ensure_future(server.serve())
        assert await ask(port) == ["10.8.1.5"]
        serving.cancel()
    place.unlink()
    async with an_agent(store, port) as third:
        assert listen(third, BOTH) == {}
        assert await ask(port) == ["10.8.1.5"]


@pytest.mark.parametrize("which", [0, 1], ids=["udp", "tcp"])
async def test_sockets_that_could_not_be_listened_on_are_not_kept(
    store: DescriptorStore, port: int, which: int
) -> None:
    async with an_agent(store, port, partial(UnwatchableOnce, which=which)) as server:
        problem = listen(server, {"front": FRONT})["front"]
        assert "Operation not permitted" in problem
        assert "end what else" not in problem
        await until(lambda: is_free(FRONT, port, UDP, TCP))
        assert listen(server, {"front": FRONT}) == {}
        assert await ask(port) == await ask(port, by_stream=True) == ["10.8.1.5"]
        await until(lambda: set(store.kept) == names_of("front"))


async def test_when_the_supervisor_ends_every_address_is_free(store: DescriptorStore, port: int) -> None:
    async with an_agent(store, port) as server:
        listen(server, BOTH)
    store.pause()
    assert len(store.kept) == 4
    store.close()
    assert is_free(FRONT, port, UDP, TCP)
    assert is_free(BACK, port, UDP, TCP)
