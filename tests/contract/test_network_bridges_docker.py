"""A bridge of the engine's that was deleted by hand: made again under its containers, and still the engine's."""

import http.client
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from ipaddress import IPv4Address
from typing import Any

import docker
import docker.errors
import pytest
from support.dockerd import Dockerd
from support.images import BUSYBOX
from support.pictures import a_network, a_picture

from agent.network import lists
from agent.network.links import BridgePort, leftovers, plan
from agent.network.netlink import Kernel
from agent.network.picture import LocalTask, Picture
from agent.network.wanted import wanted

pytestmark = pytest.mark.docker

NETWORK = a_network("bridgetest01", "10.0.1.0/24")
SERVES = ["httpd", "-f", "-p", "80", "-h", "/www"]


class Owner:
    """Who has an engine, a network on it, and containers there."""

    def __init__(self, engine: Dockerd) -> None:
        self.engine, self.client = engine, engine.client()
        self._containers: list[str] = []
        pool = docker.types.IPAMPool(subnet=str(NETWORK.subnet), gateway=str(NETWORK.gateway))
        self.client.create_network(
            NETWORK.name,
            driver="bridge",
            ipam=docker.types.IPAMConfig(pool_configs=[pool]),
            options={"com.docker.network.bridge.name": NETWORK.bridge, "com.docker.network.driver.mtu": "1450"},
        )

    def run(self, address: str) -> int:
        """A web server; its first process, as the engine numbers it."""
        endpoint = self.client.create_endpoint_config(ipv4_address=address)
        networking: Any = {"EndpointsConfig": {NETWORK.name: endpoint}}
        container = self.client.create_container(BUSYBOX, SERVES, networking_config=networking)["Id"]
        self._containers.append(container)
        self.client.start(container)
        return int(self.client.inspect_container(container)["State"]["Pid"])

    def page_of(self, address: str) -> bytes:
        with self.engine.network():
            connection = http.client.HTTPConnection(address, 80, timeout=3)
            connection.request("GET", "/index.html")
            page = connection.getresponse().read()
            connection.close()
        return page

    def close(self) -> None:
        while self._containers:
            self.client.remove_container(self._containers.pop(), force=True)
        with suppress(docker.errors.NotFound):
            self.client.remove_network(NETWORK.name)
        self.client.close()


@pytest.fixture
def owner(real_engine: Dockerd) -> Iterator[Owner]:
    made = Owner(real_engine)
    try:
        yield made
    finally:
        made.close()
        for device in (NETWORK.bridge, "up0"):
            if device in real_engine.run("ip", "-o", "link"):
                real_engine.run("ip", "link", "del", device)


@pytest.fixture
async def kernel(real_engine: Dockerd) -> AsyncIterator[Kernel]:
    kernel = Kernel(lambda: lists.enter(real_engine.pid))
    yield kernel
    await kernel.close()


@pytest.fixture
async def picture(real_engine: Dockerd, kernel: Kernel) -> Picture:
    real_engine.run("ip", "link", "add", "name", "up0", "type", "veth", "peer", "name", "up1")
    real_engine.run("ip", "addr", "add", "192.0.2.1/24", "dev", "up0")
    real_engine.run("ip", "link", "set", "dev", "up0", "up")
    return a_picture(NETWORK, underlay=await kernel.underlay_of("192.0.2.1"))


async def test_a_deleted_bridge_is_there_again_under_its_containers(
    real_engine: Dockerd, owner: Owner, kernel: Kernel, picture: Picture
) -> None:
    pid = real_engine.pid_here(owner.run("10.0.1.10"))
    for operation in plan(wanted(picture), await kernel.read(picture)):
        await kernel.perform(operation)
    assert owner.page_of("10.0.1.10") == b"hello\n"
    real_engine.run("ip", "link", "del", NETWORK.bridge)
    task = LocalTask("t", "s", {NETWORK.id: IPv4Address("10.0.1.10")}, pid=pid)
    ports = (await kernel.ports_of([task], picture.networks))[pid]

    for operation in plan(wanted(picture, ports), await kernel.read(picture, ports)):
        await kernel.perform(operation)

    assert {port.bridge for port in ports} == {NETWORK.bridge}
    assert all(isinstance(port, BridgePort) for port in ports)
    assert owner.page_of("10.0.1.10") == b"hello\n"
    owner.run("10.0.1.11")
    assert owner.page_of("10.0.1.11") == b"hello\n"


async def test_a_bridge_made_again_goes_with_its_network(
    real_engine: Dockerd, owner: Owner, kernel: Kernel, picture: Picture
) -> None:
    real_engine.run("ip", "link", "del", NETWORK.bridge)
    for operation in plan(wanted(picture), await kernel.read(picture)):
        await kernel.perform(operation)
    owner.close()

    gone = a_picture(underlay=picture.underlay)
    for removal in leftovers(wanted(gone), await kernel.read(gone), frozenset()):
        await kernel.perform(removal)

    assert NETWORK.bridge not in real_engine.run("ip", "-o", "link")
