"""One node of a lab: its power, its engine, its `swarmpy up`. Each function looks first, and does what is missing."""

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from swarmpy.errors import SwarmpyError, TimedOut, Unavailable
from swarmpy.files import write_private
from swarmpy.lab import commands, kernel, proc
from swarmpy.lab.init import READY
from swarmpy.lab.network import build, link, machine_steps, namespace, plug, teardown, unplug
from swarmpy.lab.plan import Lab, Machine
from swarmpy.lab.processes import ENGINE, INIT, SUPERVISOR, Process, by_name, to_pause
from swarmpy.node.home import NODE_FILE

ENGINE_LIMIT, MEMBER_LIMIT, BOOT_LIMIT, TOKEN_LIMIT = 60.0, 120.0, 20.0, 30.0
LOOK_EVERY = 0.1
LAUNCHED = "lab: starting swarmpy up\n"


def running(machine: Machine) -> dict[str, Process]:
    return by_name(machine, proc.processes_in(machine.namespace))


def init_of(machine: Machine) -> int:
    """The pid by which the node is entered."""
    found = running(machine).get(INIT)
    if found is None:
        raise Unavailable(f"{machine.name} is off: turn it on with `swarmpy lab start`")
    return found.pid


# power


def power_on(lab: Lab, machine: Machine) -> None:
    """The node has its network and its first process."""
    if INIT in running(machine):
        return
    power_off(lab, machine)
    machine.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    machine.run.mkdir(mode=0o755, parents=True)
    kernel.run(*build(machine_steps(lab, machine, cut=machine.cut_mark.exists()), kernel.have(lab)))
    _boot(machine)


def power_off(lab: Lab, machine: Machine) -> None:
    """As pulling the plug: silent from one moment to the next, and nothing is left but the disk."""
    if link(machine.port, lab.switch) in kernel.have(lab):
        kernel.run(unplug(lab, machine))
    proc.end_all([machine.namespace], machine.run)
    kernel.take_away(*teardown(machine_steps(lab, machine), kernel.have(lab)))
    shutil.rmtree(machine.run, ignore_errors=True)


def _boot(machine: Machine) -> None:
    log = (machine.data / "init.log").open("ab")
    with (
        log,
        subprocess.Popen(
            commands.boot(machine, sys.executable),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd="/",
            env=commands.environment(os.environ),
            start_new_session=True,
        ) as process,
    ):
        assert process.stdout is not None
        answered = select.select([process.stdout], [], [], BOOT_LIMIT)[0]
        said = process.stdout.readline() if answered else b""
        # It is to outlive us: nobody waits for it.
        process.returncode = 0
    if said != READY:
        raise SwarmpyError(f"{machine.name} does not start: {last_line(machine.data / 'init.log')}")


# the cable


def cut(lab: Lab, machine: Machine) -> None:
    machine.cut_mark.parent.mkdir(parents=True, exist_ok=True)
    machine.cut_mark.touch()
    if link(machine.port, lab.switch) in kernel.have(lab):
        kernel.run(unplug(lab, machine))


def heal(lab: Lab, machine: Machine) -> None:
    machine.cut_mark.unlink(missing_ok=True)
    have = kernel.have(lab)
    if link(machine.port, lab.switch) in have and namespace(machine.namespace) in have:
        kernel.run(plug(lab, machine))


# the engine


def start_engine(lab: Lab, machine: Machine) -> None:
    if ENGINE not in running(machine):
        _launch(machine, commands.engine(lab, machine), machine.engine_log, lab.engine)


def wait_until_engine_answers(machine: Machine) -> None:
    def gone() -> str | None:
        return None if ENGINE in running(machine) else f"dockerd ended: {last_line(machine.engine_log)}"

    _wait(machine, lambda: _answers(machine.docker_socket, "/_ping"), gone, ENGINE_LIMIT, "its engine answers")


def _answers(path: Path, request: str) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(path))
            connection.sendall(f"GET {request} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n".encode())
            return b" 200 " in connection.recv(64)
    except OSError:
        return False


