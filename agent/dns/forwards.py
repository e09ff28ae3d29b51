"""Questions by UDP for servers outside: which are asked now, and which wait their turn. Asks nobody itself."""

import socket
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from agent.dns.cache import Key, key_of
from agent.dns.replies import Outside
from agent.dns.shares import Shares
from agent.dns.upstream import QUESTIONS_AT_ONCE
from swarmpy.clock import Clock

# Different questions at once, and of one container. The rest of what is asked at once is for those who ask by TCP.
FORWARDS, FORWARDS_OF_ONE = QUESTIONS_AT_ONCE * 7 // 10, 100
# Whoever asks them or waits to, and of one container. What came while no agent ran is there all at once.
ASKERS, ASKERS_OF_ONE = 10_000, 1_000
# A resolver waits 5 s, and the answer takes a moment too.
IN_VAIN = timedelta(seconds=4)


@dataclass(frozen=True, slots=True, eq=False)
class Asker:
    """Is told by `udp`, which is closed when its network is gone."""

    udp: socket.socket
    asked: Outside
    source: tuple[str, int]
    since: float

    @property
    def container(self) -> str:
        return self.source[0]

    @property
    def flight(self) -> tuple[str, Key]:
        """Questions of one container that differ in nothing that matters are on one."""
        return self.container, key_of(self.asked.question, self.asked.servers)


class Forwards:
    """`start` asks for one, now; `landed` is to be called when that is over. Containers have their turns one after the
    other. What is more than may wait is dropped, as a full queue would, and so is what waited in vain."""

    def __init__(self, start: Callable[[Asker], None], clock: Clock) -> None:
        self._start = start
        self._clock = clock
        self._askers = Shares(ASKERS, ASKERS_OF_ONE)
        self._seats = Shares(FORWARDS, FORWARDS_OF_ONE)
        self._flights: Counter[tuple[str, Key]] = Counter()
        self._waiting: dict[str, deque[Asker]] = {}

    def add(self, udp: socket.socket, asked: Outside, source: tuple[str, int]) -> None:
        asker = Asker(udp, asked, source, self._clock.monotonic())
        if self._askers.take(asker.container) and not self._started(asker):
            self._waiting.setdefault(asker.container, deque()).append(asker)

    def landed(self, asker: Asker) -> None:
        self._askers.give_back(asker.container)
        self._flights[asker.flight] -= 1
        if not self._flights[asker.flight]:
            del self._flights[asker.flight]
            self._seats.give_back(asker.container)
            while self._started_next():
                pass

    def _started(self, asker: Asker) -> bool:
        if asker.flight not in self._flights and not self._seats.take(asker.container):
            return False
        self._flights[asker.flight] += 1
        self._start(asker)
        return True

    def _started_next(self) -> bool:
        for container in list(self._waiting):
            waiting = self._waiting.pop(container)
            self._drop_dead(waiting)
            is_started = bool(waiting) and self._started(waiting[0])
            if is_started:
                waiting.popleft()
            if waiting:
                # Behind all others.
                self._waiting[container] = waiting
            if is_started:
                return True
        return False

    def _drop_dead(self, waiting: deque[Asker]) -> None:
        oldest = self._clock.monotonic() - IN_VAIN.total_seconds()
        while waiting and (waiting[0].since < oldest or waiting[0].udp.fileno() < 0):
            self._askers.give_back(waiting.popleft().container)
