"""Addresses of this machine: one that is free, and whether one is."""

import errno
import socket

UDP, TCP = socket.SOCK_DGRAM, socket.SOCK_STREAM


def is_free(address: str, port: int, *kinds: socket.SocketKind) -> bool:
    """Of all these kinds; connections that ended lately do not count."""
    return all(_is_free(address, port, kind) for kind in kinds)


def a_free_port(address: str, kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def _is_free(address: str, port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(kind == TCP))
        try:
            one.bind((address, port))
            if kind == TCP:
                one.listen()
        except OSError as error:
            assert error.errno == errno.EADDRINUSE
            return False
    return True
