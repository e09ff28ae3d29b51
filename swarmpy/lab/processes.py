"""Which of the processes in a node's network is what, and what that says about the node. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from swarmpy.lab.commands import COMMAND_MODULE, DETACHED, INIT_MODULE, pidfile
from swarmpy.lab.plan import Machine

INIT, ENGINE, SUPERVISOR = "init", "dockerd", "supervisor"
MANAGER, WORKER = "manager", "worker"
CHILDREN = ("etcd", MANAGER, "agent")


@dataclass(frozen=True, slots=True)
class Process:
    """Pids are those of the machine. `stopped`: by SIGSTOP."""

    pid: int
    parent: int
    argv: tuple[str, ...]
    stopped: bool = False


class Condition(StrEnum):
    OFF = "off"
    NO_ENGINE = "engine down"
    NO_SWARMPY = "swarmpy down"
    PAUSED = "paused"
    RUNNING = "running"


def by_name(machine: Machine, found: Iterable[Process]) -> dict[str, Process]:
    """The node's own ones among all in its network; commands that someone runs in the node are none of them."""
    processes = tuple(found)
    named = {name: process for process in processes if (name := _name(machine, process.argv))}
    supervisor = named.get(SUPERVISOR)
    if supervisor is not None:
        children = (process for process in processes if process.parent == supervisor.pid)
        named |= {name: child for child in children if (name := _child_name(child.argv)) in CHILDREN}
    return named


def condition(named: dict[str, Process]) -> Condition:
    if INIT not in named:
        return Condition.OFF
    if ENGINE not in named:
        return Condition.NO_ENGINE
    if SUPERVISOR not in named:
        return Condition.NO_SWARMPY
    return Condition.PAUSED if named[SUPERVISOR].stopped else Condition.RUNNING


def role(machine: Machine, named: dict[str, Process], *, has_socket: bool) -> str:
    """What it is in the cluster, as far as its processes show; one that does not run is what it was planned as."""
    is_manager = MANAGER in named or has_socket if SUPERVISOR in named else machine.manager
    return MANAGER if is_manager else WORKER


def to_pause(named: dict[str, Process]) -> tuple[int, ...]:
    """The supervisor first, so that it starts none anew; to resume, the other way round."""
    return tuple(named[name].pid for name in (SUPERVISOR, *CHILDREN) if name in named)


def is_init_in(folder: Path, argv: Sequence[str]) -> bool:
    """Whether this is the first process of a node whose run folder is, or is in, that folder."""
    return _module(argv) == INIT_MODULE and len(argv) > 5 and Path(argv[5]).is_relative_to(folder)


def _name(machine: Machine, argv: Sequence[str]) -> str | None:
    # Between its start and its program's, a detached process still has both in its command line.
    words = tuple(argv[len(DETACHED) :] if tuple(argv[: len(DETACHED)]) == DETACHED else argv)
    module = _module(words)
    if module == INIT_MODULE:
        return INIT
    if module == COMMAND_MODULE and words[4:5] == ("up",) and str(machine.swarmpy_data) in words:
        return SUPERVISOR
    if _program(words) == ENGINE and f"--pidfile={pidfile(machine)}" in words:
        return ENGINE
    return None


def _child_name(argv: Sequence[str]) -> str:
    return _module(argv) or _program(argv)


def _module(argv: Sequence[str]) -> str | None:
    return argv[3] if tuple(argv[1:3]) == ("-P", "-m") and len(argv) > 3 else None


def _program(argv: Sequence[str]) -> str:
    return argv[0].rpartition("/")[2] if argv else ""
