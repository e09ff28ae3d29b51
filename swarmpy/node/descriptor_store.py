"""What a child wants kept beyond its end: descriptors that it sends, for the next process in its place."""

import array
import os
import resource
import socket
import struct
from asyncio import get_running_loop
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from swarmpy.descriptors import GIVEN, LONGEST_MESSAGE, MOST, NOTIFY_SOCKET, Forget, read, told
from swarmpy.logs import logger

log = logger("node")

PRIVATE, OWNER_ONLY = 0o700, 0o600
# What the kernel lets one message carry.
_MOST_AT_ONCE = 253
_CREDENTIALS = struct.Struct("3i")
_ROOM = socket.CMSG_SPACE(_MOST_AT_ONCE * array.array("i").itemsize) + socket.CMSG_SPACE(_CREDENTIALS.size)
# So many messages are read before others have their turn.
_BATCH = 64

Ancillary = list[tuple[int, int, bytes]]


class DescriptorStore:
    """Hears at `place`, in a folder that is its user's alone, the process that `listen_to` names, and nobody else.
    `most` bounds what is kept; what is more is closed. Raises `OSError` when the place cannot be had at first; one that
    is lost later is made anew for the next process."""

    def __init__(self, place: Path, most: int | None = None) -> None:
        self._place = place
        # The supervisor needs some for itself.
        self._most = min(MOST, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2) if most is None else most
        self._kept: dict[str, int] = {}
        self._child: int | None = None
        self._is_full = False
        self._socket = _bound(place)
        self._identity = _identity(place)

    @property
    def kept(self) -> Mapping[str, int]:
        """For the next process, to be inherited by it alone."""
        return self._kept

    @property
    def variables(self) -> dict[str, str]:
        """By which the next process finds the place, and what is kept."""
        return {NOTIFY_SOCKET: str(self._place), GIVEN: told(self._kept)}

    def pause(self) -> None:
        """The process has ended: what it said last is heard still. What others say meanwhile waits."""
        if self._child is not None:
            get_running_loop().remove_reader(self._socket)
            while self._hear():
                pass
            self._child = None
        if _identity(self._place) != self._identity:
            self._bind_again()

    def listen_to(self, pid: int) -> None:
        self._child = pid
        self._is_full = False
        get_running_loop().add_reader(self._socket, self._hear)

    def forget_all(self) -> None:
        """The process has ended, and none follows soon."""
        self.pause()
        _close(self._kept.values())
        self._kept.clear()

    def close(self) -> None:
        """Nothing is kept any more."""
        if self._child is not None:
            get_running_loop().remove_reader(self._socket)
            self._child = None
        self._socket.close()
        self._place.unlink(missing_ok=True)
        _close(self._kept.values())
        self._kept.clear()

    def _bind_again(self) -> None:
        try:
            bound = _bound(self._place)
        except OSError as error:
            log.warning("descriptors.not_kept", place=str(self._place), error=str(error))
            return
        self._socket.close()
        self._socket, self._identity = bound, _identity(self._place)

    def _hear(self) -> bool:
        """Some messages; whether there may be more."""
        for _ in range(_BATCH):
            try:
                message, ancillary, flags, _ = self._socket.recvmsg(LONGEST_MESSAGE, _ROOM, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return False
            descriptors = _descriptors(ancillary)
            try:
                self._obey(message, descriptors, ancillary, flags)
            except ValueError as error:
                _close(descriptors)
                log.warning("descriptors.not_understood", reason=str(error))
        return True

    def _obey(self, message: bytes, descriptors: list[int], ancillary: Ancillary, flags: int) -> None:
        sender = _sender(ancillary)
        if sender != self._child:
            raise ValueError(f"process {sender} is not the child")
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise ValueError("a message did not come whole")
        wish = read(message)
        if isinstance(wish, Forget):
            _close(descriptors)
            self._forget(wish.name)
        elif len(descriptors) != 1:
            raise ValueError(f"{len(descriptors)} descriptors came for {wish.name}, not one")
        else:
            self._forget(wish.name)
            self._keep(wish.name, descriptors[0])

    def _keep(self, name: str, descriptor: int) -> None:
        if len(self._kept) < self._most:
            self._kept[name] = descriptor
            return
        os.close(descriptor)
        if not self._is_full:
            log.warning("descriptors.too_many", kept=self._most, action="the rest is lost when the process ends")
        self._is_full = True

    def _forget(self, name: str) -> None:
        known = self._kept.pop(name, None)
        if known is not None:
            os.close(known)


def _bound(place: Path) -> socket.socket:
    place.parent.mkdir(mode=PRIVATE, exist_ok=True)
    place.parent.chmod(PRIVATE)
    place.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        made.bind(str(place))
        place.chmod(OWNER_ONLY)
    except OSError:
        made.close()
        raise
    return made


def _identity(place: Path) -> tuple[int, int] | None:
    """Of what is at that place."""
    try:
        found = place.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _descriptors(ancillary: Ancillary) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return list(found)


def _sender(ancillary: Ancillary) -> int:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS) and len(data) == _CREDENTIALS.size:
            return int(_CREDENTIALS.unpack(data)[0])
    return 0


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)
