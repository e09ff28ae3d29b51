"""A real Docker engine of the test's own, in its own namespaces (mount, network, host name, processes).

It shares nothing with an engine of the machine, and when its first process ends, all that it started ends with it.
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker

START_LIMIT = 30.0
STOP_LIMIT = 20.0
_CLONE_NEWNET = 0x40000000

# In the mount namespace: no containerd of the machine, no name server that takes long to fail.
_SETUP = """
set -e
hostname "$1"
ip link set lo up
mkdir -p /run/containerd
mount -t tmpfs tmpfs /run/containerd
printf 'nameserver 127.0.0.1\\n' > "$2/resolv.conf"
mount --bind "$2/resolv.conf" /etc/resolv.conf
shift 2
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Dockerd:
    """A running engine. `pid` is its first process: its namespaces are those of the engine."""

    folder: Path
    process: "subprocess.Popen[bytes]"
    pid: int

    @property
    def socket_path(self) -> Path:
        return self.folder / "docker.sock"

    @property
    def host(self) -> str:
        return f"unix://{self.socket_path}"

    @property
    def log_path(self) -> Path:
        return self.folder / "dockerd.log"

    def client(self) -> docker.APIClient:
        """A client of its own, for what a hand does. Close it."""
        return docker.APIClient(self.host)

    def run(self, *command: str) -> str:
        """The output of a command in the engine's network."""
        argv = ["nsenter", f"--net=/proc/{self.pid}/ns/net", *command]
        return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30).stdout

    def pid_here(self, pid: int) -> int:
        """A process that the engine, which has numbers of its own, calls `pid`."""
        for status in Path("/proc").glob("[0-9]*/status"):
            facts = dict(line.split(":", 1) for line in status.read_text().splitlines())
            if facts["NSpid"].split()[1:2] == [str(pid)] and self._has(int(status.parent.name)):
                return int(status.parent.name)
        raise AssertionError(f"no process {pid} in the engine's namespace")

    def _has(self, pid: int) -> bool:
        while pid > 1:
            if pid == self.process.pid:
                return True
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        return False

    @contextmanager
    def network(self) -> Iterator[None]:
        """This thread is in the engine's network, and reaches its bridges."""
        with _network_of(self.pid):
            yield

    def listen(self, port: int = 0) -> socket.socket:
        """A listening socket on the engine's loopback, held by this process."""
        with _network_of(self.pid):
            return socket.create_server(("127.0.0.1", port))


@contextmanager
def dockerd(hostname: str = "node-1", arguments: Sequence[str] = ()) -> Iterator[Dockerd]:
    """An engine that answers; ended with all its containers, its files removed, whatever happens inside."""
    folder = Path(tempfile.mkdtemp(prefix="swarmpy-engine-", dir="/tmp"))
    cgroup = f"/{folder.name}"
    argv = _command(folder, hostname, cgroup, arguments)
    with (folder / "dockerd.log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        pid = _wait_until_it_answers(folder, process)
        yield Dockerd(folder, process, pid)
    finally:
        _end(process)
        _remove_cgroups(cgroup)
        shutil.rmtree(folder, ignore_errors=True)


def why_not() -> str | None:
    """Why no engine can be started here; None when one can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a Docker engine needs Linux and root"
    tools = ("dockerd", "containerd", "docker", "iptables", "unshare", "nsenter", "ip", "busybox")
    missing = [tool for tool in tools if not _which(tool)]
    return f"not installed: {', '.join(missing)}" if missing else None


def _which(tool: str) -> str | None:
    return shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def _command(folder: Path, hostname: str, cgroup: str, arguments: Sequence[str]) -> list[str]:
    engine = [
        "dockerd",
        f"--host=unix://{folder}/docker.sock",
        f"--data-root={folder}/data",
        f"--exec-root={folder}/exec",
        f"--pidfile={folder}/dockerd.pid",
        f"--cgroup-parent={cgroup}",
        "--log-level=warn",
        *arguments,
    ]
    # Should the tests be killed, the engine is too: nobody is left to end it.
    unshare = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        "unshare",
        "--mount",
        "--net",
        "--uts",
        "--pid",
        "--fork",
        "--kill-child=SIGKILL",
        "--mount-proc",
    ]
    return [*unshare, "sh", "-c", _SETUP, "setup", hostname, str(folder), *engine]


def _wait_until_it_answers(folder: Path, process: "subprocess.Popen[bytes]") -> int:
    """The pid, seen from here, of the engine's first process."""
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        if _answers(folder / "docker.sock"):
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            return int(children[0])
        time.sleep(0.02)
    raise RuntimeError(f"dockerd did not start: {(folder / 'dockerd.log').read_text()[-2000:]}")


def _answers(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2)
            connection.connect(str(path))
            connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in connection.recv(64)
    except OSError:
        return False


def _end(process: "subprocess.Popen[bytes]") -> None:
    """At once: with the first process of its namespace all others end, and what they held is in their namespaces."""
    if process.poll() is None:
        for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(pid), signal.SIGKILL)
    try:
        process.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_LIMIT)


def _remove_cgroups(cgroup: str) -> None:
    for parent in Path("/sys/fs/cgroup").glob(f"*{cgroup}"):
        for folder in sorted(parent.rglob("*/"), reverse=True):
            _remove_folder(folder)
        _remove_folder(parent)


def _remove_folder(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return


@contextmanager
def _network_of(pid: int) -> Iterator[None]:
    """This thread is in the network namespace of that process. A socket stays in the one it was made in."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open() as home, Path(f"/proc/{pid}/ns/net").open() as there:
        if libc.setns(there.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(home.fileno(), _CLONE_NEWNET)
