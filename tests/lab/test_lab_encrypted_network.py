"""An encrypted network on real nodes: refused by those that cannot, then by wireguard-go, as an operator has it."""

import json
import shutil
from collections.abc import Iterator

import pytest
from support.lab import lab
from support.net_lab import NetLab
from support.net_stack import on
from support.netlab import Namespace
from support.netprobe import text
from support.node import wait_until
from support.tunnels import tapped

TOOLS = ("wg", "wireguard-go")
LACKING = [tool for tool in TOOLS if shutil.which(tool) is None]
pytestmark = [
    pytest.mark.lab,
    pytest.mark.docker,
    pytest.mark.etcd,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(LACKING), reason=f"needs {' and '.join(LACKING)}: it encrypts networks"),
]

NODES = ("node-1", "node-2")
SIZES = (1, 1024, 64_000)
LARGE = 3_000_000
# What every request of that size has in it.
PATTERN = text(1024)[200:300]
# The agents look that often, and the cluster is told then.
TOLD = 40.0


def the_stack(**options: str) -> dict[str, object]:
    pinned = {f"a{number}": on(node, "a") for number, node in enumerate(NODES, 1)}
    return {"services": pinned, "networks": {"a": {"driver_opts": options}}}


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NetLab]:
    with lab(nodes=2) as made:
        yield NetLab.of(made, tmp_path_factory.mktemp("nets"))


class Inside(Namespace):
    """The network of a node of the lab."""

    def __init__(self, net: NetLab, node: str) -> None:
        self.name, self.pid = node, net.lab.node(node).processes["agent"]


def asked(net: NetLab, stack: str) -> list[str]:
    """What failed of the requests in both directions."""
    said = []
    for here, there in (("1", "2"), ("2", "1")):
        asks = [{"how": how, "to": f"a{there}", "size": size} for how in ("tcp", "udp") for size in SIZES]
        asks.append({"how": "tcp", "to": f"a{there}", "size": LARGE})
        said += [
            str(answer["error"]) for answer in net.from_container(f"node-{here}", f"{stack}_a{here}", asks)
        ]  # fmt: skip
    return [error for error in said if error]


def is_to_be_read(net: NetLab, stack: str) -> bool:
    with tapped(Inside(net, "node-1"), "eth0") as tap:
        assert asked(net, stack) == []
    assert sum(map(len, tap.frames)) > LARGE
    return tap.saw(PATTERN)


def test_a_network_is_encrypted_once_every_node_can(net: NetLab) -> None:
    file = net.fleet.folder / "sealed.yaml"
    net.deploy("plain", the_stack())
    file.write_text(json.dumps(the_stack(encrypted="")))
    refused = net.lab.swarmpy("node-1", "stack", "deploy", "-c", str(file), "sealed")
    if refused.code:
        # This kernel has no WireGuard.
        assert "the kernels of node-1, node-2 have no WireGuard" in refused.all
        for node in NODES:
            assert net.lab.execute(node, "wireguard-go", "spwg0").code == 0

    def deployed() -> bool:
        return net.lab.swarmpy("node-1", "stack", "deploy", "-c", str(file), "sealed", limit=120).code == 0

    wait_until("every node has told that it can", deployed, TOLD)

    assert is_to_be_read(net, "plain")
    assert not is_to_be_read(net, "sealed")
