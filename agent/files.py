"""Where tasks find their secrets and configs: a folder in memory (tmpfs), with one folder a task, for root alone.

What is in them, the manager said; it is held in memory as long as a task of this node may need it, and is on no disk.
"""

import asyncio
import ctypes
import os
import shutil
import stat
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from agent.task.assign import AssignedSet
from agent.task.files import FileContent, Known, contents, wanted_files
from agent.task.templates import NodeFacts
from swarmpy.errors import BadRequest, NotFound, Unavailable
from swarmpy.logs import logger
from swarmpy.wire import TaskAssignment

log = logger("files")

_TMPFS = 0x01021994
_RAMFS = 0x858458F6
_ASIDE = ".new"


class Files:
    """`places` are folders that may be made; the first that lies in memory is used. Every folder is one node's."""

    def __init__(self, places: Sequence[Path]) -> None:
        self._places = places
        self._known: Known = {}
        self._told = False

    def learn(self, assigned: AssignedSet) -> None:
        """What the manager says; what it says no more is forgotten."""
        self._known, self._told = assigned.files, True

    async def furnish(self, task: TaskAssignment, node: NodeFacts) -> str:
        """The task's files are there when this returns; what is there already stays as it is. The answer is the place
        of the task's folder, empty when it needs none.

        Raises `BadRequest` in words for the task's owner, and `Unavailable` for what may come yet."""
        if not wanted_files(task):
            return ""
        return str(await asyncio.to_thread(self._furnish, task, node, self._known, self._told))

    async def keep_only(self, is_needed: Callable[[str], bool]) -> None:
        """Remove the folders of all other tasks, also those that an earlier agent left. Listed first and judged then:
        a task that comes meanwhile loses nothing."""
        listed = await asyncio.to_thread(self._listed)
        left = [folder for folder in listed if not is_needed(folder.name.removesuffix(_ASIDE))]
        if left:
            await asyncio.to_thread(_remove, left)

    def _furnish(self, task: TaskAssignment, node: NodeFacts, known: Known, told: bool) -> Path:
        try:
            there = next((place for place in self._places if (place / task.id).is_dir()), None)
            if there is None:
                files = contents(task, node, known)
                there = chosen_folder(self._places)
                write_whole(there / task.id, files)
            return there
        except NotFound as error:
            if told:
                raise BadRequest(str(error)) from None
            raise Unavailable(f"{error}; waiting for a manager") from None
        except OSError as error:
            raise Unavailable(f"secrets cannot be laid out in memory: {error.strerror}") from None

    def _listed(self) -> list[Path]:
        return [folder for place in self._places if place.is_dir() for folder in place.iterdir()]


def _remove(folders: Sequence[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
        log.info("files.removed", task=folder.name)
    for place in {folder.parent for folder in folders}:
        with suppress(OSError):
            # Only when it is empty.
            place.rmdir()


def chosen_folder(places: Sequence[Path]) -> Path:
    """The first place that is in memory and nobody's but ours. Raises `BadRequest` when there is none."""
    for place in places:
        if not is_in_memory(place.parent):
            continue
        place.mkdir(mode=0o700, exist_ok=True)
        found = place.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077:
            return place
    tried = ", ".join(str(place.parent) for place in places)
    raise BadRequest(f"this node has no place in memory for secrets and configs: mount a tmpfs at one of {tried}")


def is_in_memory(folder: Path) -> bool:
    """Python's own statvfs does not tell the kind."""
    answer = ctypes.create_string_buffer(512)
    if ctypes.CDLL(None, use_errno=True).statfs(os.fsencode(folder), answer) != 0:
        return False
    kind = int.from_bytes(answer.raw[: ctypes.sizeof(ctypes.c_long)], sys.byteorder)
    return kind & 0xFFFFFFFF in (_TMPFS, _RAMFS)


def write_whole(folder: Path, files: Sequence[FileContent]) -> None:
    """All of them or no folder: written aside, then put in place."""
    aside = folder.with_name(folder.name + _ASIDE)
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    for file in files:
        descriptor = os.open(aside / file.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(file.data)
            os.fchown(descriptor, file.uid, file.gid)
            os.fchmod(descriptor, file.mode)
    aside.rename(folder)
