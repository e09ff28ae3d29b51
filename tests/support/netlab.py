"""Machines made of network namespaces: nodes on one underlay switch, and containers behind bridges of theirs.

No namespace has a name, and nothing is made in the one of the caller: each lives as long as a process that holds it,
and that process ends with its standard input, so also when the tests are killed. Needs root, and no engine.
"""

import ctypes
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

UNDERLAY = "192.0.2.{}/24"
_CLONE_NEWNET = 0x40000000
_LIMIT = 10.0


@cache
def why_not() -> str:
    """Why namespaces cannot be had here; empty when they can."""
    tools = ("unshare", "nsenter", "ip")
    if os.geteuid() != 0 or not all(map(shutil.which, tools)):
        return f"needs root and {', '.join(tools)}: it makes network namespaces"
    tried = subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "needs the right to make network namespaces"


class Namespace:
    """One network namespace. `pid` is a process inside, as a container has one."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._holder = subprocess.Popen(
            ["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self.pid = self._holder.pid
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        # The echo says that the namespace is there.
        self._holder.stdin.write(b"\n")
        assert self._holder.stdout.read(1) == b"\n", f"no namespace for {name}"
        self.ip("link set lo up")

    def run(self, *words: str, given: str | None = None, may_fail: bool = False) -> str:
        """What a command inside prints, `given` being its input."""
        command = ["nsenter", f"--net=/proc/{self.pid}/ns/net", *words]
        ended = subprocess.run(command, input=given, capture_output=True, text=True, timeout=_LIMIT, check=False)
        if ended.returncode and not may_fail:
            raise AssertionError(f"{self.name}: {' '.join(words)}: {ended.stderr.strip() or ended.stdout.strip()}")
        return ended.stdout

    def ip(self, *lines: str) -> None:
        """Commands of `ip`, all in one process."""
        self.run("ip", "-batch", "-", given="\n".join(lines) + "\n")

    def nft(self, script: str) -> None:
        self.run("nft", "-f", "-", given=script)

    def sysctl(self, **values: int | str) -> None:
        """Names as the files below /proc/sys/net/ipv4, with `__` for `/`."""

        def write() -> None:
            for name, value in values.items():
                Path("/proc/sys/net/ipv4", name.replace("__", "/")).write_text(f"{value}\n")

        self.call(write)

    def enter(self) -> None:
        """Bring the calling thread in, for good; give it to an executor as `initializer`."""
        with Path(f"/proc/{self.pid}/ns/net").open() as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"cannot enter the namespace of {self.name}")

    def call(self, work: Callable[[], T]) -> T:
        """What `work` returns, run inside. A socket that it made stays inside, whoever uses it."""
        with ThreadPoolExecutor(1, initializer=self.enter) as inside:
            return inside.submit(work).result(_LIMIT)

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()
        for pipe in (self._holder.stdin, self._holder.stdout):
            if pipe is not None:
                pipe.close()


class Joined(Namespace):
    """One that somebody else made, and ends: that of a process."""

    def __init__(self, name: str, pid: int) -> None:
        self.name, self.pid = name, pid

    def close(self) -> None:
        """It is not ours to end."""


class NetNode(Namespace):
    """A node: `eth0` is on the switch, and has `address`."""

    def __init__(self, name: str, interface: IPv4Interface) -> None:
        super().__init__(name)
        self.interface = interface
        self.address = interface.ip

    def bridge(self, name: str, interface: str, mtu: int = 1450) -> None:
        """As an engine makes it: the gateway's address and prefix on it, and up."""
        self.ip(
            f"link add name {name} mtu {mtu} type bridge",
            f"addr add {interface} dev {name}",
            f"link set dev {name} up",
        )


