"""Descriptors that the supervisor of this process keeps for the next one, where there is such a supervisor."""

import asyncio
import os
import socket
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from typing import Protocol

from swarmpy.descriptors import NOTIFY_SOCKET, Forget, Keep, given, written
from swarmpy.logs import logger

log = logger("agent")


class Heirlooms(Protocol):
    """What an earlier process left, by name, and what the next one shall find."""

    def take(self, name: str) -> int | None:
        """A descriptor that was left under that name, once; it is the caller's, and stays kept."""
        ...

    def left(self) -> frozenset[str]:
        """Names that nobody took."""
        ...

    def keep(self, name: str, one: socket.socket) -> None:
        """In place of an earlier one of that name."""
        ...

    def forget(self, name: str) -> None:
        """A kept socket holds its address until it is forgotten."""
        ...

    def close(self) -> None:
        """What is kept stays kept."""
        ...


class UntoldHeirlooms:
    """Of a process that has no supervisor, or cannot tell it anything: what was left is there all the same."""

    def __init__(self, left: dict[str, int] | None = None) -> None:
        self._left = left or {}

    def take(self, name: str) -> int | None:
        return self._left.pop(name, None)

    def left(self) -> frozenset[str]:
        return frozenset(self._left)

    def keep(self, name: str, one: socket.socket) -> None:
        return

    def forget(self, name: str) -> None:
        left = self._left.pop(name, None)
        if left is not None:
            os.close(left)

    def close(self) -> None:
        for left in self._left.values():
            os.close(left)
        self._left = {}


class SupervisedHeirlooms(UntoldHeirlooms):
    """By the socket at that path. A supervisor that does not read just now is told later, what is newest of each name;
    nobody waits for it. To be used within a running loop. Raises `OSError`, and `left` is the caller's still."""

    def __init__(self, place: str, left: dict[str, int]) -> None:
        super().__init__(left)
        self._wishes: dict[str, socket.socket | None] = {}
        self._is_waiting = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.connect(place)
        except OSError:
            self._socket.close()
            raise

    def keep(self, name: str, one: socket.socket) -> None:
        self._wish(name, one)

    def forget(self, name: str) -> None:
        super().forget(name)
        self._wish(name, None)

    def close(self) -> None:
        self._stop_waiting()
        self._socket.close()
        super().close()

    def _wish(self, name: str, one: socket.socket | None) -> None:
        # What is said later must not come sooner.
        self._wishes.pop(name, None)
        self._wishes[name] = one
        if not self._is_waiting:
            self._tell()

    def _tell(self) -> None:
        while self._wishes:
            name, one = next(iter(self._wishes.items()))
            try:
                self._send(name, one)
            except BlockingIOError:
                self._wait()
                return
            except OSError as error:
                log.warning("descriptors.not_kept", name=name, error=str(error))
            del self._wishes[name]
        self._stop_waiting()

    def _stop_waiting(self) -> None:
        if self._is_waiting:
            asyncio.get_running_loop().remove_writer(self._socket)
            self._is_waiting = False

    def _wait(self) -> None:
        if not self._is_waiting:
            asyncio.get_running_loop().add_writer(self._socket, self._tell)
            self._is_waiting = True

    def _send(self, name: str, one: socket.socket | None) -> None:
        if one is None:
            self._socket.send(written(Forget(name)))
        elif one.fileno() >= 0:
            socket.send_fds(self._socket, [written(Keep(name))], [one.fileno()])


def heirlooms_of(variables: MutableMapping[str, str]) -> Heirlooms:
    """As the variables of this process say; they are gone afterwards, so that nothing it starts acts on them."""
    place, left = variables.pop(NOTIFY_SOCKET, ""), _own(given(variables))
    if not place:
        return UntoldHeirlooms(left)
    try:
        return SupervisedHeirlooms(place, left)
    except OSError as error:
        # Left unused, what was left would hold its addresses against us.
        log.warning("descriptors.not_kept", place=place, error=str(error))
        return UntoldHeirlooms(left)


def _own(left: Mapping[str, int]) -> dict[str, int]:
    """Those that are there, to be inherited by nobody else."""
    found = {}
    for name, number in left.items():
        with suppress(OSError):
            os.set_inheritable(number, False)
            found[name] = number
    return found
