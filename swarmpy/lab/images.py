"""Images for a lab's engines, which can pull nothing: saved once, loaded into all side by side."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from swarmpy.errors import BadRequest, SwarmpyError
from swarmpy.lab import commands
from swarmpy.lab.plan import Lab, Machine


def save(lab: Lab, images: Sequence[str], source: str | None, into: Path) -> None:
    """From the engine `source`, or the one that the docker client talks to by itself."""
    host = ("--host", source) if source else ()
    command = (_docker(), *host, "save", "--output", str(into), *images)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SwarmpyError(f"cannot save {', '.join(images)}: {_last(done.stderr)}")


def load(machines: Sequence[Machine], archive: Path) -> list[str]:
    """What each engine said of it; a fault of one does not keep the others from it."""
    docker = _docker()
    loading = [
        (
            each,
            subprocess.Popen(
                (docker, "--host", each.docker_host, "load", "--quiet", "--input", str(archive)),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=commands.environment(os.environ),
            ),
        )
        for each in machines
    ]
    told: list[str] = []
    faults: list[str] = []
    for each, process in loading:
        text = process.communicate()[0]
        (faults if process.returncode else told).append(f"{each.name}: {_last(text)}")
    if faults:
        raise SwarmpyError("not loaded: " + "; ".join(faults))
    return told


def folder(lab: Lab) -> "TemporaryDirectory[str]":
    """Room for an archive, in the lab's own folder: `down` removes it too, should we not."""
    return TemporaryDirectory(prefix="images-", dir=lab.data)


def _docker() -> str:
    found = shutil.which("docker", path=commands.environment(os.environ)["PATH"])
    if found is None:
        raise BadRequest("there is no docker client on this machine: apt-get install docker.io")
    return found


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"
