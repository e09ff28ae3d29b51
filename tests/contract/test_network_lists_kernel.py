"""What is read of the kernel in a namespace where others may do as they like."""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import closing

import pytest
from pyroute2 import IPRoute
from support.netlab import Namespace, why_not

from agent.network import messages
from agent.network.lists import Lists, hear_the_kernel_alone
from agent.network.nft import Nft

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())


@pytest.fixture
def machine() -> Iterator[Namespace]:
    made = Namespace("container")
    try:
        yield made
    finally:
        made.close()


def a_netlink_socket() -> socket.socket:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    made.bind((0, 0))
    return made


def test_nobody_but_the_kernel_is_heard(machine: Namespace) -> None:
    endless = struct.pack("=IHHII", 0, messages.NEW_LINK, 0, 1, 0)
    with machine.call(a_netlink_socket) as attacker, closing(machine.call(Lists)) as lists:
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                attacker.sendto(endless, (lists._socket.getsockname()[0], 0))
            assert [link.name for link in lists.links() if link.name == "lo"] == ["lo"]


def test_nobody_but_the_kernel_is_heard_while_routes_are_put(machine: Namespace) -> None:
    def put() -> int:
        with closing(IPRoute()) as changes, socket.socket(fileno=os.dup(changes.fileno())) as same:
            hear_the_kernel_alone(same)
            changes.route("add", dst="198.51.100.0/24", oif=1)
            with a_netlink_socket() as attacker, pytest.raises(ConnectionRefusedError):
                attacker.sendto(bytes(20), (same.getsockname()[0], 0))
            return len(list(changes.get_routes(dst="198.51.100.0/24")))

    assert machine.call(put) == 1


def test_an_errand_ends_in_time_whatever_is_inside(machine: Namespace) -> None:
    with closing(machine.call(lambda: Lists(within=0))) as lists, pytest.raises(TimeoutError, match="too long"):
        lists.links()


async def test_each_script_is_one_generation_and_listing_is_none(machine: Namespace) -> None:
    nft = Nft(("nsenter", f"--net=/proc/{machine.pid}/ns/net", "nft"), machine.enter)
    before = await nft.generation()
    assert before is not None
    await nft.apply("add table ip another\nadd table bridge another\n")
    assert await nft.generation() == before + 1
    await nft.fingerprint()
    await nft.probe()
    assert await nft.generation() == before + 1
    machine.nft("delete table ip another\ndelete table bridge another\n")
    assert await nft.generation() == before + 2


async def test_rules_that_cannot_be_listed_are_not_taken_for_none() -> None:
    assert await Nft(("no-such-nft",)).fingerprint() is None
