"""Networks while nodes are cut off, lose power, or processes of theirs die, under requests. Takes minutes."""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from ipaddress import IPv4Address

import pytest
from support.lab import lab
from support.net_lab import NODES, NetLab, Running
from support.net_stack import SERVES, STACK, WEB, a_service, the_stack

pytestmark = [
    pytest.mark.lab,
    pytest.mark.docker,
    pytest.mark.etcd,
    pytest.mark.long,
    pytest.mark.timeout(300),
]

RATE = 50
# Once a node is back, its names and everybody's of it are right by then.
HEALED = 5.0
# Shorter and longer than the time after which a silent node counts as down, with and without patience.
PATIENCE, SHORT_CUT = "40s", 20.0
LONG_CUT = 15.0
# A port of a service that has nothing on node-2.
STEADY = 8002
# An endpoint has left that long after the first fault of its container, which an engine took along; and everywhere
# that long after it has left somewhere.
LEFT, SHOWN = 2.5, 1.0


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NetLab]:
    with lab(nodes=3) as made:
        found = NetLab.of(made, tmp_path_factory.mktemp("nets"))
        found.deploy(STACK, the_stack())
        yield found


@pytest.fixture
def net(whole: NetLab) -> NetLab:
    """All there, and every name right everywhere, whatever the test before left behind."""
    whole.must("service", "scale", f"{STACK}_web=3")
    for number, node in enumerate(NODES, 1):
        whole.fleet.until(f"a{number} runs", partial(_runs_on, whole, f"{STACK}_a{number}", node))
    whole.fleet.until("three replicas run", lambda: len(whole.running(f"{STACK}_web")) == 3)
    whole.forget_containers()
    whole.until_known("tasks.web", sorted(whole.running(f"{STACK}_web")), within=60)
    return whole


@pytest.fixture
def patient(net: NetLab) -> Iterator[NetLab]:
    net.fleet.allow_silence(PATIENCE)
    yield net
    net.fleet.allow_silence("5s")


@pytest.fixture
def steady(net: NetLab) -> Iterator[str]:
    where = {"replicas": 2, "placement": {"constraints": ["node.hostname!=node-2"]}}
    service = a_service("a", ports=[f"{STEADY}:8080"], healthcheck=SERVES, deploy=where)
    net.deploy("steady", {"services": {"web": service}, "networks": {"a": {"external": True, "name": f"{STACK}_a"}}})
    yield "steady_web"
    net.must("stack", "rm", "steady")


@pytest.fixture
def watchers(net: NetLab) -> Iterator[str]:
    """A service with a task on every node, which stays there whatever the cluster thinks of the node."""
    everywhere = a_service("a", deploy={"mode": "global"})
    network = {"external": True, "name": f"{STACK}_a"}
    net.deploy("watch", {"services": {"all": everywhere}, "networks": {"a": network}})
    yield "watch_all"
    net.must("stack", "rm", "watch")


@pytest.mark.parametrize("process", ["agent", "manager", "etcd", "supervisor"])
def test_requests_go_on_while_a_process_of_the_leader_s_node_dies_and_starts_again(
    patient: NetLab, process: str
) -> None:
    net = patient
    before = net.fleet.containers()
    inside = [{"how": "tcp", "to": net.vip(f"{STACK}_web", f"{STACK}_a"), "size": 1000}]
    mesh = [{"how": "tcp", "to": address, "port": WEB, "size": 1000} for address in net.addresses.values()]
    with net.load_inside("node-2", f"{STACK}_a2", inside, RATE) as by_vip, net.load_outside(mesh, RATE) as by_port:
        if process == "supervisor":
            net.lab.signal_process("node-1", process, signal.SIGKILL)
            net.lab.start("node-1")
        else:
            net.lab.kill_process("node-1", process)
        net.fleet.until("a write is acknowledged", lambda: _is_scaled(net, 4))
        net.fleet.until("four run", lambda: len(net.running(f"{STACK}_web")) == 4)
        net.until_known("tasks.web", sorted(net.running(f"{STACK}_web")), within=HEALED)
        net.must("service", "scale", f"{STACK}_web=3")
    print(f"\n{process}: by virtual address {by_vip.figures}; by port {by_port.figures}")  # noqa: T201
    assert (by_vip.report["faults"], by_port.report["faults"]) == ([], [])
    assert all(before[node] & now for node, now in net.fleet.containers().items())


