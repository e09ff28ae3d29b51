"""Names of outside: asked of servers that answer, are silent, refuse, lie or have much to say."""

import asyncio
import os
import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from support.addresses import UDP, a_free_port
from support.dns import Script, ScriptedDns, is_silent, says, scripted_dns

from agent.dns.resolv_conf import NodeServers, servers_in
from agent.dns.upstream import Patience, Upstream
from agent.dns.wire import read_question
from swarmpy.clock import SystemClock

FIRST, SECOND = "127.0.7.1", "127.0.7.2"
QUICK = Patience(timedelta(seconds=0.5), timedelta(seconds=0.05))


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


async def asked(
    upstream: Upstream, name: str = "example.com", servers: Sequence[str] = (FIRST, SECOND), **options: object
) -> dns.message.Message:
    query = dns.message.make_query(name, "A", **options)  # type: ignore[arg-type]
    question = read_question(query.to_wire())
    assert question is not None
    answer = dns.message.from_wire(await upstream.ask(question, servers, question.limit))
    assert query.is_response(answer)
    return answer


def addresses(answer: dns.message.Message) -> list[str]:
    return [record.to_text() for rrset in answer.answer for record in rrset]


class Outside:
    """Two scripted servers, and an upstream that asks them."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.port = a_free_port(FIRST, UDP)
        self.upstream = Upstream(SystemClock(), tuple, QUICK, self.port)

    async def has(self, address: str, script: Script) -> ScriptedDns:
        return await self._stack.enter_async_context(scripted_dns(script, address, self.port))


def refuses(query: dns.message.Message, by_stream: bool) -> dns.message.Message:
    answer = dns.message.make_response(query)
    answer.set_rcode(dns.rcode.REFUSED)
    return answer


def is_long(query: dns.message.Message, by_stream: bool) -> dns.message.Message:
    answer = dns.message.make_response(query)
    if not by_stream:
        answer.flags |= dns.flags.TC
        return answer
    texts = [f"10.1.{number // 250}.{number % 250}" for number in range(300)]
    answer.answer.append(dns.rrset.from_text_list(query.question[0].name, 60, "IN", "A", texts))
    return answer


def lies(query: dns.message.Message, by_stream: bool) -> dns.message.Message:
    answer = dns.message.make_response(query)
    answer.id = (query.id + 1) % 65536
    answer.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", "6.6.6.6"))
    return answer


async def test_the_first_server_is_asked_and_its_answer_is_kept() -> None:
    async with AsyncExitStack() as stack:
        outside = Outside(stack)
        first, second = await outside.has(FIRST, says("1.1.1.1")), await outside.has(SECOND, says("2.2.2.2"))
        for _ in range(3):
            assert addresses(await asked(outside.upstream)) == ["1.1.1.1"]
        assert (len(first.asked), len(second.asked)) == (1, 0)


@pytest.mark.parametrize("bad", [is_silent, refuses, lies, lambda query, by_stream: b"garbage"])
async def test_a_server_that_gives_no_answer_is_passed_over(bad: Script) -> None:
    async with AsyncExitStack() as stack:
        outside = Outside(stack)
        await outside.has(FIRST, bad)
        await outside.has(SECOND, says("2.2.2.2"))
        assert addresses(await asked(outside.upstream)) == ["2.2.2.2"]


async def test_a_server_that_was_silent_is_asked_last() -> None:
    async with AsyncExitStack() as stack:
        outside = Outside(stack)
        first, second = await outside.has(FIRST, is_silent), await outside.has(SECOND, says("2.2.2.2"))
        await asked(outside.upstream, "one.org")
        before = len(first.asked)
        await asked(outside.upstream, "two.org")
        assert (len(first.asked), len(second.asked)) == (before, 2)


async def test_nobody_there_is_a_failure_within_the_time_allowed() -> None:
    async with AsyncExitStack() as stack:
        outside = Outside(stack)
        await outside.has(FIRST, is_silent)
        async with asyncio.timeout(2 * QUICK.whole.total_seconds()):
            answer = await asked(outside.upstream)
        assert answer.rcode() == dns.rcode.SERVFAIL


def test_the_time_allowed_is_less_than_two_seconds() -> None:
    assert Patience().whole < timedelta(seconds=2)


async def test_what_all_refuse_is_refused() -> None:
    async with AsyncExitStack() as stack:
        outside = Outside(stack)
        await outside.has(FIRST, refuses)
        await outside.has(SECOND, refuses)
        assert (await asked(outside.upstream)).rcode() == dns.rcode.REFUSED


async def test_a_long_answer_is_fetched_by_stream_and_given_as_far_as_it_fits() -> None:
    async with AsyncExitStack() as stack:
        outside = Outside(stack)
        first = await outside.has(FIRST, is_long)
        answer = await asked(outside.upstream)
        assert answer.flags & dns.flags.TC and first.asked_by_stream == 1
        question = read_question(dns.message.make_query("example.com", "A").to_wire())
        assert question is not None
        whole = dns.message.from_wire(await outside.upstream.ask(question, (FIRST, SECOND), 65535))
        assert len(whole.answer[0]) == 300


async def test_the_same_question_of_many_is_asked_once() -> None:
    async with AsyncExitStack() as stack:
        outside = Outside(stack)
        first = await outside.has(FIRST, says("1.1.1.1", ttl=0))
        answers = await asyncio.gather(*(asked(outside.upstream) for _ in range(50)))
        assert {text for answer in answers for text in addresses(answer)} == {"1.1.1.1"}
        assert len(first.asked) == 1


async def test_questions_with_and_without_dnssec_are_asked_apart() -> None:
    async with AsyncExitStack() as stack:
        outside = Outside(stack)
        first = await outside.has(FIRST, says("1.1.1.1"))
        await asked(outside.upstream)
        await asked(outside.upstream, want_dnssec=True)
        assert [bool(query.ednsflags & dns.flags.DO) for query in first.asked] == [False, True]


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6, not even on loopback")
async def test_a_server_may_be_reached_by_ipv6() -> None:
    async with AsyncExitStack() as stack:
        outside = Outside(stack)
        await outside.has("::1", says("1.1.1.1"))
        assert addresses(await asked(outside.upstream, servers=("::1",))) == ["1.1.1.1"]


async def test_an_address_of_ours_is_never_asked() -> None:
    async with AsyncExitStack() as stack:
        outside = Outside(stack)
        first = await outside.has(FIRST, says("1.1.1.1"))
        outside.upstream.avoid([FIRST])
        assert (await asked(outside.upstream, servers=(FIRST,))).rcode() == dns.rcode.SERVFAIL
        assert first.asked == []


def test_servers_are_read_from_the_nodes_file_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    servers = NodeServers(path)
    assert servers() == ()
    path.write_text("nameserver 1.1.1.1\nsearch org\n# nameserver 2.2.2.2\nnameserver fe80::1%eth0\nnameserver x\n")
    assert servers() == ("1.1.1.1", "fe80::1%eth0")
    path.write_text("nameserver 9.9.9.9\n")
    os.utime(path, ns=(1, 1))
    assert servers() == ("9.9.9.9",)
    path.unlink()
    assert servers() == ("9.9.9.9",)


def test_a_file_with_the_same_server_twice_names_it_once() -> None:
    assert servers_in("nameserver 1.1.1.1\nnameserver 1.1.1.1\nnameserver\n") == ("1.1.1.1",)
