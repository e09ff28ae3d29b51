"""DNS messages as bytes: questions read, answers written. Pure.

A common question is read here, for that costs a twentieth of what dnspython takes; dnspython reads all others, and is
what the tests hold this to.
"""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode

A, SOA, PTR, AAAA, SRV, OPT, ANY = 1, 6, 12, 28, 33, 41, 255
IN = 1
# What every message may have (RFC 1035), and what crosses the Internet in one piece (DNS Flag Day 2020).
SMALLEST, LARGEST = 512, 1232
LARGEST_BY_TCP = 65535
HEADER = struct.Struct("!6H")
_QUESTION_END = struct.Struct("!2H")
_RECORD = struct.Struct("!2HIH")
# Root name, OPT, size, extended code, version, flags, no options.
_OPT = struct.Struct("!BHHBBHH")
_POINTER_TO_QUESTION = b"\xc0\x0c"
_PLAIN = re.compile(rb"[A-Za-z0-9_.-]*\Z")
QR, AA, TC, RD, RA, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0010
_OPCODE, _RCODE = 0x7800, 0x000F
_DO = 0x8000


class Rcode(IntEnum):
    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    BADVERS = 16


@dataclass(frozen=True, slots=True)
class Question:
    """One query. `section` is its question as it came, to be given back so; `size` is what its EDNS takes, None
    without EDNS. `wrong` is the code to refuse it with, if it is nothing that can be answered."""

    id: int
    flags: int
    name: str
    type: int
    section: bytes
    size: int | None = None
    dnssec_ok: bool = False
    wrong: Rcode | None = None

    @property
    def limit(self) -> int:
        """The bytes that an answer by UDP may have."""
        return SMALLEST if self.size is None else min(max(self.size, SMALLEST), LARGEST)


@dataclass(frozen=True, slots=True)
class Record:
    """Owner None is the name that was asked for."""

    type: int
    ttl: int
    data: bytes
    owner: bytes | None = None

    @property
    def wire(self) -> bytes:
        owner = _POINTER_TO_QUESTION if self.owner is None else self.owner
        return owner + _RECORD.pack(self.type, IN, self.ttl, len(self.data)) + self.data


@dataclass(frozen=True, slots=True)
class Answer:
    """`turns` counts in how many ways it can be written (rotations of its records)."""

    rcode: Rcode = Rcode.NOERROR
    records: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    is_ours: bool = True
    turns: int = 1


def read_question(wire: bytes) -> Question | None:
    """None: nothing that deserves an answer (no header, or itself an answer)."""
    if len(wire) < HEADER.size or wire[2] & 0x80:
        return None
    return _read_common(wire) or _read_any(wire)


def name_wire(name: str) -> bytes | None:
    """A name as bytes; None where it cannot be one (a label over 63 letters)."""
    try:
        return dns.name.from_text(name, dns.name.root).to_wire() or None
    except (dns.exception.DNSException, UnicodeError):
        return None


def write_answer(question: Question, answer: Answer, limit: int | None = None) -> bytes:
    """The message. What does not fit is left out, from the end, and the message says so; additional records go
    silently. Without a limit, as much as UDP takes."""
    limit = question.limit if limit is None else limit
    option = b""
    if question.size is not None:
        flags = _DO if question.dnssec_ok else 0
        option = _OPT.pack(0, OPT, LARGEST, answer.rcode >> 4, 0, flags, 0)
    left = limit - HEADER.size - len(question.section) - len(option)
    sections, is_cut = [], False
    for records, may_go in ((answer.records, False), (answer.authority, False), (answer.additional, True)):
        taken, left = ([], left) if is_cut else _fitting(records, left)
        is_cut = is_cut or (len(taken) < len(records) and not may_go)
        sections.append(taken)
    flags = QR | RA | (question.flags & (_OPCODE | RD | CD)) | (answer.rcode & _RCODE)
    flags |= (AA if answer.is_ours else 0) | (TC if is_cut else 0)
    counts = [len(section) for section in sections]
    counts[2] += bool(option)
    header = HEADER.pack(question.id, flags, 1 if question.section else 0, *counts)
    return b"".join((header, question.section, *(record for section in sections for record in section), option))


def write_query(question: Question, id: int) -> bytes:
    """The same question, asked on: without what its sender has agreed on with us alone (cookies, sizes)."""
    option = b""
    if question.size is not None:
        option = _OPT.pack(0, OPT, LARGEST, 0, 0, _DO if question.dnssec_ok else 0, 0)
    return HEADER.pack(id, RD | (question.flags & CD), 1, 0, 0, bool(option)) + question.section + option


def _fitting(records: Sequence[Record], left: int) -> tuple[list[bytes], int]:
    taken = []
    for record in records:
        wire = record.wire
        if len(wire) > left:
            break
        left -= len(wire)
        taken.append(wire)
    return taken, left


def _read_common(wire: bytes) -> Question | None:
    """One plain question, with or without an EDNS record that has no or any options; None: let dnspython see it."""
    id, flags, questions, answers, authorities, additionals = HEADER.unpack_from(wire)
    if flags & (_OPCODE | TC) or questions != 1 or answers or authorities or additionals > 1:
        return None
    at, labels = HEADER.size, []
    try:
        while length := wire[at]:
            if length > 63:
                return None
            labels.append(wire[at + 1 : at + 1 + length])
            at += 1 + length
        type, klass = _QUESTION_END.unpack_from(wire, at + 1)
        end = at + 5
        size, dnssec_ok = None, False
        if additionals:
            root, option, size, code, version, bits, length = _OPT.unpack_from(wire, end)
            if root or option != OPT or code or version or length:
                return None
            dnssec_ok = bool(bits & _DO)
            if end + _OPT.size != len(wire):
                return None
        elif end != len(wire):
            return None
    except (IndexError, struct.error):
        return None
    name = b".".join(labels)
    if klass != IN or len(name) > 253 or name.count(b".") >= max(1, len(labels)) or not _PLAIN.match(name):
        return None
    return Question(id, flags, name.decode("ascii"), type, wire[HEADER.size : end], size, dnssec_ok)


def _read_any(wire: bytes) -> Question:
    id, flags = struct.unpack_from("!2H", wire)
    if flags & _OPCODE:
        return Question(id, flags, "", 0, b"", wrong=Rcode.NOTIMP)
    try:
        message = dns.message.from_wire(wire, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError, struct.error):
        return Question(id, flags, "", 0, b"", wrong=Rcode.FORMERR)
    if len(message.question) != 1:
        return Question(id, flags, "", 0, b"", wrong=Rcode.FORMERR)
    asked = message.question[0]
    section = asked.name.to_wire() or b""
    section += _QUESTION_END.pack(asked.rdtype, asked.rdclass)
    size = message.payload if message.edns >= 0 else None
    wrong = Rcode.REFUSED if asked.rdclass != IN else None
    if message.edns > 0:
        wrong = Rcode.BADVERS
    name = asked.name.to_text(omit_final_dot=True)
    name = "" if name == "." else name
    dnssec_ok = bool(message.ednsflags & dns.flags.DO)
    return Question(id, flags, name, asked.rdtype, section, size, dnssec_ok, wrong)
