"""Messages on the wire: what is read here by hand is what dnspython reads; nothing that comes in raises."""

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.dns import a_dns_picture, a_mapped, an_endpoint

from agent.dns import wire as ours
from agent.dns.cache import AnswerCache, given_to, is_answer_to, key_of, seconds_of
from agent.dns.replies import Outside, Replies
from agent.dns.wire import Question, Rcode, read_question, write_query
from agent.dns.zone import zone_of

MANY = tuple(an_endpoint("many", slot, f"10.9.1.{slot}") for slot in range(2, 200))
ZONE = zone_of(a_dns_picture(a_mapped("web", vip="10.8.1.5"), a_mapped("many"), *MANY))
LABELS = st.one_of(
    st.sampled_from([b"web", b"WEB", b"tasks", b"1", b"_tcp", b"com"]), st.binary(min_size=1, max_size=63)
)
NAMES = st.lists(LABELS, max_size=5)
EDNS = st.one_of(st.none(), st.tuples(st.integers(0, 65535), st.booleans()))


def a_query(labels: list[bytes], type: int, edns: tuple[int, bool] | None, flags: int, id: int) -> bytes:
    name, kind = dns.name.Name([*labels, b""]), dns.rdatatype.RdataType.make(type)
    if edns is None:
        message = dns.message.make_query(name, kind, id=id, flags=flags)
    else:
        bits = dns.flags.DO if edns[1] else 0
        message = dns.message.make_query(name, kind, id=id, flags=flags, use_edns=0, payload=edns[0], ednsflags=bits)
    return message.to_wire()


@settings(deadline=None)
@given(NAMES, st.integers(1, 249), EDNS, st.sampled_from([0, ours.RD, ours.RD | ours.CD]), st.integers(0, 65535))
@example([b"a.b"], 1, None, 0, 1)
@example([b"back\\slash"], 1, (1232, True), 0, 1)
@example([], 2, None, 0, 1)
def test_a_question_read_by_hand_is_the_one_that_dnspython_reads(
    labels: list[bytes], type: int, edns: tuple[int, bool] | None, flags: int, id: int
) -> None:
    wire = a_query(labels, type, edns, flags, id)
    by_hand, by_library = ours._read_common(wire), ours._read_any(wire)
    assert by_hand is None or by_hand == by_library
    asked = dns.message.from_wire(wire).question[0]
    assert dns.name.from_text(by_library.name) == asked.name
    assert (by_library.id, by_library.type, by_library.flags & ours.RD) == (id, asked.rdtype, flags & ours.RD)


def test_a_common_question_is_read_by_hand() -> None:
    for edns in (None, (1232, True)):
        assert ours._read_common(a_query([b"Web", b"front"], 28, edns, ours.RD, 7)) is not None


@st.composite
def spoilt_queries(draw: st.DrawFn) -> bytes:
    wire = a_query([b"many", b"front"], draw(st.integers(1, 255)), (1232, True), ours.RD, 1)
    begin, end = draw(st.integers(0, len(wire))), draw(st.integers(0, len(wire)))
    return wire[:begin] + draw(st.binary(max_size=4)) + wire[end:]


@settings(max_examples=600, deadline=None)
@given(st.one_of(st.binary(max_size=80), spoilt_queries()), st.booleans())
@example(b"\x00" * 11, False)
@example(b"\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01", False)
@example(b"\x00\x01\x28\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x06\x00\x01", True)
def test_no_bytes_raise_and_every_reply_can_be_read(garbage: bytes, by_stream: bool) -> None:
    replies = Replies()
    replies.show(ZONE)
    read = replies.reply_by_stream if by_stream else replies.reply
    reply = read(garbage, "10.9.1.9", "front")
    if isinstance(reply, bytes):
        assert dns.message.from_wire(reply).id == int.from_bytes(garbage[:2], "big")


