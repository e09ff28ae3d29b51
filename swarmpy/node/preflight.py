"""What can be known to be wrong before anything starts: each fault is one sentence that says what to do."""

import os
import socket
from pathlib import Path

from swarmpy.errors import BadRequest, Conflict


def check_address_free(address: str, option: str) -> None:
    """Nobody else listens on `host:port`."""
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), int(port)))
            probe.listen()
        except OSError as error:
            raise Conflict(f"cannot listen on {address}: {error.strerror}; choose another {option}") from error


def check_engine_allowed(docker_host: str) -> None:
    """The Docker socket, when it is there, may be used by us."""
    path = _socket_of(docker_host)
    if path is None or not path.exists():
        return
    if not os.access(path, os.R_OK | os.W_OK):
        raise BadRequest(f"this user may not use the Docker engine at {path}: run as root, or join the group docker")


def engine_is_absent(docker_host: str) -> bool:
    """No socket where the engine should answer. Not an error: the agent keeps trying."""
    path = _socket_of(docker_host)
    return path is not None and not path.exists()


def _socket_of(docker_host: str) -> Path | None:
    """The file of a `unix://` host; engines elsewhere cannot be looked at from here."""
    return Path(docker_host.removeprefix("unix://")) if docker_host.startswith("unix://") else None
