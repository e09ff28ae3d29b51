"""Where this node stands in the cluster: its role and its managers, as last told; on disk for the node's supervisor.

Decides only which manager is asked next.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from swarmpy.logs import logger
from swarmpy.membership import NodeWord
from swarmpy.states import Role
from swarmpy.word import load_word, save_word

log = logger("place")


class Place:
    """`first` are the managers to ask until one tells of others. `ready_file` is there while a session is."""

    def __init__(self, folder: Path, first: Sequence[str], ready_file: Path) -> None:
        self._folder = folder
        self._ready_file = ready_file
        self._first = tuple(first)
        self._word = load_word(folder)
        self._turn = 0
        self._hint = ""
        self._stale = asyncio.Event()

    @property
    def managers(self) -> tuple[str, ...]:
        """Those that were told of, then those that the node began with: should all of the former have moved, one of
        the latter may know where."""
        told = self._word.managers if self._word is not None else ()
        return (*told, *(address for address in self._first if address not in told))

    def next_manager(self) -> str:
        hint, self._hint = self._hint, ""
        if hint:
            return hint
        managers = self.managers
        address = managers[self._turn % len(managers)]
        self._turn += 1
        return address

    def go_to(self, leader: str) -> None:
        """The next manager to ask."""
        self._hint = leader

    def learn(self, role: Role, managers: Sequence[str]) -> None:
        self._become(NodeWord(role=role, managers=tuple(managers)))

    def forget(self) -> None:
        """The node is no part of the cluster any more."""
        self._become(NodeWord(role=Role.WORKER, is_removed=True))

    def set_ready(self, ready: bool) -> None:
        if ready:
            self._ready_file.parent.mkdir(parents=True, exist_ok=True)
            self._ready_file.touch()
        else:
            self._ready_file.unlink(missing_ok=True)

    async def keep(self) -> None:
        """Write down what is learned, beside all else. Until cancelled."""
        while True:
            await self._stale.wait()
            self._stale.clear()
            await self.save()

    async def save(self) -> None:
        """On disk when this returns; a disk that does not take it is spoken of."""
        if self._word is None:
            return
        try:
            await asyncio.to_thread(save_word, self._folder, self._word)
        except OSError as error:
            log.error("place.not_written", folder=str(self._folder), error=error.strerror or str(error))

    def _become(self, word: NodeWord) -> None:
        if word != self._word:
            self._word = word
            self._stale.set()
