"""In which order the insides of containers are read, and for how long. Who is inside may have filled the kernel's lists
with anything, and all containers of a node are read by one thread: those that take long come after all others, one
after the other, and share a time.
"""

import time
from collections.abc import Iterable, Iterator, Set

from swarmpy.logs import logger

log = logger("network")

# Seconds of the processor: for one container, and for all those that take long. Others need a thousandth.
ONE, ALL = 0.25, 0.5
_LONG = 0.05


class Turns:
    def __init__(self) -> None:
        # Who was read last comes last.
        self._slow: dict[int, None] = {}

    def keep_only(self, pids: Set[int]) -> None:
        """The others have ended."""
        self._slow = {pid: None for pid in self._slow if pid in pids}

    def through(self, pids: Iterable[int]) -> Iterator[tuple[int, float]]:
        """Each with the time that it may take, to be read by this thread before the next is asked for. Those that are
        known to take long have no turn when nothing is left for them."""
        asked = dict.fromkeys(pids)
        late = dict.fromkeys(pid for pid in self._slow if pid in asked)
        left = ALL
        for pid in (*(pid for pid in asked if pid not in late), *late):
            if pid in late and left < _LONG:
                return
            began = time.thread_time()
            yield pid, min(ONE, max(left, _LONG))
            took = time.thread_time() - began
            left -= took if took >= _LONG else 0
            self._note(pid, took)

    def _note(self, pid: int, took: float) -> None:
        was_slow = pid in self._slow
        self._slow.pop(pid, None)
        if took >= _LONG:
            self._slow[pid] = None
            if not was_slow:
                log.warning("network.container_takes_long", pid=pid, seconds=round(took, 3))