def test_names_are_answered_again_soon_after_the_agent_died(patient: NetLab) -> None:
    net = patient
    with net.load_inside("node-2", f"{STACK}_a2", [{"how": "dns", "to": "tasks.web"}], RATE) as names:
        began = time.monotonic()
        net.lab.kill_process("node-2", "agent")
        net.until_known("tasks.web", sorted(net.running(f"{STACK}_web")), within=2 * HEALED)
    said = names.report
    last = max((fault["at"] + fault["seconds"] - began for fault in said["faults"]), default=0.0)
    print(f"\nof {said['requests']} names {said['failed']} were not told, the last {last:.2f} s after the end; "  # noqa: T201
          f"the slowest took {said['slowest']:.2f} s")  # fmt: skip
    assert last <= HEALED


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "ended in good order"])
def test_an_engine_that_starts_again_under_load_has_its_networks_again(
    net: NetLab, steady: str, number: signal.Signals
) -> None:
    """Its own containers end with it, or as it starts again: the engine of a lab has no live-restore. Requests to those
    may fail until their endpoints have left; those to back ends of other nodes, by whichever node, may not."""
    own = _on(net, "node-2")
    assert own
    with ExitStack() as loads:
        others = _by_both_ways(net, loads, steady, STEADY)
        loads_on_all = _by_both_ways(net, loads, f"{STACK}_web", WEB)
        seen = loads.enter_context(net.names_inside("node-1", f"{STACK}_a1", ["tasks.web"]))
        began = time.monotonic()
        net.lab.signal_process("node-2", "dockerd", number)
        net.fleet.until("it ended", lambda: "dockerd" not in net.lab.node("node-2").processes)
        net.lab.start("node-2")
        net.fleet.until("its tasks run again", lambda: net.nodes_of(f"{STACK}_a2") == {"node-2"})
        net.fleet.until("three replicas run", lambda: len(net.running(f"{STACK}_web")) == 3)
    left = next(line["at"] for line in seen.lines if own.isdisjoint(line["addresses"]))
    faults = [fault for running in loads_on_all for fault in running.report["faults"]]
    first = min((fault["at"] for fault in faults), default=left)
    print(f"\nother nodes' back ends: {_figures(others)}\nwith its own: {_figures(loads_on_all)}")  # noqa: T201
    print(f"its own endpoint left {left - first:.2f} s after the first fault, {left - began:.2f} s after the signal")  # noqa: T201
    assert [running.report["faults"] for running in others] == [[], []]
    assert left - first <= LEFT
    assert [fault for fault in faults if fault["at"] > left + SHOWN] == []

    net.forget_containers()
    asks = [{"how": how, "to": to, "timeout": 2} for how in ("tcp", "udp") for to in ("a1", "a2", "a3", "web")]
    net.seconds_until(
        "all reach it, and it reaches all",
        lambda: (
            not [
                answer["error"]
                for number, node in enumerate(NODES, 1)
                for answer in net.from_container(node, f"{STACK}_a{number}", asks)
                if answer["error"]
            ]
        ),
        60,
    )


def test_a_cut_shorter_than_the_grace_restarts_nothing_and_names_are_right_soon_after(patient: NetLab) -> None:
    net = patient
    before = net.fleet.containers()
    with net.names_inside("node-3", f"{STACK}_a3", ["tasks.web"]) as names:
        net.lab.cut("node-3")
        cut = time.monotonic()
        net.must("service", "scale", "--detach", f"{STACK}_web=5")
        net.fleet.until("the cut has lasted", lambda: time.monotonic() - cut > SHORT_CUT)
        net.lab.heal("node-3")
        healed = time.monotonic()
        net.fleet.until("five run", lambda: len(net.running(f"{STACK}_web")) == 5)
        right = sorted(net.running(f"{STACK}_web"))
        net.until_known("tasks.web", right, within=HEALED + 5)
    after = net.fleet.containers()
    at = next(line["at"] for line in names.lines if line["addresses"] == right)
    print(f"\nnames on the node right {at - healed:.2f} s after it was healed")  # noqa: T201
    assert at - healed <= HEALED
    assert all(before[node] <= after[node] for node in NODES)
    net.must("service", "scale", f"{STACK}_web=3")


