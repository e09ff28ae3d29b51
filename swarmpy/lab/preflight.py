"""What a machine must have for a lab, looked at before anything is made: one sentence for each thing missing."""

import os
import shutil
import sys
from pathlib import Path

from swarmpy.errors import BadRequest
from swarmpy.lab.commands import environment
from swarmpy.node.etcd import find_etcd

# Program -> where it comes from on Debian.
PROGRAMS = {
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setsid": "util-linux",
    "dockerd": "docker.io",
    "containerd": "docker.io",
    "iptables": "iptables",
}


def check_root() -> None:
    if reason := _not_root():
        raise BadRequest(reason)


def check_machine(engine: Path | None = None) -> None:
    """`engine` is a folder whose programs come before the machine's own."""
    faults = missing(engine)
    if faults:
        raise BadRequest("a lab cannot be made here:\n" + "\n".join(f"  {fault}" for fault in faults))


def missing(engine: Path | None = None) -> list[str]:
    path = environment(os.environ, engine=engine)["PATH"]
    faults = [reason] if (reason := _not_root()) else []
    if engine is not None and not os.access(engine / "dockerd", os.X_OK):
        faults.append(f"--engine {engine}: no dockerd is in there; scripts/fetch-engine.sh makes such a folder")
    faults += [
        f"there is no {program} on this machine: apt-get install {package}"
        for program, package in PROGRAMS.items()
        if shutil.which(program, path=path) is None
    ]
    try:
        find_etcd()
    except BadRequest as reason:
        faults.append(str(reason))
    return faults


def _not_root() -> str | None:
    if sys.platform != "linux":
        return "a lab needs Linux: its nodes are made of namespaces"
    return None if os.geteuid() == 0 else "a lab needs root, for its nodes have namespaces and engines of their own"
