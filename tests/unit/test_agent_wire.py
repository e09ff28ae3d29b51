"""What the engine writes, read: the parts of the Docker adapter that need no engine."""

import pytest
from support.assignments import a_network

from agent.channel import closing_reason
from agent.engine.docker_wire import LONGEST_LINE, LogFrames, engine_network
from agent.engine.ranges import obstacle


def test_a_network_made_by_hand_with_a_sloppy_range_stands_in_the_way_like_any_other() -> None:
    listed = {"Name": "byhand", "IPAM": {"Config": [{"Subnet": "10.200.1.77/24"}]}}

    assert "byhand overlaps it" in (obstacle([engine_network(listed)], "front.id", a_network()) or "")


def test_a_network_whose_range_is_none_is_not_compared() -> None:
    listed = {"Name": "odd", "IPAM": {"Config": [{"Subnet": "what"}, {}]}}

    assert engine_network(listed).subnets == frozenset()


def test_a_frame_that_comes_in_pieces_is_one_line() -> None:
    frames = LogFrames(tty=False)
    data = bytes((2, 0, 0, 0, 0, 0, 0, 5)) + b"oops\n"

    lines = [line for byte in data for line in frames.feed(bytes((byte,)))]

    assert [(line.stream, line.line) for line in lines] == [(2, b"oops\n")]


def test_a_terminal_that_never_ends_its_line_is_not_kept_in_memory() -> None:
    frames = LogFrames(tty=True)
    said = b"\r50%" * LONGEST_LINE

    lines = frames.feed(said[: len(said) // 2]) + frames.feed(said[len(said) // 2 :])

    assert max(len(line.line) for line in lines) <= LONGEST_LINE
    assert b"".join(line.line for line in lines + frames.end()) == said
    assert sum(len(line.line) for line in lines) > len(said) - LONGEST_LINE


@pytest.mark.parametrize("reason", ["", "short", "x" * 300, "\N{SNOWMAN}" * 300])
def test_the_reason_of_a_closing_fits_its_frame(reason: str) -> None:
    told = closing_reason(reason)

    assert len(told.encode()) <= 123
    assert reason.startswith(told)
    assert bool(told) == bool(reason)
