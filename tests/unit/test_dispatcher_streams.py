"""Logs that travel from an agent to a reader: in order, bounded, and ended from either side."""

import asyncio
from datetime import timedelta

import pytest
from support.picture import a_service, a_task, a_wish, picture
from support.stepping import advance, come_to_rest

from manager.dispatcher.streams import LogBroker, StreamClosed
from manager.ledger import Ledger
from manager.store.memory import MemoryDatabase
from swarmpy.clock import ManualClock
from swarmpy.errors import NotFound, Unavailable
from swarmpy.idgen import CountingIds
from swarmpy.wire import CloseStream, FromManager, LogOptions, OpenLogs

NODE = "n1"


class Wire:
    """What was sent to nodes; `is_down`: they have no session."""

    def __init__(self) -> None:
        self.sent: list[FromManager] = []
        self.is_down = False

    async def send(self, node_id: str, message: FromManager) -> None:
        if self.is_down:
            raise Unavailable(f"the agent of node {node_id} is not connected")
        self.sent.append(message)

    def opened(self) -> OpenLogs:
        message = self.sent[0]
        assert isinstance(message, OpenLogs)
        return message


def broker(wire: Wire, clock: ManualClock) -> LogBroker:
    ledger = Ledger(MemoryDatabase(clock).open(), clock)
    ledger.state = picture(a_service(), a_wish(), a_task("t1"), a_task("new", node=""))
    return LogBroker(ledger, clock, CountingIds(), wire.send)


async def read_all(logs: LogBroker, task: str = "t1") -> list[tuple[int, bytes]]:
    return [line async for line in logs.open_logs(task, LogOptions())]


async def test_lines_arrive_in_order_and_the_end_ends_the_reading() -> None:
    wire = Wire()
    logs = broker(wire, ManualClock())
    reading = asyncio.create_task(read_all(logs))
    await come_to_rest()
    stream = logs.accept(wire.opened().stream_id, NODE)
    await stream.put((1, b"one\n"))
    await stream.put((2, b"two\n"))
    await stream.end()

    assert await reading == [(1, b"one\n"), (2, b"two\n")]


async def test_the_options_reach_the_agent() -> None:
    wire = Wire()
    logs = broker(wire, ManualClock())
    generator = logs.open_logs("t1", LogOptions(tail=5, follow=True))
    reading = asyncio.create_task(anext(generator))
    await come_to_rest()

    assert wire.opened().options == LogOptions(tail=5, follow=True)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await generator.aclose()


async def test_an_agent_that_does_not_open_the_stream_in_time_is_not_waited_for() -> None:
    wire, clock = Wire(), ManualClock()
    reading = asyncio.create_task(read_all(broker(wire, clock)))
    await advance(clock, 6)

    with pytest.raises(Unavailable, match="did not open the log"):
        await reading
    assert isinstance(wire.sent[-1], CloseStream)


async def test_without_a_session_the_reader_is_told_at_once() -> None:
    wire = Wire()
    wire.is_down = True

    with pytest.raises(Unavailable, match="not connected"):
        await read_all(broker(wire, ManualClock()))


@pytest.mark.parametrize(("task", "words"), [("unknown", "no task unknown"), ("new", "not placed")])
async def test_a_task_without_a_log_is_named(task: str, words: str) -> None:
    with pytest.raises(NotFound, match=words):
        await read_all(broker(Wire(), ManualClock()), task)


async def test_a_stream_that_breaks_off_is_no_quiet_end() -> None:
    wire = Wire()
    logs = broker(wire, ManualClock())
    reading = asyncio.create_task(read_all(logs))
    await come_to_rest()
    stream = logs.accept(wire.opened().stream_id, NODE)
    await stream.put((1, b"one\n"))
    await stream.end("the agent went away")

    with pytest.raises(Unavailable, match="went away"):
        await reading


async def test_a_slow_reader_makes_the_agent_wait_instead_of_filling_the_memory() -> None:
    wire = Wire()
    logs = broker(wire, ManualClock())
    generator = logs.open_logs("t1", LogOptions())
    first = asyncio.create_task(anext(generator))
    await come_to_rest()
    stream = logs.accept(wire.opened().stream_id, NODE)
    sent = 0

    async def fill() -> None:
        nonlocal sent
        while True:
            await stream.put((1, b"line\n"))
            sent += 1

    filling = asyncio.create_task(fill())
    await come_to_rest()
    assert sent <= stream.HELD + 2
    assert await first == (1, b"line\n")
    await generator.aclose()
    with pytest.raises(StreamClosed):
        await filling


async def test_a_reader_that_leaves_closes_the_stream_on_the_node() -> None:
    wire = Wire()
    logs = broker(wire, ManualClock())
    generator = logs.open_logs("t1", LogOptions(follow=True))
    first = asyncio.create_task(anext(generator))
    await come_to_rest()
    stream_id = wire.opened().stream_id
    stream = logs.accept(stream_id, NODE)
    await stream.put((1, b"x\n"))
    await first
    await generator.aclose()

    assert wire.sent[-1] == CloseStream(stream_id=stream_id)
    with pytest.raises(StreamClosed):
        await stream.put((1, b"y\n"))
    with pytest.raises(NotFound):
        logs.accept(stream_id, NODE)


async def test_a_stream_can_be_opened_only_once_and_only_when_asked_for() -> None:
    wire = Wire()
    logs = broker(wire, ManualClock())
    reading = asyncio.create_task(read_all(logs))
    await come_to_rest()
    stream = logs.accept(wire.opened().stream_id, NODE)

    with pytest.raises(NotFound):
        logs.accept(wire.opened().stream_id, NODE)
    with pytest.raises(NotFound):
        logs.accept("made up", NODE)
    await stream.end()
    await reading


async def test_a_line_that_comes_later_than_the_opening_may_take_its_time() -> None:
    wire, clock = Wire(), ManualClock()
    logs = broker(wire, clock)
    reading = asyncio.create_task(read_all(logs))
    await come_to_rest()
    stream = logs.accept(wire.opened().stream_id, NODE)
    await advance(clock, timedelta(hours=1).total_seconds())
    await stream.put((1, b"late\n"))
    await stream.end()

    assert await reading == [(1, b"late\n")]