@dataclass
class NetLab:
    """All of it. `switch` is what the nodes' devices are plugged into; a device of its own for each, by node name."""

    switch: Namespace
    _made: list[Namespace] = field(default_factory=list)
    _nodes: int = 0

    def node(self, name: str, mtu: int = 1500) -> NetNode:
        """A node, or any other machine on the underlay."""
        self._nodes += 1
        made = NetNode(name, IPv4Interface(UNDERLAY.format(self._nodes)))
        self._made.append(made)
        self.switch.ip(
            f"link add name {name} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {made.pid}",
            f"link set dev {name} master switch",
            f"link set dev {name} up",
        )
        made.ip(f"addr add {made.interface} dev eth0", "link set eth0 up")
        made.sysctl(ip_forward=1)
        return made

    def container(
        self, node: NetNode, bridge: str, interface: str, gateway: str, *, name: str = "", mtu: int = 1450
    ) -> Namespace:
        """A namespace with `eth0` on a node's bridge; its veth on the node is named after the last part of its
        address."""
        address = IPv4Interface(interface)
        made = Namespace(name or str(address.ip))
        self._made.append(made)
        self.attach(made, node, bridge, interface, "eth0", mtu=mtu)
        made.ip(f"route add default via {IPv4Address(gateway)}")
        return made

    def attach(
        self, container: Namespace, node: NetNode, bridge: str, interface: str, device: str, *, mtu: int = 1450
    ) -> str:
        """One more interface for a container. The answer is the name of the node's end."""
        veth = f"v{int(IPv4Interface(interface).ip):08x}"
        node.ip(
            f"link add name {veth} mtu {mtu} type veth peer name {device} mtu {mtu} netns {container.pid}",
            f"link set dev {veth} master {bridge}",
            f"link set dev {veth} up",
        )
        container.ip(f"addr add {interface} dev {device}", f"link set {device} up")
        return veth

    def own(self, made: Namespace) -> None:
        """It ends with the lab."""
        self._made.append(made)

    def close(self) -> None:
        for each in (*reversed(self._made), self.switch):
            each.close()


@contextmanager
def netlab() -> Iterator[NetLab]:
    lab = NetLab(Namespace("switch"))
    try:
        lab.switch.ip("link add name switch type bridge", "link set switch up")
        yield lab
    finally:
        lab.close()


# Traffic


@dataclass(frozen=True, slots=True)
class Answer:
    """Who answered, whom it took the client for, and the payload as it came back."""

    server: str
    client: str
    payload: bytes


@contextmanager
def echo(machine: Namespace, port: int) -> Iterator[None]:
    """A server inside, of TCP and UDP, that sends everything back, with its own name and the client's address first."""
    tcp, udp = machine.call(lambda: (_bound(socket.SOCK_STREAM, port), _bound(socket.SOCK_DGRAM, port)))
    threads = [
        threading.Thread(target=serve, args=(listening, machine.name.encode()), daemon=True)
        for serve, listening in ((_serve_tcp, tcp), (_serve_udp, udp))
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for listening in (tcp, udp):
            # Wakes the thread that waits in it; a socket without a peer says that it has none.
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(_LIMIT)
        tcp.close()
        udp.close()


def ask(
    machine: Namespace, address: object, port: int, payload: bytes = b"?", *, udp: bool = False, within: float = 3.0
) -> Answer:
    """Send from inside `machine` to an echo. Raises `OSError`: `ConnectionRefusedError`, or `TimeoutError`."""
    kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
    with machine.call(lambda: socket.socket(socket.AF_INET, kind)) as asking:
        asking.settimeout(within)
        asking.connect((str(address), port))
        if udp:
            asking.send(payload)
            return _parsed(asking.recv(65536))
        # Apart, so that much may be on its way in both directions.
        sender = threading.Thread(target=_send_all, args=(asking, payload), daemon=True)
        sender.start()
        answer = _parsed(_received(asking))
        sender.join(within)
        return answer


def _bound(kind: socket.SocketKind, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, kind)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("0.0.0.0", port))
    if kind == socket.SOCK_STREAM:
        bound.listen(128)
    return bound


def _serve_tcp(listening: socket.socket, name: bytes) -> None:
    while True:
        try:
            connection, (client, _) = listening.accept()
        except OSError:
            return
        with connection, suppress(OSError):
            connection.settimeout(_LIMIT)
            connection.sendall(b"%s %s\n" % (name, client.encode()) + _received(connection))


def _serve_udp(listening: socket.socket, name: bytes) -> None:
    while True:
        payload, client = listening.recvfrom(65536)
        if client is None or not client[1]:
            return
        with suppress(OSError):
            listening.sendto(b"%s %s\n" % (name, client[0].encode()) + payload, client)


def _send_all(asking: socket.socket, payload: bytes) -> None:
    with suppress(OSError):
        asking.sendall(payload)
        asking.shutdown(socket.SHUT_WR)


def _received(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def _parsed(received: bytes) -> Answer:
    head, _, payload = received.partition(b"\n")
    server, _, client = head.decode().partition(" ")
    return Answer(server, client, payload)
