"""A lab whose containers ask each other, its nodes and the outside ask them: once, or all the time."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pytest
from support import netprobe
from support.fleet import Fleet
from support.images import PROBE, PROBE_COMMAND, probe_filesystem
from support.lab import Lab
from support.node import wait_until

from swarmpy.lab import state

ROOT = Path(__file__).parents[2]
# Newer than Debian 12's own.
ENGINES = ("26.1", "28.5")
NODES = ("node-1", "node-2", "node-3")
PROGRAM = str(Path(netprobe.__file__))
ASK_LIMIT = 120.0
# Shorter than what a test may take, in seconds: where nothing answers, that is to be said.
FETCH_LIMIT = 200

Ask = Mapping[str, Any]
Answer = dict[str, Any]


def engine_folder(version: str) -> Path:
    """That engine, fetched once; a machine that cannot have it skips, unless it must not."""
    cache = Path(os.environ.get("SWARMPY_ENGINES") or Path.home() / ".cache/swarmpy-engines")
    folder = cache / version
    command = ["timeout", str(FETCH_LIMIT), str(ROOT / "scripts/fetch-engine.sh"), version, str(folder)]
    fetched = subprocess.run(command, capture_output=True, text=True, check=False)
    if fetched.returncode != 0:
        said = fetched.stderr.strip()[-300:] or f"it took longer than {FETCH_LIMIT} s"
        reason = f"engine {version} cannot be fetched: {said}"
        if os.environ.get("SWARMPY_NEED_ENGINES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@dataclass(slots=True)
class Running:
    """A program that tells what it saw when its input ends."""

    process: "subprocess.Popen[str]"
    told: str = ""

    def until_told(self) -> None:
        """Its first line, of a program that then tells nothing more until its input ends."""
        assert self.process.stdout is not None
        self.told = self.process.stdout.readline()

    def end(self) -> None:
        told, errors = self.process.communicate(timeout=30)
        self.told += told
        assert self.process.returncode == 0, errors

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.told.splitlines()]

    @property
    def rounds(self) -> list[list[Answer]]:
        """Of connections that are held: what each was answered, first and at last."""
        return [json.loads(line) for line in self.told.splitlines()]

    @property
    def report(self) -> dict[str, Any]:
        return self.lines[0]

    @property
    def figures(self) -> str:
        said = self.report
        rate = said["requests"] / said["seconds"]
        return (
            f"{said['requests']} requests in {said['seconds']:.1f} s ({rate:.0f}/s), {said['failed']} failed, "
            f"slowest {said['slowest'] * 1000:.0f} ms, answered by {len(said['hosts'])}"
        )


@dataclass(slots=True)
class NetLab:
    """`client` is what the back ends see of one who asks from outside."""

    lab: Lab
    fleet: Fleet
    addresses: dict[str, str]
    client: str
    _containers: dict[tuple[str, str], str] = field(default_factory=dict)

    @classmethod
    def of(cls, lab: Lab, folder: Path) -> "NetLab":
        """Loads the image."""
        nodes = lab.nodes()
        first = nodes["node-1"].docker_host
        with NamedTemporaryFile(suffix=".tar") as file:
            file.write(probe_filesystem())
            file.flush()
            flags = ("--change", "ENV PATH=/bin", "--change", f"CMD {json.dumps([*PROBE_COMMAND, 'serve'])}")
            made = lab.docker("node-1", "import", *flags, file.name, PROBE)
        assert made.code == 0, made.all
        lab.must("load", "--from", first, PROBE)
        addresses = {name: node.address for name, node in nodes.items()}
        return cls(lab, Fleet(lab, folder), addresses, state.load(lab.name).host_address)

    # the cluster

    def deploy(self, name: str, stack: Mapping[str, Any]) -> None:
        file = self.fleet.folder / f"{name}.yaml"
        file.write_text(json.dumps(stack))
        self.must("stack", "deploy", "-c", str(file), name)
        self.forget_containers()

    def must(self, *words: str) -> str:
        done = self.lab.swarmpy("node-1", *words, limit=120)
        assert done.code == 0, done.all
        return done.all

    def task_addresses(self, service: str, network: str) -> dict[str, str]:
        """Of its running tasks on that network, by host name of the node."""
        nodes = {node["ID"]: name for name, node in self.fleet.nodes(of=["node-1"]).items()}
        return {
            nodes[task["NodeID"]]: str(attachment["Addresses"][0]).partition("/")[0]
            for task in self.fleet.tasks(service, of=["node-1"])
            for attachment in task["NetworksAttachments"]
            if attachment["Network"]["Spec"]["Name"] == network
        }

    def vip(self, service: str, network: str) -> str:
        found = self.fleet.ask(f"/services/{service}", of=["node-1"])
        wanted = self.fleet.ask(f"/networks/{network}", of=["node-1"])["Id"]
        (vip,) = (one["Addr"] for one in found["Endpoint"]["VirtualIPs"] if one["NetworkID"] == wanted)
        return str(vip).partition("/")[0]

    def container(self, node: str, service: str) -> str:
        """The one of that service there, remembered until the next `deploy`."""
        known = self._containers.get((node, service))
        if known is None:
            shown = self.lab.docker(node, "ps", "-q", "--filter", f"label=com.docker.swarm.service.name={service}")
            known = self._containers[node, service] = shown.out.split()[0]
        return known

    def running(self, service: str) -> list[str]:
        """Addresses of its running tasks on network `a`."""
        return [
            str(attachment["Addresses"][0]).partition("/")[0]
            for task in self.fleet.tasks(service, of=["node-1"])
            for attachment in task["NetworksAttachments"]
            if attachment["Network"]["Spec"]["Name"].endswith("_a")
        ]

    def nodes_of(self, service: str) -> set[str]:
        nodes = {node["ID"]: name for name, node in self.fleet.nodes(of=["node-1"]).items()}
        return {nodes[task["NodeID"]] for task in self.fleet.tasks(service, of=["node-1"])}

    def forget_containers(self) -> None:
        """Others may have taken their place."""
        self._containers.clear()

    # asking

    def from_container(self, node: str, service: str, asks: Sequence[Ask]) -> list[Answer]:
        return _answers(self._inside(node, service, "ask", json.dumps(asks)))

    def from_containers(self, places: Mapping[tuple[str, str], Sequence[Ask]]) -> list[tuple[str, Ask, Answer]]:
        """Two at a time; each with the service it was asked from."""
        with ThreadPoolExecutor(2) as pool:
            told = list(pool.map(lambda place: self.from_container(place[0][0], place[0][1], place[1]), places.items()))
        return [
            (service, ask, answer)
            for ((_, service), asks), answers in zip(places.items(), told, strict=True)
            for ask, answer in zip(asks, answers, strict=True)
        ]

    def from_node(self, node: str, asks: Sequence[Ask]) -> list[Answer]:
        program = [sys.executable, "-I", "-S", PROGRAM, "ask", json.dumps(asks)]
        return _answers(self.lab.argv("exec", node, "--", *program))

    def from_outside(self, asks: Sequence[Ask]) -> list[Answer]:
        return [netprobe.ask(dict(ask)) for ask in asks]

    # all the time

    @contextmanager
    def load_inside(self, node: str, service: str, asks: Sequence[Ask], rate: float) -> Iterator[Running]:
        with _running(self._inside(node, service, "load", json.dumps(asks), str(rate))) as running:
            yield running

    @contextmanager
    def load_outside(self, asks: Sequence[Ask], rate: float) -> Iterator[Running]:
        with _running([sys.executable, "-I", "-S", PROGRAM, "load", json.dumps(asks), str(rate)]) as running:
            yield running

    @contextmanager
    def held_inside(self, node: str, service: str, asks: Sequence[Ask]) -> Iterator[Running]:
        with _running(self._inside(node, service, "hold", json.dumps(asks))) as running:
            running.until_told()
            yield running

    @contextmanager
    def held_outside(self, asks: Sequence[Ask]) -> Iterator[Running]:
        with _running([sys.executable, "-I", "-S", PROGRAM, "hold", json.dumps(asks)]) as running:
            running.until_told()
            yield running

    @contextmanager
    def names_inside(self, node: str, service: str, names: Sequence[str]) -> Iterator[Running]:
        with _running(self._inside(node, service, "names", json.dumps(names))) as running:
            yield running

    def _inside(self, node: str, service: str, *words: str) -> list[str]:
        engine = f"unix:///run/swarmpy-lab/{self.lab.name}/{node}/docker.sock"
        return ["docker", "--host", engine, "exec", "-i", self.container(node, service), *PROBE_COMMAND, *words]

    def until_known(self, name: str, addresses: Sequence[str], within: float, nodes: Sequence[str] = NODES) -> None:
        """On network `a` of these nodes."""
        asks = [{"how": "dns", "to": name}]
        for number, node in enumerate(nodes, 1):
            wait_until(
                f"{name} is {addresses} on {node}",
                partial(self._says, node, f"n_a{number}", asks, list(addresses)),
                within,
            )

    def _says(self, node: str, service: str, asks: Sequence[Ask], addresses: list[str]) -> bool:
        return bool(self.from_container(node, service, asks)[0].get("addresses") == addresses)

    # the kernel of a node

    def kernel_of(self, node: str) -> str:
        """All of ours there, in words that are the same when it is the same."""
        script = (
            "ip -4 route show table all | grep -E 'sp[bx]'; ip neigh | grep PERMANENT; ip rule; bridge fdb | grep dst;"
            "ip -o link | grep -oE 'sp[bx][a-z0-9]+'; nft -s list table ip swarmpy; nft -s list table bridge swarmpy;"
            "iptables -S DOCKER-USER"
        )
        done = self.lab.execute(node, "sh", "-c", script)
        return "\n".join(sorted(line for line in done.out.splitlines() if "linkdown" not in line))

    def repairs(self, node: str) -> list[str]:
        return [line for line in self.lab.log(node).splitlines() if "network.repaired" in line]

    def subnet_of(self, node: str, network: str) -> IPv4Network:
        """The node's share of it, that of its containers there."""
        for service in self.fleet.ask("/services", of=["node-1"]):
            address = self.task_addresses(service["ID"], network).get(node)
            if address:
                return IPv4Network(f"{address}/24", strict=False)
        raise AssertionError(f"{node} has no task on {network}")

    def device_to(self, node: str, subnet: IPv4Network) -> str:
        shown = self.lab.execute(node, "ip", "-json", "route", "show", str(subnet))
        return str(json.loads(shown.out)[0]["dev"])

    def seconds_until(self, what: str, look: Any, limit: float) -> float:
        began = time.monotonic()
        wait_until(what, look, limit)
        return time.monotonic() - began


@contextmanager
def _running(command: Sequence[str]) -> Iterator[Running]:
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    running = Running(process)
    try:
        yield running
        running.end()
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def _answers(command: Sequence[str]) -> list[Answer]:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=ASK_LIMIT, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    found: list[Answer] = json.loads(done.stdout)
    return found
