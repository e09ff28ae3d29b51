"""`make bench-network`: bytes and requests a second between two nodes, beside the bare path and Docker Swarm's overlay.

Each cluster has a lab of its own on this machine, of two nodes; both idle while the other is measured. In each, a task
on the one node asks a task on the other: at its address, and in swarmpy through its service's VIP; and this machine,
cabled to the lab's switch as a client is, asks a port that a node publishes: the node of the task itself (host mode),
and in swarmpy the node without one (the mesh). Swarm is measured without VIP and mesh: it needs IPVS for them, which
many a test machine's kernel lacks. The bare path leads from one node, or from this machine, to the other node, without
any container. What asks and answers (`traffic.py`) runs in the containers' network, so that images need no tools.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import machine as this_machine

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from clusters import Cluster, Object, Swarm, begin, both
from moments import wait_until
from support.images import BUSYBOX

ROUNDS, SECONDS, CONNECTIONS = 3, 5.0, 4
NETWORK, CLIENT, SERVER = "bench", "client", "server"
NEAR, FAR = "node-1", "node-2"
PORT, MESH_PORT, HOST_PORT = 9000, 9001, 9002
TRAFFIC = (sys.executable, "-I", "-S", str(Path(__file__).with_name("traffic.py")))
HERE = "/proc/self/ns/net"

BARE, BARE_HERE = "bare, node to node", "bare, machine to node"
ADDRESS, VIP, HOST, MESH = "task's address", "service's VIP", "port in host mode", "port through the mesh"
BARE_OF = {ADDRESS: BARE, VIP: BARE, HOST: BARE_HERE, MESH: BARE_HERE}
STREAM, ASK = "one TCP stream", "requests, each on a new connection"
UNITS = {STREAM: "MB/s", ASK: "requests/s"}


@dataclass(frozen=True, slots=True)
class Way:
    """From where, to where; `start` is a network namespace as a file."""

    name: str
    start: str
    address: str
    port: int


Samples = dict[tuple[str, str, str], list[float]]
"""(what is measured, cluster, way) -> one number a round."""


def main() -> int:
    options = _options()
    begin("bench-network")
    samples: Samples = {}
    with both(nodes=2, managers=1) as clusters, ExitStack() as serving:
        ways = {cluster.name: prepared(cluster, serving) for cluster in clusters}
        for turn in range(options.rounds):
            measure_round(ways, samples, options.seconds, f"round {turn + 1} of {options.rounds}")
    show(samples)
    print(f"load at the end {os.getloadavg()[0]:.1f}")
    return 0


def measure_round(ways: dict[str, list[Way]], samples: Samples, seconds: float, turn: str) -> None:
    """Way by way, one cluster after the other, so that a busy moment of the machine meets both."""
    for name in (BARE, BARE_HERE, *BARE_OF):
        for cluster, its_ways in ways.items():
            for way in (way for way in its_ways if way.name == name):
                print(f"{turn}: {cluster}, {name}, load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
                stream = traffic(way, "stream", seconds) / 1e6
                asked = traffic(way, "ask", seconds, CONNECTIONS)
                samples.setdefault((STREAM, cluster, name), []).append(stream)
                samples.setdefault((ASK, cluster, name), []).append(asked)


def traffic(way: Way, verb: str, *numbers: float) -> float:
    words = ["nsenter", f"--net={way.start}", *TRAFFIC, verb, way.address, str(way.port), *map(str, numbers)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        sys.exit(f"bench-network: {way.name}, {way.address}:{way.port}: {done.stderr.strip()}")
    return float(done.stdout)


# what is measured


def prepared(cluster: Cluster, serving: ExitStack) -> list[Way]:
    """Two services of one task each, on different nodes, and what answers in the one and on its node."""
    is_swarm = isinstance(cluster, Swarm)
    network = cluster.ask(NEAR, "POST", "/networks/create", {"Name": NETWORK, "Driver": "overlay"})
    ports = [_port(HOST_PORT, "host"), *(() if is_swarm else (_port(MESH_PORT, "ingress"),))]
    endpoint: Object = {"Mode": "dnsrr" if is_swarm else "vip", "Ports": ports}
    for name, node, spec in ((CLIENT, NEAR, {}), (SERVER, FAR, endpoint)):
        cluster.ask(NEAR, "POST", "/services/create", _service(name, node, spec))
        cluster.wait_until_running(name, 1)
    address = wait_until(f"{SERVER} of {cluster.name} has an address", lambda: _address(cluster, network["Id"]))
    here, near, far = HERE, f"/run/netns/{cluster.machines[NEAR].namespace}", cluster.machines[FAR]
    client = _namespace_of(cluster, CLIENT, NEAR)
    for namespace in (_namespace_of(cluster, SERVER, FAR), f"/run/netns/{far.namespace}"):
        serving.enter_context(_answering(namespace))
    ways = [
        Way(BARE, near, far.address, PORT),
        Way(BARE_HERE, here, far.address, PORT),
        Way(ADDRESS, client, address, PORT),
        Way(HOST, here, far.address, HOST_PORT),
    ]
    if not is_swarm:
        ways.append(Way(VIP, client, _vip(cluster, network["Id"]), PORT))
        ways.append(Way(MESH, here, cluster.machines[NEAR].address, MESH_PORT))
    for way in ways:
        _wait_until_open(way)
    return ways


def _service(name: str, node: str, endpoint: Object) -> Object:
    return {
        "Name": name,
        "TaskTemplate": {
            "ContainerSpec": {"Image": BUSYBOX, "Command": ["sleep", "100000"], "StopGracePeriod": 0},
            "Placement": {"Constraints": [f"node.hostname=={node}"]},
            "Networks": [{"Target": NETWORK}],
        },
        "Mode": {"Replicated": {"Replicas": 1}},
        "EndpointSpec": endpoint,
    }


def _port(published: int, mode: str) -> Object:
    return {"Protocol": "tcp", "TargetPort": PORT, "PublishedPort": published, "PublishMode": mode}


def _address(cluster: Cluster, network_id: str) -> str:
    for task in cluster.tasks(NEAR, SERVER):
        for attachment in task.get("NetworksAttachments") or ():
            if attachment["Network"]["ID"] == network_id and attachment.get("Addresses"):
                return str(attachment["Addresses"][0]).partition("/")[0]
    return ""


def _vip(cluster: Cluster, network_id: str) -> str:
    vips = cluster.get(NEAR, f"/services/{SERVER}")["Endpoint"]["VirtualIPs"]
    return next(str(vip["Addr"]).partition("/")[0] for vip in vips if vip["NetworkID"] == network_id)


def _namespace_of(cluster: Cluster, service: str, node: str) -> str:
    """The network of the service's container: that of any process in its control group."""
    container = next(iter(cluster.running(service, node)))
    for groups in Path("/proc").glob("[0-9]*/cgroup"):
        with suppress(OSError):
            if container in groups.read_text():
                return str(groups.with_name("ns") / "net")
    sys.exit(f"bench-network: no process of {service}'s container is seen on {node} of {cluster.name}")


