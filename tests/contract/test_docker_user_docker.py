"""What an engine's firewall lets through with our rules in it: what is ours, and nothing else that it would not."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import docker
import pytest
from support.dockerd import Dockerd
from support.images import BUSYBOX
from support.netlab import Joined, Namespace, ask, echo
from support.pictures import a_network

from agent.engine.docker_wire import bridge_options
from agent.network.docker_user import DockerUser

pytestmark = pytest.mark.docker

PORT, PUBLISHED, IN_THE_MESH = 7000, 7001, 7002
SILENCE = 0.4
NETWORK = a_network("dockerusr001", "10.0.1.0/24")
OTHER = a_network("dockerusr002", "10.0.2.0/24")
OURS, DOOR, PLAIN = "10.0.1.10", "10.0.2.10", "10.0.9.10"
OUTSIDE, NODE, PEER = "192.0.2.2", "192.0.2.1", "10.0.3.10"


@pytest.fixture(scope="module")
def machines(real_engine: Dockerd) -> Iterator[dict[str, Namespace]]:
    """Containers on two networks of ours, the second internal, and on one of the engine; somebody outside; and, behind
    a VXLAN device in all but its kind, one on another node."""
    client = real_engine.client()
    with ExitStack() as after:
        after.callback(client.close)
        made: dict[str, Namespace] = {}
        for name, address, options in (
            ("ours", OURS, bridge_options(NETWORK.id, "20.10")),
            ("door", DOOR, bridge_options(OTHER.id, "20.10")),
            ("plain", PLAIN, {}),
        ):
            made[name] = _container(real_engine, client, after, f"docker-user-{name}", address, options)
        for name, device, address, here in (
            ("outside", "up0", OUTSIDE, NODE),
            ("peer", NETWORK.vtep, PEER, "10.0.3.1"),
        ):
            made[name] = machine = Namespace(name)
            after.callback(machine.close)
            for line in (
                f"link add name {device} type veth peer name eth0 netns {machine.pid}",
                f"addr add {here}/24 dev {device}",
                f"link set {device} up",
            ):
                real_engine.run("ip", *line.split())
            after.callback(real_engine.run, "ip", "link", "del", device)
            machine.ip(f"addr add {address}/24 dev eth0", "link set eth0 up", f"route add default via {here}")
        _translate(real_engine, after)
        for machine in made.values():
            for port in (PORT, IN_THE_MESH, IN_THE_MESH + 1):
                after.enter_context(echo(machine, port))
        yield made


def _translate(engine: Dockerd, after: ExitStack) -> None:
    """As our rules do, for two ports of the node."""
    targets = f"map {{ {IN_THE_MESH} : {OURS}, {IN_THE_MESH + 1} : {PEER} }}"
    for command in (
        "add table ip dockerusr",
        "add chain ip dockerusr mesh { type nat hook prerouting priority -105; }",
        f"add rule ip dockerusr mesh ip daddr {NODE} dnat to tcp dport {targets}",
    ):
        engine.run("nft", command)
    after.callback(engine.run, "nft", "delete table ip dockerusr")


def _container(
    engine: Dockerd, client: docker.APIClient, after: ExitStack, name: str, address: str, options: dict[str, str]
) -> Namespace:
    """It publishes a port in the engine's own way."""
    subnet = address.rpartition(".")[0]
    pool = docker.types.IPAMPool(subnet=f"{subnet}.0/24", gateway=f"{subnet}.1")
    client.create_network(
        name,
        driver="bridge",
        ipam=docker.types.IPAMConfig(pool_configs=[pool]),
        options=options,
        internal=address == DOOR,
    )
    after.callback(client.remove_network, name)
    networking: Any = {"EndpointsConfig": {name: client.create_endpoint_config(ipv4_address=address)}}
    published: dict[int | str, Any] = {PORT: PUBLISHED} if not options else {}
    container = client.create_container(
        BUSYBOX,
        ["sleep", "600"],
        ports=list(published),
        host_config=client.create_host_config(port_bindings=published),
        networking_config=networking,
    )["Id"]
    after.callback(client.remove_container, container, force=True)
    client.start(container)
    pid = int(client.inspect_container(container)["State"]["Pid"])
    made = Joined(name, engine.pid_here(pid))
    made.ip(f"route replace default via {subnet}.1")
    return made


# Who asks whom at which port.
WAYS = {
    "another node": ("peer", OURS, PORT),
    "to another node": ("ours", PEER, PORT),
    "an internal network": ("peer", DOOR, PORT),
    "from an internal network": ("door", PEER, PORT),
    "by a door": ("ours", DOOR, PORT),
    "in by the mesh": ("outside", NODE, IN_THE_MESH),
    "through the mesh to another node": ("outside", NODE, IN_THE_MESH + 1),
    "a port of the engine's from outside": ("outside", NODE, PUBLISHED),
    "out": ("ours", OUTSIDE, PORT),
    "the engine's bridge": ("ours", PLAIN, PORT),
    "from the engine's bridge": ("plain", OURS, PORT),
    "a port of the engine's": ("ours", NODE, PUBLISHED),
    "another node to the engine's bridge": ("peer", PLAIN, IN_THE_MESH),
    "outside, to its address": ("outside", OURS, PORT),
}
BY_ENGINE = {"to another node", "a port of the engine's from outside", "out"}
BY_US = {
    "another node", "an internal network", "from an internal network", "by a door", "in by the mesh",
    "through the mesh to another node",
}  # fmt: skip


def passing(machines: dict[str, Namespace]) -> set[str]:
    with ThreadPoolExecutor(len(WAYS)) as asking:
        found = asking.map(lambda way: _passes(machines[way[0]], *way[1:]), WAYS.values())
        return {name for name, passes in zip(WAYS, found, strict=True) if passes}


def _passes(machine: Namespace, address: str, port: int) -> bool:
    try:
        ask(machine, address, port, within=SILENCE)
    except OSError:
        return False
    return True


async def test_what_is_ours_passes_and_what_the_engine_keeps_apart_stays_apart(
    real_engine: Dockerd, machines: dict[str, Namespace]
) -> None:
    ours = DockerUser(("nsenter", f"--net=/proc/{real_engine.pid}/ns/net", "iptables"))
    for device in (NETWORK.bridge, OTHER.bridge):
        real_engine.run("sysctl", "-q", "-w", f"net.ipv4.conf.{device}.rp_filter=0")
    # An engine closes this only where it was the one to switch forwarding on, which is seldom so on a busy machine.
    policy = real_engine.run("iptables", "-S", "FORWARD").splitlines()[0].split()[-1]
    real_engine.run("iptables", "-P", "FORWARD", "DROP")
    try:
        before = passing(machines)
        await ours.mend()
        assert passing(machines) - before == BY_US
        assert before == BY_ENGINE
        await ours.remove()
        assert passing(machines) == before
    finally:
        await ours.remove()
        real_engine.run("iptables", "-P", "FORWARD", policy)
