"""How long commands take as whole processes, beside the docker client: help, and a list of services.

`python benchmarks/cli.py [unix:///run/swarmpy/swarmpy.sock]`: asks that manager; without one, a stub that answers both
clients with the same 20 services.
"""

import json
import os
import shutil
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from machine import describe, report

RUNS = 15
HELP_BAR, LIST_BAR = 100.0, 150.0
SERVICES = 20


class _Stub(BaseHTTPRequestHandler):
    """As much of the API as listing services asks for."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(json.dumps([_service(number) for number in range(SERVICES)]).encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Api-Version", "1.45")
        self.send_header("Ostype", "linux")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "a client on the socket"

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: the benchmark's own output is the report."""


class _UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def _service(number: int) -> dict[str, object]:
    return {
        "ID": f"{number:025d}",
        "Version": {"Index": number},
        "CreatedAt": "2030-01-01T00:00:00.000000Z",
        "UpdatedAt": "2030-01-01T00:00:00.000000Z",
        "Spec": {
            "Name": f"shop_{number}",
            "Labels": {},
            "TaskTemplate": {"ContainerSpec": {"Image": f"shop/{number}:1"}},
            "Mode": {"Replicated": {"Replicas": 3}},
        },
        "Endpoint": {"Spec": {}},
        "ServiceStatus": {"RunningTasks": 3, "DesiredTasks": 3, "CompletedTasks": 0},
    }


@contextmanager
def stub() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="swarmpy-") as folder:
        path = Path(folder) / "api.sock"
        with _UnixServer(str(path), _Stub) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                yield f"unix://{path}"
            finally:
                server.shutdown()


def milliseconds(command: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1000


def measured(name: str, ours: Sequence[str], docker: Sequence[str] | None, bar: float) -> bool:
    """Ours and docker's in turn, so that a busy moment hits both. The first run of each only warms the disk cache."""
    mine: list[float] = []
    theirs: list[float] = []
    for run in range(RUNS + 1):
        for samples, command in ((mine, ours), (theirs, docker)):
            if command is not None:
                took = milliseconds(command)
                samples.extend([took] if run else [])
    return report(name, "ms", mine, "docker", theirs, bar, bar_of="median")


def main(host: str) -> int:
    print(describe())
    swarmpy = str(Path(sys.executable).parent / "swarmpy")
    docker = shutil.which("docker")
    if docker is None:
        print("the docker client is not installed: nothing to compare with")
    os.environ.pop("DOCKER_HOST", None)
    kept = [
        measured("swarmpy --help", [swarmpy, "--help"], [docker, "--help"] if docker else None, HELP_BAR),
        measured(
            "swarmpy service ls",
            [swarmpy, "-H", host, "service", "ls"],
            [docker, "-H", host, "service", "ls"] if docker else None,
            LIST_BAR,
        ),
    ]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(main(sys.argv[1]))
    with stub() as host:
        sys.exit(main(host))
