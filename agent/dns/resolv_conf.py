"""Whom the node itself asks: the servers in its resolv.conf, read again when it has changed."""

from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

RESOLV_CONF = Path("/etc/resolv.conf")
# More than the C library asks; a file with a thousand is a mistake.
_MOST = 8


class NodeServers:
    """Read anew when the file is another or has changed; the last ones stay while it cannot be read."""

    def __init__(self, path: Path = RESOLV_CONF) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._servers: tuple[str, ...] = ()

    def __call__(self) -> Sequence[str]:
        try:
            status = self._path.stat()
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen != self._seen:
                self._servers, self._seen = servers_in(self._path.read_text(errors="replace")), seen
        except OSError:
            pass
        return self._servers


def servers_in(text: str) -> tuple[str, ...]:
    """The addresses of its `nameserver` lines; what is no address is passed over, as the C library does."""
    words = (line.split() for line in text.splitlines())
    named = (parts[1] for parts in words if len(parts) > 1 and parts[0] == "nameserver")
    return tuple(dict.fromkeys(server for server in named if _is_address(server)))[:_MOST]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
