"""Questions for names a second, answered on loopback by the node's DNS server and by dnsmasq, in turn, in one run.

Both know the same names: 1,000 services with a VIP, and one with 30 addresses in turn. The load is a process of its own
that keeps a number of questions on their way. Beside it: how long a change of one endpoint among 10,000 takes to be
answered from.
"""

import argparse
import asyncio
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import dns.message
from machine import describe, report

from agent.dns.server import DnsServer
from agent.dns.upstream import Upstream
from agent.dns.zone import Zone, zone_of
from agent.network.picture import LocalNetwork, Picture, Underlay
from swarmpy.clock import SystemClock
from swarmpy.network_map import Endpoint, IndexedMap, MapChanges, MappedService, NetworkMap

OURS, PEERS = "127.0.10.1", "127.0.10.2"
SERVICES, TASKS_EACH, ROUND_ROBIN = 1_000, 10, 30
ON_THEIR_WAY = 64
# dnsmasq is written in C and does little else; half its rate is far more than a node's containers ask.
RATIO_BAR = 0.5
CHANGE_BAR = 5.0


def picture() -> Picture:
    services = [
        MappedService(network_id="net", service_id=f"s{n}", names=(f"web{n}",), vip=f"10.8.{n // 250}.{n % 250 + 2}")
        for n in range(SERVICES)
    ]
    services.append(MappedService(network_id="net", service_id="rr", names=("rr",)))
    endpoints = [_endpoint(f"s{n % SERVICES}", n) for n in range(SERVICES * TASKS_EACH)]
    endpoints += [_endpoint("rr", SERVICES * TASKS_EACH + n) for n in range(ROUND_ROBIN)]
    network = LocalNetwork("net", "net", IPv4Network("10.9.0.0/16"), IPv4Address(OURS), 4097, 1450)
    told = IndexedMap.of(NetworkMap(services=tuple(services), endpoints=tuple(endpoints)))
    return Picture("n1", Underlay(IPv4Address(OURS), "lo"), {"net": network}, told)


def _endpoint(service: str, number: int) -> Endpoint:
    address = f"10.9.{number // 250}.{number % 250 + 2}"
    return Endpoint(
        network_id="net", task_id=f"t{number:024}", service_id=service, node_id="n", address=address, slot=number + 1
    )


def names_of(case: str) -> list[str]:
    return {"one VIP": ["web7"], "1,000 VIPs": [f"web{n}" for n in range(SERVICES)], "30 addresses": ["rr"]}[case]


CASES = ("one VIP", "1,000 VIPs", "30 addresses")


def load(address: str, port: int, names: list[str], seconds: float) -> float:
    """Answers a second, with a fixed number of questions on their way; raises when one is no answer."""
    queries = [dns.message.make_query(name, "A", use_edns=0).to_wire()[2:] for name in names]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect((address, port))
        asking.settimeout(2)
        for number in range(ON_THEIR_WAY):
            asking.send(number.to_bytes(2, "big") + queries[number % len(queries)])
        answered, begun = 0, time.monotonic()
        while (passed := time.monotonic() - begun) < seconds:
            for _ in range(ON_THEIR_WAY):
                wire = asking.recv(4096)
                if wire[3] & 0x0F or not wire[7]:
                    raise SystemExit(f"{address} gave no address for a name that it knows")
                answered += 1
                asking.send((answered & 0xFFFF).to_bytes(2, "big") + queries[answered % len(queries)])
        return answered / passed


def _serve(port: int, ready: "multiprocessing.synchronize.Event") -> None:
    async def serve() -> None:
        clock = SystemClock()
        server = DnsServer(Upstream(clock, tuple), clock, port)
        server.show(zone_of(picture()))
        problems = server.listen_on({"net": IPv4Address(OURS)})
        if problems:
            raise SystemExit(problems["net"])
        ready.set()
        await server.serve()

    asyncio.run(serve())


@contextmanager
def our_server(port: int) -> Iterator[None]:
    spawning = multiprocessing.get_context("spawn")
    ready = spawning.Event()
    process = spawning.Process(target=_serve, args=(port, ready), daemon=True)
    process.start()
    try:
        if not ready.wait(30):
            raise SystemExit("the server did not come up within 30 s")
        yield
    finally:
        process.terminate()
        process.join()


@contextmanager
def dnsmasq(port: int, directory: Path) -> Iterator[None]:
    """Without a log, a file of its host, or any name that is not in our file."""
    hosts = directory / "hosts"
    lines = [f"{service.vip} {service.names[0]}" for service in picture().map.services.values() if service.vip]
    lines += [f"10.7.0.{number + 1} rr" for number in range(ROUND_ROBIN)]
    hosts.write_text("\n".join(lines) + "\n")
    options = ("--keep-in-foreground", "--no-resolv", "--no-hosts", "--bind-interfaces", "--conf-file=/dev/null")
    where = (f"--addn-hosts={hosts}", f"--listen-address={PEERS}", f"--port={port}", "--pid-file", "--local-ttl=5")
    user = ("--user=root",) if os.geteuid() == 0 else ()
    process = subprocess.Popen(["dnsmasq", *options, *where, *user], stderr=subprocess.PIPE)
    try:
        _wait_until_answering(port)
        yield
    finally:
        process.terminate()
        process.wait()


def _wait_until_answering(port: int) -> None:
    query = dns.message.make_query("web7", "A").to_wire()
    for _ in range(100):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.connect((PEERS, port))
            asking.settimeout(0.1)
            try:
                asking.send(query)
                asking.recv(512)
                return
            except OSError:
                time.sleep(0.05)
    raise SystemExit("dnsmasq did not answer within 10 s")


def changes(runs: int) -> list[float]:
    """Milliseconds of processor from a change of the map to a zone that shows it, the amending of the map included."""
    seen = picture()
    zone, samples = zone_of(seen), []
    for run in range(runs):
        endpoint = _endpoint("s1", 20_000 + run)
        begun = time.process_time()
        amended = seen.map.amended(MapChanges(endpoints=(endpoint,)))
        seen = Picture(seen.node_id, seen.underlay, seen.networks, amended, seen.tasks)
        zone = zone_of(seen, zone)
        samples.append((time.process_time() - begun) * 1_000)
        _must_show(zone, endpoint)
    return samples


def _must_show(zone: Zone, endpoint: Endpoint) -> None:
    known = zone.find(zone.asker("10.9.0.9", "net"), "tasks.web1")
    if known is None or endpoint.address not in known.addresses:
        raise SystemExit("a change was not answered from")


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((OURS, 0))
        return int(probe.getsockname()[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    print(describe())
    has_peer = shutil.which("dnsmasq") is not None
    if not has_peer:
        print("dnsmasq is not here (Debian's dnsmasq-base has it): no ratio")
    port, kept = _free_port(), []
    with tempfile.TemporaryDirectory() as directory, our_server(port):
        for case in CASES:
            ours, peers = [], []
            for _ in range(options.runs):
                ours.append(load(OURS, port, names_of(case), options.seconds))
                if has_peer:
                    with dnsmasq(port, Path(directory)):
                        peers.append(load(PEERS, port, names_of(case), options.seconds))
            bar = RATIO_BAR if has_peer else None
            kept.append(report(case, "answers/s", ours, "dnsmasq", peers, bar, better="higher"))
    what = f"one endpoint of {SERVICES * TASKS_EACH:,} changes"
    kept.append(report(what, "ms", changes(20), bar=CHANGE_BAR, bar_of="median"))
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
