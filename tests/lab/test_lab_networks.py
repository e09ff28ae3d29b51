"""Overlay networks with real packets: three nodes, two networks, the routing mesh. One lab for all tests here."""

import itertools
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from support.lab import lab
from support.net_lab import ENGINES, NODES, Ask, NetLab, engine_folder
from support.net_stack import EMPTY, STACK, WEB, the_stack

pytestmark = [pytest.mark.lab, pytest.mark.docker, pytest.mark.etcd, pytest.mark.timeout(300)]

SIZES, LARGE = (1, 1024, 64_000), 10_000_000
# Nobody is told "no" later than that.
AT_ONCE = 1.0
# Names and ports are right everywhere by then; within a second where the machine is not busy with other tests.
SOON = 3.0
REPAIRED = 15.0
# What is lost, a resolver asks again after so long.
ASKED_AGAIN_AFTER = 5.0
# Each of two loads, a second.
RATE = 100
KERNEL_KINDS = {
    "route": "ip route del {subnet}",
    "neighbour": "ip neigh del {vtep} dev {device}",
    "fdb entry": "bridge fdb del {mac} dev {device}",
    "rule": "ip rule del fwmark {mark}",
    "route of the mesh": "ip route flush table {mark}",
    "vxlan device": "ip link del {device}",
    "packet rules": "nft delete table ip swarmpy",
    "one packet rule": "nft flush chain ip swarmpy passing",
    "the engine's chain": "iptables -D DOCKER-USER 1",
    "bridge": "ip link del {bridge}",
}
# What others do to the rules within a second of a change of ours is mended, and not told: there is nothing to compare
# with yet. The rest is for a busy machine.
TOLD_AFTER = 3.0
RULES = ("packet rules", "one packet rule")
# The others are looked for now and then.
NOTICED_AT_ONCE = ("route", "vxlan device", "bridge")


@pytest.fixture(
    scope="module", params=["machine", *(pytest.param(version, marks=pytest.mark.long) for version in ENGINES)]
)
def net(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NetLab]:
    """On the machine's own engine, and in the long run on newer ones."""
    engine = None if request.param == "machine" else engine_folder(request.param)
    with lab(nodes=3, engine=engine) as made:
        found = NetLab.of(made, tmp_path_factory.mktemp("nets"))
        found.fleet.allow_silence("1m")
        found.deploy(STACK, the_stack())
        yield found


@pytest.fixture(scope="module")
def reachable(net: NetLab) -> Iterator[Ask]:
    """A server of the machine, which the nodes reach and which answers whatever it is sent."""
    with socket.create_server((net.client, 0)) as server:

        def greet() -> None:
            while True:
                try:
                    connection = server.accept()[0]
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    connection.sendall(
                        b"HTTP/1.1 200 OK\r\nX-Host: machine\r\nX-Taken: 1\r\nContent-Length: 1\r\n\r\n0"
                    )

        threading.Thread(target=greet, daemon=True).start()
        yield {"how": "tcp", "to": net.client, "port": server.getsockname()[1], "timeout": 2}
        server.shutdown(socket.SHUT_RDWR)


def faults(answers: list[tuple[str, Ask, dict[str, Any]]]) -> list[str]:
    """Of each that failed or was answered by another than it asked."""
    return [
        f"{asker} asks {ask['target']} at {ask['to']} by {ask['how']}, {ask['size']} bytes: "
        f"{answer['error'] or 'answered by ' + answer['host']}"
        for asker, ask, answer in answers
        if answer["error"] or answer["host"] != ask["target"]
    ]


@pytest.mark.parametrize("network", ["a", "b"])
def test_every_pair_of_nodes_by_name_virtual_address_and_task_address(net: NetLab, network: str) -> None:
    places: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for number, node in enumerate(NODES, 1):
        service = f"{network}{number}"
        full, target = f"{STACK}_{service}", f"{network}-{node}"
        (task,) = net.task_addresses(full, f"{STACK}_{network}").values()
        ways = (service, full, f"tasks.{service}", net.vip(full, f"{STACK}_{network}"), task)
        for asker, where in enumerate(NODES, 1):
            asks = places.setdefault((where, f"{STACK}_{network}{asker}"), [])
            for way, how, size in itertools.product(ways, ("tcp", "udp"), SIZES):
                asks.append({"how": how, "to": way, "size": size, "target": target})
            asks += [{"how": "tcp", "to": way, "size": LARGE, "target": target} for way in (service, task)]
            asks.append({"how": "udp", "to": service, "size": LARGE, "target": target})
    answers = net.from_containers(places)
    assert len(answers) == 9 * (5 * 2 * 3 + 3)
    assert faults(answers) == []