@settings(max_examples=200, deadline=None)
@given(NAMES, st.sampled_from([1, 28, 33, 12, 255]), EDNS, st.integers(0, 65535))
def test_replies_answer_the_question_and_fit(
    labels: list[bytes], type: int, edns: tuple[int, bool] | None, id: int
) -> None:
    replies = Replies()
    replies.show(ZONE)
    wire = a_query(labels, type, edns, ours.RD, id)
    for _ in range(3):
        reply = replies.reply(wire, "10.9.1.9", "front")
        if isinstance(reply, bytes):
            message = dns.message.from_wire(reply)
            assert dns.message.from_wire(wire).is_response(message)
            assert len(reply) <= (512 if edns is None else max(512, min(edns[0], 1232)))
            assert (message.edns >= 0) == (edns is not None)
        else:
            assert isinstance(reply, Outside)


def test_what_does_not_fit_is_left_out_and_said_so_and_comes_whole_by_stream() -> None:
    replies = Replies()
    replies.show(ZONE)
    wire = a_query([b"many"], 1, None, ours.RD, 1)
    short = replies.reply(wire, "10.9.1.9", "front")
    whole = replies.reply_by_stream(wire, "10.9.1.9", "front")
    assert isinstance(short, bytes) and isinstance(whole, bytes)
    assert short[2] & 2 and 500 < len(short) <= 512
    message = dns.message.from_wire(whole)
    assert len(message.answer[0]) == len(MANY) and not message.flags & dns.flags.TC


def test_turns_go_round_though_questions_for_other_types_come_between() -> None:
    replies = Replies()
    replies.show(
        zone_of(a_dns_picture(a_mapped("db"), an_endpoint("db", 1, "10.9.1.2"), an_endpoint("db", 2, "10.9.1.3")))
    )
    first = []
    for id in range(6):
        reply = replies.reply(a_query([b"db"], 1, None, 0, id), "10.9.1.9", "front")
        replies.reply(a_query([b"db"], 28, None, 0, id), "10.9.1.9", "front")
        assert isinstance(reply, bytes)
        first.append(dns.message.from_wire(reply).answer[0][0].to_text())
    assert first[:2] == first[2:4] == first[4:] and set(first) == {"10.9.1.2", "10.9.1.3"}


def test_a_new_zone_is_answered_from_at_once() -> None:
    replies = Replies()
    replies.show(ZONE)
    wire = a_query([b"web"], 1, None, 0, 1)
    before = replies.reply(wire, "10.9.1.9", "front")
    replies.show(zone_of(a_dns_picture(a_mapped("web", vip="10.8.1.6"))))
    after = replies.reply(wire, "10.9.1.9", "front")
    assert isinstance(before, bytes) and isinstance(after, bytes)
    assert (before[-4:], after[-4:]) == (bytes([10, 8, 1, 5]), bytes([10, 8, 1, 6]))


@pytest.mark.parametrize(
    ("change", "rcode"),
    [
        (lambda message: message.use_edns(1), dns.rcode.BADVERS),
        (lambda message: message.set_opcode(dns.opcode.UPDATE), dns.rcode.NOTIMP),
        (lambda message: message.question.clear(), dns.rcode.FORMERR),
    ],
)
def test_what_is_no_plain_question_is_refused_by_its_code(change: object, rcode: int) -> None:
    message = dns.message.make_query("web", "A")
    assert callable(change)
    change(message)
    replies = Replies()
    reply = replies.reply(message.to_wire(), "10.9.1.9", "front")
    assert isinstance(reply, bytes) and dns.message.from_wire(reply).rcode() == rcode


