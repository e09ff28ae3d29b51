"""Answers of other servers: which are answers, how long they may be believed, and those that still may. Pure."""

import struct
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

import dns.exception
import dns.message
import dns.name

from agent.dns.wire import CD, HEADER, OPT, QR, RD, SOA, TC, Answer, Question, Rcode, write_answer

_FIXED = struct.Struct("!2HIH")
_TTL = struct.Struct("!I")
# Whoever changes a name outside is not to wait for us much longer than they planned to.
LONGEST, LONGEST_NEGATIVE = 3600, 300
KEPT = 10_000
# A megabyte of answers of 64 KiB would be sixteen; such are seldom asked twice.
_LARGEST_KEPT = 4096

Key = tuple[bytes, bool, bool, bool, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Place:
    """A record within a message: where its time to live stands, and its data."""

    section: int
    type: int
    ttl_at: int
    ttl: int
    data: slice


@dataclass(frozen=True, slots=True)
class _Kept:
    wire: bytes
    places: tuple[_Place, ...]
    since: float
    until: float


def key_of(question: Question, servers: tuple[str, ...]) -> Key:
    """Equal for questions that have the same answer, in whatever letters they are asked."""
    has_edns, checks = question.size is not None, bool(question.flags & CD)
    return question.section.lower(), has_edns, question.dnssec_ok, checks, servers


def is_answer_to(wire: bytes, id: int, question: Question) -> bool:
    """Whether it answers that query, in whole messages only; anything else that comes by is not looked at again."""
    if len(wire) < HEADER.size + len(question.section):
        return False
    its_id, flags, questions, *_ = HEADER.unpack_from(wire)
    if its_id != id or not flags & QR or questions != 1:
        return False
    if wire[HEADER.size :][: len(question.section)].lower() != question.section.lower():
        return False
    return bool(flags & TC) or _places(wire) is not None


def is_cut(wire: bytes) -> bool:
    return bool(HEADER.unpack_from(wire)[1] & TC)


def is_refusal(wire: bytes) -> bool:
    """Another server may know better."""
    return wire[3] & 0x0F not in (Rcode.NOERROR, Rcode.NXDOMAIN)


def given_to(question: Question, wire: bytes, limit: int) -> bytes:
    """Somebody's answer as the answer to `question`: under its id, in its letters, no longer than it takes."""
    _, flags, *counts = HEADER.unpack_from(wire)
    flags = (flags & ~RD) | (question.flags & RD)
    whole = HEADER.pack(question.id, flags, *counts) + question.section
    whole += wire[HEADER.size + len(question.section) :]
    if len(whole) <= limit:
        return whole
    try:
        message = dns.message.from_wire(whole, ignore_trailing=True)
        return message.to_wire(max_size=limit, prefer_truncation=True)
    except (dns.exception.DNSException, ValueError, struct.error):
        return write_answer(question, Answer(Rcode.SERVFAIL, is_ours=False))


def seconds_of(wire: bytes) -> int:
    """How long an answer may be believed: the shortest life of its records, and of a "no" what its SOA says of that
    (RFC 2308); 0: not at all."""
    _, flags, _, answers, *_ = HEADER.unpack_from(wire)
    places = _places(wire)
    if places is None or flags & TC or is_refusal(wire) or len(wire) > _LARGEST_KEPT:
        return 0
    lives = [place.ttl for place in places]
    if answers and wire[3] & 0x0F == Rcode.NOERROR:
        return min([LONGEST, *lives])
    starts = [place for place in places if place.type == SOA and place.section == 1]
    minima = [_TTL.unpack(wire[place.data][-4:])[0] for place in starts if place.data.stop - place.data.start >= 22]
    return min([LONGEST_NEGATIVE, *lives, *minima]) if minima else 0


class AnswerCache:
    """Of the answers asked for least lately, some are forgotten first."""

    def __init__(self, size: int = KEPT) -> None:
        self._size = size
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Key, now: float) -> bytes | None:
        """The answer, older by the time that it lay here."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        if now >= kept.until:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        age, aged = int(now - kept.since), bytearray(kept.wire)
        for place in kept.places:
            _TTL.pack_into(aged, place.ttl_at, max(0, place.ttl - age))
        return bytes(aged)

    def put(self, key: Key, wire: bytes, now: float) -> None:
        seconds, places = seconds_of(wire), _places(wire)
        if not seconds or places is None:
            return
        self._kept[key] = _Kept(wire, places, now, now + seconds)
        self._kept.move_to_end(key)
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)


def _places(wire: bytes) -> tuple[_Place, ...] | None:
    """Of all records that live for a time; None for what is no whole message."""
    try:
        return tuple(place for place in _walk(wire) if place.type != OPT)
    except (IndexError, struct.error):
        return None


def _walk(wire: bytes) -> Iterator[_Place]:
    _, _, questions, *counts = HEADER.unpack_from(wire)
    at = HEADER.size
    for _ in range(questions):
        at = _after_name(wire, at) + 4
    for section, count in enumerate(counts):
        for _ in range(count):
            at = _after_name(wire, at)
            type, _, ttl, length = _FIXED.unpack_from(wire, at)
            begin = at + _FIXED.size
            # Above 2^31 it is none at all (RFC 2181).
            yield _Place(section, type, at + 4, ttl if ttl < 1 << 31 else 0, slice(begin, begin + length))
            at = begin + length
    if at > len(wire):
        raise IndexError(at)


def _after_name(wire: bytes, at: int) -> int:
    while length := wire[at]:
        if length >= 0xC0:
            return at + 2
        at += 1 + length
    return at + 1