def test_a_container_on_two_networks_is_asked_and_asks_on_both(net: NetLab) -> None:
    places: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for number, node in enumerate(NODES, 1):
        for network in "ab":
            for how in ("tcp", "udp"):
                there = {"how": how, "to": f"{network}{number}", "size": 1000, "target": f"{network}-{node}"}
                places.setdefault(("node-2", f"{STACK}_both"), []).append(there)
                back = {"how": how, "to": "both", "size": 1000, "target": "a-node-2"}
                places.setdefault((node, f"{STACK}_{network}{number}"), []).append(back)
    assert faults(net.from_containers(places)) == []


def test_from_outside_every_node_serves_the_published_port_and_the_client_is_seen(net: NetLab) -> None:
    hosts: dict[str, set[str]] = {}
    for node, address in net.addresses.items():
        tcp = [{"how": "tcp", "to": address, "port": WEB, "size": size} for size in (*SIZES * 5, LARGE)]
        udp = [{"how": "udp", "to": address, "port": 9000, "size": size} for size in (*SIZES * 5, LARGE)]
        for answer in net.from_outside([*tcp, *udp]):
            assert (answer["error"], answer["peer"]) == ("", net.client)
            hosts.setdefault(node, set()).add(answer["host"])
    assert hosts == {node: {"web-1", "web-2", "web-3"} for node in NODES}


@pytest.mark.parametrize("node", NODES)
def test_on_the_node_itself_the_port_is_served_at_localhost_and_at_its_address(net: NetLab, node: str) -> None:
    asks = [
        {"how": how, "to": to, "port": port, "size": 1000}
        for how, port in (("tcp", WEB), ("udp", 9000))
        for to in ("127.0.0.1", net.addresses[node])
        for _ in range(8)
    ]
    answers = net.from_node(node, asks)
    assert [answer["error"] for answer in answers if answer["error"]] == []
    assert {answer["host"] for answer in answers} == {"web-1", "web-2", "web-3"}


def test_a_container_reaches_published_ports_of_every_node(net: NetLab) -> None:
    asks = [{"how": "tcp", "to": address, "port": WEB} for address in net.addresses.values() for _ in range(4)]
    for service in ("a1", "b1"):
        answers = net.from_container("node-1", f"{STACK}_{service}", asks)
        assert [answer["error"] for answer in answers if answer["error"]] == []


def test_networks_are_apart(net: NetLab) -> None:
    """By task address and by virtual address, on the same node and across; names of the other are not known."""
    of_b = net.task_addresses(f"{STACK}_b1", f"{STACK}_b") | net.task_addresses(f"{STACK}_b2", f"{STACK}_b")
    places = [*of_b.values(), net.vip(f"{STACK}_b1", f"{STACK}_b"), "b1"]
    asks = [{"how": how, "to": to, "timeout": 1} for to in places for how in ("tcp", "udp")]
    answers = net.from_container("node-1", f"{STACK}_a1", asks)
    assert [answer["host"] for answer in answers] == [""] * len(asks)


def test_an_internal_network_has_no_way_out_and_works_inside(net: NetLab, reachable: Ask) -> None:
    inside, outside = net.from_container("node-1", f"{STACK}_c1", [{"how": "tcp", "to": "c2"}, reachable])
    assert (inside["error"], inside["host"]) == ("", "c-node-2")
    assert outside["host"] == ""
    (other,) = net.from_container("node-1", f"{STACK}_a1", [reachable])
    assert (other["error"], other["host"]) == ("", "machine")


def test_without_a_back_end_everybody_is_refused_at_once(net: NetLab) -> None:
    asks = [{"how": "tcp", "to": address, "port": EMPTY} for address in net.addresses.values()]
    inside = net.from_container("node-1", f"{STACK}_a1", [{"how": "tcp", "to": "empty"}])
    there = net.from_node("node-1", [{"how": "tcp", "to": "127.0.0.1", "port": EMPTY}])
    for answer in [*net.from_outside(asks), *inside, *there]:
        assert "refused" in answer["error"]
        assert answer["seconds"] < AT_ONCE


def test_the_names_of_a_service_follow_its_scale_at_once_on_every_node(net: NetLab) -> None:
    name, service = "tasks.web", f"{STACK}_web"
    lags: dict[str, float] = {}
    for replicas in (5, 3):
        with ExitStack() as watching:
            watchers = {
                node: watching.enter_context(net.names_inside(node, f"{STACK}_a{number}", [name]))
                for number, node in enumerate(NODES, 1)
            }
            net.fleet.scale(service, replicas, by="node-1")
            net.fleet.until(f"{replicas} run", partial(_runs, net, service, replicas))
            told, right = time.monotonic(), sorted(net.running(service))
            net.until_known(name, right, within=SOON + 2)
        for node, watcher in watchers.items():
            at = next(line["at"] for line in watcher.lines if line["addresses"] == right)
            lags[f"{node} at {replicas}"] = round(at - told, 3)
    print(f"\nnames right after: {lags}")  # noqa: T201
    assert max(lags.values()) <= SOON


