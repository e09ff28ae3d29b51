"""Prints the page that one replica of a service serves, run on its node: `fetch_replica.py HOST SERVICE PORT`."""

import sys
import urllib.request

from swarmpy.client import Client


def addresses(host: str, service: str) -> list[str]:
    """Of its tasks that run on the manager's own node: that node reaches them over the bridges of its engine."""
    with Client(host) as manager:
        here = manager.get("/info")["Swarm"]["NodeID"]
        wanted = {"service": [service], "node": [here], "desired-state": ["running"]}
        tasks = manager.get("/tasks", filters=wanted)
    return [
        address.split("/")[0]
        for task in tasks
        for network in task.get("NetworksAttachments") or []
        for address in network.get("Addresses") or []
    ]


def main(host: str, service: str, port: str) -> int:
    known = addresses(host, service)
    if not known:
        sys.stderr.write(f"no running task of {service} has an address here\n")
        return 1
    url = f"http://{known[0]}:{port}/"
    with urllib.request.urlopen(url, timeout=5) as answer:
        sys.stdout.write(f"GET {url}\n{answer.read().decode()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