# swarmpy


def start_swarmpy(machine: Machine, join: str | None = None) -> None:
    if SUPERVISOR in running(machine):
        return
    with machine.swarmpy_log.open("a") as log:
        log.write(LAUNCHED)
    file = None
    if join is not None:
        write_private(machine.join_file, join)
        file = str(machine.join_file)
    _launch(machine, commands.up(machine, sys.executable, file), machine.swarmpy_log)


def wait_until_member(machine: Machine) -> None:
    """Its `swarmpy up` says that the node takes work."""
    _wait(machine, lambda: is_ready(machine), lambda: _swarmpy_gone(machine), MEMBER_LIMIT, "it takes work")
    machine.member_mark.touch()


def wait_until_manager(machine: Machine) -> None:
    """A node that joined as one first takes work, then its share in managing."""
    socket_path = machine.swarmpy_socket
    ready = partial(_answers, socket_path, "/readyz")
    _wait(machine, ready, lambda: _swarmpy_gone(machine), MEMBER_LIMIT, "its manager answers")


def _swarmpy_gone(machine: Machine) -> str | None:
    return None if SUPERVISOR in running(machine) else f"swarmpy up ended: {last_line(machine.swarmpy_log)}"


def is_member(machine: Machine) -> bool:
    """It belongs to the cluster, and joins no more; one that left it has lost its record, and joins anew."""
    return machine.member_mark.exists() and (machine.swarmpy_data / NODE_FILE).exists()


def ask_token(giver: Machine, *, manager: bool) -> tuple[str | None, str]:
    """What `--join` is to be; or None, and why."""
    try:
        done = subprocess.run(
            commands.token(giver, sys.executable, manager=manager),
            capture_output=True,
            text=True,
            timeout=TOKEN_LIMIT,
            check=False,
            env=commands.environment(os.environ),
        )
    except subprocess.TimeoutExpired:
        return None, f"{giver.name} gives no token in {TOKEN_LIMIT:g} s"
    return done.stdout.strip() or None, f"{giver.name} gives no token: {done.stderr.strip()}"


def is_ready(machine: Machine) -> bool:
    """It has said so since it was started last."""
    text = machine.swarmpy_log.read_text(errors="replace").rpartition(LAUNCHED)[2]
    return re.search(rf"^node\s+\S+ \({re.escape(machine.name)}\) is ready$", text, re.MULTILINE) is not None


def pause(machine: Machine) -> None:
    proc.send(to_pause(running(machine)), signal.SIGSTOP)


def resume(machine: Machine) -> None:
    proc.send(reversed(to_pause(running(machine))), signal.SIGCONT)


def last_line(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except FileNotFoundError:
        lines = []
    return lines[-1] if lines else "it said nothing"


def _launch(machine: Machine, command: Iterable[str], log: Path, engine: Path | None = None) -> None:
    """In the node, as a child of its first process, with its words in the log."""
    argv = (*commands.enter(init_of(machine)), "--", *commands.DETACHED, *command)
    with log.open("ab") as file:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd="/",
            env=commands.environment(os.environ, engine=engine),
            start_new_session=True,
            check=False,
        )
    if done.returncode != 0:
        raise SwarmpyError(f"{machine.name}: {argv[len(argv) - 1]} was not started: {last_line(log)}")


def _wait(machine: Machine, look: Callable[[], bool], gone: Callable[[], str | None], limit: float, what: str) -> None:
    """`gone` says why it cannot come true any more."""
    deadline = time.monotonic() + limit
    while not look():
        hint = f"`swarmpy lab logs [--engine] {machine.name}` tells more"
        # A process that is just becoming another program may not be told by its name: look twice.
        if gone() and (reason := gone()):
            raise SwarmpyError(f"{machine.name}: {reason}; {hint}")
        if time.monotonic() > deadline:
            raise TimedOut(f"{machine.name}: waited {limit:g} s in vain until {what}; {hint}")
        time.sleep(LOOK_EVERY)