def test_no_request_fails_while_its_service_is_scaled_updated_and_moved(net: NetLab) -> None:
    inside = [{"how": "tcp", "to": "web", "size": 1000}]
    mesh = [{"how": "tcp", "to": address, "port": WEB, "size": 1000} for address in net.addresses.values()]
    with net.load_inside("node-1", f"{STACK}_a1", inside, RATE) as by_name, net.load_outside(mesh, RATE) as by_port:
        net.must("service", "scale", f"{STACK}_web=5")
        net.must("service", "scale", f"{STACK}_web=2")
        net.must("service", "update", "--env-add", "RELEASE=2", f"{STACK}_web")
        net.must("node", "update", "--availability", "drain", "node-3")
        net.fleet.until("its tasks run elsewhere", lambda: "node-3" not in net.nodes_of(f"{STACK}_web"))
        net.must("node", "update", "--availability", "active", "node-3")
        net.must("service", "scale", f"{STACK}_web=3")
    net.fleet.until("the pinned ones are back", lambda: net.nodes_of(f"{STACK}_a3") == {"node-3"})
    print(f"\nby name: {by_name.figures}\nby port: {by_port.figures}")  # noqa: T201
    assert (by_name.report["faults"], by_port.report["faults"]) == ([], [])
    assert min(by_name.report["requests"], by_port.report["requests"]) > 3 * RATE


@pytest.mark.parametrize(
    "kind", [kind if kind in NOTICED_AT_ONCE else pytest.param(kind, marks=pytest.mark.long) for kind in KERNEL_KINDS]
)
def test_what_somebody_deletes_in_the_kernel_of_a_node_comes_back_and_is_told(net: NetLab, kind: str) -> None:
    node, peer = "node-2", "node-1"
    if kind in RULES:
        began = time.monotonic()
        net.fleet.until("the rules are at rest", lambda: time.monotonic() - began > TOLD_AFTER)
    before, said = net.kernel_of(node), net.repairs(node)
    subnet = net.subnet_of(peer, f"{STACK}_a")
    delete = KERNEL_KINDS[kind].format(
        subnet=subnet,
        vtep=subnet.network_address,
        mac="02:00:" + ":".join(f"{byte:02x}" for byte in subnet.network_address.packed),
        device=net.device_to(node, subnet),
        bridge=net.device_to(node, net.subnet_of(node, f"{STACK}_a")),
        mark=int(net.subnet_of(peer, "ingress").network_address),
    )
    done = net.lab.execute(node, "sh", "-c", delete)
    assert done.code == 0, done.all
    seconds = net.seconds_until("all is back", lambda: net.kernel_of(node) == before, REPAIRED)
    net.seconds_until("it is told", lambda: len(net.repairs(node)) > len(said), REPAIRED)
    print(f"\n{kind}: back after {seconds:.2f} s: {net.repairs(node)[-1]}")  # noqa: T201
    asks = [{"how": how, "to": to, "timeout": 2} for how in ("tcp", "udp") for to in ("a2", "a1", "a3")]
    for asker, number in (("node-1", 1), (node, 2)):
        answers = net.from_container(asker, f"{STACK}_a{number}", asks)
        assert [answer["error"] for answer in answers if answer["error"]] == []


@pytest.mark.long
@pytest.mark.parametrize(("number", "manner"), [(2, signal.SIGKILL), (3, signal.SIGTERM)], ids=["killed", "told"])
def test_names_are_answered_while_the_agent_of_the_node_ends_and_starts_again(
    net: NetLab, number: int, manner: signal.Signals
) -> None:
    """What is asked meanwhile waits, and is neither refused nor lost. Once for each node: from the second end in a row
    on, there is a pause before the next start."""
    node = f"node-{number}"
    net.fleet.until("three replicas run", partial(_runs, net, f"{STACK}_web", 3))
    right = sorted(net.running(f"{STACK}_web"))
    net.forget_containers()
    net.until_known("tasks.web", right, within=10)
    by_name = [{"how": "dns", "to": name} for name in ("web", "tasks.web", "a1", f"a{number}")]
    before = net.lab.node(node).processes["agent"]
    with net.load_inside(node, f"{STACK}_a{number}", by_name, RATE) as asking:
        net.lab.signal_process(node, "agent", manner)
        net.fleet.until("the next one runs", lambda: net.lab.node(node).processes.get("agent", before) != before)
        net.until_known("tasks.web", right, within=10)
    print(f"\nby name, over an end of the agent: {asking.figures}")  # noqa: T201
    assert asking.report["faults"] == []
    assert asking.report["slowest"] < ASKED_AGAIN_AFTER
    assert asking.report["requests"] > RATE / 2


def _runs(net: NetLab, service: str, replicas: int) -> bool:
    return len(net.running(service)) == replicas
