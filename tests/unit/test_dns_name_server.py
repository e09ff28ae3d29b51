"""The name server as the network keeper uses it: what it says of a gateway that it cannot listen on."""

import asyncio
import socket
from contextlib import suppress
from ipaddress import IPv4Address

from structlog.testing import capture_logs
from support.dns import a_dns_picture, a_local_network

from agent.dns.names import NameServer
from agent.dns.upstream import PORT
from swarmpy.clock import SystemClock

GATEWAY = "127.0.11.1"
NETWORK = a_local_network("id-front", name="front", on_engine=True, gateway=IPv4Address(GATEWAY))


async def test_a_gateway_that_cannot_be_listened_on_is_said_once_by_the_name_of_its_network() -> None:
    with capture_logs() as said, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        # Who may not hold that port may not listen on it either.
        with suppress(PermissionError):
            holder.bind((GATEWAY, PORT))
        names = NameServer(SystemClock())
        serving = asyncio.ensure_future(names.serve())
        async with asyncio.timeout(10):
            while not said:
                await names.show(a_dns_picture(networks=(NETWORK,)))
                await asyncio.sleep(0.01)
        await names.show(a_dns_picture(networks=(NETWORK,)))
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving
    assert [(line["event"], line["network"]) for line in said] == [("dns.not_listening", "front")]
    assert GATEWAY in said[0]["reason"]
