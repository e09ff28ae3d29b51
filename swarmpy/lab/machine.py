"""One node of a lab: a first process with namespaces of its own, an engine and swarmpy in them; on, off, entered.

Its /run and /var/lib are its own, so that all that runs in it finds its things where they are on any machine.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from swarmpy.errors import TimedOut, Unavailable
from swarmpy.lab.folders import Folders
from swarmpy.lab.plan import LabNode, LabPlan, plug_commands
from swarmpy.lab.procs import first_process, is_alive, kill, marked, processes_of

POLL = 0.05
STARTS_WITHIN = 60.0
ENDS_WITHIN = 20.0

# The arguments: host name, disk, run folder; then the marks by which the process is found again. Look-ups of names must
# fail fast, for nothing answers them. The shell stays, as the first process that all others need, and reaps orphans.
_FIRST = """
set -e
hostname "$1"
mount --bind "$2" /var/lib
mount --bind "$3" /run
printf 'nameserver 127.0.0.1\\n' > /run/resolv.conf
if [ -e /etc/resolv.conf ]; then mount --bind /run/resolv.conf /etc/resolv.conf; fi
touch /run/first
while :; do sleep 3600 & wait $!; done
"""
_NAMESPACES = ("--mount", "--net", "--uts", "--pid", "--ipc", "--fork", "--kill-child=SIGKILL", "--mount-proc")


class Machine:
    def __init__(self, plan: LabPlan, node: LabNode, folders: Folders) -> None:
        self.node = node
        self._plan = plan
        self._folders = folders
        self._swarmpy: subprocess.Popen[bytes] | None = None

    @property
    def first(self) -> int | None:
        """The pid of its first process; None when it is off."""
        return first_process(self._plan.name, self.node.name)

    @property
    def cgroup(self) -> str:
        return f"swarmpy-lab-{self._plan.name}-{self.node.name}"

    def processes(self) -> dict[str, int]:
        first = self.first
        return processes_of(first) if first is not None else {}

    def turn_on(self) -> None:
        """Plugged in, and its engine starting. What is on already stays so."""
        if self.first is None:
            disk, run = self._folders.disk(self.node), self._folders.run_of(self.node)
            shutil.rmtree(run, ignore_errors=True)
            for folder in (disk, run):
                folder.mkdir(parents=True, exist_ok=True)
            self._start_first(disk, run)
        if "dockerd" not in self.processes():
            self._start(
                "engine",
                ("dockerd", f"--cgroup-parent=/{self.cgroup}", "--log-level=warn", "--host=unix:///run/docker.sock"),
            )

    def start_swarmpy(self, options: Sequence[str] = ()) -> None:
        if "supervisor" not in self.processes():
            self._swarmpy = self._start("swarmpy", (swarmpy_command(), "up", "--hostname", self.node.name, *options))

    def turn_off(self) -> None:
        """As when the power fails: everything is gone at once, but for the disk."""
        first = self.first
        if first is None:
            return
        kill(first)
        wait_until(f"{self.node.name} is off", lambda: not is_alive(first), ENDS_WITHIN)
        remove_cgroups(self.cgroup)

    def entered(self, command: Sequence[str]) -> list[str]:
        """The command line that runs a command in the node. Raises `Unavailable` when the node is off."""
        first = self.first
        if first is None:
            raise Unavailable(f"{self.node.name} is off: `swarmpy lab start {self.node.name}` turns it on")
        return ["nsenter", f"--target={first}", "--mount", "--net", "--uts", "--pid", "--ipc", "--", *command]

    def wait_until_engine_answers(self) -> None:
        def answers() -> bool:
            command = self.entered(["docker", "version", "--format", "x"])
            return subprocess.run(command, capture_output=True, check=False).returncode == 0

        try:
            wait_until(f"the engine of {self.node.name} answers", answers, STARTS_WITHIN)
        except TimedOut as error:
            raise TimedOut(f"{error}:\n{self._tail('engine')}") from None

    def wait_until_ready(self) -> None:
        """Its agent has a session with the leader."""
        ready = self._folders.ready_file(self.node)

        def has_ended() -> bool:
            return self._swarmpy is not None and self._swarmpy.poll() is not None

        try:
            wait_until(f"{self.node.name} is ready", lambda: ready.exists() or has_ended(), STARTS_WITHIN)
        except TimedOut as error:
            raise TimedOut(f"{error}:\n{self._tail('swarmpy')}") from None
        if has_ended():
            raise Unavailable(f"swarmpy did not start on {self.node.name}:\n{self._tail('swarmpy')}")

    def _start_first(self, disk: Path, run: Path) -> None:
        script = ("sh", "-c", _FIRST, "first", self.node.name, str(disk), str(run))
        self._spawn("first", ("unshare", *_NAMESPACES, *script, *marked(self._plan.name, self.node.name)))
        wait_until(f"{self.node.name} is on", (run / "first").exists, STARTS_WITHIN)
        first = self.first
        assert first is not None
        for command in plug_commands(self._plan, self.node, first):
            run_command(command)

    def _start(self, what: str, command: Sequence[str]) -> "subprocess.Popen[bytes]":
        return self._spawn(what, self.entered(command))

    def _spawn(self, what: str, command: Sequence[str]) -> "subprocess.Popen[bytes]":
        """It outlives this process, and the terminal."""
        with self._folders.log(self.node, what).open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def _tail(self, what: str) -> str:
        return "\n".join(self._folders.log(self.node, what).read_text(errors="replace").splitlines()[-5:])


def swarmpy_command() -> str:
    """The one that belongs to the Python that runs this."""
    beside = Path(sys.executable).with_name("swarmpy")
    found = str(beside) if beside.exists() else shutil.which("swarmpy")
    if found is None:
        raise Unavailable("the command swarmpy is not on PATH: pip install swarmpy")
    return found


def run_command(command: Sequence[str]) -> str:
    """What it prints. Raises `Unavailable` with what it says when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"`{' '.join(command)}` failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def wait_until(what: str, condition: Callable[[], bool], within: float) -> None:
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise TimedOut(f"waited {within:g} s in vain until {what}")
        time.sleep(POLL)


def remove_cgroups(name: str) -> None:
    """What an engine that was killed leaves counted."""
    for parent in Path("/sys/fs/cgroup").glob(f"**/{name}"):
        for folder in sorted((*parent.rglob("*/"), parent), key=lambda path: -len(path.parts)):
            _remove_folder(folder)


def _remove_folder(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return