def test_a_query_asked_on_carries_no_option_of_the_asker() -> None:
    message = dns.message.make_query("web", "A", use_edns=0, want_dnssec=True)
    message.use_edns(0, dns.flags.DO, 4096, options=[dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")])
    question = read_question(message.to_wire())
    assert question is not None
    on = dns.message.from_wire(write_query(question, 77))
    assert (on.id, on.options, on.ednsflags & dns.flags.DO) == (77, (), dns.flags.DO)


def _answered(text: str) -> tuple[Question, bytes]:
    message = dns.message.from_text("id 5\nopcode QUERY\n" + text)
    query = dns.message.make_query(message.question[0].name, message.question[0].rdtype, id=5)
    question = read_question(query.to_wire())
    assert question is not None
    return question, message.to_wire()


POSITIVE = (
    "rcode NOERROR\nflags QR RD RA\n;QUESTION\nx.org. IN A\n"
    ";ANSWER\nx.org. 70 IN CNAME y.org.\ny.org. 50 IN A 1.2.3.4\n"
)
NEGATIVE = "rcode NXDOMAIN\nflags QR RD RA\n;QUESTION\nx.org. IN A\n;AUTHORITY\norg. 90 IN SOA a. b. 1 2 3 4 20\n"
NOTHING = "rcode NOERROR\nflags QR RD RA\n;QUESTION\nx.org. IN A\n"
FAILURE = "rcode SERVFAIL\nflags QR RD RA\n;QUESTION\nx.org. IN A\n"
CUT = POSITIVE.replace("QR RD", "QR TC RD")


@pytest.mark.parametrize(("text", "seconds"), [(POSITIVE, 50), (NEGATIVE, 20), (NOTHING, 0), (FAILURE, 0), (CUT, 0)])
def test_an_answer_may_be_believed_for(text: str, seconds: int) -> None:
    assert seconds_of(_answered(text)[1]) == seconds


def test_a_kept_answer_grows_old_and_is_forgotten_in_time() -> None:
    question, wire = _answered(POSITIVE)
    cache, key = AnswerCache(), key_of(question, ("1.1.1.1",))
    cache.put(key, wire, now=100.0)
    aged = cache.get(key, 130.5)
    assert aged is not None
    assert [rrset.ttl for rrset in dns.message.from_wire(aged).answer] == [40, 20]
    assert cache.get(key_of(question, ("8.8.8.8",)), 130.5) is None
    assert cache.get(key, 150.0) is None


def test_a_full_cache_forgets_what_was_asked_for_least_lately() -> None:
    question, wire = _answered(POSITIVE)
    cache = AnswerCache(size=2)
    first, second, third = (key_of(question, (server,)) for server in ("1.1.1.1", "2.2.2.2", "3.3.3.3"))
    cache.put(first, wire, 0)
    cache.put(second, wire, 0)
    cache.get(first, 1)
    cache.put(third, wire, 1)
    assert [cache.get(key, 2) is not None for key in (first, second, third)] == [True, False, True]


def test_an_answer_is_given_in_the_letters_of_who_asks() -> None:
    _, wire = _answered(POSITIVE)
    asked = dns.message.make_query("X.oRg", "A", id=9)
    question = read_question(asked.to_wire())
    assert question is not None
    message = dns.message.from_wire(given_to(question, wire, 512))
    assert (message.id, message.question[0].name.to_text()) == (9, "X.oRg.")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_nothing_that_a_server_sends_raises(data: st.DataObject) -> None:
    question, wire = _answered(data.draw(st.sampled_from([POSITIVE, NEGATIVE, FAILURE])))
    at = data.draw(st.integers(0, len(wire)))
    bad = wire[:at] + data.draw(st.binary(max_size=6)) + wire[data.draw(st.integers(at, len(wire))) :]
    if is_answer_to(bad, 5, question):
        AnswerCache().put(key_of(question, ()), bad, 0)
        given_to(question, bad, data.draw(st.integers(512, 600)))


def test_only_the_answer_to_that_query_is_taken_for_it() -> None:
    question, wire = _answered(POSITIVE)
    other, _ = _answered(POSITIVE.replace("x.org. IN A\n;ANSWER", "z.org. IN A\n;ANSWER"))
    assert is_answer_to(wire, 5, question)
    assert not is_answer_to(wire, 6, question)
    assert not is_answer_to(wire, 5, other)
    assert not is_answer_to(wire[:-3], 5, question)
    assert not is_answer_to(wire[:2] + b"\x01" + wire[3:], 5, question)
    assert wire[3] & 0x0F == Rcode.NOERROR
