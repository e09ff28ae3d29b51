"""The sockets of the name server: those that an earlier agent left, else new ones, kept for the next agent.

While no agent runs, questions wait in them, where a closed port would refuse or lose them.
"""

import errno
import os
import socket
from collections.abc import Collection
from ipaddress import IPv4Address

from agent.descriptors import Heirlooms, UntoldHeirlooms

# From <netinet/in.h>, which Python 3.11 does not name: an address may be bound before a device has it.
_IP_FREEBIND = 15
# From <asm-generic/socket.h>: beyond what the machine allows everybody, for who administers its network.
_SO_RCVBUFFORCE = 33
# Some thousand questions.
_RECEIVE_BUFFER = 1 << 20
_BACKLOG = 64
_PREFIX = "dns/"
_KINDS = {socket.SOCK_DGRAM: "udp", socket.SOCK_STREAM: "tcp"}


class KeptSockets:
    """Two for each network: `take` makes or finds them, `forget` is for a network that is served no longer. A process
    that just ends closes its own, and forgets none."""

    def __init__(self, heirlooms: Heirlooms | None = None) -> None:
        self._heirlooms = heirlooms or UntoldHeirlooms()

    def take(self, network_id: str, address: IPv4Address, port: int) -> tuple[socket.socket, socket.socket]:
        """By UDP and by TCP, which listens. Raises `OSError`."""
        udp = self._take(network_id, address, port, socket.SOCK_DGRAM)
        try:
            return udp, self._take(network_id, address, port, socket.SOCK_STREAM)
        except OSError:
            udp.close()
            # Kept without the other, it would be in the way of the next try.
            self._heirlooms.forget(_name(network_id, socket.SOCK_DGRAM))
            raise

    def forget(self, network_id: str) -> None:
        for kind in _KINDS:
            self._heirlooms.forget(_name(network_id, kind))

    def forget_others(self, wanted: Collection[str]) -> None:
        """What was left for networks that are not among these."""
        names = {_name(network_id, kind) for network_id in wanted for kind in _KINDS}
        for name in self._heirlooms.left() - names:
            if name.startswith(_PREFIX):
                self._heirlooms.forget(name)

    def close(self) -> None:
        """The next agent has them all."""
        self._heirlooms.close()

    def _take(self, network_id: str, address: IPv4Address, port: int, kind: socket.SocketKind) -> socket.socket:
        name = _name(network_id, kind)
        left = self._heirlooms.take(name)
        found = _sound(left, address, port, kind) if left is not None else None
        if found is not None:
            return found
        if left is not None:
            # Perhaps it has that very address: then the next try has it.
            self._heirlooms.forget(name)
        made = _bound(address, port, kind)
        self._heirlooms.keep(name, made)
        return made


def _name(network_id: str, kind: socket.SocketKind) -> str:
    return f"{_PREFIX}{network_id}/{_KINDS[kind]}"


def _sound(left: int, address: IPv4Address, port: int, kind: socket.SocketKind) -> socket.socket | None:
    """The socket, if it is what we would make; else it is closed."""
    try:
        found = socket.socket(fileno=left)
    except OSError as error:
        if error.errno != errno.EBADF:
            os.close(left)
        return None
    try:
        is_it = (found.family, found.type) == (socket.AF_INET, kind) and found.getsockname() == (str(address), port)
        if is_it and (kind == socket.SOCK_DGRAM or found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)):
            found.setblocking(False)
            return found
    except OSError:
        pass
    found.close()
    return None


def _bound(address: IPv4Address, port: int, kind: socket.SocketKind) -> socket.socket:
    made = socket.socket(socket.AF_INET, kind)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_IP, _IP_FREEBIND, 1)
        if kind == socket.SOCK_STREAM:
            # Connections of an agent that was here before do not keep its port. For UDP it would let two listen.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            _give_room(made)
        made.bind((str(address), port))
        if kind == socket.SOCK_STREAM:
            made.listen(_BACKLOG)
    except OSError:
        made.close()
        raise
    return made


def _give_room(udp: socket.socket) -> None:
    """For what comes while no agent runs."""
    try:
        udp.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    except PermissionError:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
