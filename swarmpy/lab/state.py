"""What a lab leaves on disk: its record, written before anything is made, and who is at work on it."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from swarmpy.errors import BadRequest, Conflict, NotFound
from swarmpy.files import write_private
from swarmpy.lab.plan import DATA_ROOT, RUN_ROOT, Lab, check_name

RECORD = "lab.json"
HOLD_LIMIT, LOOK_EVERY = 60.0, 0.1


def load(name: str) -> Lab:
    lab = find(name)
    if lab is None:
        others = ", ".join(names())
        hint = f"there are {others}: --name" if others else "`swarmpy lab up` makes one"
        raise NotFound(f"there is no lab {name}; {hint}")
    return lab


def find(name: str) -> Lab | None:
    """None when there is no record of it."""
    check_name(name)
    path = DATA_ROOT / name / RECORD
    try:
        return Lab.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValidationError as error:
        raise BadRequest(
            f"{path} is damaged, or from a later swarmpy; `swarmpy lab down` removes the lab all the same"
        ) from error


def save(lab: Lab) -> None:
    write_private(lab.data / RECORD, lab.model_dump_json())


def names() -> list[str]:
    return sorted(path.parent.name for path in DATA_ROOT.glob(f"*/{RECORD}"))


def taken_subnets() -> list[str]:
    """Of all labs with a readable record, also those that are down to it."""
    found = []
    for name in names():
        try:
            found.append(str(load(name).subnet))
        except (BadRequest, NotFound):
            continue
    return found


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """The directory, made if need be and removed if it stays empty, is ours alone. The kernel lets go when the process
    ends, however it ends.

    The directory itself is locked, so that nothing is left over; whoever removes it does so while holding it."""
    deadline = time.monotonic() + HOLD_LIMIT
    descriptor = _locked(directory)
    while descriptor is None:
        if time.monotonic() > deadline:
            raise Conflict(f"another `swarmpy lab` command is at work on {directory}; wait for its end, or end it")
        time.sleep(LOOK_EVERY)
        descriptor = _locked(directory)
    try:
        yield
    finally:
        _remove_if_empty(directory, descriptor)
        os.close(descriptor)


def held_lab(name: str) -> Path:
    """What to hold for changing the lab's nodes, or removing it."""
    check_name(name)
    return DATA_ROOT / name


def held_subnets() -> Path:
    """What to hold from choosing a subnet until the record tells of it."""
    return RUN_ROOT


def _remove_if_empty(directory: Path, descriptor: int) -> None:
    with suppress(OSError):
        if os.fstat(descriptor).st_ino == directory.stat().st_ino:
            directory.rmdir()


def _locked(directory: Path) -> int | None:
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino == directory.stat().st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None
