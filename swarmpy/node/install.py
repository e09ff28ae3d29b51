"""Sets a machine up to run a node as a service of systemd, and takes that back. What it will do is a list of steps,
made before the first is taken, so that it can be shown instead.

Owns the unit, the join file and the operators' group; the node's data and its containers are not its business.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from swarmpy.errors import BadRequest, SwarmpyError
from swarmpy.files import write_whole
from swarmpy.node.unit import (
    JOIN_FILE,
    SYSUSERS_FILE,
    SYSUSERS_TEXT,
    UNIT,
    UNIT_FILE,
    WANTED_LINK,
    Service,
    unit_text,
)

Say = Callable[[str], None]

# Debian's packages, and the program by which each is known to be there.
PACKAGES = {"docker.io": "dockerd", "iptables": "iptables", "nftables": "nft", "etcd-server": "etcd"}
ETCD_UNIT = "etcd.service"
_ETCD_UNIT_FILES = ("/lib/systemd/system/etcd.service", "/usr/lib/systemd/system/etcd.service")
# Where administrators' programs lie, whatever the caller's PATH says.
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
_OURS = (WANTED_LINK, UNIT_FILE, JOIN_FILE, SYSUSERS_FILE)


@dataclass(frozen=True, slots=True)
class Write:
    path: PurePosixPath
    content: str = field(repr=False)
    mode: int = 0o644
    is_secret: bool = False

    def __str__(self) -> str:
        head = f"write {self.path} (mode {self.mode:04o})"
        if self.is_secret:
            return f"{head}: the join token, not shown"
        return "\n".join([head + ":", *(f"    {line}".rstrip() for line in self.content.splitlines())])


@dataclass(frozen=True, slots=True)
class Link:
    path: PurePosixPath
    target: PurePosixPath

    def __str__(self) -> str:
        return f"link {self.path} -> {self.target}"


@dataclass(frozen=True, slots=True)
class Remove:
    path: PurePosixPath

    def __str__(self) -> str:
        return f"remove {self.path}"


@dataclass(frozen=True, slots=True)
class Run:
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"run {' '.join(self.words)}"


Step = Write | Link | Remove | Run


@dataclass(frozen=True, slots=True)
class Machine:
    """What is to be known of the machine before it is changed. `is_this` is false for a root file system elsewhere,
    in which nothing can be run."""

    is_this: bool
    has_systemd: bool
    has_etcd_unit: bool
    has_join_file: bool
    missing_packages: tuple[str, ...]


def look_around(root: Path | None) -> Machine:
    base = root or Path("/")
    path = f"{os.environ.get('PATH', '')}:{_SBIN}"
    return Machine(
        is_this=root is None,
        has_systemd=root is None and Path("/run/systemd/system").is_dir(),
        has_etcd_unit=root is None and any(Path(file).exists() for file in _ETCD_UNIT_FILES),
        has_join_file=_under(base, JOIN_FILE).exists(),
        missing_packages=tuple(name for name, program in PACKAGES.items() if not shutil.which(program, path=path)),
    )


def install_steps(service: Service, join: str | None, machine: Machine, *, packages: bool, start: bool) -> list[Step]:
    """In an order that leaves nothing behind when the first ones fail."""
    steps: list[Step] = []
    if packages and machine.is_this:
        steps += _package_steps(machine)
    if join is not None:
        steps.append(Write(JOIN_FILE, join + "\n", 0o600, is_secret=True))
    steps += [Write(SYSUSERS_FILE, SYSUSERS_TEXT), Write(UNIT_FILE, unit_text(service)), Link(WANTED_LINK, UNIT_FILE)]
    if machine.is_this:
        steps.append(Run(("systemd-sysusers", str(SYSUSERS_FILE))))
    if machine.has_systemd:
        steps.append(Run(("systemctl", "daemon-reload")))
        # Not `start`: it may run already, with the options of an earlier installation.
        steps += [Run(("systemctl", "restart", UNIT))] if start else []
    return steps


def uninstall_steps(machine: Machine) -> list[Step]:
    stop: list[Step] = [Run(("systemctl", "disable", "--now", UNIT))] if machine.has_systemd else []
    reload: list[Step] = [Run(("systemctl", "daemon-reload"))] if machine.has_systemd else []
    return [*stop, *(Remove(path) for path in _OURS), *reload]


def is_installed(root: Path | None) -> bool:
    return any(os.path.lexists(_under(root or Path("/"), path)) for path in _OURS)


def take(steps: Sequence[Step], root: Path | None, say: Say) -> None:
    """Raises `BadRequest` where we may not write, `SwarmpyError` when a command fails."""
    base = root or Path("/")
    for step in steps:
        try:
            say(str(step).partition("\n")[0].rstrip(":"))
            _take(step, base)
        except OSError as error:
            place = error.filename or base
            raise BadRequest(f"{place}: {error.strerror}; run as root, or choose another --root") from error


def _take(step: Step, base: Path) -> None:
    match step:
        case Write(path, content, mode, is_secret):
            file = _under(base, path)
            file.parent.mkdir(mode=0o700 if is_secret else 0o755, parents=True, exist_ok=True)
            write_whole(file, content, mode)
        case Link(path, target):
            link = _under(base, path)
            link.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(target)
        case Remove(path):
            file = _under(base, path)
            file.unlink(missing_ok=True)
            if path == JOIN_FILE and file.parent.is_dir() and not any(file.parent.iterdir()):
                file.parent.rmdir()
        case Run(words):
            _run(words)


def _package_steps(machine: Machine) -> list[Step]:
    steps: list[Step] = []
    if machine.missing_packages:
        install = ("apt-get", "install", "-qq", "-y", "--no-install-recommends", *machine.missing_packages)
        steps += [Run(("apt-get", "update", "-qq")), Run(install)]
    # Debian starts an etcd of its own with the package, on a port that a node's own member needs.
    if machine.has_etcd_unit or "etcd-server" in machine.missing_packages:
        now = ("--now",) if machine.has_systemd else ()
        steps.append(Run(("systemctl", "disable", "--quiet", *now, ETCD_UNIT)))
    return steps


def _run(words: tuple[str, ...]) -> None:
    path = f"{os.environ.get('PATH', '')}:{_SBIN}"
    program = shutil.which(words[0], path=path)
    if program is None:
        hint = "; install the packages yourself and give --no-packages" if words[0] == "apt-get" else ""
        raise BadRequest(f"there is no {words[0]} here: swarmpy install is for Debian with systemd{hint}")
    environment = {**os.environ, "PATH": path, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    ended = subprocess.run(
        [program, *words[1:]], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=environment
    )
    if ended.returncode:
        told = (ended.stderr or ended.stdout).strip().splitlines()
        reason = told[-1] if told else "it said nothing"
        raise SwarmpyError(f"`{' '.join(words)}` ended with {ended.returncode}: {reason}")


def _under(base: Path, path: PurePosixPath) -> Path:
    return base / path.relative_to("/")
