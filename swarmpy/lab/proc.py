"""The processes in a namespace, as /proc shows them; and their end."""

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from swarmpy.errors import TimedOut
from swarmpy.lab.kernel import namespace_id
from swarmpy.lab.processes import Process, is_init_in

PROC = Path("/proc")
END_LIMIT, LOOK_EVERY = 30.0, 0.02
_GONE = "ZX"

Namespace = tuple[int, int]


class _Stat(NamedTuple):
    state: str
    parent: int
    started: int


def processes_in(namespace: str) -> list[Process]:
    wanted = namespace_id(namespace)
    found = (_process(pid) for pid in (_pids_in({wanted}) if wanted else ()))
    return [process for process in found if process is not None]


def end_all(namespaces: Iterable[str], run: Path) -> None:
    """SIGKILL until nobody is left in the namespaces, nor of nodes with a run folder in `run`, whose namespaces someone
    may have taken the names of. Returns when the last is gone, and with it all containers."""
    named = {found for name in namespaces if (found := namespace_id(name))}
    # Never the machine's own, whatever name someone gave it.
    wanted = (named | _networks_of_nodes(run)) - {_identity(PROC / "self/ns/net")}
    killed: dict[int, int] = {}
    deadline = time.monotonic() + END_LIMIT
    while True:
        # The first process of a node leaves its network namespace before the last of its containers has ended.
        present = _pids_in(wanted)
        for pid in present:
            if seen := _stat(pid):
                killed[pid] = seen.started
        send(present, signal.SIGKILL)
        left = present | {pid for pid, started in killed.items() if _lives(pid, started)}
        if not left:
            return
        if time.monotonic() > deadline:
            raise TimedOut(f"processes {sorted(left)} do not end; see what they wait for in /proc/PID/stack")
        time.sleep(LOOK_EVERY)


def send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _networks_of_nodes(run: Path) -> set[Namespace]:
    found = set()
    for folder in PROC.iterdir():
        seen = _namespaces_of(folder)
        if seen and (process := _process(int(folder.name))) and is_init_in(run, process.argv):
            found.add(seen[0])
    return found


def _pids_in(wanted: set[Namespace]) -> set[int]:
    """In those networks, or among the processes of a node that has its first process there: an engine's main thread
    now and then visits the network of a container."""
    if not wanted:
        return set()
    seen = {int(folder.name): found for folder in PROC.iterdir() if (found := _namespaces_of(folder))}
    ours = _identity(PROC / "self/ns/pid")
    nodes = {processes for network, processes in seen.values() if network in wanted and processes != ours}
    return {pid for pid, (network, processes) in seen.items() if network in wanted or processes in nodes}


def _namespaces_of(folder: Path) -> tuple[Namespace, Namespace] | None:
    """Network and processes; None for what is no process, or none any more."""
    if not folder.name.isdecimal():
        return None
    try:
        return _identity(folder / "ns/net"), _identity(folder / "ns/pid")
    except OSError:
        return None


def _identity(path: Path) -> Namespace:
    seen = path.stat()
    return seen.st_dev, seen.st_ino


def _process(pid: int) -> Process | None:
    seen = _stat(pid)
    try:
        words = (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return None
    if seen is None:
        return None
    argv = tuple(word.decode(errors="replace") for word in words.rstrip(b"\0").split(b"\0"))
    return Process(pid, seen.parent, argv, stopped=seen.state == "T")


def _lives(pid: int, started: int) -> bool:
    """The same process still, and not only a record of its end."""
    seen = _stat(pid)
    return seen is not None and seen.started == started and seen.state not in _GONE


def _stat(pid: int) -> _Stat | None:
    try:
        fields = (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return _Stat(state=fields[0], parent=int(fields[1]), started=int(fields[19]))
