"""Processes of labs, found by what they are, so that none is lost when whoever started it is gone.

Each node's first process carries the names of lab and node in its arguments; all others of the node are in its process
namespace, and end with it.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
MARK = "swarmpy-lab"

# What runs in a node -> words that its command line holds, one after the other.
KINDS = {
    "supervisor": ("swarmpy", "up"),
    "manager": ("-m", "manager"),
    "agent": ("-m", "agent"),
    "etcd": ("etcd",),
    "dockerd": ("dockerd",),
}
SWARMPY = ("supervisor", "etcd", "manager", "agent")


def marked(lab: str, node: str) -> tuple[str, str, str]:
    """The last arguments of a node's first process."""
    return (MARK, lab, node)


def first_process(lab: str, node: str) -> int | None:
    """The pid of a node's first process, None when the node is off."""
    return next((pid for pid, words in _marked_processes(lab) if words[-1] == node and words[0] == "sh"), None)


def processes_of(first: int) -> dict[str, int]:
    """Kind -> pid of what runs in a node; of several of a kind the oldest."""
    namespace = _namespace(first)
    found: dict[str, int] = {}
    for pid in _pids():
        if _namespace(pid) == namespace and (kind := _kind_of(_words(pid))) is not None:
            found.setdefault(kind, pid)
    return found


def kill_lab_processes(lab: str) -> None:
    """kill -9 of every node's first process, and of what holds its namespaces open."""
    for pid, _ in list(_marked_processes(lab)):
        kill(pid)


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def is_alive(pid: int) -> bool:
    try:
        return (PROC / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _marked_processes(lab: str) -> Iterator[tuple[int, list[str]]]:
    for pid in _pids():
        words = _words(pid)
        if words[-3:-1] == [MARK, lab]:
            yield pid, words


def _kind_of(words: list[str]) -> str | None:
    names = [Path(word).name for word in words]
    for kind, sign in KINDS.items():
        # A script is run by an interpreter: its own name comes second.
        if sign[0] in names[:4] and (len(sign) == 1 or names[names.index(sign[0]) + 1 :][:1] == [sign[1]]):
            return kind
    return None


def _pids() -> list[int]:
    return sorted(int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal())


def _words(pid: int) -> list[str]:
    try:
        return (PROC / str(pid) / "cmdline").read_text(errors="replace").rstrip("\0").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return [""]


def _namespace(pid: int) -> str:
    try:
        return str((PROC / str(pid) / "ns" / "pid").readlink())
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""
