"""The machine's kernel as a lab uses it: `ip`, namespaces, control groups, mounts. Decides nothing."""

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from swarmpy.errors import SwarmpyError
from swarmpy.lab.commands import environment
from swarmpy.lab.network import NAMESPACES, Command, link, namespace
from swarmpy.lab.plan import Lab, is_of

CGROUPS = Path("/sys/fs/cgroup")
COMMAND_LIMIT = 30.0

# What `ip` says of links and of namespaces that are not there.
_GONE = ("Cannot find device", "No such file or directory")


def run(*commands: Command) -> None:
    """One after the other; the first that fails ends it, with its words."""
    for command in commands:
        told(command)


def take_away(*commands: Command) -> None:
    """One after the other. What has gone meanwhile is no error: links go with their namespaces."""
    for command in commands:
        try:
            told(command)
        except SwarmpyError as error:
            if not any(words in str(error) for words in _GONE):
                raise


def told(command: Command) -> str:
    """What the command prints."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=COMMAND_LIMIT, check=False, env=environment(os.environ)
    )
    if done.returncode != 0:
        raise SwarmpyError(f"`{' '.join(command)}` failed: {done.stderr.strip() or done.returncode}")
    return done.stdout


def routes() -> list[str]:
    """Ranges that the machine already sends somewhere."""
    return [str(route["dst"]) for route in _json("ip", "-json", "-4", "route", "show", "table", "all")]


def have(lab: Lab) -> frozenset[str]:
    """What the steps name, as far as it is there: namespaces of the lab, links of its switch and of the machine. Into
    the nodes nobody looks: another command may just be taking one away."""
    ours = [name for name in namespaces(lab.name) if namespace_id(name) is not None]
    found = {namespace(name) for name in ours} | {link(name) for name in _links("ip")}
    if lab.switch in ours:
        found |= {link(name, lab.switch) for name in _links("ip", "-n", lab.switch)}
    return frozenset(found)


def namespaces(lab: str) -> list[str]:
    """Those of the lab, broken ones too."""
    try:
        return sorted(path.name for path in Path(NAMESPACES).iterdir() if is_of(lab, path.name))
    except FileNotFoundError:
        return []


def namespace_id(name: str) -> tuple[int, int] | None:
    """As processes in it show it; None for what is none: `ip netns add` may have been killed half-way."""
    try:
        seen, home = Path(NAMESPACES, name).stat(), Path(NAMESPACES).stat()
    except FileNotFoundError:
        return None
    return None if seen.st_dev == home.st_dev else (seen.st_dev, seen.st_ino)


def mend_namespaces(lab: str) -> None:
    for name in namespaces(lab):
        if namespace_id(name) is None:
            remove_namespace(name)


def remove_namespace(name: str) -> None:
    try:
        run(("ip", "netns", "del", name))
    except SwarmpyError:
        if Path(NAMESPACES, name).exists():
            raise


def cgroups(lab: str) -> list[Path]:
    """The lab's, in every hierarchy."""
    places = [CGROUPS, *(place for place in CGROUPS.iterdir() if place.is_dir())] if CGROUPS.is_dir() else []
    return [path for place in places for path in place.iterdir() if is_of(lab, path.name)]


def remove_cgroups(parents: Iterable[Path]) -> bool:
    """Whether they are all gone; the kernel may need a moment after the last process."""
    for parent in parents:
        folders = [Path(folder) for folder, _, _ in os.walk(parent, topdown=False)]
        for folder in folders:
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                return False
    return True


def unmount_below(folder: Path) -> None:
    """Nothing of a node is mounted outside it, unless someone did; what is, must not be emptied with the folder."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in reversed(points):
        if Path(point).is_relative_to(folder):
            run(("umount", "--lazy", point))


def _links(*ip: str) -> list[str]:
    return [str(item["ifname"]) for item in _json(*ip, "-json", "link", "show")]


def _json(*command: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(told(command) or "[]")
    return items
