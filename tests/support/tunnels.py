"""WireGuard in namespaces: by the kernel where it has it, else by wireguard-go, one a node."""

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from support.netlab import Namespace, NetNode
from support.netlab import why_not as why_no_namespaces

from agent.network.picture import TUNNEL
from agent.network.tunnel_wg import Wg

_SOCKETS = "/var/run/wireguard"
_LIMIT = 30.0
_ALL_PROTOCOLS = 3
# SO_RCVBUFFORCE, beyond what others may have.
_RECEIVE_BUFFER = 33


def why_not() -> str:
    lacks = [tool for tool in ("wg", "wireguard-go") if shutil.which(tool) is None]
    return why_no_namespaces() or (f"needs {' and '.join(lacks)}: it encrypts networks" if lacks else "")


class TunnelNode:
    """A node's wireguard-go, with a place of its own for its socket: those of all nodes have one name."""

    def __init__(self, node: NetNode) -> None:
        self.node = node
        script = f"mkdir -p {_SOCKETS} && mount -t tmpfs none {_SOCKETS} && exec cat"
        self._place = subprocess.Popen(
            ["nsenter", f"--net=/proc/{node.pid}/ns/net", "unshare", "--mount", "sh", "-c", script],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
        )  # fmt: skip
        assert self._place.stdin is not None
        assert self._place.stdout is not None
        self._place.stdin.write(b"\n")
        assert self._place.stdout.read(1) == b"\n"
        self._inside = ("nsenter", "-t", str(self._place.pid), "--mount", "--net")
        self._served = self.serve()
        self.wg = Wg((*self._inside, "wg"), node.enter)

    def serve(self) -> "subprocess.Popen[bytes]":
        """Starts wireguard-go, as an operator does."""
        nobody = subprocess.DEVNULL
        self._served = subprocess.Popen(
            [*self._inside, "wireguard-go", "-f", TUNNEL], stdin=nobody, stdout=nobody, stderr=nobody
        )
        wait_until(lambda: self._wg("show", TUNNEL).returncode == 0)
        return self._served

    def kill(self) -> None:
        """As when it crashes: the kernel takes the device away."""
        self._served.kill()
        self._served.wait()
        wait_until(lambda: TUNNEL not in self.node.run("ip", "link"))

    def show(self, what: str) -> str:
        return self._wg("show", TUNNEL, what).stdout

    def set(self, *words: str) -> None:
        ended = self._wg("set", TUNNEL, *words)
        assert ended.returncode == 0, ended.stderr

    def close(self) -> None:
        for process in (self._served, self._place):
            process.kill()
            process.wait()
        for pipe in (self._place.stdin, self._place.stdout):
            if pipe is not None:
                pipe.close()

    def _wg(self, *words: str) -> "subprocess.CompletedProcess[str]":
        command = [*self._inside, "wg", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_LIMIT)


def wait_until(condition: Callable[[], bool]) -> None:
    """Of a process that says nothing when it is ready."""
    pause = Event()
    for _ in range(int(_LIMIT / 0.02)):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError("it did not come about")


class Tap:
    """All frames that a device of a namespace sees."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def saw(self, pattern: bytes) -> bool:
        return any(pattern in frame for frame in self.frames)


@contextmanager
def tapped(machine: Namespace, device: str) -> Iterator[Tap]:
    tap = Tap()

    def listening() -> socket.socket:
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS))
        # What does not fit is not seen.
        made.setsockopt(socket.SOL_SOCKET, _RECEIVE_BUFFER, 1 << 26)
        made.bind((device, 0))
        made.settimeout(0.1)
        return made

    tapping, is_over = machine.call(listening), Event()

    def listen() -> None:
        while True:
            try:
                tap.frames.append(tapping.recv(1 << 16))
            except TimeoutError:
                # What was sent before the end is still waiting in the socket, and is read first.
                if is_over.is_set():
                    return

    thread = Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield tap
    finally:
        is_over.set()
        thread.join(_LIMIT)
        tapping.close()
