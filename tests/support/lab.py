"""A cluster of several real nodes, as `swarmpy lab` makes it: each with a network, an engine and a disk of its own.

`with lab(nodes=3, managers=3) as it:` gives one that is ready, and removes it whatever happens. Labs of earlier runs
that were killed are removed first.
"""

import itertools
import json
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from support.images import BUSYBOX, root_filesystem
from support.node import BIN, COMMAND_LIMIT, Result, run, wait_until

from swarmpy.cli.lab import rows_of
from swarmpy.lab import state
from swarmpy.lab.plan import DATA_ROOT, RUN_ROOT

UP_LIMIT = 180.0
_PREFIX = "t"
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class LabNode:
    """A node as `swarmpy lab ls` tells of it. `processes` are name -> pid, seen from here."""

    node: str
    address: str
    role: str
    state: str
    cut: bool
    socket: str
    docker_host: str
    processes: dict[str, int] = field(hash=False)


class Lab:
    """What an operator does to a lab, by the command line alone. Names are `node-1`, `node-2`, ..."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name or f"{_PREFIX}{os.getpid()}-{next(_numbers)}"

    # the lab

    def command(self, *words: str, limit: float = UP_LIMIT) -> Result:
        """`swarmpy lab ...` for this lab."""
        return run(self.argv(*words), limit)

    def argv(self, *words: str) -> list[str]:
        verb, *rest = words
        return [str(BIN / "swarmpy"), "lab", verb, "--name", self.name, *rest]

    def must(self, *words: str, limit: float = UP_LIMIT) -> Result:
        result = self.command(*words, limit=limit)
        assert result.code == 0, f"swarmpy lab {' '.join(words)} ended with {result.code}:\n{result.all}"
        return result

    def up(self, nodes: int, managers: int = 1, engine: Path | None = None) -> None:
        other = () if engine is None else ("--engine", str(engine))
        self.must("up", "--nodes", str(nodes), "--managers", str(managers), *other)

    def add(self, nodes: int = 1, *, manager: bool = False) -> None:
        self.must("add", "--nodes", str(nodes), *(("--manager",) if manager else ()))

    def down(self) -> None:
        self.must("down")

    def cut(self, *names: str) -> None:
        self.must("cut", *names)

    def heal(self, *names: str) -> None:
        self.must("heal", *names)

    def kill(self, *names: str) -> None:
        """They lose power. Their disks stay."""
        self.must("kill", *names)

    def start(self, *names: str, wait: bool = True) -> None:
        self.must("start", *names, *(() if wait else ("--detach",)))

    def pause(self, *names: str) -> None:
        self.must("pause", *names)

    def resume(self, *names: str) -> None:
        self.must("resume", *names)

    def log(self, name: str, *options: str) -> str:
        return self.must("logs", name, *options).out

    # its nodes

    def nodes(self) -> dict[str, LabNode]:
        """As `swarmpy lab ls` does, and without a process for each of many looks."""
        return {node.node: node for node in (LabNode(**row) for row in rows_of(state.load(self.name)))}

    def listed(self) -> dict[str, LabNode]:
        """By the command."""
        rows = self.must("ls", "--format", "json").out.splitlines()
        return {node.node: node for node in (LabNode(**_parsed(row)) for row in rows)}

    def node(self, name: str) -> LabNode:
        return self.nodes()[name]

    def execute(self, name: str, *command: str, limit: float = COMMAND_LIMIT) -> Result:
        """A command in the node."""
        return self.command("exec", name, "--", *command, limit=limit)

    def swarmpy(self, name: str, *words: str, limit: float = COMMAND_LIMIT) -> Result:
        """The command line, asking the manager on that node."""
        return run([str(BIN / "swarmpy"), "--host", self.node(name).socket, *words], limit)

    def docker(self, name: str, *words: str, limit: float = COMMAND_LIMIT) -> Result:
        """The docker client, asking that node's engine."""
        return run(["docker", "--host", self.node(name).docker_host, *words], limit)

    def load(self, image: str = BUSYBOX, changes: Sequence[str] = ()) -> None:
        """The test image, into all engines. `changes` are Dockerfile lines."""
        first = next(iter(self.nodes()))
        flags = [part for change in ("ENV PATH=/bin", *changes) for part in ("--change", change)]
        with NamedTemporaryFile(suffix=".tar") as file:
            file.write(root_filesystem())
            file.flush()
            made = self.docker(first, "import", *flags, file.name, image)
        assert made.code == 0, made.all
        self.must("load", "--from", self.node(first).docker_host, image)

    def signal_process(self, name: str, process: str, number: signal.Signals) -> None:
        os.kill(self._pid(name, process), number)

    def kill_process(self, name: str, process: str) -> None:
        """kill -9 of one process of a node; returns when its supervisor has started it again."""
        before = self._pid(name, process)
        os.kill(before, signal.SIGKILL)
        wait_until(
            f"{process} of {name} is started again",
            lambda: self.node(name).processes.get(process, before) != before,
        )

    def _pid(self, name: str, process: str) -> int:
        """Of one that may just be starting again."""
        return wait_until(f"{process} of {name} runs", lambda: self.node(name).processes.get(process, 0))

    def can_reach(self, name: str, other: str) -> bool:
        """A packet there and one back."""
        answer = self.execute(name, "busybox", "ping", "-c", "1", "-W", "1", self.node(other).address)
        return answer.code == 0


@contextmanager
def lab(nodes: int = 3, managers: int = 1, engine: Path | None = None) -> Iterator[Lab]:
    """A lab whose nodes are all ready. `engine` is the folder of another engine than the machine's."""
    remove_leftovers()
    made = Lab()
    try:
        made.up(nodes, managers, engine)
        yield made
    finally:
        made.down()


def remove_leftovers() -> None:
    """Labs of test runs that are no more."""
    for name in names_of_test_labs():
        with suppress(ValueError):
            pid = int(name.removeprefix(_PREFIX).partition("-")[0])
            if not Path(f"/proc/{pid}").exists():
                Lab(name).down()


def names_of_test_labs() -> set[str]:
    folders = itertools.chain(DATA_ROOT.glob(f"{_PREFIX}*-*"), RUN_ROOT.glob(f"{_PREFIX}*-*"))
    return {folder.name for folder in folders} | {name for name in state.names() if name.startswith(_PREFIX)}


def traces(name: str) -> list[str]:
    """Whatever of a lab of that name is on the machine: folders, namespaces, links, mounts, groups, processes."""
    found = [str(path) for path in (DATA_ROOT / name, RUN_ROOT / name) if path.exists()]
    found += [str(path) for path in Path("/run/netns").glob(f"swarmpy-{name}-*")]
    for pattern in (f"swarmpy-{name}-*", f"*/swarmpy-{name}-*"):
        found += [str(path) for path in Path("/sys/fs/cgroup").glob(pattern)]
    found += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"/{name}/" in line]
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if f"/{name}/" in words or f"swarmpy-{name}-" in words:
                found.append(f"process {process.name}: {words}")
    return found


def _parsed(row: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(row)
    return parsed
