"""The processes in a namespace, as /proc shows them; and their end."""

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from swarmpy.errors import TimedOut
from swarmpy.lab.kernel import namespace_id
from swarmpy.lab.processes import Process

PROC = Path("/proc")
END_LIMIT, LOOK_EVERY = 30.0, 0.02
_GONE = "ZX"


def processes_in(namespace: str) -> list[Process]:
    wanted = namespace_id(namespace)
    found = (_process(pid) for pid in (_pids_in({wanted}) if wanted else ()))
    return [process for process in found if process is not None]


def end_all(namespaces: Iterable[str]) -> None:
    """SIGKILL until nobody is left in them. Returns when the last is gone, and with it all containers."""
    wanted = {found for name in namespaces if (found := namespace_id(name))}
    killed: set[int] = set()
    deadline = time.monotonic() + END_LIMIT
    while True:
        # The first process of a node leaves its network namespace before the last of its containers has ended.
        present = _pids_in(wanted)
        killed |= present
        for pid in present:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        left = present | {pid for pid in killed if is_alive(pid)}
        if not left:
            return
        if time.monotonic() > deadline:
            raise TimedOut(f"processes {sorted(left)} do not end; see what they wait for in /proc/PID/stack")
        time.sleep(LOOK_EVERY)


def is_alive(pid: int) -> bool:
    return (_stat(pid) or (_GONE, 0))[0] not in _GONE


def send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _pids_in(wanted: set[tuple[int, int]]) -> set[int]:
    found = set()
    for folder in PROC.iterdir() if wanted else ():
        if folder.name.isdecimal():
            with suppress(OSError):
                seen = (folder / "ns/net").stat()
                if (seen.st_dev, seen.st_ino) in wanted:
                    found.add(int(folder.name))
    return found


def _process(pid: int) -> Process | None:
    seen = _stat(pid)
    try:
        words = (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return None
    if seen is None:
        return None
    state, parent = seen
    argv = tuple(word.decode(errors="replace") for word in words.rstrip(b"\0").split(b"\0"))
    return Process(pid, parent, argv, stopped=state == "T")


def _stat(pid: int) -> tuple[str, int] | None:
    """State letter and parent."""
    try:
        fields = (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[1])
