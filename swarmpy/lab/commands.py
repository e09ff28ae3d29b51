"""The command lines of a node's processes, and the way into it. Pure: runs none of them."""

from collections.abc import Mapping
from pathlib import Path

from swarmpy.lab.network import NAMESPACES, Command
from swarmpy.lab.plan import Lab, Machine

INIT_MODULE = "swarmpy.lab.init"
COMMAND_MODULE = "swarmpy.cli"
# Runs the rest as a process of its own: the caller may end, and the node's first process becomes its parent.
DETACHED = ("setsid", "--fork")
# Where system programs are that a shell's PATH may lack.
SYSTEM_PATH = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def boot(machine: Machine, python: str) -> Command:
    """The node's first process, in namespaces of its own; when it ends, all others in them end."""
    apart = ("unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc", "--")
    return (
        *("nsenter", f"--net={NAMESPACES}/{machine.namespace}", "--"),
        *apart,
        *(python, "-P", "-m", INIT_MODULE, machine.name, str(machine.run), str(machine.data)),
    )


def enter(init: int) -> Command:
    """In front of a command that is to run in the node whose first process has this pid."""
    return ("nsenter", "--target", str(init), "--mount", "--uts", "--net", "--pid")


def engine(lab: Lab, machine: Machine) -> Command:
    return (
        "dockerd",
        f"--host={machine.docker_host}",
        f"--data-root={machine.data / 'docker'}",
        f"--exec-root={machine.run / 'docker'}",
        f"--pidfile={pidfile(machine)}",
        f"--cgroup-parent=/{machine.cgroup}",
        # systemd, if there is one, knows nothing of processes in here.
        "--exec-opt=native.cgroupdriver=cgroupfs",
        # A registry on the machine or on a node of the lab will do without a certificate.
        f"--insecure-registry={lab.subnet}",
        "--log-level=warn",
    )


def pidfile(machine: Machine) -> str:
    return str(machine.run / "dockerd.pid")


def up(machine: Machine, python: str, join: str | None = None) -> Command:
    """`join` is a file with `TOKEN@HOST:PORT`, for a fresh disk: in arguments everybody would see it. Without, the node
    founds a cluster or is what it was before."""
    return (
        *(python, "-P", "-m", COMMAND_MODULE, "up"),
        *("--data-dir", str(machine.swarmpy_data), "--run-dir", str(machine.swarmpy_run)),
        *("--docker-host", machine.docker_host),
        *(("--join-file", join) if join else ()),
    )


def token(giver: Machine, python: str, *, manager: bool) -> Command:
    """Prints what `join` of a manager or a worker is."""
    role = "manager" if manager else "worker"
    return (python, "-P", "-m", COMMAND_MODULE, "--host", f"unix://{giver.swarmpy_socket}", "token", role, "-q")


def environment(
    ours: Mapping[str, str], machine: Machine | None = None, *, is_manager: bool = False, engine: Path | None = None
) -> dict[str, str]:
    """For a process in a node: whom we talk to is not whom it talks to. With `machine`, it is told of the node's. The
    programs in the folder `engine` come before the machine's own."""
    kept = {name: value for name, value in ours.items() if not name.startswith(("SWARMPY_", "DOCKER_"))}
    places = [place for place in kept.get("PATH", "/usr/local/bin:/usr/bin:/bin").split(":") if place]
    first = [] if engine is None else [str(engine)]
    kept["PATH"] = ":".join([*first, *places, *(place for place in SYSTEM_PATH if place not in places)])
    if machine is not None:
        kept["DOCKER_HOST"] = machine.docker_host
        kept["SWARMPY_DATA_DIR"] = str(machine.swarmpy_data)
        if is_manager:
            kept["SWARMPY_HOST"] = f"unix://{machine.swarmpy_socket}"
    return kept
