"""Real etcd for tests: members that are started, stopped, killed, paused and resumed by hand."""

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from swarmpy.node.etcd import find_etcd
from swarmpy.settings import EtcdSettings

START_LIMIT = 20.0
STOP_LIMIT = 10.0
_POLL = 0.02
# Unix sockets have names in `host:port` form here; etcd makes a file of that name in its working directory.
_CLIENT_SOCKET = "client:0"
_PEER_SOCKET = "peer:0"
_METRICS_SOCKET = "metrics:0"


class EtcdServer:
    """One etcd with a data directory of its own, kept over `kill` and `start`, removed by `close`.

    Speaks plain on a unix socket unless a loopback `port` is given. `arguments` go to etcd as they are; with
    `--cert-file` among them the client side is TLS. `peers` (name to loopback port) makes it one member of several.
    """

    def __init__(
        self,
        *,
        port: int | None = None,
        arguments: Sequence[str] = (),
        binary: str | None = None,
        name: str = "only",
        peers: Mapping[str, int] | None = None,
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="etcd-"))
        self._port = port
        self._arguments = tuple(arguments)
        self._binary = binary
        self._name = name
        self._peers = peers
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """As a gRPC target."""
        return f"unix:{self.directory / _CLIENT_SOCKET}" if self._port is None else f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "etcd is not running"
        return self._process.pid

    def settings(self, prefix: str = "swarmpy") -> EtcdSettings:
        return EtcdSettings(endpoints=(self.endpoint,), prefix=prefix)

    def start(self) -> Self:
        """Returns once etcd has a leader and answers."""
        self.launch()
        self.wait_until_healthy()
        return self

    def launch(self) -> None:
        assert self._process is None, "etcd runs already"
        # A killed etcd leaves its sockets behind and then refuses to bind them.
        for name in (_CLIENT_SOCKET, _PEER_SOCKET, _METRICS_SOCKET):
            (self.directory / name).unlink(missing_ok=True)
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command(), cwd=self.directory, stdout=log, stderr=log)

    def wait_until_healthy(self) -> None:
        assert self._process is not None, "etcd is not running"
        deadline = time.monotonic() + START_LIMIT
        while not self._is_healthy():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"etcd did not start:\n{self.log()}")
            time.sleep(_POLL)

    def stop(self) -> None:
        """In good order, as an operator would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """It keeps its connections and answers nothing."""
        assert self._process is not None, "etcd is not running"
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None, "etcd is not running"
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def log(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return (self.directory / "log").read_text(errors="replace")[-4000:]
        return ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _command(self) -> list[str]:
        binary = self._binary or str(find_etcd().path)
        scheme = "https" if any(argument.startswith("--cert-file") for argument in self._arguments) else "http"
        client = f"unix://{_CLIENT_SOCKET}" if self._port is None else f"{scheme}://127.0.0.1:{self._port}"
        # Should the tests die, etcd dies too.
        tied = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        quick = ["--unsafe-no-fsync"] if _has_flag(binary, "--unsafe-no-fsync") else []
        return [
            *tied,
            binary,
            *("--name", self._name),
            *("--data-dir", str(self.directory / "data")),
            *("--listen-client-urls", client),
            *("--advertise-client-urls", client),
            *("--listen-metrics-urls", f"unix://{_METRICS_SOCKET}"),
            *self._membership(),
            *("--logger", "zap"),
            *("--log-level", "warn"),
            *quick,
            *self._arguments,
        ]

    def _membership(self) -> list[str]:
        if self._peers is None:
            # A member alone talks to no peer, and needs no long election; that also makes short leases possible.
            urls = {self._name: "http://127.0.0.1:1"}
            listen, beat, election = f"unix://{_PEER_SOCKET}", "10", "100"
        else:
            urls = {name: f"http://127.0.0.1:{port}" for name, port in self._peers.items()}
            listen, beat, election = urls[self._name], "50", "500"
        return [
            *("--listen-peer-urls", listen),
            *("--initial-advertise-peer-urls", urls[self._name]),
            *("--initial-cluster", ",".join(f"{name}={url}" for name, url in urls.items())),
            *("--heartbeat-interval", beat),
            *("--election-timeout", election),
        ]

    def _is_healthy(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(str(self.directory / _METRICS_SOCKET))
                probe.sendall(b"GET /health HTTP/1.0\r\nHost: etcd\r\n\r\n")
                return b"200 OK" in probe.recv(4096)
            except OSError:
                return False

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_LIMIT)


def free_port() -> int:
    """A loopback port that nobody uses right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_members(count: int) -> list[EtcdServer]:
    """One etcd of several members; the caller closes each."""
    peers = {f"m{number}": free_port() for number in range(count)}
    members = [EtcdServer(name=name, peers=peers) for name in peers]
    try:
        for member in members:
            member.launch()
        for member in members:
            member.wait_until_healthy()
    except BaseException:
        for member in members:
            member.close()
        raise
    return members


@cache
def _has_flag(binary: str, flag: str) -> bool:
    return flag in subprocess.run([binary, "--help"], capture_output=True, text=True, check=False).stdout
