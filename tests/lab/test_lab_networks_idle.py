"""Connections that nobody uses for a while, and go on. Takes minutes.

Swarm's, through a virtual address, ended after a quarter of an hour. `SWARMPY_IDLE=1200` waits longer than that.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from support.lab import lab
from support.net_lab import NODES, Answer, Ask, NetLab
from support.net_stack import STACK, WEB, the_stack

# Seconds.
IDLE = float(os.environ.get("SWARMPY_IDLE", "60"))

pytestmark = [
    pytest.mark.lab,
    pytest.mark.docker,
    pytest.mark.etcd,
    pytest.mark.long,
    pytest.mark.timeout(300 + IDLE),
]

SERVICE, NETWORK = f"{STACK}_web", f"{STACK}_a"
FEW, MANY = 3, 6
# By each way: enough for every back end to have some.
CONNECTIONS = 48


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NetLab]:
    with lab(nodes=3) as made:
        found = NetLab.of(made, tmp_path_factory.mktemp("nets"))
        found.fleet.allow_silence("1m")
        found.deploy(STACK, the_stack())
        yield found


def test_idle_connections_go_on_with_their_back_end_whatever_changed_meanwhile(net: NetLab) -> None:
    """By virtual address and by published port, with back ends on the node where they enter, and on others."""
    inside = [{"how": "tcp", "to": net.vip(SERVICE, NETWORK), "entry": "node-1"}] * CONNECTIONS
    mesh = [{"how": "tcp", "to": net.addresses[node], "port": WEB, "entry": node} for node in NODES * CONNECTIONS]
    net.must("service", "scale", f"{SERVICE}={MANY}")
    before = back_ends(net)
    with net.held_inside("node-1", f"{STACK}_a1", inside) as by_address, net.held_outside(mesh) as by_port:
        began = time.monotonic()
        change_much(net)
        net.fleet.until("they have idled", lambda: time.monotonic() - began > IDLE, limit=IDLE + 10)
    after = back_ends(net)
    stayed = {name: node for name, (task, node) in after.items() if before.get(name) == (task, node)}

    went_on: Counter[str] = Counter()
    for way, asks, held in (("address", inside, by_address.rounds), ("port", mesh, by_port.rounds)):
        for ask, first, last in zip(asks, *held, strict=True):
            if first["host"] in stayed:
                assert_goes_on(ask, first, last)
                where = "there" if stayed[str(first["host"])] == ask["entry"] else "elsewhere"
                went_on[f"by {way}, back end {where}"] += 1
    print(f"\nidle for {IDLE:g} s and went on: {dict(went_on)}")  # noqa: T201
    assert len(went_on) == 4
    assert {answer["peer"] for answer in by_port.rounds[1] if not answer["error"]} == {net.client}


def assert_goes_on(ask: Ask, first: Answer, last: Answer) -> None:
    assert (last["error"], last["host"], last["peer"]) == ("", first["host"], first["peer"]), ask


def back_ends(net: NetLab) -> dict[str, tuple[str, str]]:
    """By host name, as the stack gives it: task and node."""
    nodes = {node["ID"]: name for name, node in net.fleet.nodes().items()}
    return {f"web-{task['Slot']}": (task["ID"], nodes[task["NodeID"]]) for task in net.fleet.tasks(SERVICE)}


def change_much(net: NetLab) -> None:
    """Back ends come and go, agents start again, and all packet rules are made anew."""
    for replicas in (FEW, MANY):
        net.must("service", "scale", f"{SERVICE}={replicas}")
    for node in ("node-1", "node-2"):
        net.lab.kill_process(node, "agent")
    net.until_known("tasks.web", sorted(net.running(SERVICE)), within=10)
    for node in ("node-1", "node-3"):
        rules = net.kernel_of(node)
        assert net.lab.execute(node, "nft", "delete", "table", "ip", "swarmpy").code == 0
        net.seconds_until(
            f"all rules are back on {node}", lambda node=node, rules=rules: net.kernel_of(node) == rules, 15
        )
