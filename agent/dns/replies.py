"""Replies to queries as they came off the wire, remembered until the zone changes. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle

from agent.dns.answer import answer
from agent.dns.wire import LARGEST_BY_TCP, Answer, Question, read_question, write_answer
from agent.dns.zone import EMPTY_ZONE, Asker, Zone

# Who invents names, or ways to write them, cannot make it grow: to some 55 MB at the very worst.
_REMEMBERED = 4_000
# Beginning at every eighth of a thousand tasks spreads as well as beginning at every one; askers begin at others.
_TURNS = 8


@dataclass(frozen=True, slots=True)
class Outside:
    """To be asked of these servers; of the node's own where none is named. `limit` is what the asker takes."""

    question: Question
    servers: tuple[str, ...]
    limit: int


class Replies:
    """What each asker is told. Several addresses are told in turn."""

    def __init__(self) -> None:
        self._zone = EMPTY_ZONE
        self._remembered: dict[tuple[str, str, bytes], Iterator[bytes]] = {}
        self._turn = 0

    def show(self, zone: Zone) -> None:
        self._zone = zone
        self._remembered.clear()

    def reply(self, wire: bytes, source: str, network_id: str) -> bytes | Outside | None:
        """To a datagram from that address at the gateway of that network; None: it deserves no reply."""
        key = (source, network_id, wire[2:])
        remembered = self._remembered.get(key)
        if remembered is not None:
            return wire[:2] + next(remembered)
        question = read_question(wire)
        if question is None:
            return None
        asker = self._zone.asker(source, network_id)
        found = answer(self._zone, asker, question, self._turn)
        if not isinstance(found, Answer):
            return Outside(question, found.servers, question.limit)
        if len(self._remembered) >= _REMEMBERED:
            self._remembered.clear()
        self._remembered[key] = _in_turn(self._zone, asker, question, found, self._turn)
        if found.turns > 1:
            self._turn += 1
        return wire[:2] + next(self._remembered[key])

    def reply_by_stream(self, wire: bytes, source: str, network_id: str) -> bytes | Outside | None:
        """The same by TCP, where all has room."""
        question = read_question(wire)
        if question is None:
            return None
        self._turn += 1
        found = answer(self._zone, self._zone.asker(source, network_id), question, self._turn)
        if not isinstance(found, Answer):
            return Outside(question, found.servers, LARGEST_BY_TCP)
        return write_answer(question, found, LARGEST_BY_TCP)


def _in_turn(zone: Zone, asker: Asker, question: Question, first: Answer, turn: int) -> Iterator[bytes]:
    """What to say, without its id, for ever: each turn is written when it is wanted, and then known."""
    count = min(first.turns, _TURNS)
    written = []
    for number in range(count):
        found = answer(zone, asker, question, turn + round(number * first.turns / count)) if number else first
        if isinstance(found, Answer):
            written.append(write_answer(question, found)[2:])
            yield written[-1]
    yield from cycle(written)
