"""Prints the page that one replica of a service serves: `fetch_replica.py HOST SERVICE PORT`."""

import sys
import urllib.request

from swarmpy.client import Client


def addresses(host: str, service: str) -> list[str]:
    """Of its running tasks; this machine reaches them over the bridges of its own engine."""
    with Client(host) as manager:
        tasks = manager.get("/tasks", filters={"service": [service], "desired-state": ["running"]})
    return [
        address.split("/")[0]
        for task in tasks
        for network in task.get("NetworksAttachments") or []
        for address in network.get("Addresses") or []
    ]


def main(host: str, service: str, port: str) -> int:
    known = addresses(host, service)
    if not known:
        sys.stderr.write(f"no running task of {service} has an address\n")
        return 1
    url = f"http://{known[0]}:{port}/"
    with urllib.request.urlopen(url, timeout=5) as answer:
        sys.stdout.write(f"GET {url}\n{answer.read().decode()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