@contextmanager
def _answering(namespace: str) -> Iterator[None]:
    words = ["nsenter", f"--net={namespace}", *TRAFFIC, "serve", str(PORT)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            if not process.stdout.readline():
                sys.exit(f"bench-network: nothing answers in {namespace}")
            yield
        finally:
            process.stdin.close()


def _wait_until_open(way: Way) -> None:
    words = ["nsenter", f"--net={way.start}", *TRAFFIC, "ask", way.address, str(way.port), "0.01", "1"]

    def look() -> bool:
        return subprocess.run(words, capture_output=True, timeout=120, check=False).returncode == 0

    wait_until(f"{way.name} leads to {way.address}:{way.port}", look)


# what is told


def show(samples: Samples) -> None:
    ours, theirs = Cluster.name, Swarm.name
    for measure, unit in UNITS.items():
        print(f"\n{measure}")
        for way in (BARE, BARE_HERE):
            this_machine.report(f"{way}, in the lab of {ours}", unit, samples[measure, ours, way])
            this_machine.report(f"{way}, in the lab of {theirs}", unit, samples[measure, theirs, way])
        for way in BARE_OF:
            peers = samples.get((measure, theirs, way), [])
            mine = samples[measure, ours, way]
            this_machine.report(f"{ours}, {way}", unit, mine, theirs, peers, better="higher")
            _show_beside_bare(samples, measure, way)
        _show_beside_address(samples, measure)


def _show_beside_bare(samples: Samples, measure: str, way: str) -> None:
    bare = BARE_OF[way]
    for cluster in (Cluster.name, Swarm.name):
        if measured := samples.get((measure, cluster, way)):
            ratio = median(measured) / median(samples[measure, cluster, bare])
            print(f"  ratio of {cluster} to {bare}: {ratio:.2f}")


def _show_beside_address(samples: Samples, measure: str) -> None:
    """VIP and mesh, which Swarm has not here, beside the nearest that it has."""
    for way, nearest in ((VIP, ADDRESS), (MESH, HOST)):
        ratio = median(samples[measure, Cluster.name, way]) / median(samples[measure, Swarm.name, nearest])
        print(f"{Cluster.name}, {way}, to {Swarm.name}, {nearest}: {ratio:.2f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each way is measured (default: 3)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long each time (default: 5)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
