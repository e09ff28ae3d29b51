"""Replies to queries as they came off the wire, remembered until the zone changes. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle

from agent.dns.answer import answer
from agent.dns.wire import LARGEST_BY_TCP, Answer, Question, read_question, write_answer
from agent.dns.zone import EMPTY_ZONE, Zone

# Some hundred bytes each. Who invents names cannot make it grow.
_REMEMBERED = 10_000
# Beginning at every sixteenth of a thousand tasks spreads as well as beginning at every one.
_TURNS = 16


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
        found = answer(self._zone, self._zone.asker(source, network_id), question, self._turn)
        if not isinstance(found, Answer):
            return Outside(question, found.servers, question.limit)
        if found.turns > 1:
            self._turn += 1
        self._remember(key, question, found)
        return write_answer(question, found)

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

    def _remember(self, key: tuple[str, str, bytes], question: Question, first: Answer) -> None:
        if len(self._remembered) >= _REMEMBERED:
            self._remembered.clear()
        written = [write_answer(question, first)[2:]] if first.turns < 2 else self._all_turns(key, question, first)
        self._remembered[key] = cycle(written)

    def _all_turns(self, key: tuple[str, str, bytes], question: Question, first: Answer) -> list[bytes]:
        """Every turn that is kept, from the one after `first` on."""
        count = min(first.turns, _TURNS)
        step = first.turns / count
        asker = self._zone.asker(key[0], key[1])
        turns = [self._turn + round(number * step) for number in range(count)]
        answers = (answer(self._zone, asker, question, turn) for turn in turns)
        return [write_answer(question, found)[2:] for found in answers if isinstance(found, Answer)]