@pytest.mark.parametrize("node", ["node-3", "node-1"])
def test_after_a_cut_longer_than_the_grace_names_are_right_soon_and_nothing_is_doubled(
    net: NetLab, watchers: str, node: str
) -> None:
    """Of a worker, and of the only manager, which takes all others for lost."""
    before = net.fleet.containers()
    with ExitStack() as watching:
        seen = {where: watching.enter_context(net.names_inside(where, watchers, ["tasks.web"])) for where in NODES}
        net.lab.cut(node)
        cut = time.monotonic()
        lost = NODES[1:] if node == "node-1" else (node,)
        net.fleet.until("its replicas are replaced", lambda: not net.nodes_of(f"{STACK}_web") & set(lost))
        net.fleet.until("the cut has lasted", lambda: time.monotonic() - cut > LONG_CUT)
        assert [before[here] - now for here, now in net.fleet.containers().items()] == [set()] * len(NODES)
        net.lab.heal(node)
        healed = time.monotonic()
        net.fleet.until("nothing is doubled", lambda: _runs_once(net))
        right = sorted(net.running(f"{STACK}_web"))
        net.until_known("tasks.web", right, within=HEALED)
    last = {where: watcher.lines[-1] for where, watcher in seen.items()}
    lags = {where: round(line["at"] - healed, 2) for where, line in last.items()}
    print(f"\n{node} was cut off for {healed - cut:.1f} s; names right after it was healed: {lags}")  # noqa: T201
    assert [line["addresses"] for line in last.values()] == [right] * len(NODES)
    assert max(lags.values()) <= HEALED


def test_a_node_that_lost_power_leaves_names_and_ports_and_comes_back(net: NetLab) -> None:
    others = [address for node, address in net.addresses.items() if node != "node-3"]
    net.lab.kill("node-3")
    began = time.monotonic()
    net.fleet.until("its replica runs elsewhere", lambda: _runs_without(net, "node-3"))
    right = sorted(net.running(f"{STACK}_web"))
    net.until_known("tasks.web", right, within=HEALED, nodes=("node-1", "node-2"))
    print(f"\nnames right {time.monotonic() - began:.1f} s after the loss of power")  # noqa: T201
    asks = [{"how": "tcp", "to": address, "port": WEB} for address in others for _ in range(12)]
    assert [answer["error"] for answer in net.from_outside(asks) if answer["error"]] == []

    net.lab.start("node-3")
    net.fleet.until("its own service runs", lambda: net.nodes_of(f"{STACK}_a3") == {"node-3"})
    net.forget_containers()
    began = time.monotonic()
    net.until_known("tasks.web", sorted(net.running(f"{STACK}_web")), within=HEALED)
    asks = [{"how": "tcp", "to": net.addresses["node-3"], "port": WEB} for _ in range(12)]
    assert [answer["error"] for answer in net.from_outside(asks) if answer["error"]] == []


def _by_both_ways(net: NetLab, loads: ExitStack, service: str, port: int) -> tuple[Running, Running]:
    """Requests from other nodes than node-2 to the service's address, and from outside to all nodes."""
    inside = [{"how": "tcp", "to": net.vip(service, f"{STACK}_a"), "size": 1000}]
    mesh = [{"how": "tcp", "to": address, "port": port, "size": 1000} for address in net.addresses.values()]
    return (
        loads.enter_context(net.load_inside("node-3", f"{STACK}_a3", inside, RATE)),
        loads.enter_context(net.load_outside(mesh, RATE)),
    )


def _figures(loads: Sequence[Running]) -> str:
    return "; ".join(running.figures for running in loads)


def _on(net: NetLab, node: str) -> set[str]:
    subnet = net.subnet_of(node, f"{STACK}_a")
    return {one for one in net.running(f"{STACK}_web") if IPv4Address(one) in subnet}


def _is_scaled(net: NetLab, replicas: int) -> bool:
    net.fleet.scale(f"{STACK}_web", replicas, by="node-1")
    return True


def _runs_on(net: NetLab, service: str, node: str) -> bool:
    return net.nodes_of(service) == {node}


def _runs_without(net: NetLab, node: str) -> bool:
    return len(net.running(f"{STACK}_web")) == 3 and node not in net.nodes_of(f"{STACK}_web")


def _runs_once(net: NetLab) -> bool:
    """Each task that is to run does, and no container but theirs."""
    wanted = net.fleet.ask("/tasks", of=["node-1"], filters={"desired-state": ["running"]})
    told = {task["Status"]["ContainerStatus"]["ContainerID"] for task in wanted if task["Status"]["State"] == "running"}
    return len(told) == len(wanted) and told == frozenset().union(*net.fleet.containers().values())
