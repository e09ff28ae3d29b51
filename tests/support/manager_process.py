"""The manager as a process, with its settings in a file of its own."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from support.etcd import free_port

from swarmpy.clock import SystemClock
from swarmpy.ids import id_from_number
from swarmpy.node.identity import IdentityFolder

BOUND = 20.0


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(5)
        self.sock.connect(str(self._path))


class ManagerProcess:
    """The first manager of a cluster of its own, on loopback."""

    def __init__(self, folder: Path, endpoint: str, port: int) -> None:
        node_id, door = id_from_number(1), f"127.0.0.1:{free_port()}"
        IdentityFolder(folder / "identity").found("cluster1", node_id, "127.0.0.1", SystemClock().now())
        self.api = folder / "api.sock"
        self.settings = folder / "manager.json"
        self._process: subprocess.Popen[str] | None = None
        self.settings.write_text(
            json.dumps(
                {
                    "node_id": node_id,
                    "hostname": "host1",
                    "data_dir": str(folder / "data"),
                    "api_socket": str(self.api),
                    "identity": str(folder / "identity"),
                    "listen_address": door,
                    "advertise_address": door,
                    "runs_etcd": False,
                    "status_address": f"127.0.0.1:{port}",
                    "etcd": {"endpoints": [endpoint]},
                }
            )
        )

    def start(self) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "manager", "--settings", str(self.settings)]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        return self._process

    def get(self, path: str) -> int:
        connection = UnixConnection(self.api)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            return response.status
        except OSError:
            return 0
        finally:
            connection.close()

    def wait_until(self, path: str, status: int) -> None:
        wait_until(lambda: self.get(path) == status, f"GET {path} answers {status}")

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        assert self._process is not None
        process, self._process = self._process, None
        process.send_signal(number)
        _, errors = process.communicate(timeout=BOUND)
        return process.returncode, errors

    def close(self) -> None:
        if self._process is not None:
            self.end(signal.SIGKILL)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < end, f"not within {BOUND:g} s: {what}"
        time.sleep(0.02)
